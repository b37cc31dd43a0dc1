"""The files of a form: in memory while they are small, on disk beyond that."""

from collections.abc import AsyncIterator
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import Final

import anyio
import anyio.to_thread

from asgi_rt.http.headers import Headers

__all__ = ["Spool", "Upload"]

_CHUNK_BYTES: Final = 64 * 1024
_CLOSE_SECONDS: Final = 5.0


class Spool:
    """A file that only a worker thread touches once it has outgrown `max_memory_bytes`.

    For one task at a time.
    """

    def __init__(self, max_memory_bytes: int) -> None:
        self.max_memory_bytes = max_memory_bytes
        # To this class 0 means "never to disk". It is closed by `aclose`.
        self.file = SpooledTemporaryFile(max_size=max(max_memory_bytes, 1))  # noqa: SIM115
        self.size = 0
        """Bytes that were fed to it."""
        self._unwritten: list[bytes] = []

    @property
    def is_on_disk(self) -> bool:
        return self.size > self.max_memory_bytes

    def feed(self, data: bytes) -> None:
        """Add to the end. What does not fit in memory waits for `flush`."""
        self.size += len(data)
        if self.is_on_disk:
            self._unwritten.append(data)
        else:
            self.file.write(data)

    async def flush(self) -> None:
        """Write what waits. Raises OSError where the disk is full."""
        if self._unwritten:
            data, self._unwritten = b"".join(self._unwritten), []
            await anyio.to_thread.run_sync(self.file.write, data)

    async def read(self, max_bytes: int) -> bytes:
        if self.is_on_disk:
            return await anyio.to_thread.run_sync(self.file.read, max_bytes)
        return self.file.read(max_bytes)

    async def seek(self, offset: int, whence: int) -> int:
        if self.is_on_disk:
            return await anyio.to_thread.run_sync(self.file.seek, offset, whence)
        return self.file.seek(offset, whence)

    async def aclose(self) -> None:
        """Close the file and free its space; shielded, and bounded where no thread is free."""
        if self.is_on_disk and not self.file.closed:
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await anyio.to_thread.run_sync(self._close)
        self._close()

    def _close(self) -> None:
        # What is still buffered may find no room on the disk, but nobody wants it any more.
        with suppress(OSError):
            self.file.close()


class Upload:
    """One file of a form. For one task at a time; reading it never blocks the event loop.

    It stands at its beginning when the form has been read, and is closed with the form; reading
    it then raises ValueError. Who wants to keep it copies it before.
    """

    __slots__ = ("_spool", "filename", "headers")

    def __init__(self, filename: str, headers: Headers, spool: Spool) -> None:
        self.filename = filename
        """What the client calls it, as it was sent: it may be empty, hold a path such as
        `../../etc/passwd`, or any other character. Never open a file by that name."""
        self.headers = headers
        """The header fields of its part of the form."""
        self._spool = spool

    @property
    def content_type(self) -> str | None:
        """What the client says that it is, parameters included; None where it does not say."""
        return self.headers.get("content-type")

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self._spool.size

    @property
    def is_on_disk(self) -> bool:
        """Whether it was larger than `spool_bytes`."""
        return self._spool.is_on_disk

    @property
    def file(self) -> "SpooledTemporaryFile[bytes]":
        """The file itself, for a worker thread: its methods block where `is_on_disk`."""
        return self._spool.file

    async def read(self, max_bytes: int = -1) -> bytes:
        """The next bytes, at most `max_bytes`, all of them when it is negative; at the end b""."""
        return await self._spool.read(max_bytes)

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Go to `offset` bytes from the beginning, or see `io.IOBase.seek`; the new position."""
        return await self._spool.seek(offset, whence)

    def chunks(self, max_bytes: int = _CHUNK_BYTES) -> AsyncIterator[bytes]:
        """What is left to read, in chunks of at most `max_bytes`."""
        return _Chunks(self, max_bytes)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()

    async def aclose(self) -> None:
        """Close it, shielded from cancellation. Calling it again changes nothing."""
        await self._spool.aclose()

    def __repr__(self) -> str:
        return f"Upload({self.filename!r}, {self.size} bytes)"


class _Chunks:
    # A class, as a generator that a `break` leaves behind would have to be closed by its user.
    def __init__(self, upload: Upload, max_bytes: int) -> None:
        self._upload = upload
        self._max_bytes = max_bytes

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._upload.read(self._max_bytes)
        if not chunk:
            raise StopAsyncIteration
        return chunk
