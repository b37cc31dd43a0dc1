"""One WebSocket connection run against an app: the handshake, the app's task, the end."""

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Any

import anyio
import httpx2

from asgi_rt.asgi import ASGIApp
from asgi_rt.testing.condition import Condition
from asgi_rt.testing.errors import AppError, ConnectionClosed, WebSocketDenied
from asgi_rt.testing.message_pipe import MessagePipe
from asgi_rt.testing.options import ServerOptions
from asgi_rt.testing.outcome import Outcome
from asgi_rt.testing.scope import websocket_scope
from asgi_rt.testing.task import PlainTask
from asgi_rt.testing.websocket_link import WebSocketLink
from asgi_rt.testing.websocket_protocol import WebSocketProtocol
from asgi_rt.testing.websocket_request import accept_key
from asgi_rt.testing.websocket_view import WebSocketParts, WebSocketView

__all__ = ["WebSocketExchange"]


class WebSocketExchange(WebSocketView):
    """A handshake on its way through an app and what becomes of it, in one plain task.

    Each wait is bounded by a `timeout` in seconds, None for no bound, and its `TimeoutError` says
    what the app is doing.
    """

    def __init__(
        self,
        app: ASGIApp,
        request: httpx2.Request,
        options: ServerOptions,
        *,
        state: dict[str, Any],
        on_response: Callable[[httpx2.Response], None] | None = None,
        on_closed: Callable[["WebSocketExchange"], None] | None = None,
    ) -> None:
        name = f"WEBSOCKET {request.url.raw_path.decode('ascii')}"
        self._options = options
        self._on_response = on_response
        self._on_closed = on_closed
        self._outcome = Outcome(name, request, options, disconnect="websocket.disconnect")
        self._changed = Condition()
        self._has_met_end = False
        self._was_over = False
        scope = websocket_scope(request, options, state)
        pipe = MessagePipe(options.pipe_bytes, self._changed)
        protocol = WebSocketProtocol(
            name=name,
            offered=tuple(scope["subprotocols"]),
            extensions=frozenset(options.extensions or ()),
        )
        link = WebSocketLink(
            name=name, protocol=protocol, pipe=pipe, changed=self._changed, options=options
        )

        async def run() -> None:
            try:
                await app(scope, link.receive, link.send)
            finally:
                # Looked at here, as the loop calls `on_done` later, when the client may have left.
                self._was_over = link.ending is not None

        task = PlainTask(run, name=name, on_done=self._app_ended)
        super().__init__(WebSocketParts(name, request, scope, pipe, link, task))

    async def connect(self, timeout: float | None) -> None:
        """Wait for the app to accept the handshake.

        Raises `WebSocketDenied` for another response, what the app raised before there was one,
        `IncompleteResponseError` when it just ended, and `TimeoutError`.
        """
        link = self._parts.link
        with self._within(timeout, "the handshake was not answered"):
            await self._changed.wait_until(lambda: link.is_answered or self.is_done or link.is_gone)
        if not link.is_answered:
            self._fail_handshake()
        self._response = self._answer()
        if self._on_response is not None:
            self._on_response(self._response)
        if link.accepted is None:
            raise WebSocketDenied(self._parts.name, self._response)

    async def wait_blocked(self, timeout: float | None = 5.0) -> None:
        """Wait until the app waits in `send` for room.

        Raises what the app raised, or `AppError`, when it ends without having to, and
        `TimeoutError`.
        """
        with self._within(timeout, "the app was not held up"):
            await self._changed.wait_until(lambda: self.is_blocked or self.is_done)
        if not self.is_blocked:
            self._outcome.raise_once()
            raise AppError(
                f"{self._parts.name}: the app ended after {self.messages_sent} messages "
                "and was never held up"
            )

    async def wait_received(self, timeout: float | None = 5.0) -> None:
        """Wait until the app has received all that the client did so far and the end, if it ended.

        Raises what the app raised, or `AppError`, when it ends before, and `TimeoutError`.
        """
        with self._within(timeout, "the app has not received everything"):
            await self._changed.wait_until(lambda: not self.messages_unreceived or self.is_done)
        if self.messages_unreceived:
            self._outcome.raise_once()
            raise AppError(
                f"{self._parts.name}: the app ended with {self.messages_unreceived} messages "
                "not received"
            )

    async def wait_closed(self, timeout: float | None = 5.0) -> ConnectionClosed:
        """How the connection ended, as soon as it did; what is unread can still be received.

        Raises what the app raised instead of closing it, and `TimeoutError`.
        """
        with self._within(timeout, "the connection was not closed"):
            await self._changed.wait_until(lambda: self.is_closed)
        return self._meet_end()

    async def wait_done(self, timeout: float | None = 5.0) -> None:
        """Wait until the app's task has ended. Raises `TimeoutError`, and nothing of the app's."""
        with self._within(timeout, "the app did not end"):
            await self._parts.task.wait()

    async def aclose(self) -> None:
        """Leave, and wait until the app's task has ended. May be called again, from any task.

        A connection that is still open is closed with 1000. Raises what the app raised if nothing
        did so before, and `CloseTimeoutError` when the app had to be cancelled. A caller who is
        being cancelled gets that and no error of the app's.
        """
        ended_by_itself = await self.leave()
        if isinstance(sys.exception(), anyio.get_cancelled_exc_class()):
            return
        if not ended_by_itself:
            self._outcome.raise_close_timeout(self._parts.task)
        self._outcome.raise_once()

    async def leave(self) -> bool:
        """As `aclose`, but nothing of the app's is raised; returns whether it ended by itself.

        The caller's cancellation is held off for at most twice `close_timeout`.
        """
        if self._parts.link.is_answered:
            self._parts.link.close(1000, "")
        else:
            self._parts.link.lose()
        try:
            return await self._parts.task.end(self._options.close_timeout)
        finally:
            if self.is_done and self._on_closed is not None:
                self._on_closed(self)

    def _app_ended(self) -> None:
        link = self._parts.link
        self._outcome.app_ended(
            self._parts.task,
            is_excused=link.is_answered or link.is_gone,
            sent=self._sent,
            is_over=self._was_over,
        )
        link.app_ended()

    @property
    def _sent(self) -> str:
        if self._parts.link.denial is None:
            return "no answer to the handshake"
        return f"{len(self._parts.link.denial_body)} bytes of an incomplete denial"

    def _answer(self) -> httpx2.Response:
        link = self._parts.link
        if link.accepted is None:
            assert link.denial is not None
            status, headers = link.denial.status, link.denial.headers
        else:
            status, headers = 101, self._upgrade() + link.accepted.headers
        return httpx2.Response(
            status, headers=headers, content=bytes(link.denial_body), request=self.request
        )

    def _upgrade(self) -> list[tuple[bytes, bytes]]:
        key = self.request.headers["sec-websocket-key"]
        headers = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", accept_key(key)),
        ]
        if self.subprotocol is not None:
            headers.append((b"sec-websocket-protocol", self.subprotocol.encode("ascii")))
        return headers

    def _fail_handshake(self) -> None:
        """Answer as a server does for an app that gave no answer, unless the test is to be told."""
        link = self._parts.link
        if link.denial is not None or link.is_gone or self._options.raise_server_exceptions:
            self._outcome.raise_broken_off(is_disconnected=link.is_gone, sent=self._sent)
        link.fail()

    def _meet_end(self) -> ConnectionClosed:
        """The end of the connection as an error, which the client knows from now on."""
        self._has_met_end = True
        self._outcome.raise_once()
        ending = self._parts.link.ending
        assert ending is not None
        reason = f": {ending.reason}" if ending.reason else ""
        closed = ConnectionClosed(
            ending.code,
            ending.reason,
            by=ending.by,
            text=f"{self._parts.name}: {ending.how} ({ending.code}){reason}",
        )
        closed.__cause__ = self._outcome.error
        return closed

    @contextlib.contextmanager
    def _within(self, timeout: float | None, complaint: str) -> Generator[None]:
        try:
            with anyio.fail_after(timeout):
                yield
        except TimeoutError:
            raise TimeoutError(
                f"{self._parts.name}: {complaint} in {timeout} seconds: {self._state}"
            ) from None
