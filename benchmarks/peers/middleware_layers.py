"""The layers of middleware that are compared, each written as its documentation writes it."""

from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware

from asgi_rt.middleware import Middleware
from benchmarks.harness.layers import HEADER_VALUE, Kind, Layers, header_name


def add_layers(app: Any, layers: Layers, dispatch: type) -> Any:
    """`app` with these layers; `dispatch` is what takes the place of a BaseHTTPMiddleware in it."""
    for number in range(layers.count):
        middleware, options = _layer(layers.kind, number, dispatch)
        app.add_middleware(middleware, **options)
    return app


def _layer(kind: Kind, number: int, dispatch: type) -> tuple[type, dict[str, Any]]:
    match kind:
        case Kind.BASE_HTTP:
            return BaseHTTPMiddleware, {"dispatch": _setting(number)}
        case Kind.BASE_HTTP_UNTOUCHED:
            return BaseHTTPMiddleware, {"dispatch": _untouched}
        case Kind.DISPATCH:
            return dispatch, {"dispatch": _setting(number)}
        case Kind.DISPATCH_UNTOUCHED:
            return dispatch, {"dispatch": _untouched}
        case Kind.HOOK:
            return _HookLayer, {"number": number}
        case Kind.BY_HAND:
            return _ByHandLayer, {"number": number}


def _setting(number: int) -> Any:
    name = header_name(number)

    async def dispatch(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers.append(name, HEADER_VALUE)
        return response

    return dispatch


async def _untouched(request: Any, call_next: Any) -> Any:
    return await call_next(request)


class _HookLayer(Middleware):
    def __init__(self, app: Any, number: int) -> None:
        super().__init__(app)
        self._name = header_name(number)

    def head(self, connection: Any, head: Any) -> None:
        head.headers.append(self._name, HEADER_VALUE)


class _ByHandLayer:
    def __init__(self, app: Any, number: int) -> None:
        self.app = app
        self._pair = (header_name(number).encode(), HEADER_VALUE.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_header(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], self._pair]}
            await send(message)

        await self.app(scope, receive, send_with_header)
