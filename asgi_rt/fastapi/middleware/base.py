"""Middleware as one function around the app: `dispatch(request, call_next)`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.background import run_background
from asgi_rt.fastapi.datastructures import FormData, MutableHeaders
from asgi_rt.fastapi.requests import Request
from asgi_rt.fastapi.responses import Response
from asgi_rt.http.forms import FormLimits
from asgi_rt.middleware import dispatch as plain
from asgi_rt.middleware.app_body import Asked

__all__ = ["ASGIApp", "BaseHTTPMiddleware", "DispatchFunction", "RequestResponseEndpoint"]

RequestResponseEndpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
DispatchFunction: TypeAlias = Callable[[Request, RequestResponseEndpoint], Awaitable[Response]]


class _Request(plain.DispatchedRequest, Request):  # pyright: ignore[reportIncompatibleMethodOverride] - its state
    @property
    def path_params(self) -> Mapping[str, Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride] - as the app finds them
        params: Mapping[str, Any] = self.scope.get("path_params", {})
        return params

    form = Request.form  # type: ignore[assignment]  # Starlette's options

    async def _read_form(self, limits: FormLimits) -> FormData:
        await self.body()  # not from the stream, of which the app would find nothing left
        return await super()._read_form(limits)


class _AppResponse(plain.AppResponse, Response):
    def __init__(self, message: Message, asked: Asked) -> None:
        super().__init__(message, asked)
        self.headers = MutableHeaders(raw=self.headers.raw)


class _Exchange(plain._Exchange):  # pyright: ignore[reportPrivateUsage] - the same with other classes
    response_class = _AppResponse

    async def finish(self, *, completed: bool, raises: bool) -> None:
        assert self.response is not None
        assert self.response.background is not None
        await run_background(self.response.background, {}, completed=completed)


class BaseHTTPMiddleware(plain.DispatchMiddleware):
    """A layer that is one function around the app: give it as `dispatch`, or define the method.

    It streams, and has no task of its own; see `asgi_rt.middleware.dispatch.DispatchMiddleware`.
    """

    if TYPE_CHECKING:

        async def dispatch(  # type: ignore[override]  # of the request that it gets
            self, request: Request, call_next: RequestResponseEndpoint
        ) -> Any: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP exchange; what is none goes straight to the app."""
        if scope["type"] == "http":
            request = _Request(scope, receive)
            try:
                await _Exchange().run(self.app, self.dispatch_func, request, scope, send)
            finally:
                if request.has_form:
                    await request.aclose()
        else:
            await self.app(scope, receive, send)
