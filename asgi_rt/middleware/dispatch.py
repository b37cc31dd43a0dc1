"""Middleware as one function around the app: `dispatch(request, call_next)`.

The form of Starlette's BaseHTTPMiddleware, without its task, its stream and its limits: see
`handoff` for how.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from types import GeneratorType
from typing import TYPE_CHECKING, Any, TypeAlias

from asgi_rt.asgi import ASGIApp, Message, RawHeaders, Receive, Scope, Send
from asgi_rt.background import Background, run_background
from asgi_rt.errors import DispatchError, HTTPError
from asgi_rt.http.request import Request
from asgi_rt.http.response import Response, problem_response, response_for
from asgi_rt.http.streaming import StreamingResponse
from asgi_rt.middleware.answer import answer_instead
from asgi_rt.middleware.app_body import Asked, WithAppBody
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.exchange import Exchange
from asgi_rt.middleware.head import copied, headers_of
from asgi_rt.middleware.misuse import NO_RESPONSE
from asgi_rt.middleware.observed import Observed
from asgi_rt.middleware.outcome import Outcome
from asgi_rt.middleware.replayed_body import ReplayedBody

if TYPE_CHECKING:
    from asgi_rt.http.forms import Form, FormLimits

__all__ = [
    "AppResponse",
    "CallNext",
    "Dispatch",
    "DispatchMiddleware",
    "DispatchedRequest",
    "serve_websocket",
]


class DispatchedRequest(ReplayedBody, Request):
    """The request that a dispatch function gets. What it reads of the body, the app gets as well.

    What the app has read can be read here afterwards, if it was no more than 64 KiB.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = self._receive = receive

    def _is_read_out(self) -> bool:
        return self.inbox.is_exhausted

    async def is_disconnected(self) -> bool:
        return await self.is_seen_to_have_left()

    async def body(self, max_bytes: int | None = None) -> bytes:
        return await self._read_for_both(partial(self._kept_body, max_bytes))

    async def _kept_body(self, max_bytes: int | None) -> bytes:
        self._require_kept()
        return await super().body(max_bytes)

    def stream(self, *, max_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        self._require_kept()
        return super().stream(max_bytes=max_bytes)

    async def form(self, limits: "FormLimits | None" = None) -> "Form":
        # Not from the stream, of which the app would find nothing left.
        await self.body()
        return await super().form(limits)

    def _require_kept(self) -> None:
        if self._is_lost:
            raise DispatchError(
                f"the app has read the request body, and more than {self.KEPT_BYTES} bytes of it or"
                " after dispatch had returned, which is not kept: read it before call_next, and the"
                " app will get it as well"
            )


class AppResponse(WithAppBody, Response):
    """What `call_next` gives: the response of the app, before its head is sent.

    Status and headers can be changed. The body can be read or replaced by way of `body_iterator`;
    where it is neither, it goes straight through. `background` runs when all is over.
    """

    __slots__ = ("_asked", "message")

    def __init__(self, message: Message, asked: Asked) -> None:
        self.message = message
        self._asked = asked
        self.status_code = message["status"]
        self.headers = headers_of([*message.get("headers", ())])
        self.background: Background | None = None

    def head(self) -> Message:
        head = copied(self.message)
        head["status"] = self.status_code
        head["headers"] = self.headers.raw
        return head

    def raw_head(self) -> RawHeaders:
        return self.fields_for_body(self.headers.raw)


class _Exchange(Exchange[AppResponse]):
    response_class = AppResponse

    def answer_for(self, result: Any) -> ASGIApp:
        if result is None:
            raise DispatchError(NO_RESPONSE.format(None))
        if isinstance(result, GeneratorType):
            raise DispatchError(NO_RESPONSE.format("a call_next that was not awaited"))
        return response_for(result)

    def in_step(self, response: Any) -> Callable[[Send], Awaitable[None]] | None:
        if isinstance(response, StreamingResponse) and response.is_async:
            return partial(response.send_in_step, self.scope)
        return None

    async def finish(self, *, completed: bool, raises: bool) -> None:
        assert self.response is not None
        assert self.response.background is not None
        await run_background(self.response.background, self.scope, completed=completed)


CallNext: TypeAlias = Callable[[Request], Awaitable[AppResponse]]
Dispatch: TypeAlias = Callable[[Request, CallNext], Awaitable[Any]]
CallNextWebSocket: TypeAlias = Callable[[Connection], Awaitable[Outcome]]


class DispatchMiddleware:
    """A layer that is one function around the app: give it as `dispatch`, or define the method.

    ```
    class PoweredBy(DispatchMiddleware):
        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers["x-powered-by"] = "asgi_rt"
            return response
    ```

    An instance serves any number of requests at once. `call_next` is awaited at most once, by
    `dispatch` itself, and outside of any cancel scope or task group of anyio's or trio's; it raises
    what the app raises before its head. What is returned may be another response, or anything that
    a handler may return; the app then finds its client gone. What follows `call_next` runs when the
    app sends its head, in the task that sends it.
    """

    def __init__(self, app: ASGIApp, dispatch: Dispatch | None = None) -> None:
        self.app = app
        """The next layer, or the app itself."""
        kind = type(self)
        self.dispatch_func: Dispatch = dispatch or self.dispatch
        self._dispatches = dispatch is not None or kind.dispatch is not DispatchMiddleware.dispatch
        self._dispatches_websockets = (
            kind.dispatch_websocket is not DispatchMiddleware.dispatch_websocket
        )
        if not self._dispatches and not self._dispatches_websockets:
            raise TypeError(
                f"{kind.__name__} dispatches nothing: give it dispatch=, or define"
                " `async def dispatch(self, request, call_next)` or dispatch_websocket"
            )

    async def dispatch(self, request: Request, call_next: CallNext) -> Any:
        """Serve a request, by way of `call_next` or otherwise; returns the response."""
        return await call_next(request)

    async def dispatch_websocket(self, websocket: Connection, call_next: CallNextWebSocket) -> Any:
        """Serve a WebSocket: `await call_next(websocket)` gives its outcome when it is over.

        What is returned without calling it denies the handshake; None is a 403. HTTPError that is
        raised before is a denial too.
        """
        await call_next(websocket)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what is none, such as the lifespan, goes straight to the app."""
        if scope["type"] == "http" and self._dispatches:
            request = DispatchedRequest(scope, receive)
            try:
                await _Exchange().run(self.app, self.dispatch_func, request, scope, send)
            finally:
                if request.has_form:
                    await request.aclose()
        elif scope["type"] == "websocket" and self._dispatches_websockets:
            await serve_websocket(
                self.app, self.dispatch_websocket, Connection(scope), receive, send
            )
        else:
            await self.app(scope, receive, send)


async def serve_websocket(
    app: ASGIApp,
    dispatch: Callable[..., Awaitable[Any]],
    websocket: Any,
    receive: Receive,
    send: Send,
) -> None:
    """Serve a WebSocket by a function that calls the app, or answers in its place."""
    is_called = False

    async def call_next(websocket: Any) -> Outcome:
        nonlocal is_called
        if is_called:
            raise DispatchError("call_next was called a second time for one WebSocket")
        is_called = True
        observed = Observed(None, websocket, receive, send)
        await app(websocket.scope, observed.receive, observed.send)
        return observed.outcome(None)

    try:
        answer = await dispatch(websocket, call_next)
    except HTTPError as error:
        if is_called:
            raise
        answer = problem_response(error)
    if not is_called:
        refusal = problem_response(HTTPError(403)) if answer is None else answer
        await answer_instead(refusal, websocket.scope, receive, send)
