"""Backpressure by what a client says that it has read."""

from typing import Final

import anyio

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ReadWindow"]

_BYTES: Final = 128 * 1024


class ReadWindow:
    """How far a response may be ahead of its reader, who tells how far they are.

    TCP does the same, but only when the buffers on the way are full: some systems have 30 MiB of
    them for one connection, which is a minute of what a demo sends.
    """

    def __init__(self, *, max_bytes: int = _BYTES) -> None:
        self._max_bytes = max_bytes
        self._sent = 0
        self._read = 0
        self._is_lifted = False
        self._moved = anyio.Event()  # set when it moves, and then replaced

    def acknowledge(self, total_bytes: int) -> None:
        """The reader has read so many bytes of the body by now."""
        self._read = max(self._read, min(total_bytes, self._sent))
        self._move()

    def lift(self) -> None:
        """Hold nothing back any more."""
        self._is_lifted = True
        self._move()

    def around(self, app: ASGIApp) -> ASGIApp:
        """The response, whose `send` waits while too much of it is not read."""

        async def windowed(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_within(message: Message) -> None:
                size = len(message.get("body", b""))
                await self._wait_for_room()
                self._sent += size
                await send(message)

            await app(scope, receive, send_within)

        return windowed

    async def _wait_for_room(self) -> None:
        while self._sent - self._read >= self._max_bytes and not self._is_lifted:
            await self._moved.wait()

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()
