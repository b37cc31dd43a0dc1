"""Entries in the order of their positions, the oldest of which are dropped.

Kept in a list that is searched, from which nothing is moved when something is dropped: that leaves
a hole, and the holes are cleared once they are more than half. So dropping one takes, on average,
the same time however many there are.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Final, Generic, TypeVar

__all__ = ["Entry", "Timeline", "position_of"]

T = TypeVar("T")

_MAX_HOLES: Final = 16
"""How many holes there may be however few entries are left."""


class Entry(Generic[T]):
    """One item of a topic, at its position."""

    __slots__ = ("is_kept", "item", "position", "size", "time", "topic")

    def __init__(self, topic: str, item: T, position: int, size: int, time: float) -> None:
        self.topic = topic
        self.item = item
        """What it holds; not there any more once it is dropped."""
        self.position = position
        self.size = size
        self.time = time
        self.is_kept = True

    def drop(self) -> None:
        """Let go of the item. Every timeline that the entry is in has to `forget` it then."""
        self.is_kept = False
        del self.item


def position_of(entry: Entry[T]) -> int:
    """What entries are sorted by."""
    return entry.position


class Timeline(Generic[T]):
    """Entries, of which the newest is dropped last. One task at a time."""

    __slots__ = ("_begin", "_entries", "count")

    def __init__(self) -> None:
        self._entries: list[Entry[T]] = []
        self._begin = 0  # where the oldest that is kept stands
        self.count = 0
        """How many are kept; as `len` says, in less time."""

    def __len__(self) -> int:
        """How many are kept."""
        return self.count

    @property
    def oldest(self) -> Entry[T]:
        """The oldest that is kept. Raises IndexError where none is."""
        return self._entries[self._begin]

    @property
    def newest(self) -> Entry[T]:
        """The newest. Raises IndexError where none is kept."""
        return self._entries[-1]

    def append(self, entry: Entry[T]) -> None:
        """Add one whose position is beyond all others."""
        self._entries.append(entry)
        self.count += 1

    def forget(self) -> None:
        """Take note that one of them was dropped."""
        self.count -= 1
        if not self.count:
            self._entries = []
            self._begin = 0
            return
        while not self._entries[self._begin].is_kept:
            self._begin += 1
        if len(self._entries) > 2 * self.count + _MAX_HOLES:
            self._entries = [entry for entry in self._entries if entry.is_kept]
            self._begin = 0

    def after(self, position: int) -> Iterator[Entry[T]]:
        """Those after a position, oldest first, holes included."""
        begin = bisect_right(self._entries, position, lo=self._begin, key=position_of)
        return map(self._entries.__getitem__, range(begin, len(self._entries)))

    def backwards(self) -> Iterator[Entry[T]]:
        """All, newest first, holes included."""
        return islice(reversed(self._entries), len(self._entries) - self._begin)
