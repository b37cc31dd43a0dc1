"""Starlette's BaseHTTPMiddleware without its task and its streams; for FastAPI as well.

Needs the extra: pip install "asgi-rt[starlette]".
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias, TypeVar, cast

from asgi_rt.errors import DispatchError, MissingExtra

try:
    import_module("starlette")  # before the imports below, whose own error names no extra
except ModuleNotFoundError as error:
    if error.name != "starlette":
        raise
    raise MissingExtra("starlette", "starlette", "asgi_rt.embed.starlette") from error

import anyio
from starlette.datastructures import FormData, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.http.inbox import Inbox
from asgi_rt.middleware.app_body import Asked, WithAppBody, relay
from asgi_rt.middleware.dispatch import serve_websocket
from asgi_rt.middleware.handoff import Handoff
from asgi_rt.middleware.misuse import NO_RESPONSE
from asgi_rt.middleware.outcome import Outcome

if TYPE_CHECKING:
    from starlette.background import BackgroundTask

__all__ = [
    "AppResponse",
    "BaseHTTPMiddleware",
    "DispatchFunction",
    "RequestResponseEndpoint",
    "http_middleware",
]

_LOOK_SECONDS: Final = 0.001


class DispatchedRequest(Request):
    """The request that a dispatch function gets. What it reads of the body, the app gets as well.

    That is so for `body()`, `json()` and `form()`; what `stream()` has taken is gone, and the app
    finds an empty body. What the app has read can be read here afterwards, up to 64 KiB of it.
    """

    KEPT_BYTES: ClassVar[int] = 64 * 1024
    """How much of what the app reads is kept for the dispatch function."""
    keeps: bool = True
    """Whether what the app reads is kept for the dispatch function: not once that has returned."""
    _is_given_up: bool = False
    _is_streamed: bool = False
    _is_lost: bool = False
    _inbox: Inbox | None = None
    _parts: list[bytes] | None = None
    _app_has: int = 0
    _app_has_end: bool = False

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What Starlette's constructor sets beside is on the class: 0.2 us of a layer's 3.5.
        self.scope = scope
        self._receive = receive
        self._send = send

    async def replay(self) -> Message:
        """The app's `receive`: what was read here, and then what comes."""
        if self._is_given_up:
            return {"type": "http.disconnect"}
        if not self._app_has_end and (hasattr(self, "_body") or self._stream_consumed):
            rest = getattr(self, "_body", b"")[self._app_has :]
            self._app_has_end = True
            return {"type": "http.request", "body": rest, "more_body": False}
        message = await self._receive()
        if message["type"] == "http.request":
            self._app_has += len(message.get("body", b""))
            self._app_has_end = not message.get("more_body", False)
            if self._is_streamed:
                self._stream_consumed = self._app_has_end
            elif not self._is_lost:
                self._keep(message)
        return message

    @property
    def passes_on(self) -> Receive | None:
        """For `waits_for_futures`: the server's `receive`, while nobody shares it."""
        return None if self._inbox is not None else self._receive

    def give_up(self) -> None:
        """From now on the app is to think that the client has left."""
        self._is_given_up = True

    async def has_left(self) -> bool:
        """Whether the client has left, whatever of the body is still there; when the app ended."""
        inbox = self._shared()
        with anyio.move_on_after(_LOOK_SECONDS):
            await inbox.disconnected()
        return inbox.is_disconnected

    async def is_disconnected(self) -> bool:
        """Whether the client has left. Unlike Starlette's it takes no piece of the body away."""
        if not self._is_disconnected:
            self._is_disconnected = await self._shared().poll()
        return self._is_disconnected

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

    def _shared(self) -> Inbox:
        if self._inbox is None:
            self._receive = self._inbox = Inbox.of(self._receive)
        return self._inbox

    def _keep(self, message: Message) -> None:
        """Keep what the app reads, so that it can be read here too."""
        if not self.keeps or self._app_has > self.KEPT_BYTES:
            self._is_lost = True
            self._parts = None
            return
        parts = self._parts = self._parts or []
        parts.append(message.get("body", b""))
        if self._app_has_end:
            self._body = b"".join(parts)
            self._parts = None


for _name, _value in vars(Request({"type": "http"})).items():
    if _name not in ("scope", "_receive", "_send"):
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as far as the app does. Its background is run by the middleware."""
        self.is_sent = True
        headers = self.fields_for_body(self.raw_headers)
        # Trailers would come when the end of the body was sent already.
        head = {**self.message, "status": self.status_code, "headers": headers, "trailers": False}
        await send(head)
        await relay(self.body_iterator, send)


class _Exchange(Handoff[AppResponse]):
    request: DispatchedRequest

    def respond_with(self, message: Message) -> AppResponse:
        return AppResponse(message, self)

    def untouched_head(self, result: Any) -> Message | None:
        response = self.response
        if response is None or result is not response:
            return None
        if response.is_opened and not response.is_untouched:
            return None
        headers = response.raw_headers
        return {**response.message, "status": response.status_code, "headers": headers}

    async def respond(self, result: Any) -> None:
        response = self.response
        receive: Receive = self.request.receive
        if response is not None and result is response:
            await response(self.scope, receive, self.send_ours)
            return
        if not callable(result):
            raise DispatchError(NO_RESPONSE.format(result))
        feeds = response is not None and response.feeds_another
        if feeds and isinstance(result, StreamingResponse) and _is_sent_as_usual(result):
            # Not in a task of its own, as it would be: this one runs the app that it waits for.
            await result.stream_response(self.send_ours)
            if result.background is not None:
                await result.background()
        else:
            other = cast("ASGIApp", result)
            await other(self.scope, receive, self.send_ours)
        if response is not None and not response.is_sent:
            response.background = None

    async def finish(self, *, completed: bool) -> None:
        assert self.response is not None
        if completed and self.response.background is not None:
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
            await _Exchange(self.app, request, scope, send).run(self.dispatch_func)
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
