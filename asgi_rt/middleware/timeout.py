"""Limits of time: until the head of a response, and for the whole of it, for any app."""

import logging
import math
from contextlib import suppress
from typing import Final

import anyio
import anyio.lowlevel

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.http.headers import connection_close
from asgi_rt.http.response import problem_response
from asgi_rt.middleware.limit_options import check_seconds
from asgi_rt.middleware.progress import CUT_OFF, ends_response, is_event_stream, readable
from asgi_rt.websocket.denial import offers_denials, send_denial

__all__ = ["TimeoutMiddleware"]

_SERVED: Final = frozenset({"http", "websocket"})
# What answers a handshake: here a close is a refusal, as nothing was accepted before.
_HEADS: Final = frozenset(
    {
        "http.response.start",
        "websocket.accept",
        "websocket.close",
        "websocket.http.response.start",
    }
)
# Long enough for a receive that is ready to get through the checkpoints it may hold.
_POLL_SECONDS: Final = 0.01  # uvloop counts milliseconds: of one, nothing may be left
_logger = logging.getLogger("asgi_rt.middleware.timeout")


class TimeoutMiddleware:
    """Cancels an app that does not begin to answer within `head` seconds, and sends a 504.

    `total` seconds bound the whole response too, until the server has taken the last of it: what is
    still being sent then is cancelled and breaks off, so that the client can tell. Event streams,
    which have no end on purpose, and WebSockets are exempt from it: their own options bound them.
    Of a WebSocket, `head` is the time until its handshake is answered. None is no limit. Work after
    the response is never cut off.

    It is a 504 and not a 503: a 503 says that nothing was done and that it may be asked for again,
    and here the app may have done a part. The connection is closed then, as body may still come;
    the time that the client takes to send its body counts, if the app waits for it.

    What ends the app is a cancellation, of the task that it runs in. The 504 is sent when that has
    been let go of: what the app shields from it, and a function in a worker thread, which nothing
    can interrupt, is waited for, and what comes of it then is dropped. One timer for each request;
    no task.
    """

    def __init__(
        self, app: ASGIApp, *, head: float | None = 30.0, total: float | None = None
    ) -> None:
        self.app = app
        """The next layer, or the app itself."""
        self._head = check_seconds("head", head)
        self._total = check_seconds("total", total)
        if head is None and total is None:
            raise ValueError("there is nothing to limit: give `head`, `total` or both, in seconds")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what is none, such as the lifespan, goes straight to the app."""
        total = self._total if scope["type"] == "http" else None
        limits = [seconds for seconds in (self._head, total) if seconds is not None]
        if scope["type"] not in _SERVED or not limits:
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, min(limits), total)
        try:
            with exchange.cancel_scope:
                await self.app(scope, receive, exchange.send)
        except Exception:
            # What the app has made of its cancellation is the server's to log; the client is
            # answered all the same.
            await exchange.settle(receive)
            raise
        await exchange.settle(receive)


class _Exchange:
    """One connection whose time is limited."""

    __slots__ = ("_head_sent", "_is_over", "_scope", "_seconds", "_send", "_total", "cancel_scope")

    def __init__(self, scope: Scope, send: Send, seconds: float, total: float | None) -> None:
        self._scope = scope
        self._send = send
        self._seconds = seconds
        self._total = total
        self._head_sent = False
        self._is_over = False  # nothing that is sent from now on is limited
        self.cancel_scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        """What the app runs in; it is cancelled when the time is over."""

    async def send(self, message: Message) -> None:
        if not self._is_over:
            if self.cancel_scope.cancel_called:
                # It raises the cancellation, unless that is shielded here.
                await anyio.lowlevel.checkpoint()
                return
            if not self._head_sent:
                if message["type"] in _HEADS:
                    message = self._begin_body(message)
            elif ends_response(message):
                await self._send_last(message)
                return
        await self._send(message)

    def _begin_body(self, head: Message) -> Message:
        """See how long the response may take from its head on, which is to be sent as returned."""
        self._head_sent = True
        if self._total is None:
            self._lift()
            return head
        head = readable(head)
        if is_event_stream(head):
            self._lift()
        else:
            self.cancel_scope.deadline += self._total - self._seconds
            self._seconds = self._total
        return head

    async def _send_last(self, message: Message) -> None:
        try:
            await self._send(message)
        except BaseException:
            # A wait for a client that is cancelled by the app itself: it may go on with its work.
            if not self.cancel_scope.cancel_called:
                self._lift()
            raise
        self._lift()

    def _lift(self) -> None:
        self._is_over = True
        self.cancel_scope.deadline = math.inf

    async def settle(self, receive: Receive) -> None:
        """Answer in place of an app whose time was over."""
        if self._is_over or not self.cancel_scope.cancel_called:
            return
        self._is_over = True
        if self._head_sent:
            self._scope[CUT_OFF] = True
            _logger.warning("a response was not complete after %g s and breaks off", self._seconds)
        elif self._scope["type"] == "http":
            error = HTTPError(504, self._detail, headers=connection_close(self._scope))
            await problem_response(error)(self._scope, receive, self._send)
        elif not await _has_left(receive):
            await self._deny(receive)

    async def _deny(self, receive: Receive) -> None:
        if offers_denials(self._scope):
            response = problem_response(HTTPError(504, self._detail))
            await send_denial(response, self._scope, receive, self._send)
        else:
            with suppress(OSError):  # how a server says that the client has left
                await self._send({"type": "websocket.close", "code": 1013, "reason": ""})

    @property
    def _detail(self) -> str:
        return f"there was no answer within {self._seconds:g} seconds"


async def _has_left(receive: Receive) -> bool:
    """Whether the client of a handshake has left; takes what the app has not received of it."""
    with anyio.move_on_after(_POLL_SECONDS):
        while (await receive())["type"] == "websocket.connect":
            pass
        return True
    return False
