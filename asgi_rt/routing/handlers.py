"""What a route calls: any of the four kinds of handler, made into one, once, at registration."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import anyio.to_thread

from asgi_rt.errors import RouteError
from asgi_rt.http.request import Request
from asgi_rt.http.streaming import YieldResponse

__all__ = ["Endpoint", "Handler", "handler_name", "make_endpoint"]

Handler: TypeAlias = Callable[..., Any]
"""`async def`, `def`, and both with `yield`; takes the request."""
Endpoint: TypeAlias = Callable[[Request], Awaitable[Any]]


def make_endpoint(handler: Handler, route: str, stream_options: dict[str, Any]) -> Endpoint:
    """`handler` as one async function of the request.

    A sync handler runs in a worker thread; a generator becomes a stream with `stream_options`.
    Raises RouteError, naming the route, where the handler cannot be called with one request.
    """
    _check_signature(handler, route)
    if _is(inspect.isasyncgenfunction, handler) or _is(inspect.isgeneratorfunction, handler):
        _check_options(stream_options, route)
        return _stream_endpoint(handler, stream_options)
    if stream_options:
        raise RouteError(
            f"{route}: {', '.join(stream_options)} is for a handler that yields;"
            f" {handler_name(handler)} does not"
        )
    if _is(inspect.iscoroutinefunction, handler):
        return handler
    return _thread_endpoint(handler)


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


def _stream_endpoint(handler: Handler, options: dict[str, Any]) -> Endpoint:
    async def endpoint(request: Request) -> Any:
        return YieldResponse(handler(request), **options)

    return endpoint


def _thread_endpoint(handler: Handler) -> Endpoint:
    def run(request: Request) -> tuple[Any]:
        return (handler(request),)  # packed, for Trio lets no thread return a coroutine

    async def endpoint(request: Request) -> Any:
        (result,) = await anyio.to_thread.run_sync(run, request)
        # A sync function may hand on what an async one made: a lambda around it, a decorator.
        return await result if inspect.isawaitable(result) else result

    return endpoint


def _check_signature(handler: Handler, route: str) -> None:
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
            " the request"
        ) from None


def _check_options(options: dict[str, Any], route: str) -> None:
    try:
        inspect.signature(YieldResponse).bind(object(), **options)
    except TypeError as error:
        raise RouteError(f"{route}: the options of a stream: {error}") from None
