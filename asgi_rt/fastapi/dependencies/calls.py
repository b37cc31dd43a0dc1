"""How a callable is to be called, whatever wraps it."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

__all__ = ["CallKind", "call_kind", "innermost", "is_generator"]

CallKind: TypeAlias = Literal["coroutine", "thread", "generator", "async_generator"]


def _without_partial(call: Any) -> Any:
    while isinstance(call, partial):
        call = call.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - of whatever
    return call


def innermost(call: Callable[..., Any]) -> Any:
    """What decorators and partials wrap."""
    return inspect.unwrap(_without_partial(call))


def call_kind(call: Callable[..., Any]) -> CallKind:
    """How to call it. What is no coroutine function and does not yield belongs into a thread."""
    layers = [_without_partial(call), innermost(call)]
    if not inspect.isclass(layers[1]):  # or its instances would be asked for their own `__call__`
        methods = [getattr(layer, "__call__", layer) for layer in layers]  # noqa: B004 - to look at
        layers += [look(each) for each in methods for look in (_without_partial, innermost)]
    if any(map(inspect.isasyncgenfunction, layers)):
        return "async_generator"
    if any(map(inspect.isgeneratorfunction, layers)):
        return "generator"
    return "coroutine" if any(map(inspect.iscoroutinefunction, layers)) else "thread"


def is_generator(call: Callable[..., Any]) -> bool:
    """Whether it yields its value, and goes on when that is no longer needed."""
    return call_kind(call) in ("generator", "async_generator")
