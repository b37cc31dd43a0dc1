"""What a route calls: any of the four kinds of handler, made into one, once, at registration."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from asgi_rt.errors import RouteError
from asgi_rt.handlers import check_arguments, handler_name, in_thread, is_async, yields
from asgi_rt.http.request import Request
from asgi_rt.http.response import Response
from asgi_rt.http.streaming import StreamingResponse, YieldResponse
from asgi_rt.sse.stream import EventStream

__all__ = [
    "Endpoint",
    "Handler",
    "check_websocket_handler",
    "make_endpoint",
    "make_event_endpoint",
]

Handler: TypeAlias = Callable[..., Any]
"""`async def`, `def`, and both with `yield`; takes the request."""
Endpoint: TypeAlias = Callable[[Request], Awaitable[Any]]


def make_endpoint(handler: Handler, route: str, stream_options: dict[str, Any]) -> Endpoint:
    """`handler` as one async function of the request.

    A sync handler runs in a worker thread; a generator becomes a stream with `stream_options`.
    Raises RouteError, naming the route, where the handler cannot be called with one request.
    """
    check_arguments(handler, route, "the request")
    if yields(handler):
        return _stream_endpoint(handler, YieldResponse, stream_options, route)
    if stream_options:
        raise RouteError(
            f"{route}: {', '.join(stream_options)} is for a handler that yields;"
            f" {handler_name(handler)} does not"
        )
    if is_async(handler):
        return handler
    return in_thread(handler)


def make_event_endpoint(handler: Handler, route: str, stream_options: dict[str, Any]) -> Endpoint:
    """`handler` as one async function of the request that answers with an `EventStream`.

    One that yields gives the events. One that returns gives an iterable of them, a Response of its
    own, or None: that is a 204, on which an EventSource does not come back. Raises RouteError like
    `make_endpoint`.
    """
    check_arguments(handler, route, "the request")
    if yields(handler):
        return _stream_endpoint(handler, EventStream, stream_options, route)
    _check_options(EventStream, stream_options, route)
    call = make_endpoint(handler, route, {})

    async def endpoint(request: Request) -> Any:
        result = await call(request)
        if result is None or isinstance(result, Response):
            return result
        return EventStream(result, **stream_options)

    return endpoint


def check_websocket_handler(handler: Handler, route: str) -> None:
    """Raise RouteError, naming the route, for what cannot serve a WebSocket."""
    check_arguments(handler, route, "the WebSocket")
    if not is_async(handler):
        raise RouteError(
            f"{route}: the handler of a WebSocket is an `async def` without `yield`;"
            f" {handler_name(handler)} is not"
        )


def _stream_endpoint(
    handler: Handler, stream: type[StreamingResponse], options: dict[str, Any], route: str
) -> Endpoint:
    _check_options(stream, options, route)

    async def endpoint(request: Request) -> Any:
        return stream(handler(request), **options)

    return endpoint


def _check_options(stream: type[StreamingResponse], options: dict[str, Any], route: str) -> None:
    try:
        # An empty source, so that wrong values are found at registration too.
        stream((), **options)
    except (TypeError, ValueError) as error:
        raise RouteError(f"{route}: the options of a stream: {error}") from None
