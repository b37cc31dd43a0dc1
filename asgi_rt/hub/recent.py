"""The newest of what is kept: what was made of these is worth keeping too."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from asgi_rt.hub.timeline import Entry

__all__ = ["Recent"]

T = TypeVar("T")


class Recent(Generic[T]):
    """At most `max_count` entries of `max_bytes`; `retire` is called with the item of each other.

    The newest is among them however large it is. Those that are dropped elsewhere are not retired,
    and count until they are the oldest. One task at a time.
    """

    __slots__ = ("_entries", "_max_bytes", "_max_count", "_retire", "_size_bytes")

    def __init__(self, retire: Callable[[T], None], *, max_count: int, max_bytes: int) -> None:
        self._retire = retire
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._entries: deque[Entry[T]] = deque()
        self._size_bytes = 0

    def add(self, entry: Entry[T]) -> None:
        """Add the newest."""
        entries = self._entries
        entries.append(entry)
        self._size_bytes += entry.size
        while entries and (not entries[0].is_kept or self._is_too_much()):
            oldest = entries.popleft()
            self._size_bytes -= oldest.size
            if oldest.is_kept:
                self._retire(oldest.item)

    def _is_too_much(self) -> bool:
        count = len(self._entries)
        return count > 1 and (count > self._max_count or self._size_bytes > self._max_bytes)
