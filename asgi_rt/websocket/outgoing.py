"""What an app sends over one WebSocket: one message after the other, each bounded in time."""

import asyncio
import logging
import math
import sys
import time
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, NoReturn

import anyio
import anyio.lowlevel

from asgi_rt.asgi import Message, Send
from asgi_rt.errors import LifecycleError
from asgi_rt.websocket.ending import Ending
from asgi_rt.websocket.interruption import Interruptible
from asgi_rt.websocket.lifecycle import State, message_name

__all__ = ["CLOSE_SECONDS", "CREDIT", "LARGE_BYTES", "GroupOutgoing", "Outgoing"]

CLOSE_SECONDS: Final = 5.0
"""How long sending a close, or another answer, may take."""
_CLOSE: Final = "websocket.close"
_CLOSABLE: Final = frozenset({State.CONNECTING, State.OPEN})
_logger = logging.getLogger("asgi_rt.websocket")
_clock = time.perf_counter
_SERVERS: Final = frozenset({"uvicorn", "hypercorn", "granian", "daphne"})
_LEARN_SECONDS: Final = 0.5
CREDIT: Final = 64
"""How much may be sent without a turn for others."""
LARGE_BYTES: Final = 1024
"""A message takes 1 of the credit, and 1 more for each of so many bytes."""


def _is_of_a_server(error: OSError | RuntimeError) -> bool:
    """Whether it is a server's way to say that it does not send any more, and nobody else's.

    An OSError of a class of its own, or of one that says so. RuntimeError is for all kinds of
    mistakes: it must have been raised in a server.
    """
    if isinstance(error, OSError):
        kind = type(error)
        is_of_the_library = kind.__module__ in sys.stdlib_module_names
        return kind is OSError or isinstance(error, ConnectionError) or not is_of_the_library
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    module = "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__"))
    return module.partition(".")[0] in _SERVERS


class Outgoing(Interruptible):
    """The messages to one client. Any task may send at any time; each task's order is kept.

    A send that need not wait does not let the loop turn, so now and then one waits for a turn, lest
    others starve.
    """

    __slots__ = (
        "_close_sent",
        "_ending",
        "_timeout",
        "credit",
        "is_due",
        "lock",
        "server_send",
    )

    def __init__(self, send: Send, ending: Ending, timeout: float | None) -> None:
        super().__init__()
        self.server_send = send
        self._ending = ending
        self._timeout = timeout
        # How much may be sent at once: it is open, nobody sends, nobody waits to, and a round is
        # due. One for a message, and one more for each KiB of it. Always 0 where sends are bounded
        # one by one.
        self.credit = 0
        # Whether others wait to send, or a send takes long, or it is over: who ends a send has to
        # `settle` then.
        self.is_due = False
        self.lock: anyio.Lock | None = None
        """What those wait for who have to; None while nobody ever had to."""
        self._close_sent = False

    async def send(self, message: Message, size: int) -> None:
        """Send one message of `size` bytes. Raises WebSocketClosed where it is over."""
        raise NotImplementedError

    @property
    def is_free(self) -> bool:
        """Whether a message can be sent, nobody sends, and nobody waits to."""
        return False

    async def fail(self, error: OSError | RuntimeError | asyncio.CancelledError) -> NoReturn:
        """Raise what a send has met that the server refused, or that was ended."""
        raise NotImplementedError

    def settle(self) -> None:
        """A send is over that others waited for, or that took long."""

    def begin(self) -> None:
        """The connection is open."""

    def on_end(self) -> None:
        """The connection is over."""

    def stop_pushes(self) -> None:
        """Nobody else is to send by its `server_send` for now."""

    async def answer(self, *messages: Message) -> None:
        """Send what is no message to the client but opens or refuses the connection.

        Takes at most 5 seconds. Raises WebSocketClosed where the client has left.
        """
        for message in messages:
            self._ending.lifecycle.sent(message_name(message))
            try:
                with anyio.move_on_after(CLOSE_SECONDS) as scope:
                    await self.server_send(message)
            except OSError as error:
                if not _is_of_a_server(error):
                    raise
                self._ending.end(1006, "", "network")
                raise self._ending.error() from error
            if scope.cancelled_caught:
                self._ending.end(1006, "", "network")
                raise self._ending.error()

    async def send_close(self, at_most: float = math.inf) -> None:
        """Send the close that an end of our own asks for, if it was not sent already.

        Takes 5 seconds, or `at_most` so many; a client that reads nothing gets none. It may be
        called again where it was cancelled.
        """
        if not self._owes_close():
            return
        with anyio.move_on_after(min(CLOSE_SECONDS, at_most)):
            async with self._exclusively():
                if self._owes_close():
                    await self._close()
        if self._owes_close():
            self._close_sent = True
            self.interrupt(None, anywhere=True)

    def _owes_close(self) -> bool:
        facts = self._ending.facts
        if self._close_sent or facts is None or facts[2] != "server":
            return False
        return self._ending.lifecycle.app in _CLOSABLE

    async def _close(self) -> None:
        assert self._ending.facts is not None
        code, reason, _ = self._ending.facts
        try:
            await self.server_send({"type": _CLOSE, "code": code, "reason": reason})
        except (OSError, RuntimeError) as error:  # it has ended meanwhile
            _logger.debug("the server refused to close a WebSocket: %s", error)
        self._close_sent = True
        with suppress(LifecycleError):
            self._ending.lifecycle.sent(_CLOSE)

    def _exclusively(self) -> AbstractAsyncContextManager[None]:
        """While nobody else sends."""
        return self._the_lock()

    def on_round(self) -> None:
        """It is time to see whether a send waits."""

    def _the_lock(self) -> anyio.Lock:
        if self.lock is None:
            self.lock = anyio.Lock(fast_acquire=True)
        return self.lock

    async def _raise_refused(self, error: OSError | RuntimeError) -> NoReturn:
        """Raise what it means that a message was refused: an end, or an error of somebody else.

        Servers say with an OSError that nobody is there, and uvicorn with a RuntimeError that it
        has closed the connection itself. How it ended is told by what they let receive, if
        anything is. Middleware may raise the same, and that is no end.
        """
        self._ending.look()
        with anyio.move_on_after(_LEARN_SECONDS):
            await self._ending.wait()
        if not self._ending.is_over:
            if not _is_of_a_server(error):
                raise error
            _logger.warning("a WebSocket was lost, and its server did not say so", exc_info=error)
            self._ending.end(1006, "", "network")
        raise self._ending.error() from error

    def _timed_out(self) -> None:
        if self._ending.end(1008, f"nothing was read for {self._timeout:g} seconds", "server"):
            self._close_sent = True  # it would stand behind what is not read


class GroupOutgoing(Outgoing):
    """On trio, where a wait that has begun cannot be bounded: each send has lock and scope."""

    __slots__ = ("_left_of_turn", "_scope")

    def __init__(self, send: Send, ending: Ending, timeout: float | None) -> None:
        super().__init__(send, ending, timeout)
        self._scope: anyio.CancelScope | None = None
        self._left_of_turn = CREDIT

    async def send(self, message: Message, size: int) -> None:
        self._left_of_turn -= 1 + size // LARGE_BYTES
        if self._left_of_turn <= 0:
            self._left_of_turn = CREDIT
            await anyio.lowlevel.checkpoint()
        async with self._the_lock():
            self._ending.require_open("a message cannot be sent")
            try:
                with anyio.move_on_after(self._timeout) as self._scope:
                    await self.server_send(message)
                    return
            except (OSError, RuntimeError) as error:
                await self._raise_refused(error)
            finally:
                self._scope = None
            self._timed_out()
            raise self._ending.error()

    def interrupt(self, likely: "asyncio.Task[Any] | None", *, anywhere: bool = False) -> None:
        if self._scope is not None:
            self._scope.cancel()
