"""A token bucket: what may be done at a rate on average, with some of it at once.

Each thing that is done takes a token. They come back at the rate until the bucket is full.
"""

from typing import Final

__all__ = ["TokenBucket"]

# Of a token: what the rounding of the clock may cost a client that keeps exactly to the rate.
_ROUNDING: Final = 1e-6


class TokenBucket:
    """`rate` tokens per second, and up to `burst` of them at once. It is full when it is made.

    The time is passed in, in seconds of any clock that begins anywhere. Where that clock stands
    still or goes back, no time has passed. One task at a time.
    """

    __slots__ = ("_burst", "_refilled_at", "_tokens", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        """Tokens per second."""
        self._burst = burst
        self._tokens = burst
        self._refilled_at = now

    def take(self, now: float, count: float = 1) -> bool:
        """Take so many tokens, or none of them and return False."""
        if now > self._refilled_at:
            refill = (now - self._refilled_at) * self.rate
            # What was given may go beyond the burst.
            self._tokens = max(self._tokens, min(self._tokens + refill, self._burst))
            self._refilled_at = now
        if self._tokens < count - _ROUNDING:
            return False
        self._tokens -= count
        return True

    def give(self, count: float, now: float) -> None:
        """Add tokens, beyond the burst as well, in place of those of the time until now."""
        self._tokens += count
        self._refilled_at = now

    @property
    def tokens(self) -> int:
        """The whole tokens that are left since the last `take`."""
        return int(max(0.0, self._tokens + _ROUNDING))

    def seconds_until(self, count: float) -> float:
        """How long after the last `take` there will be so many tokens; inf if there never will."""
        if count > self._burst:
            return float("inf")
        return max(0.0, (count - self._tokens) / self.rate)

    @property
    def full_at(self) -> float:
        """The time from which on it is as good as a new one."""
        return self._refilled_at + self.seconds_until(self._burst)
