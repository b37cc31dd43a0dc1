"""Sending over a WebSocket from the turn of whoever has something for its client."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from asgi_rt.asgi import Send
from asgi_rt.http.servers import sends_from_anywhere
from asgi_rt.websocket.closing import check_code
from asgi_rt.websocket.connection import WebSocket
from asgi_rt.websocket.loop_outgoing import LoopOutgoing, Sharer

__all__ = ["Pusher"]


class Pusher:
    """What one connection offers to those who serve many: to be derived from. From any task of its
    event loop.

    On asyncio, where who sends is the server itself, others may send by its `server_send` while it
    allows that: they run the send up to where it waits, and have the rest of it run by `carry_on`,
    or say by `fail` what it raised. `go_on` is then called, with what is to be awaited.
    """

    __slots__ = ("_link", "_outgoing", "next_sharer")

    def __init__(self, ws: WebSocket) -> None:
        self._link = ws.link
        self._outgoing: LoopOutgoing | None = None
        self.next_sharer: Sharer | None = None
        outgoing = ws.link.outgoing
        if isinstance(outgoing, LoopOutgoing) and sends_from_anywhere(outgoing.server_send):
            self._outgoing = outgoing

    @property
    def server_send(self) -> Send | None:
        """What others may send by; None where who sends is not the server's own, on asyncio."""
        return None if self._outgoing is None else self._outgoing.server_send

    @property
    def is_idle(self) -> bool:
        """Whether others may send."""
        return self._outgoing is not None and self._outgoing.is_idle

    def stop_pushes(self) -> None:
        """Others may not send any more."""
        raise NotImplementedError

    def allow_pushes(self) -> None:
        """They may again, where nothing of their own waits."""
        raise NotImplementedError

    def begin(self) -> None:
        """Have pushes allowed and stopped from now on, until `end`."""
        if self._outgoing is not None:
            self._outgoing.share(self)

    def end(self) -> None:
        """Take that back. May be repeated."""
        if self._outgoing is not None:
            self._outgoing.unshare(self)

    def go_on(self, begun: Coroutine[Any, Any, None]) -> None:
        """Await `begun` in a task beside the handler. Must not raise."""
        raise NotImplementedError

    def carry_on(self, step: Any, waits_for: Any) -> None:
        """Run a send to its end that was begun elsewhere, and that waits for a future."""
        assert self._outgoing is not None
        self.go_on(self._outgoing.carry_on(step, waits_for))

    def fail(self, error: Exception) -> None:
        """A send has raised: find out what that means, and end the connection if it does."""
        self.go_on(self._meet(error))

    async def _meet(self, error: Exception) -> None:
        if not isinstance(error, OSError | RuntimeError):
            raise error
        await self._link.outgoing.fail(error)

    def start(self, func: Callable[[], Awaitable[None]]) -> None:
        """Run `func` in a task beside the handler, which ends with it. What it raises is logged."""
        assert self._link.beside is not None
        self._link.beside.start(func)

    def close(self, code: int, reason: str) -> None:
        """End the connection from where nothing can be awaited."""
        check_code(code)
        self._link.fail(code, reason)

    def tell(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when the connection is over; at once where it is."""
        self._link.tell(tell)

    def untell(self, tell: Callable[[], None]) -> None:
        """Take back what `tell` was given."""
        self._link.untell(tell)

    def require_open(self, doing: str) -> None:
        """Raise LifecycleError before the connection was accepted, WebSocketClosed after it."""
        self._link.require_open(doing)
