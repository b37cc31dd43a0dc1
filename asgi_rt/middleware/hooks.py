"""Middleware as up to three methods: before the app, at the head of its answer, and at the end.

What a class does not define costs nothing: without `head` and `done` the app gets the server's own
`send`, and its `receive` in every case but for WebSockets whose messages are counted for `done`.
"""

import inspect
from collections.abc import Awaitable, Callable, Generator
from functools import update_wrapper
from typing import Any, ClassVar, Final, cast

import anyio

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.handlers import is_async
from asgi_rt.http.connection import HTTPConnection
from asgi_rt.http.response import problem_response
from asgi_rt.middleware.answer import answer_instead
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.observed import HeadSender, Observed
from asgi_rt.middleware.outcome import Outcome

__all__ = ["Connection", "Middleware", "middleware"]

_SERVED: Final = frozenset({"http", "websocket"})
_DONE_SECONDS: Final = 5.0


class Connection(HTTPConnection):
    """The head of the request of an HTTP exchange or a WebSocket, before it is served.

    Each layer has its own, so that its hooks may keep things on it.
    """

    steps: Generator[None, Any, Any] | None = None
    """Where a layer that is a generator stands."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    @property
    def is_websocket(self) -> bool:
        """Whether it asks for a WebSocket, and not for a response."""
        kind: str = self.scope["type"]
        return kind == "websocket"


class Middleware:
    """A layer around an app, for HTTP and WebSockets alike. Subclass it, define what you need.

    An instance serves any number of connections at once, so what belongs to one of them goes on its
    `connection`, or into `connection.state`, which the app sees. `def` and `async def` will do for
    each of the methods. It has the constructor that `add_middleware(cls, **options)` expects, here
    as in Starlette and FastAPI; a subclass with options calls `super().__init__(app)`.
    """

    # What is not defined is not called. Found out once, when the class is made.
    has_before: ClassVar[bool] = False
    has_head: ClassVar[bool] = False
    has_done: ClassVar[bool] = False
    before_is_async: ClassVar[bool] = False
    head_is_async: ClassVar[bool] = False
    done_is_async: ClassVar[bool] = False

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        """The next layer, or the app itself."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("before", "head", "done"):
            hook = getattr(cls, name)
            setattr(cls, f"has_{name}", hook is not getattr(Middleware, name))
            setattr(cls, f"{name}_is_async", is_async(hook))

    def before(self, connection: Connection) -> Any:
        """Called before the app. None lets it serve; anything that a handler may return is sent in
        its place, and denies the handshake of a WebSocket. HTTPError is sent as its answer.
        """

    def head(self, connection: Connection, head: Head) -> Any:
        """Called with the head of the answer, from whatever it comes, before it is sent."""

    def done(self, connection: Connection, outcome: Outcome) -> Any:
        """Called once when everything below is over, however it ended, if `before` has returned.

        It is called on a cancellation too; an `async def` then has 5 seconds.
        """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what is none, such as the lifespan, goes straight to the app."""
        if scope["type"] not in _SERVED:
            await self.app(scope, receive, send)
            return
        connection = Connection(scope)
        if self.has_done:
            await self._observe(connection, receive, send)
            return
        if self.has_head:
            send = HeadSender(self, connection, send).send
        if self.has_before:
            await self._serve(connection, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Serve, or answer instead."""
        answer = await self._ask(connection)
        if answer is None:
            await self.app(connection.scope, receive, send)
        else:
            await answer_instead(answer, connection.scope, receive, send)

    async def _ask(self, connection: Connection) -> Any:
        try:
            answer = self.before(connection)
            return await answer if self.before_is_async else answer
        except HTTPError as error:
            return problem_response(error)

    async def _observe(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Serve, and tell how it went."""
        observed = Observed(self if self.has_head else None, connection, receive, send)
        answer = await self._ask(connection) if self.has_before else None
        try:
            if answer is None:
                await self.app(connection.scope, observed.receive, observed.send)
            else:
                await answer_instead(answer, connection.scope, observed.receive, observed.send)
        except BaseException as error:
            outcome = observed.outcome(error)
            if self.done_is_async:
                with anyio.move_on_after(_DONE_SECONDS, shield=True):
                    await self.done(connection, outcome)
            else:
                self.done(connection, outcome)
            raise
        outcome = observed.outcome(None)
        if self.done_is_async:
            await self.done(connection, outcome)
        else:
            self.done(connection, outcome)


def middleware(function: Callable[..., Any]) -> type[Middleware]:
    """A layer from one function of the connection, and of options, to be given to `add_middleware`.

    A plain function, or an `async def`, is what `before` is. One that yields goes on where a
    method would have to begin anew: up to the first `yield` it is `before`, and what it returns
    there is the answer; the first `yield` gives the `Head`, the second the `Outcome`. Where no head
    was sent the first `yield` raises what the app has raised, or GeneratorExit.
    """
    if inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function.__name__}: a layer that yields is a `def`, not an `async def`;"
            " where it must await, write a subclass of Middleware"
        )
    kind = _Stepped if inspect.isgeneratorfunction(function) else _Asking
    made = cast(
        "type[Middleware]",
        type(function.__name__, (kind,), {"function": staticmethod(function)}),
    )
    made.before_is_async = kind is _Asking and is_async(function)
    update_wrapper(made, function, updated=())
    return made


class _Asking(Middleware):
    """A layer that is a function to be called before the app."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app)
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
        connection.steps = steps
        return None

    def head(self, connection: Connection, head: Head) -> None:
        self._step(connection, head)

    def done(self, connection: Connection, outcome: Outcome) -> None:
        steps = connection.steps
        if steps is None:
            return
        try:
            if outcome.status is not None:
                self._step(connection, outcome)
            elif outcome.error is not None:
                self._throw(steps, outcome.error)
        finally:
            steps.close()

    def _step(self, connection: Connection, value: Head | Outcome) -> None:
        steps = connection.steps
        if steps is not None:
            try:
                steps.send(value)
            except StopIteration:
                connection.steps = None

    def _throw(self, steps: Generator[None, Any, Any], error: BaseException) -> None:
        try:
            steps.throw(error)
        except StopIteration:
            pass
        except BaseException as raised:
            if raised is not error:  # it is raised again by whoever has called
                raise
