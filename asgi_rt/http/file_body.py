"""An open file, read in worker threads, and the response body that is made of pieces of it."""

import errno
import os
import stat
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import anyio
import anyio.to_thread

from asgi_rt.http.ranges import ByteRange

__all__ = ["OPEN_FLAGS", "FileBody", "OpenFile", "Opener", "open_path"]

OPEN_FLAGS: Final[int] = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
"""How to open what may turn out to be no file: a FIFO or a terminal must not hold a thread."""

Opener: TypeAlias = Callable[[str], int]
"""Opens a path with `OPEN_FLAGS` in a worker thread; the descriptor is its caller's to close."""


def open_path(path: str) -> int:
    """A descriptor of what the path names, links followed. Raises OSError."""
    return os.open(path, OPEN_FLAGS)


class OpenFile:
    """A regular file that is opened, read and closed in worker threads, by one of them at a time.

    Every method that is not async blocks. A call that was abandoned to its thread cannot meet a
    descriptor that has been closed, and given to another file, in the meantime.
    """

    def __init__(self, path: str, opener: Opener = open_path) -> None:
        self._path = path
        self._opener = opener
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self.is_closed = False
        """Whether it holds nothing open, now and from now on."""

    def open(self) -> os.stat_result:
        """Open it; what the file system knows about it. Raises OSError, for directories too."""
        with self._lock:
            if self.is_closed:
                raise ValueError(f"{self._path} was closed before it was opened")
            self._descriptor = self._opener(self._path)
            status = os.fstat(self._descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self._path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", self._path)
        return status

    def read(self, at: int, max_bytes: int) -> bytes:
        """At least one byte from position `at` on. Raises EOFError where the file ends there."""
        with self._lock:
            if self._descriptor is None:
                raise ValueError(f"{self._path} is not open")
            os.lseek(self._descriptor, at, os.SEEK_SET)
            chunk = os.read(self._descriptor, max_bytes)
        if not chunk:
            raise EOFError(f"{self._path} was cut short to {at} bytes while it was being sent")
        return chunk

    def close(self) -> None:
        """Close it, when the call that another thread is in has returned. Idempotent."""
        with self._lock:
            self.is_closed = True
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)

    async def aclose(self) -> None:
        """Close it in a worker thread. Cancelled, the thread still does."""
        if not self.is_closed:
            # A limiter of its own: where every thread of the pool hangs on a dead disk, what they
            # hold could not be closed otherwise.
            await anyio.to_thread.run_sync(
                self.close, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )


class FileBody:
    """Framing and ranges of an open file as the chunks of a body, one worker thread hop for each.

    An async iterator whose `aclose` closes the file, also where the iteration never began. `first`
    is the beginning of the first range, if it has been read already.
    """

    def __init__(
        self,
        file: OpenFile,
        pieces: Sequence[bytes | ByteRange],
        *,
        chunk_bytes: int,
        first: bytes = b"",
    ) -> None:
        self._file = file
        self._chunks = _chunks(file, pieces, chunk_bytes, first)

    def __aiter__(self) -> "FileBody":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._chunks.__anext__()

    async def aclose(self) -> None:
        """Close the file. Cancelled, a worker thread still does."""
        try:
            await self._chunks.aclose()
        finally:
            await self._file.aclose()


async def _chunks(
    file: OpenFile, pieces: Sequence[bytes | ByteRange], chunk_bytes: int, first: bytes
) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        at, stop = piece
        while at < stop:
            max_bytes = min(chunk_bytes, stop - at)
            chunk = first or await anyio.to_thread.run_sync(file.read, at, max_bytes)
            first = b""
            at += len(chunk)
            yield chunk
