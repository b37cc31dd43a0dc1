"""Middleware as up to three methods: before the app, at the head of its answer, and at the end.

What a class does not define costs nothing: without `head` and `done` the app gets the server's own
`send`, and its `receive` in every case but for WebSockets whose messages are counted for `done`.
"""

import logging
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

import anyio

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.handlers import yields
from asgi_rt.http.response import problem_response
from asgi_rt.middleware.answer import answer_instead
from asgi_rt.middleware.connection import Connection, ShownConnection
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.observed import Observed
from asgi_rt.middleware.outcome import Outcome

__all__ = ["Middleware"]

_SERVED: Final = frozenset({"http", "websocket"})
_HOOKS: Final = ("before", "head", "done")
_DONE_SECONDS: Final = 5.0
_logger = logging.getLogger("asgi_rt.middleware")


class Middleware:
    """A layer around an app, for HTTP and WebSockets alike. Subclass it, define what you need.

    Each of the methods may be a `def`, which runs on the event loop and so must not block, or an
    `async def`. Layers close like brackets: `before` of the outermost is called first, `head` and
    `done` of the innermost.

    An instance serves any number of connections at once, so what belongs to one of them goes on its
    `connection`, or into `connection.state`, which the app sees. It has the constructor that
    `add_middleware(cls, **options)` expects, here as in Starlette and FastAPI; a subclass with
    options calls `super().__init__(app)`.
    """

    # What is not defined is not called. Found out when the class is made, or the attribute is set.
    has_before: bool = False
    has_head: bool = False
    has_done: bool = False

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        """The next layer, or the app itself."""
        # What stands on the instance is found in a tenth of the time.
        self.has_before, self.has_head, self.has_done = (
            self.has_before,
            self.has_head,
            self.has_done,
        )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in _HOOKS:
            hook = getattr(cls, name)
            _check_hook(cls, name, hook)
            is_defined = hook is not None and hook is not getattr(Middleware, name)
            setattr(cls, f"has_{name}", is_defined)

    if not TYPE_CHECKING:  # else every attribute could be set

        def __setattr__(self, name: str, value: Any) -> None:
            """A hook may be given to an instance as well, such as a function among its options."""
            if name in _HOOKS:
                _check_hook(type(self), name, value)
                super().__setattr__(f"has_{name}", value is not None)
            super().__setattr__(name, value)

    def before(self, connection: Connection) -> Any:
        """Called before the app. None lets it serve; anything that a handler may return is sent in
        its place, and denies the handshake of a WebSocket. HTTPError is sent as its answer, and
        anything else that is raised is raised from here: nothing more is called of this layer.
        """

    def head(self, connection: Connection, head: Head) -> Any:
        """Called with the head of the answer, from whatever it comes, before it is sent.

        What it raises is raised where the head was sent, in the app, and the head is not sent; an
        OSError as a RuntimeError, as the app would take it for a client that has left.
        """

    def done(self, connection: Connection, outcome: Outcome) -> Any:
        """Called once when everything below is over, however it ended, if `before` has let the app
        serve or has answered.

        The cancellation of a scope does not interrupt it: an `async def` has 5 seconds, and is
        cancelled then. Asyncio's own `task.cancel()` does, where it comes while it runs. What it
        raises is raised in place of what the app has raised.
        """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what is none, such as the lifespan, goes straight to the app."""
        if scope["type"] not in _SERVED:
            await self.app(scope, receive, send)
            return
        if self.has_done:
            await self._observe(Connection(scope), receive, send)
            return
        connection: Connection
        if self.has_head:
            connection = shown = ShownConnection(scope, self, send)
            send = shown.send_shown
        else:
            connection = Connection(scope)
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
            if answer is not None and isawaitable(answer):
                answer = await answer
        except HTTPError as error:
            return problem_response(error)
        return answer

    async def _observe(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Serve, and tell how it went."""
        observed = Observed(self if self.has_head else None, connection, receive, send)
        if connection.scope["type"] == "websocket":
            receive = observed.receive
        answer = await self._ask(connection) if self.has_before else None
        try:
            if answer is None:
                await self.app(connection.scope, receive, observed.send)
            else:
                await answer_instead(answer, connection.scope, receive, observed.send)
        except BaseException as error:
            waiting = self.done(connection, observed.outcome(error))
            if waiting is not None:
                await self._finish(waiting)
            raise
        waiting = self.done(connection, observed.outcome(None))
        if waiting is not None:
            await self._finish(waiting)

    async def _finish(self, waiting: Any) -> None:
        """Let an async `done` come to its end, but not for ever."""
        if not isawaitable(waiting):
            return
        with anyio.move_on_after(_DONE_SECONDS, shield=True) as scope:
            await waiting
        if scope.cancelled_caught:
            name = type(self).__name__
            _logger.warning("%s.done took %g seconds and was cancelled", name, _DONE_SECONDS)


def _check_hook(owner: type, name: str, hook: Any) -> None:
    """Raise TypeError for what would never run."""
    if hook is not None and not callable(hook):
        raise TypeError(f"{owner.__name__}.{name} is a method, and not {hook!r}")
    if yields(hook):
        raise TypeError(
            f"{owner.__name__}.{name} yields, and a hook is called to its end: write `before`,"
            " `head` and `done`, or one function that yields, with @middleware"
        )
