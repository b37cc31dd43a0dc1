"""Where the buckets of a rate limit are kept: in this process, or behind the same interface."""

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from asgi_rt.middleware.limit_options import check_count
from asgi_rt.token_bucket import TokenBucket

__all__ = ["MemoryRateStore", "RatePolicy", "RateStore", "Verdict"]

_Place: TypeAlias = tuple[str, str]

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST: Final = 10**15 - 1  # of a structured field's integer, RFC 9651 section 3.3.1
_LOOKS: Final = 8  # for each key that comes, so that what is full goes faster than that


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """How much one client may do: `rate` tokens in `period` seconds, up to `burst` of them at once.

    `name` tells it from other policies, in the fields of a response and in a store. Raises
    ValueError and TypeError for what cannot be said in these fields.
    """

    rate: int
    period: int
    burst: int
    name: str = "default"

    def __post_init__(self) -> None:
        for option in ("rate", "period", "burst"):
            if check_count(option, getattr(self, option)) > _MOST:
                raise ValueError(f"{option} must be at most {_MOST}")
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"name is 1 to 64 letters, digits, '_', '-' or '.', not {self.name!r}")


class Verdict(NamedTuple):
    """Whether something may be done, and what is left."""

    is_allowed: bool
    remaining: int
    """The whole tokens that are left."""
    next_in: float
    """Seconds until there is one more of them; 0 of a full bucket."""
    retry_in: float
    """Seconds until the same may be done; 0 where it is allowed."""


class RateStore(Protocol):
    """Keeps a bucket of tokens for each key and policy. Any number of tasks may call it at once."""

    async def take(self, key: str, cost: int, policy: RatePolicy) -> Verdict:
        """Take `cost` tokens, or none where they are not there; as one step, whoever else asks.

        `cost` is at most the policy's burst. A bucket that nobody has used is full. What it raises
        is for the layer an outage; a call that is cancelled may have taken the tokens.
        """
        ...


class _Bucket(TokenBucket):
    """One that is kept, under its policy and key."""

    __slots__ = ("is_kept", "place")

    def __init__(self, place: _Place, policy: RatePolicy, now: float) -> None:
        super().__init__(policy.rate / policy.period, policy.burst, now)
        self.place = place
        self.is_kept = True


class MemoryRateStore:
    """The buckets of at most `max_keys` clients, in this process alone.

    A bucket that is full again is as good as none. With each new key eight of those that are kept
    are looked at, all in turn, and what is full is dropped: nothing is lost, and it is gone before
    a seventh as many new keys have come. Only where `max_keys` are left, all of which were in use
    when they were last looked at, is one given up: of those that are at least half full the one
    that was used longest ago, and one that is emptier where there is no other.

    So whoever makes up keys grows no memory, and displaces buckets of made-up keys, from which one
    token was taken, and not that of a client that was refused. That takes a burst of at least two:
    with one, every bucket in use is empty, and a client that was refused is forgotten when it has
    not asked again while `max_keys` others came. And new clients are never refused because of
    others.

    `clock` gives seconds and never goes back. Nothing runs beside the requests, and each takes the
    same time whatever the number of keys. It belongs to no event loop; one thread at a time.
    """

    def __init__(
        self, *, max_keys: int = 65_536, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_keys = check_count("max_keys", max_keys)
        self._clock = clock
        # By their last use, the oldest first. Not dicts, which look for their first key past all
        # that were removed before it.
        self._fuller: OrderedDict[_Place, _Bucket] = OrderedDict()
        self._emptier: OrderedDict[_Place, _Bucket] = OrderedDict()
        # Each once, whatever its use: one that is long in use may not hide those behind it. What
        # was given up lies here until it is its turn, and so they are at most a seventh more.
        self._round: deque[_Bucket] = deque()
        self.displaced = 0
        """How many buckets were given up before they were full: then `max_keys` is too small."""

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._fuller) + len(self._emptier)

    async def take(self, key: str, cost: int, policy: RatePolicy) -> Verdict:
        now = self._clock()
        place = policy.name, key
        bucket = self._fuller.pop(place, None) or self._emptier.pop(place, None)
        if bucket is None:
            self._drop_full(now)
            if len(self) >= self._max_keys:
                self._give_one_up(now)
            bucket = _Bucket(place, policy, now)
            self._round.append(bucket)
        is_allowed = bucket.take(now, cost)
        remaining = bucket.tokens
        kept = self._fuller if remaining * 2 >= policy.burst else self._emptier
        kept[place] = bucket
        next_in = 0.0 if remaining >= policy.burst else bucket.seconds_until(remaining + 1)
        retry_in = 0.0 if is_allowed else bucket.seconds_until(cost)
        return Verdict(is_allowed, remaining, next_in, retry_in)

    def _drop_full(self, now: float) -> None:
        """Drop what is full again of those whose turn it is."""
        for _ in range(min(_LOOKS, len(self._round))):
            bucket = self._round.popleft()
            if bucket.is_kept:
                if bucket.full_at > now:
                    self._round.append(bucket)
                    continue
                for kept in (self._fuller, self._emptier):
                    kept.pop(bucket.place, None)

    def _give_one_up(self, now: float) -> None:
        """Drop one for a new key, full or not."""
        _, bucket = (self._fuller or self._emptier).popitem(last=False)
        bucket.is_kept = False
        self.displaced += bucket.full_at > now
