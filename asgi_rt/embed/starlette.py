"""Starlette's BaseHTTPMiddleware without its task and its streams; for FastAPI as well.

Needs the extra: pip install "asgi-rt[starlette]".
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

from asgi_rt.errors import DispatchError, MissingExtra

try:
    import_module("starlette")  # before the imports below, whose own error names no extra
except ModuleNotFoundError as error:
    if error.name != "starlette":
        raise
    raise MissingExtra("starlette", "starlette", "asgi_rt.embed.starlette") from error

import anyio
from starlette.datastructures import FormData, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response, StreamingResponse

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.middleware.app_body import Asked, WithAppBody
from asgi_rt.middleware.dispatch import serve_websocket
from asgi_rt.middleware.exchange import Exchange
from asgi_rt.middleware.head import copied
from asgi_rt.middleware.misuse import NO_RESPONSE
from asgi_rt.middleware.outcome import Outcome
from asgi_rt.middleware.replayed_body import ReplayedBody

if TYPE_CHECKING:
    from starlette.background import BackgroundTask

__all__ = [
    "AppResponse",
    "BaseHTTPMiddleware",
    "DispatchFunction",
    "RequestResponseEndpoint",
    "http_middleware",
]


class DispatchedRequest(ReplayedBody, Request):
    """The request that a dispatch function gets. What it reads of the body, the app gets as well.

    That is so for `body()`, `json()` and `form()`; what `stream()` has taken is gone, and the app
    finds an empty body. What the app has read can be read here afterwards, up to 64 KiB of it.
    """

    _stream_is_consumed: bool = False

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What Starlette's constructor sets beside is on the class: 0.2 us of a layer's 3.5.
        self.scope = scope
        self._receive = receive
        self._send = send

    @property
    def _stream_consumed(self) -> bool:  # whether the end of the stream was read, by either side
        return self._stream_is_consumed or (self._is_streamed and self._app_has_end)

    @_stream_consumed.setter
    def _stream_consumed(self, value: bool) -> None:
        self._stream_is_consumed = value

    def _is_read_out(self) -> bool:
        return self._stream_consumed

    async def is_disconnected(self) -> bool:
        """Whether the client has left. Unlike Starlette's it takes no piece of the body away."""
        if not self._is_disconnected:
            self._is_disconnected = await self.is_seen_to_have_left()
        return self._is_disconnected

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            await self._read_for_both(self._read_body)
        body: bytes = self._body
        return body

    async def _read_body(self) -> None:
        if self._is_streamed or self._is_lost:
            await super().body()  # the rest of it, or what is wrong
            return
        parts = self._parts = self._parts or []  # kept for the app if this is cancelled
        while not hasattr(self, "_body"):
            message = await self._receive()
            if message["type"] != "http.request":
                self._is_disconnected = True
                raise ClientDisconnect
            part = message.get("body", b"")
            parts.append(part)
            self._received += len(part)
            if not message.get("more_body", False):
                self._body = b"".join(parts)
                self._parts = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        if not hasattr(self, "_body"):
            if self._is_lost:
                raise RuntimeError("Stream consumed")
            self._is_streamed = True
            parts, self._parts = self._parts, None
            for part in parts or ():  # the app has read these
                yield part
        async with aclosing(super().stream()) as rest:
            async for chunk in rest:
                yield chunk

    async def _get_form(self, **limits: Any) -> FormData:
        # Not from the stream, of which the app would find nothing left.
        await self.body()
        return await super()._get_form(**limits)


for _name, _value in vars(Request({"type": "http"})).items():
    if _name not in ("scope", "_receive", "_send", "_stream_consumed"):
        setattr(DispatchedRequest, _name, _value)


class AppResponse(WithAppBody, Response):
    """What `call_next` gives: the response of the app, before its head is sent.

    Status and headers can be changed. The body can be read or replaced by way of `body_iterator`;
    where it is neither, it goes straight through. `background` runs when all is over.
    """

    _fields: MutableHeaders | None = None

    def __init__(self, message: Message, asked: Asked) -> None:
        self.message = message
        self._asked = asked
        self.status_code = message["status"]
        self.raw_headers = [*message.get("headers", ())]
        self.background: BackgroundTask | None = None

    @property
    def headers(self) -> MutableHeaders:
        if self._fields is None:  # Starlette asks with hasattr, which takes longer than the rest
            self._fields = MutableHeaders(raw=self.raw_headers)
        return self._fields

    def head(self) -> Message:
        head = copied(self.message)
        head["status"] = self.status_code
        head["headers"] = self.raw_headers
        return head


class _Exchange(Exchange[AppResponse]):
    response_class = AppResponse
    _work_left: "BackgroundTask | None" = None

    def answer_for(self, result: Any) -> ASGIApp:
        if not callable(result):
            raise DispatchError(NO_RESPONSE.format(result))
        return cast("ASGIApp", result)

    def in_step(self, response: Any) -> Callable[[Send], Awaitable[None]] | None:
        is_stream = isinstance(response, StreamingResponse) and _is_sent_as_usual(response)
        return partial(self._stream, response) if is_stream else None

    async def send_other(self, other: ASGIApp) -> None:
        if self.response is not None and isinstance(other, Response):
            await self._send_and_work(other, super().send_other(other))
        else:
            await super().send_other(other)

    async def _stream(self, response: StreamingResponse, send: Send) -> None:
        await self._send_and_work(response, response.stream_response(send))

    async def _send_and_work(self, response: Response, sending: Awaitable[None]) -> None:
        """Send another response than the app's, and do its work.

        This may be in a task of the app's, which is about to be cancelled: `receive` says
        http.disconnect when the response is complete. What is not begun then is done at the end.
        """
        work, response.background = response.background, None
        try:
            await sending
        except Exception:
            raise
        except BaseException:
            self._work_left = work if self.is_complete else None
            raise
        finally:
            response.background = work
        if work is not None:
            with anyio.CancelScope(shield=True):
                await work()

    async def settle(self) -> None:
        await super().settle()
        if self._work_left is not None:
            await self._work_left()

    async def finish(self, *, completed: bool, raises: bool) -> None:
        assert self.response is not None
        assert self.response.background is not None
        if not raises:
            await self.response.background()


def _is_sent_as_usual(response: StreamingResponse) -> bool:
    return type(response).__call__ is StreamingResponse.__call__


RequestResponseEndpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
DispatchFunction: TypeAlias = Callable[[Request, RequestResponseEndpoint], Awaitable[Response]]


class BaseHTTPMiddleware:
    """Put this in place of `starlette.middleware.base.BaseHTTPMiddleware`: change the import.

    What differs is in docs/middleware.md: context variables flow upwards as well, the handler sees
    its client leave, nothing is raised for a client that has left, and `call_next` must not be
    awaited inside of a cancel scope or in another task. `dispatch_websocket` is new.
    """

    def __init__(self, app: ASGIApp, dispatch: DispatchFunction | None = None) -> None:
        self.app = app
        self.dispatch_func: DispatchFunction = self.dispatch if dispatch is None else dispatch
        kind = type(self)
        self._dispatches_websockets = (
            kind.dispatch_websocket is not BaseHTTPMiddleware.dispatch_websocket
        )

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Serve a request, by way of `call_next` or otherwise; returns the response."""
        raise NotImplementedError(f"{type(self).__name__} defines no dispatch()")

    async def dispatch_websocket(
        self, websocket: HTTPConnection, call_next: Callable[[HTTPConnection], Awaitable[Outcome]]
    ) -> Any:
        """Serve a WebSocket: `await call_next(websocket)` gives its outcome when it is over.

        What is returned without calling it denies the handshake; None is a 403.
        """
        await call_next(websocket)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = DispatchedRequest(scope, receive, send)
            await _Exchange().run(self.app, self.dispatch_func, request, scope, send)
        elif scope["type"] == "websocket" and self._dispatches_websockets:
            await serve_websocket(
                self.app, self.dispatch_websocket, HTTPConnection(scope), receive, send
            )
        else:
            await self.app(scope, receive, send)


class _App(Protocol):
    def add_middleware(self, middleware_class: Any, /, **options: Any) -> None: ...


F = TypeVar("F", bound=DispatchFunction)


def http_middleware(app: _App) -> Callable[[F], F]:
    """Add a dispatch function to an app, in place of `@app.middleware("http")`."""

    def add(dispatch: F) -> F:
        app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
        return dispatch

    return add
