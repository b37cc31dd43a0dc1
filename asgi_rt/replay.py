"""A bounded log with cursors: what was missed after an id, all of it or an explicit gap."""

import re
from dataclasses import dataclass
from typing import Final, Generic, Literal, NamedTuple, TypeVar

__all__ = ["Entry", "Gap", "ReplayLog"]

T = TypeVar("T")

# What a header field, a query and a line of an event stream carry unchanged.
_EPOCH: Final = re.compile(r"[!-~]{1,64}")
_MAX_DIGITS: Final = 18


class Entry(NamedTuple, Generic[T]):
    """One item of a log, with the id under which it can be asked for."""

    id: str
    item: T
    size_bytes: int
    time: float
    """When it was appended, on the clock of the log's owner."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What follows an id cannot be replayed in full, so nothing of it is.

    `reason` is "expired" (the log no longer keeps all of it; `missed` is how many entries there
    were after the id, so all that whoever goes on from `last_id` never gets) or "unknown" (the id
    is none of this log: of an earlier start, malformed, or not yet given; `missed` is None).
    """

    reason: Literal["expired", "unknown"]
    missed: int | None


class ReplayLog(Generic[T]):
    """The newest items, bounded by count, bytes and age, each under an id `epoch-sequence`.

    `epoch` tells the ids of one log from those of another, or of the same log before a restart.
    Each bound can be None, which is off. `max_age` and every `now` are in seconds of one clock;
    a clock that is set back lets entries live longer, no more. The newest entry outlasts the bounds
    of count and bytes, so that who follows live gets it, however large it is.

    Raises ValueError for an epoch that is not 1 to 64 visible ASCII characters, and for a bound
    below 1 (`max_age`: below 0). Everything takes effect at once; not for use by several threads.
    """

    def __init__(
        self,
        epoch: str,
        *,
        max_count: int | None = 1000,
        max_bytes: int | None = 4 * 1024 * 1024,
        max_age: float | None = None,
    ) -> None:
        if _EPOCH.fullmatch(epoch) is None:
            raise ValueError(f"an epoch is 1 to 64 visible ASCII characters, not {epoch!r}")
        for name, bound, least in (
            ("max_count", max_count, 1),
            ("max_bytes", max_bytes, 1),
            ("max_age", max_age, 0),
        ):
            # Not `bound < least`: NaN is no bound either.
            if bound is not None and not bound >= least:
                raise ValueError(f"{name} is at least {least}, or None for no bound, not {bound}")
        self._epoch = epoch
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._max_age = max_age
        # By sequence, without holes, from `_last - len + 1` to `_last`: found without searching.
        self._entries: dict[int, Entry[T]] = {}
        self._last = 0
        self._size_bytes = 0
        self._newest_time = float("-inf")

    @property
    def epoch(self) -> str:
        """What every id of this log begins with."""
        return self._epoch

    @property
    def last_id(self) -> str:
        """The id of the newest entry; before the first, an id that everything comes after."""
        return f"{self._epoch}-{self._last}"

    @property
    def next_id(self) -> str:
        """The id that the next `append` will give, for an item that carries its own id."""
        return f"{self._epoch}-{self._last + 1}"

    @property
    def size_bytes(self) -> int:
        """What the entries add up to, by their `size_bytes`."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, item: T, *, size_bytes: int, now: float) -> str:
        """Add an item, drop what is then out of bounds, and return the item's id."""
        if size_bytes < 0:
            raise ValueError(f"size_bytes is at least 0, not {size_bytes}")
        # Never earlier than the entry before, so that the first entry is always the oldest.
        self._newest_time = max(self._newest_time, now)
        id = self.next_id  # noqa: A001 - the field's name
        self._last += 1
        self._entries[self._last] = Entry(id, item, size_bytes, self._newest_time)
        self._size_bytes += size_bytes
        self._drop_excess()
        self.drop_expired(now)
        return id

    def after(
        self, last_event_id: str | None, *, now: float, limit: int | None = None
    ) -> list[Entry[T]] | Gap:
        """The entries after an id, oldest first, or a `Gap` if the log cannot give all of them.

        With `limit`, at most so many, and the rest after the id of the last of them. None is the
        id of who has nothing to catch up with. Takes time in proportion to what is returned.
        """
        if last_event_id is None:
            return []
        self.drop_expired(now)
        sequence = self._sequence(last_event_id)
        if sequence is None:
            return Gap("unknown", None)
        missed = self._last - sequence
        if missed > len(self._entries):
            return Gap("expired", missed)
        end = self._last if limit is None else min(self._last, sequence + limit)
        return [self._entries[each] for each in range(sequence + 1, end + 1)]

    def drop_expired(self, now: float) -> None:
        """Drop what is older than `max_age`. The other methods do it in passing."""
        if self._max_age is None:
            return
        oldest_kept = now - self._max_age
        while self._entries and self._oldest().time < oldest_kept:
            self._drop_oldest()

    def _sequence(self, id: str) -> int | None:  # noqa: A002 - the field's name
        epoch, _, digits = id.rpartition("-")
        if epoch != self._epoch or len(digits) > _MAX_DIGITS:
            return None
        # int() would take "+1", " 1", "1_0" and the digits of every script.
        if not (digits.isascii() and digits.isdigit()) or (digits[0] == "0" and digits != "0"):
            return None
        sequence = int(digits)
        return sequence if sequence <= self._last else None

    def _drop_excess(self) -> None:
        while len(self._entries) > 1 and (
            (self._max_count is not None and len(self._entries) > self._max_count)
            or (self._max_bytes is not None and self._size_bytes > self._max_bytes)
        ):
            self._drop_oldest()

    def _oldest(self) -> Entry[T]:
        return self._entries[self._last - len(self._entries) + 1]

    def _drop_oldest(self) -> None:
        oldest = self._entries.pop(self._last - len(self._entries) + 1)
        self._size_bytes -= oldest.size_bytes
