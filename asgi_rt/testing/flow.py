"""What is on its way from the app's `send` to the client, bounded by a high-water mark."""

from collections import deque
from typing import Generic, TypeVar

from asgi_rt.testing.condition import Condition

__all__ = ["Flow"]

T = TypeVar("T")


class Flow(Generic[T]):
    """Items between one app and one client. More than `max_bytes` of them make it full.

    Writing is in two steps, as with an asyncio transport: an item is taken whole, whatever its
    size, and `drain` waits while more than `max_bytes` are in the flow. So one of 0 bytes holds a
    writer until its data has been read, and None never holds it.

    All methods belong to one event loop. A cancelled `drain` loses nothing.
    """

    def __init__(self, max_bytes: int | None, changed: Condition) -> None:
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"pipe_bytes must be 0 or more, or None for no bound; not {max_bytes}")
        self._max_bytes = max_bytes
        self._changed = changed
        self._items: deque[T] = deque()
        self._draining = 0
        self.bytes_written = 0
        self.bytes_buffered = 0
        self.is_finished = False
        self.is_broken = False
        self.is_frozen = False

    @property
    def is_full(self) -> bool:
        """Whether a `drain` would wait now."""
        if self._max_bytes is None or self.is_broken:
            return False
        return self.bytes_buffered > self._max_bytes

    @property
    def is_blocked(self) -> bool:
        """Whether a writer waits for room."""
        return self._draining > 0 and self.is_full

    async def drain(self) -> None:
        """Wait for room; returns at once when there is some, and when the flow breaks."""
        if not self.is_full:
            return
        self._draining += 1
        self._changed.notify_all()
        try:
            await self._changed.wait_until(lambda: not self.is_full)
        finally:
            self._draining -= 1

    def finish(self) -> None:
        """Nothing more will be put: the reader finds the end after what is in the flow."""
        self.is_finished = True
        self._changed.notify_all()

    def break_(self) -> None:
        """The reader is gone: drop what is in the flow and let every waiting task go."""
        self.is_broken = True
        self._items.clear()
        self.bytes_buffered = 0
        self._changed.notify_all()

    def freeze(self) -> None:
        """Have the reader take nothing until `thaw`."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Let the reader go on."""
        self.is_frozen = False
        self._changed.notify_all()

    def _add(self, item: T, size: int) -> None:
        self._items.append(item)
        self.bytes_written += size
        self.bytes_buffered += size
        self._changed.notify_all()

    async def _wait_readable(self) -> bool:
        """Wait for an item, or for the end. Returns whether there is an item."""
        await self._changed.wait_until(self._is_readable)
        return bool(self._items)

    def _count_read(self, size: int) -> None:
        self.bytes_buffered -= size
        self._changed.notify_all()

    def _is_readable(self) -> bool:
        if self.is_broken:
            return True
        return not self.is_frozen and (bool(self._items) or self.is_finished)
