"""Encoding what may be large without holding up the event loop: piece by piece, in threads.

All the encoders let go of the interpreter while they work. Eight bodies of 5 MB at once, a piece of
64 KiB in every turn of the event loop, made it 26 ms late; in threads they made it 2 ms late at
most, and were done in half the time on two cores. A piece takes milliseconds, so bodies take turns
in the threads, and one whose client has left is not encoded to its end.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import anyio
import anyio.lowlevel

from asgi_rt.http.threads import Threads
from asgi_rt.middleware.encoders import Encoder, MakeEncoder

__all__ = ["PIECE_BYTES", "EncodedStream", "encode"]

PIECE_BYTES: Final = 128 * 1024
"""What is no larger is encoded at once: from 0.2 ms with zstd to 4 ms with gzip."""
_threads: anyio.lowlevel.RunVar[Threads] = anyio.lowlevel.RunVar("asgi_rt.compression")


async def encode(encoder: Encoder, body: bytes, end: Callable[[], bytes]) -> bytes:
    """`body` encoded, and what `end` gives, which is the encoder's `flush` or `finish`.

    Cancelled, it may leave the encoder at work in a thread: do not use that again.
    """
    if len(body) <= PIECE_BYTES:
        return encoder.encode(body) + end()
    view = memoryview(body)
    encoded = [
        await _in_thread(encoder.encode, view[start : start + PIECE_BYTES])
        for start in range(0, len(body), PIECE_BYTES)
    ]
    encoded.append(await _in_thread(end))
    return b"".join(encoded)


class EncodedStream:
    """A body that is encoded chunk by chunk, each so that it can be decoded when it arrives.

    Several tasks of one event loop may use it at once.
    """

    __slots__ = ("_encoder", "_is_over", "_make", "_turn")

    def __init__(self, make: MakeEncoder) -> None:
        self._make = make
        self._encoder: Encoder | None = None
        self._turn: anyio.Event | None = None
        self._is_over = False

    async def encode(self, chunk: bytes, *, is_last: bool) -> bytes:
        """What a chunk adds to the body. Raises RuntimeError after the last, after `close`, and
        after a cancellation that has left a gap in the body.
        """
        while self._turn is not None:
            await self._turn.wait()
        if self._is_over:
            raise RuntimeError("this body cannot go on: it has ended, or a send was cancelled")
        if self._encoder is None:  # only now, as a stream may be open for long before its first
            self._encoder = self._make(None)
        encoder = self._encoder
        end = encoder.finish if is_last else encoder.flush
        if len(chunk) <= PIECE_BYTES:
            encoded = encoder.encode(chunk) + end()
        else:
            encoded = await self._encode_large(encoder, chunk, end)
        if is_last:
            self.close()
        return encoded

    async def _encode_large(
        self, encoder: Encoder, chunk: bytes, end: Callable[[], bytes]
    ) -> bytes:
        turn = self._turn = anyio.Event()
        self._is_over = True  # until it is done: a thread may be at work if this is cancelled
        try:
            encoded = await encode(encoder, chunk, end)
            self._is_over = False
        finally:
            self._turn = None
            turn.set()
        return encoded

    def close(self) -> None:
        """Let go of the encoder, whether the body is whole or not."""
        self._is_over = True
        self._encoder = None


async def _in_thread(function: Callable[..., bytes], *arguments: memoryview) -> bytes:
    """What a function gives in a thread. Cancelled, it does not wait for that.

    Not by anyio's: it enters a cancel scope, and a stream's source may stand in one of its own
    while this is awaited in the same task.
    """
    done = anyio.Event()
    native: Any = anyio.lowlevel.current_token().native_token
    call_soon = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
    given: list[bytes] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            given.append(function(*arguments))
        except BaseException as error:  # carried to the task that waits
            failures.append(error)
        with suppress(RuntimeError):  # the event loop has ended: nobody is left to be told
            call_soon(done.set)

    _threads_of_this_loop().submit(work)
    await done.wait()
    if failures:
        raise failures.pop()
    return given.pop()


def _threads_of_this_loop() -> Threads:
    threads = _threads.get(None)
    if threads is None:
        threads = Threads(os.cpu_count() or 1)  # more would only be in each other's way
        _threads.set(threads)
    return threads
