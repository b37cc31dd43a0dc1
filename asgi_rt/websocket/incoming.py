"""What a handler receives over one WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, Generic, Self, TypeVar

import anyio.lowlevel

from asgi_rt.codec import load_json
from asgi_rt.websocket.reading import INTERRUPTED, MESSAGES_A_TURN, Reading

__all__ = ["ANY", "JSON", "Incoming", "Kind", "Messages"]

Kind = type | None
"""What is expected of a message: `str`, `bytes`, JSON or ANY."""
ANY: Final[Kind] = None


T = TypeVar("T")


class JSON:
    """Stands for the value of a JSON document, in a frame of either kind."""


class Incoming(Reading):
    """The messages of one client. Several tasks may wait for one; each goes to one of them.

    Cancelling a wait loses nothing, as long as the server's `receive` loses nothing by it.
    """

    __slots__ = ()

    def convert(self, data: str | bytes, kind: Kind, *, stops: bool) -> Any:
        """What was expected. What is not that closes the connection."""
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
        raise self.over(stops=stops)

    async def next_with_care(self) -> str | bytes | None:
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
            if self.under_way is not None or self._reader_runs:
                await self._wait_for_change()
                continue
            if self._paused_at is not None:
                self._resume()
            if self._step is not None:
                self._stop_listening()
            elif self._ending.is_noted and not is_rested:
                # So many were received that the loop has had no turn.
                await anyio.lowlevel.checkpoint()
                is_rested = True
                continue
            self.free_for = 0
            received = self.under_way = self.receive()
            try:
                message = await received
            except asyncio.CancelledError as error:
                await self.absorb(error)
                message = INTERRUPTED
            finally:
                self.under_way = None
                self.settle()
            admitted = self.admit(message)
            if admitted is not None:
                return admitted

    def _take(self) -> str | bytes:
        assert self._unread is not None
        data = self._unread.take()
        self._wake()
        if not self._ending.is_noted:
            self._ending.note()
        return data

    def over(self, *, stops: bool) -> Exception:
        """What to raise where no message comes any more."""
        return StopAsyncIteration() if stops else self._ending.error()


class Messages(AsyncIterator[T], Generic[T]):
    """The messages of one connection, all of the kind that is expected, until it is over.

    What comes then is the end of the iteration, or, if it does not stop, WebSocketClosed. A message
    of another kind closes the connection.
    """

    __slots__ = ("_incoming", "_kind", "_stops")

    def __init__(self, incoming: Incoming, kind: Kind, *, stops: bool) -> None:
        self._incoming = incoming
        self._kind: Kind = kind
        self._stops = stops

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        incoming = self._incoming
        data: Any
        free_for = incoming.free_for
        if free_for:
            # All in one coroutine, for each call takes 0.1 us of an echo's 17.
            incoming.free_for = 0
            receive = incoming.receive
            received = incoming.under_way = receive()
            try:
                message = await received
            except asyncio.CancelledError as error:
                await incoming.absorb(error)
                message = INTERRUPTED
            finally:
                incoming.under_way = None
                if incoming.is_watched:
                    incoming.settle()
                else:
                    incoming.free_for = free_for - 1
            if self._kind is str:
                data = message.get("text")
                if data is not None and len(data) <= incoming.fits:
                    return data  # type: ignore[no-any-return]  # a cast would be a call
            data = incoming.admit(message)
        else:
            data = await incoming.next_with_care()
        if data is None:
            raise incoming.over(stops=self._stops)
        value: T = incoming.convert(data, self._kind, stops=self._stops)
        return value
