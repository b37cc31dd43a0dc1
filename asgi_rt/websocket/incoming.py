"""What a handler receives over one WebSocket."""

import asyncio
from typing import Any, Final

import anyio.lowlevel

from asgi_rt.codec import load_json
from asgi_rt.websocket.reading import INTERRUPTED, MESSAGES_A_TURN, Reading

__all__ = ["ANY", "JSON", "Incoming", "Kind"]

Kind = type | None
"""What is expected of a message: `str`, `bytes`, JSON or ANY."""
ANY: Final[Kind] = None


class JSON:
    """Stands for the value of a JSON document, in a frame of either kind."""


class Incoming(Reading):
    """The messages of one client. Several tasks may wait for one; each goes to one of them.

    Cancelling a wait loses nothing, as long as the server's `receive` loses nothing by it.
    """

    __slots__ = ()

    async def next(self, kind: Kind, stops: bool) -> Any:
        """The next message, of the kind that is expected.

        When the connection is over, WebSocketClosed, or with `stops` StopAsyncIteration. A message
        of another kind closes the connection.
        """
        data: str | bytes | None
        free_for = self._free_for
        if free_for:
            # All in one coroutine, for each call takes 0.1 us of an echo's 17.
            self._free_for = 0
            received = self._awaited = self._receive()
            try:
                message = await received
            except asyncio.CancelledError as error:
                await self._absorb(error)
                message = INTERRUPTED
            finally:
                self._awaited = None
                if self._is_watched:
                    self._settle()
                else:
                    self._free_for = free_for - 1
            if kind is str:
                text: str | None = message.get("text")
                if text is not None and len(text) <= self._fits:
                    return text
            data = self._admit(message)
        else:
            data = await self._next_with_care()
        if data is None:
            raise StopAsyncIteration if stops else self._ending.error()
        return self._convert(data, kind, stops)

    def _convert(self, data: str | bytes, kind: Kind, stops: bool) -> Any:
        if kind is ANY or data.__class__ is kind:
            return data
        if kind is JSON:
            try:
                return load_json(data)
            except ValueError:
                self._ending.fail(1007, "the message is not JSON")
        else:
            expected, came = ("text", "binary") if kind is str else ("binary", "text")
            self._ending.fail(1003, f"a {expected} message was expected, a {came} one came")
        raise StopAsyncIteration if stops else self._ending.error()

    async def _next_with_care(self) -> str | bytes | None:
        """The next message whatever the state; None when the connection is over."""
        self.has_received = True
        is_rested = False
        while True:
            if self._unread:
                if not self._left_of_turn:
                    # Before a message is taken, as one that was taken would be lost with the wait.
                    self._left_of_turn = MESSAGES_A_TURN
                    await anyio.lowlevel.checkpoint()
                    continue
                self._left_of_turn -= 1
                return self._take()
            if self._ending.is_over:
                return None
            self._ending.require_open("a message cannot be received")
            if self._awaited is not None or self._reader_runs:
                await self._wait_for_change()
                continue
            if self._step is not None:
                self._stop_listening()
            elif self._ending.is_noted and not is_rested:
                # So many were received that the loop has had no turn.
                await anyio.lowlevel.checkpoint()
                is_rested = True
                continue
            received = self._awaited = self._receive()
            try:
                message = await received
            except asyncio.CancelledError as error:
                await self._absorb(error)
                message = INTERRUPTED
            finally:
                self._awaited = None
                self._settle()
            admitted = self._admit(message)
            if admitted is not None:
                return admitted

    def _take(self) -> str | bytes:
        assert self._unread is not None
        data = self._unread.take()
        self._wake()
        if not self._ending.is_noted:
            self._ending.note()
        return data
