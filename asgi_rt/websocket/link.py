"""One connection without its face: what comes in, what goes out, and what runs beside."""

import asyncio
import math
import random
from asyncio import current_task
from typing import Any, Final

import anyio

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.drain import Drain, drain_of
from asgi_rt.http.pull import on_asyncio
from asgi_rt.websocket.beside import Beside, LoopBeside
from asgi_rt.websocket.closing import By, cut_reason
from asgi_rt.websocket.ending import Ending
from asgi_rt.websocket.incoming import Incoming
from asgi_rt.websocket.loop_outgoing import LoopOutgoing
from asgi_rt.websocket.options import WebSocketOptions
from asgi_rt.websocket.outgoing import GroupOutgoing, Outgoing

__all__ = ["DRAIN_SPREAD", "Link"]

_TELL_SECONDS: Final = 1.0
"""How long after an end those who wait for the server are left to learn of it from there."""
_LINGER_SECONDS: Final = 2.0
"""How long the server has to tell that it has closed the connection."""
_LEAST_SECONDS: Final = 0.1
_DRAIN_CODE: Final = 1012
_DRAIN_REASON: Final = "the server is going down"
DRAIN_SPREAD: Final = 0.25
"""Over how many seconds clients are sent away, so that they do not all come back at once."""


class Link(Ending):
    """The parts of one connection, and what ends it from outside of its handler."""

    __slots__ = (
        "__weakref__",
        "_cancelled_before",
        "_cut_off",
        "_drain",
        "_task",
        "beside",
        "incoming",
        "options",
        "outgoing",
        "scope",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, options: WebSocketOptions
    ) -> None:
        super().__init__()
        self.options = options
        spec_version: str = scope.get("asgi", {}).get("spec_version", "2.0")
        self.incoming = Incoming(receive, self, options, spec_version)
        self.outgoing: Outgoing
        self.beside: Beside | None = None
        if on_asyncio():
            self.outgoing = LoopOutgoing(send, self, options.send_timeout)
            self.beside = LoopBeside()
        else:
            self.outgoing = GroupOutgoing(send, self, options.send_timeout)
        self._task: asyncio.Task[Any] | None = None
        self.scope: anyio.CancelScope | None = None
        """What the handler runs in, on trio."""
        self._cut_off = False
        self._cancelled_before = 0
        self._drain: Drain | None = drain_of(scope)

    # For the one who runs the handler

    def begin(self) -> None:
        """The handler begins, in this task."""
        if self.scope is None:
            self._task = current_task()
        if self._drain is not None:
            self._drain.add(self, tells=True)

    def open(self) -> None:
        """The handshake was accepted."""
        assert self.beside is not None
        if not self.is_over:
            self.is_open = True
            self.outgoing.begin()
            self.incoming.begin(self.beside)
            if self.is_draining:
                self.begin_drain()

    def note(self) -> None:
        self.is_noted = True
        if self.beside is not None and self.beside.rounds is not None:
            self.beside.rounds.add(self)

    def look(self) -> None:
        self.incoming.on_round()

    def on_round(self) -> None:
        """For `Rounds`: see whether somebody must read, and whether a send waits."""
        self.is_noted = not self.is_open
        self.incoming.on_round()
        self.outgoing.on_round()

    @property
    def is_draining(self) -> bool:
        return self._drain is not None and self._drain.is_draining

    async def was_cut_off(self, error: BaseException) -> bool:
        """Whether a cancellation of the handler came from `cancel` alone, and is dealt with."""
        if not self._cut_off or not isinstance(error, asyncio.CancelledError):
            return False
        task = current_task()
        assert task is not None
        if task.uncancel() > self._cancelled_before:
            await asyncio.sleep(0)
            return False
        return True

    async def finish(self) -> None:
        """End what is left of the connection. Takes at most about 12 seconds, if need be."""
        self._task = None
        if self._drain is not None:
            self._drain.remove(self)
        with anyio.CancelScope(shield=True):
            try:
                await self.outgoing.send_close(self._seconds(math.inf))
                with anyio.move_on_after(self._seconds(_LINGER_SECONDS)):
                    await self.incoming.drain()
                self._interrupt()
            finally:
                if isinstance(self.beside, LoopBeside):
                    await self.beside.finish()

    def _seconds(self, seconds: float) -> float:
        """How long something may take, as the grace of a drain may be over before."""
        if self._drain is None or not self._drain.is_draining:
            return seconds
        return min(seconds, max(_LEAST_SECONDS, self._drain.remaining()))

    # For everybody, from any task of the event loop

    def end(self, code: int, reason: str, by: By) -> bool:
        self.outgoing.stop_pushes()  # before others are told, who may push
        if not super().end(code, reason, by):
            return False
        self.incoming.on_end(by_server=by == "server")
        self.outgoing.on_end()
        self.incoming.interrupt(self._task)
        if by != "server":
            self.outgoing.interrupt(self._task)
        if self._is_awaited and self.beside is not None:
            # Most servers end these waits by themselves, and a session those of its tasks.
            self.beside.call_later(_TELL_SECONDS, self._interrupt)
        return True

    @property
    def _is_awaited(self) -> bool:
        return self.incoming.under_way is not None or self.outgoing.under_way is not None

    def _interrupt(self) -> None:
        self.incoming.interrupt(self._task, anywhere=True)
        if self.facts is not None and self.facts[2] != "server":  # else it stands before our close
            self.outgoing.interrupt(self._task, anywhere=True)

    def fail(self, code: int, reason: str) -> None:
        if self.end(code, cut_reason(reason), "server") and self.beside is not None:
            self.beside.start(self.outgoing.send_close)

    # For the drain

    def begin_drain(self) -> None:
        """Close with 1012, at a moment of its own."""
        if self._drain is not None and self.beside is not None and self.is_open:
            spread = min(DRAIN_SPREAD, self._drain.remaining() / 4)
            self.beside.call_later(random.uniform(0, spread), self._drained)

    def _drained(self) -> None:
        self.fail(_DRAIN_CODE, _DRAIN_REASON)

    def cancel(self) -> None:
        """Cut the handler off."""
        self.end(_DRAIN_CODE, _DRAIN_REASON, "server")
        if self.scope is not None:
            self._cut_off = True
            self.scope.cancel()
        elif self._task is not None and not self._cut_off:
            self._cut_off = True
            self._cancelled_before = self._task.cancelling()
            self._task.cancel()
