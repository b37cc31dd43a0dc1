"""The newest of what is kept: what was made of these is worth keeping too, up to a bound."""

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from asgi_rt.hub.timeline import Entry

__all__ = ["Account", "Recent"]

T = TypeVar("T")


class Account:
    """What one item and all that was made of it take."""

    __slots__ = ("recent", "size_bytes")

    def __init__(self, recent: "Recent[Any]", size_bytes: int) -> None:
        self.recent: Recent[Any] | None = recent
        self.size_bytes = size_bytes

    def grow(self, size_bytes: int) -> None:
        """Count something that was made of it."""
        self.size_bytes += size_bytes
        if self.recent is not None:
            self.recent.size_bytes += size_bytes


class Recent(Generic[T]):
    """At most `max_count` entries of `max_bytes`; `retire` is called with the item of each other.

    That is when the next is added: the newest is among them however large it is, and may grow.
    Those that are dropped elsewhere are not retired, and count until they are the oldest. One task
    at a time.
    """

    __slots__ = ("_entries", "_max_bytes", "_max_count", "_retire", "size_bytes")

    def __init__(self, retire: Callable[[T], None], *, max_count: int, max_bytes: int) -> None:
        self._retire = retire
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._entries: deque[tuple[Entry[T], Account]] = deque()
        self.size_bytes = 0
        """What they add up to."""

    def add(self, entry: Entry[T]) -> Account:
        """Add the newest; where to count what is made of it."""
        account = Account(self, entry.size)
        entries = self._entries
        entries.append((entry, account))
        self.size_bytes += entry.size
        while entries and (not entries[0][0].is_kept or self._is_too_much()):
            self._drop_oldest()
        return account

    def _is_too_much(self) -> bool:
        count = len(self._entries)
        return count > 1 and (count > self._max_count or self.size_bytes > self._max_bytes)

    def _drop_oldest(self) -> None:
        oldest, account = self._entries.popleft()
        self.size_bytes -= account.size_bytes
        account.recent = None
        if oldest.is_kept:
            self._retire(oldest.item)
