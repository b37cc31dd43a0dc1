"""The body of a request that a dispatch function reads, and the app as well."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, TypeVar

import anyio
import anyio.lowlevel

from asgi_rt.asgi import Message, Receive
from asgi_rt.http.inbox import Inbox

__all__ = ["ReplayedBody"]

T = TypeVar("T")
_clock = time.monotonic
_LOOK_SECONDS: Final = 0.001
_LOOKS: Final = 5
_LEAST_LOOK: Final = 0.25
_MOST_LOOK: Final = 2.0


class ReplayedBody:
    """The part of a request that is its body: what is read here, the app gets as well.

    What the app has read can be read here afterwards, as far as it is kept. A request class
    says whether it was streamed to its end.
    """

    KEPT_BYTES: ClassVar[int] = 64 * 1024
    """How much of what the app reads is kept for the dispatch function."""
    # Set on the class, so that a request that needs none of them pays for none of them.
    keeps: bool = True
    """Whether what the app reads is kept for the dispatch function: not once that has returned."""
    is_given_up: bool = False
    """Whether the app is to think that the client has left."""
    _inbox: Inbox | None = None
    _body: Any  # all of it, whoever has read it; before, None, or as Starlette has it, missing
    _parts: list[bytes] | None = None  # what was read so far, whoever has read it
    _received: int = 0  # the size of the parts
    _is_streamed: bool = False  # whether it was read here piece by piece, which is not replayed
    _is_lost: bool = False  # whether the app has read what was not kept
    _app_has: int = 0
    _app_has_end: bool = False
    _app_waits: int = 0
    _reads: int = 0  # how many calls of the dispatch side are reading the whole body
    _turn: anyio.Event | None = None  # when either side is done with waiting for a message

    # What a request class says

    _receive: Receive
    """What gives the next message."""

    def _is_read_out(self) -> bool:
        """Whether a stream that was begun here was read to its end."""
        raise NotImplementedError

    # For the app

    async def replay(self) -> Message:
        """The app's `receive`: what was read here, and then what comes."""
        while not self._app_has_end and not self.is_given_up:
            if (message := self._read_here()) is not None:
                return message
            if not self._reads:
                break
            await self._wait_for_turn()  # and get what was read here meanwhile
        if self.is_given_up:
            return {"type": "http.disconnect"}
        self._app_waits += 1
        try:
            message = await self._receive()
        finally:
            self._app_waits -= 1
            self._end_turn()
        if message["type"] != "http.request":
            self.inbox.is_disconnected = True  # some servers say it once
        else:
            body = message.get("body", b"")
            size = self._app_has = self._app_has + len(body)
            has_end = self._app_has_end = not message.get("more_body", False)
            if not self._is_streamed and not self._is_lost:
                self._keep(body, size, has_end=has_end)
        return message

    @property
    def passes_on(self) -> Receive | None:
        """For `waits_for_futures`: the server's `receive`, while nobody shares it."""
        return self._receive if self._inbox is None and not self._reads else None

    def give_up(self) -> None:
        """From now on the app is to think that the client has left."""
        self.is_given_up = True

    # Whether the client is there

    @property
    def inbox(self) -> Inbox:
        """The messages of this exchange, shared with whoever else reads them."""
        if self._inbox is None:
            self._receive = self._inbox = Inbox.of(self._receive)
        return self._inbox

    @property
    def is_known_to_be_left(self) -> bool:
        """Whether anybody was told so far that the client has left. Asks nobody."""
        return self._inbox is not None and self._inbox.is_disconnected

    @property
    def is_waited_for(self) -> bool:
        """Whether the app is waiting for a message, so that it is told first."""
        return self._app_waits > 0

    async def is_seen_to_have_left(self) -> bool:
        """Whether the client has left, as far as a look tells. Takes no message from the app."""
        if self.is_waited_for:
            await anyio.lowlevel.checkpoint()
            return self.is_known_to_be_left
        return await self.inbox.poll()

    async def has_left(self) -> bool:
        """Whether the client has left, whatever of the body is still there.

        For the end of an exchange: beyond 64 KiB a body that nobody has begun to read is lost.
        Takes a millisecond or two where it has not, and a few more where the event loop is late.
        """
        for _ in range(_LOOKS):
            began = _clock()
            with anyio.move_on_after(_LOOK_SECONDS) as look:
                await self.inbox.disconnected()
            took = (_clock() - began) / _LOOK_SECONDS
            # A timer that is late goes off before what is ready, and uvloop's may be early too.
            if not look.cancelled_caught or _LEAST_LOOK < took < _MOST_LOOK:
                break
        return self.inbox.is_disconnected

    # What either side has read

    async def _read_for_both(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read the whole body here, one message at a time with the app, which gets it as well.

        The app may be waiting for a message in one of its tasks. That one is the app's, and kept.
        """
        self._reads += 1
        try:
            while self._app_waits and not (self._app_has_end or self._is_lost):
                await self._wait_for_turn()
            return await read()
        finally:
            self._reads -= 1
            self._end_turn()

    async def _wait_for_turn(self) -> None:
        if self._turn is None:
            self._turn = anyio.Event()
        await self._turn.wait()

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.set()
            self._turn = None

    def _read_here(self) -> Message | None:
        """What the dispatch function has read of what the app has not."""
        whole: bytes | None = getattr(self, "_body", None)
        if whole is not None:
            rest = whole[self._app_has :]
        elif self._is_streamed:
            if not self._is_read_out():
                return None
            rest = b""
        elif self._parts and self._received > self._app_has:  # reading it was cancelled on the way
            rest = b"".join(self._parts)[self._app_has :]
            self._app_has += len(rest)
            return {"type": "http.request", "body": rest, "more_body": True}
        else:
            return None
        self._app_has_end = True
        return {"type": "http.request", "body": rest, "more_body": False}

    def _keep(self, body: bytes, size: int, *, has_end: bool) -> None:
        """Keep a piece that the app reads, so that it can be read here too; it has `size` then."""
        self._received = size
        if not self.keeps or size > self.KEPT_BYTES:
            self._is_lost = True
            self._parts = None
        elif has_end and self._parts is None:  # as most bodies, it came in one piece
            self._body = body
        else:
            parts = self._parts = self._parts or []
            parts.append(body)
            if has_end:
                self._body = b"".join(parts)
                self._parts = None
