"""What a handler is: looked at once, when it is registered."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio.to_thread

from asgi_rt.errors import RouteError

__all__ = ["check_arguments", "handler_name", "in_thread", "is_async", "yields"]


def handler_name(handler: Any) -> str:
    """What a handler is called: the function's name, or its class's."""
    handler = _unwrapped(handler)
    return str(getattr(handler, "__name__", type(handler).__name__))


def is_async(handler: Any) -> bool:
    """Whether calling it gives something to await. A class says it with its `__call__`."""
    return _is(inspect.iscoroutinefunction, handler)


def yields(handler: Any) -> bool:
    """Whether calling it gives a generator, of either kind."""
    return _is(inspect.isasyncgenfunction, handler) or _is(inspect.isgeneratorfunction, handler)


def check_arguments(handler: Any, where: str, takes: str, *, count: int = 1) -> None:
    """Raise RouteError, naming the place, for what cannot be called with so many arguments."""
    if not callable(handler):
        raise RouteError(f"{where}: a handler is a function, not {handler!r}")
    try:
        # Not of what a decorator wraps: its wrapper may well add arguments of its own.
        signature = inspect.signature(handler, follow_wrapped=False)
    except (TypeError, ValueError):  # a builtin that tells nothing about itself
        return
    try:
        signature.bind(*(object() for _ in range(count)))
    except TypeError:
        arguments = "one argument" if count == 1 else "two arguments"
        raise RouteError(
            f"{where}: the handler {handler_name(handler)}{signature} must take {arguments},"
            f" {takes}"
        ) from None


def in_thread(handler: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A sync handler as an async one, which runs it in a worker thread."""

    def run(*args: Any) -> tuple[Any]:
        return (handler(*args),)  # packed, for Trio lets no thread return a coroutine

    async def call(*args: Any) -> Any:
        (result,) = await anyio.to_thread.run_sync(run, *args)
        # A sync function may hand on what an async one made: a lambda around it, a decorator.
        return await result if inspect.isawaitable(result) else result

    return call


def _unwrapped(handler: Any) -> Any:
    while isinstance(handler, partial):
        handler = handler.func
    return handler


def _is(test: Callable[[Any], bool], handler: Any) -> bool:
    handler = _unwrapped(handler)
    return test(handler) or test(type(handler).__call__)
