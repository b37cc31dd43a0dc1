"""Locks by name, each there only while somebody needs it."""

from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager

import anyio

__all__ = ["Locks"]


class _Lock:
    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        # Taking a free one does not wait, so what follows without waiting is done at once.
        self.lock = anyio.Lock(fast_acquire=True)
        self.users = 0


class Locks:
    """A lock for each name, made when it is asked for and dropped when nobody is left.

    Any task of one event loop may use it. A wait that is cancelled leaves nothing.
    """

    def __init__(self) -> None:
        self._locks: dict[Hashable, _Lock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def hold(self, name: Hashable) -> AsyncGenerator[None, None]:
        """Be alone with a name, in the order of asking. Not to be held twice by one task."""
        entry = self._locks.get(name)
        if entry is None:
            entry = self._locks[name] = _Lock()
        entry.users += 1
        try:
            async with entry.lock:
                yield
        finally:
            entry.users -= 1
            if not entry.users:
                del self._locks[name]
