"""The newest of what is kept: what was made of these is worth keeping too, up to a bound."""

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from asgi_rt.hub.timeline import Entry

__all__ = ["Account", "Recent"]

T = TypeVar("T")


class Account:
    """What one item and all that was made of it take."""

    __slots__ = ("_find_recent", "is_over", "size_bytes")

    def __init__(self, find_recent: "Callable[[], Recent[Any] | None]", size_bytes: int) -> None:
        # Who holds on to one item does not hold on to all the others.
        self._find_recent = find_recent
        self.size_bytes = size_bytes
        self.is_over = False
        """Whether its item is not among the newest any more."""

    def grow(self, size_bytes: int) -> None:
        """Count something that was made of it."""
        recent = None if self.is_over else self._find_recent()
        if recent is not None:
            self.size_bytes += size_bytes
            recent.grow(size_bytes)


class Recent(Generic[T]):
    """At most `max_count` entries of `max_bytes`; `retire` is called with the item of each other.

    The newest is among them however large it is. Those that are dropped elsewhere are not retired,
    and count until they are the oldest. One task at a time.
    """

    __slots__ = (
        "__weakref__",
        "_entries",
        "_find",
        "_max_bytes",
        "_max_count",
        "_retire",
        "size_bytes",
    )

    def __init__(self, retire: Callable[[T], None], *, max_count: int, max_bytes: int) -> None:
        self._retire = retire
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._entries: deque[tuple[Entry[T], Account]] = deque()
        self._find = weakref.ref(self)
        self.size_bytes = 0
        """What they add up to."""

    def add(self, entry: Entry[T]) -> Account:
        """Add the newest; where to count what is made of it."""
        account = Account(self._find, entry.size)
        self._entries.append((entry, account))
        self.grow(entry.size)
        return account

    def grow(self, size_bytes: int) -> None:
        """So much has come to them."""
        self.size_bytes += size_bytes
        entries = self._entries
        while entries and (not entries[0][0].is_kept or self._is_too_much()):
            self._drop_oldest()

    def _is_too_much(self) -> bool:
        count = len(self._entries)
        return count > 1 and (count > self._max_count or self.size_bytes > self._max_bytes)

    def _drop_oldest(self) -> None:
        oldest, account = self._entries.popleft()
        self.size_bytes -= account.size_bytes
        account.is_over = True
        if oldest.is_kept:
            self._retire(oldest.item)
