"""What a route calls: any of the four kinds of handler, made into one, once, at registration."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import anyio.to_thread

from asgi_rt.errors import RouteError
from asgi_rt.http.request import Request
from asgi_rt.http.response import Response
from asgi_rt.http.streaming import StreamingResponse, YieldResponse
from asgi_rt.sse.stream import EventStream

__all__ = [
    "Endpoint",
    "Handler",
    "check_websocket_handler",
    "handler_name",
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
    _check_signature(handler, route)
    if _yields(handler):
        return _stream_endpoint(handler, YieldResponse, stream_options, route)
    if stream_options:
        raise RouteError(
            f"{route}: {', '.join(stream_options)} is for a handler that yields;"
            f" {handler_name(handler)} does not"
        )
    if _is(inspect.iscoroutinefunction, handler):
        return handler
    return _thread_endpoint(handler)


def make_event_endpoint(handler: Handler, route: str, stream_options: dict[str, Any]) -> Endpoint:
    """`handler` as one async function of the request that answers with an `EventStream`.

    One that yields gives the events. One that returns gives an iterable of them, a Response of its
    own, or None: that is a 204, on which an EventSource does not come back. Raises RouteError like
    `make_endpoint`.
    """
    _check_signature(handler, route)
    if _yields(handler):
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
    _check_signature(handler, route, "the WebSocket")
    if not _is(inspect.iscoroutinefunction, handler):
        raise RouteError(
            f"{route}: the handler of a WebSocket is an `async def` without `yield`;"
            f" {handler_name(handler)} is not"
        )


def handler_name(handler: Handler) -> str:
    """What a handler is called: the function's name, or its class's."""
    handler = _unwrapped(handler)
    return str(getattr(handler, "__name__", type(handler).__name__))


def _unwrapped(handler: Handler) -> Handler:
    while isinstance(handler, partial):
        handler = handler.func
    return handler


def _is(test: Callable[[Any], bool], handler: Handler) -> bool:
    handler = _unwrapped(handler)
    return test(handler) or test(type(handler).__call__)


def _yields(handler: Handler) -> bool:
    return _is(inspect.isasyncgenfunction, handler) or _is(inspect.isgeneratorfunction, handler)


def _stream_endpoint(
    handler: Handler, stream: type[StreamingResponse], options: dict[str, Any], route: str
) -> Endpoint:
    _check_options(stream, options, route)

    async def endpoint(request: Request) -> Any:
        return stream(handler(request), **options)

    return endpoint


def _thread_endpoint(handler: Handler) -> Endpoint:
    def run(request: Request) -> tuple[Any]:
        return (handler(request),)  # packed, for Trio lets no thread return a coroutine

    async def endpoint(request: Request) -> Any:
        (result,) = await anyio.to_thread.run_sync(run, request)
        # A sync function may hand on what an async one made: a lambda around it, a decorator.
        return await result if inspect.isawaitable(result) else result

    return endpoint


def _check_signature(handler: Handler, route: str, takes: str = "the request") -> None:
    if not callable(handler):
        raise RouteError(f"{route}: a handler is a function, not {handler!r}")
    try:
        # Not of what a decorator wraps: its wrapper may well add arguments of its own.
        signature = inspect.signature(handler, follow_wrapped=False)
    except (TypeError, ValueError):  # a builtin that tells nothing about itself
        return
    try:
        signature.bind(object())
    except TypeError:
        raise RouteError(
            f"{route}: the handler {handler_name(handler)}{signature} must take one argument,"
            f" {takes}"
        ) from None


def _check_options(stream: type[StreamingResponse], options: dict[str, Any], route: str) -> None:
    try:
        # An empty source, so that wrong values are found at registration too.
        stream((), **options)
    except (TypeError, ValueError) as error:
        raise RouteError(f"{route}: the options of a stream: {error}") from None
