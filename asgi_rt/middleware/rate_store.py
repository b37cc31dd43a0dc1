"""Where the buckets of a rate limit are kept: in this process, or behind the same interface."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, Protocol, TypeAlias

from asgi_rt.middleware.limit_options import check_count
from asgi_rt.token_bucket import TokenBucket

__all__ = ["MemoryRateStore", "RatePolicy", "RateStore", "Verdict"]

_Buckets: TypeAlias = OrderedDict[tuple[str, str], TokenBucket]

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST: Final = 10**15 - 1  # of a structured field's integer, RFC 9651 section 3.3.1


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


class MemoryRateStore:
    """The buckets of at most `max_keys` clients, in this process alone.

    A bucket that is full again is as good as none. Each new key drops a few of those, so that none
    but those in use are kept, and nothing is lost. Only where `max_keys` are in use is one given up
    that is not full: of those that are at least half full the one that was used longest ago, and
    one that is emptier where there is no other. So whoever makes up keys grows no memory, and
    displaces buckets of made-up keys, from which one token was taken, and not that of a client that
    was refused. And new clients are never refused because of others.

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
        self._fuller: _Buckets = OrderedDict()
        self._emptier: _Buckets = OrderedDict()
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
            self._make_room(now)
            bucket = TokenBucket(policy.rate / policy.period, policy.burst, now)
        is_allowed = bucket.take(now, cost)
        remaining = bucket.tokens
        kept = self._fuller if remaining * 2 >= policy.burst else self._emptier
        kept[place] = bucket
        next_in = 0.0 if remaining >= policy.burst else bucket.seconds_until(remaining + 1)
        retry_in = 0.0 if is_allowed else bucket.seconds_until(cost)
        return Verdict(is_allowed, remaining, next_in, retry_in)

    def _make_room(self, now: float) -> None:
        """Drop what is full again, or else what is given up for a new key."""
        for kept in (self._fuller, self._emptier):
            # Two for each that comes: so they go faster than they come.
            for place, bucket in [*islice(kept.items(), 2)]:
                if bucket.full_at <= now:
                    del kept[place]
        if len(self) >= self._max_keys:
            (self._fuller or self._emptier).popitem(last=False)
            self.displaced += 1
