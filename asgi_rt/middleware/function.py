"""Middleware as one function of the connection, which is a generator where it goes on after it."""

import inspect
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, ClassVar, cast

from asgi_rt.handlers import handler_name
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.hooks import Middleware
from asgi_rt.middleware.outcome import Outcome

__all__ = ["middleware"]


def middleware(function: Callable[..., Any]) -> type[Middleware]:
    """A layer from one function of the connection, and of options, to be given to `add_middleware`.

    A plain function, or an `async def`, is what `before` is. One that yields goes on where a
    method would have to begin anew: up to the first `yield` it is `before`, and what it returns
    there is the answer; the first `yield` gives the `Head`, the second the `Outcome`. Where no head
    was sent the first `yield` raises what the app has raised, or GeneratorExit. It need not yield
    twice, and it is closed on every way out, so that its `finally` blocks run.

    Raises TypeError for a function that cannot be called with a connection, and for one that is an
    async generator; the layer does for options that the function does not take.
    """
    name = handler_name(function)
    _check_call(name, function)
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    called = inner if inspect.isroutine(inner) else type(inner).__call__
    if inspect.isasyncgenfunction(called):
        raise TypeError(
            f"{name}: a layer that yields is a `def`, not an `async def`;"
            " where it must await, write a subclass of Middleware"
        )
    namespace = {
        "__doc__": inner.__doc__,
        "__module__": inner.__module__,
        "__qualname__": getattr(inner, "__qualname__", name),
        "function": staticmethod(function),
    }
    kind = _Stepped if inspect.isgeneratorfunction(called) else _Asking
    return cast("type[Middleware]", type(name, (kind,), namespace))


class _Asking(Middleware):
    """A layer that is a function to be called before the app."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app)
        _check_call(type(self).__name__, self.function, options)
        self._options = options

    def before(self, connection: Connection) -> Any:
        answer: Awaitable[Any] | Any = self.function(connection, **self._options)
        return answer


class _Stepped(_Asking):
    """A layer that is a generator function."""

    def before(self, connection: Connection) -> Any:
        steps: Generator[None, Any, Any] = self.function(connection, **self._options)
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
        connection.layer_steps = steps
        return None

    def head(self, connection: Connection, head: Head) -> None:
        connection.layer_has_head = True
        _step(connection, head)

    def done(self, connection: Connection, outcome: Outcome) -> None:
        steps = connection.layer_steps
        if steps is None:
            return
        try:
            if not connection.layer_has_head:
                if outcome.error is None:
                    return
                _throw(connection, outcome.error)
            _step(connection, outcome)
            if connection.layer_steps is not None:
                raise RuntimeError(
                    f"{type(self).__name__} has yielded a third time: the first `yield` gives the"
                    " head, the second the outcome, and there is nothing more to give"
                )
        finally:
            steps.close()


def _step(connection: Connection, value: Head | Outcome) -> None:
    if connection.layer_steps is not None:
        try:
            connection.layer_steps.send(value)
        except StopIteration:
            connection.layer_steps = None


def _throw(connection: Connection, error: BaseException) -> None:
    """Raise, where it waits for the head, what the app has raised; it may catch that and go on."""
    assert connection.layer_steps is not None
    traceback = error.__traceback__
    try:
        connection.layer_steps.throw(error)
    except StopIteration:
        connection.layer_steps = None
    except BaseException as raised:
        connection.layer_steps = None
        if raised is not error:  # else it is raised again by whoever has called
            raise
    finally:
        # It came through here, and whoever reads it looks for where the app has failed.
        error.with_traceback(traceback)


def _check_call(name: str, function: Any, options: dict[str, Any] | None = None) -> None:
    """Raise TypeError for what cannot be called with a connection, and with these options."""
    if not callable(function):
        raise TypeError(f"a layer is a function, and not {function!r}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin that tells nothing about itself
        return
    try:
        if options is None:
            signature.bind_partial(object())
        else:
            signature.bind(object(), **options)
    except TypeError as error:
        raise TypeError(
            f"the layer {name}{signature} takes the connection, and options by name: {error}"
        ) from None
