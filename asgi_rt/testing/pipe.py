"""The bounded pipe between the app's `send` and the client that reads the response body."""

from asgi_rt.testing.flow import Flow

__all__ = ["Pipe"]


class Pipe(Flow[bytes]):
    """Bytes on their way from one app to one client. Chunks keep their boundaries.

    A cancelled `read` loses nothing: the data stays in the pipe.
    """

    def put(self, data: bytes) -> None:
        """Add `data` for the reader. It is dropped when the pipe is broken."""
        if data and not self.is_broken:
            self._add(data, len(data))

    async def read(self, max_bytes: int | None = None) -> bytes:
        """The next chunk, or at most `max_bytes` of it; b"" at the end and when broken.

        While frozen it waits, even when there is something to read.
        """
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes must be 1 or more, not {max_bytes}")
        if not await self._wait_readable():
            return b""
        data = self._items.popleft()
        if max_bytes is not None and len(data) > max_bytes:
            self._items.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        self._count_read(len(data))
        return data
