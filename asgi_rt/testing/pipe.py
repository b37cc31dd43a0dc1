"""The bounded pipe between the app's `send` and the client that reads the response body."""

from collections import deque

from asgi_rt.testing.condition import Condition

__all__ = ["Pipe"]


class Pipe:
    """Bytes on their way from one app to one client, with a high-water mark.

    Writing is in two steps, as with an asyncio transport: `put` takes the data whole, whatever
    its size, and `drain` then waits while more than `max_bytes` are in the pipe. So a pipe of 0
    bytes holds a writer until its data has been read, and None never holds it.

    Chunks keep their boundaries. All methods belong to one event loop. A cancelled `drain` or
    `read` loses nothing: the data stays in the pipe.
    """

    def __init__(self, max_bytes: int | None, changed: Condition) -> None:
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"pipe_bytes must be 0 or more, or None for no bound; not {max_bytes}")
        self._max_bytes = max_bytes
        self._changed = changed
        self._chunks: deque[bytes] = deque()
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

    def put(self, data: bytes) -> None:
        """Add `data` for the reader. It is dropped when the pipe is broken."""
        if not data or self.is_broken:
            return
        self._chunks.append(data)
        self.bytes_written += len(data)
        self.bytes_buffered += len(data)
        self._changed.notify_all()

    async def drain(self) -> None:
        """Wait for room; returns at once when there is some, and when the pipe breaks."""
        if not self.is_full:
            return
        self._draining += 1
        self._changed.notify_all()
        try:
            await self._changed.wait_until(lambda: not self.is_full)
        finally:
            self._draining -= 1

    async def read(self, max_bytes: int | None = None) -> bytes:
        """The next chunk, or at most `max_bytes` of it; b"" at the end and when broken.

        While frozen it waits, even when there is something to read.
        """
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes must be 1 or more, not {max_bytes}")
        await self._changed.wait_until(self._is_readable)
        if not self._chunks:
            return b""
        data = self._chunks.popleft()
        if max_bytes is not None and len(data) > max_bytes:
            self._chunks.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        self.bytes_buffered -= len(data)
        self._changed.notify_all()
        return data

    def finish(self) -> None:
        """Nothing more will be put: the reader finds the end after what is in the pipe."""
        self.is_finished = True
        self._changed.notify_all()

    def break_(self) -> None:
        """The reader is gone: drop what is in the pipe and let every waiting task go."""
        self.is_broken = True
        self._chunks.clear()
        self.bytes_buffered = 0
        self._changed.notify_all()

    def freeze(self) -> None:
        """Have the reader take nothing until `thaw`."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Let the reader go on."""
        self.is_frozen = False
        self._changed.notify_all()

    def _is_readable(self) -> bool:
        if self.is_broken:
            return True
        return not self.is_frozen and (bool(self._chunks) or self.is_finished)
