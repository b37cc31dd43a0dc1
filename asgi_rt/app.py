"""The app: routes, mounts, middleware, error handlers and lifespan under one ASGI callable."""

import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from typing import Any, Final, TypeVar, cast

from asgiref import compatibility

from asgi_rt.asgi import AnyASGIApp, ASGIApp, Receive, Scope, Send
from asgi_rt.background import TaskGroup
from asgi_rt.codec import dump_json, dump_plain
from asgi_rt.error_handlers import UNHANDLED, ErrorHandler, ErrorHandlers
from asgi_rt.errors import HTTPError
from asgi_rt.http.request import MAX_BODY_BYTES, Request
from asgi_rt.http.response import Response
from asgi_rt.http.streaming import StreamingResponse
from asgi_rt.late_lifespan import LateLifespan
from asgi_rt.lifespan import Lifespan, run_lifespan, serve_lifespan
from asgi_rt.routing import Converter, Mount, Precedence, Route, Router
from asgi_rt.routing.router import mounted_scope
from asgi_rt.serving import (
    BEGUN,
    JSON_TYPE,
    KNOWN_LENGTHS,
    LENGTHS,
    HeadWatch,
    content_length,
    is_disconnect,
    send_result,
)
from asgi_rt.websocket.serve import REFUSED, WebSocketRun, refuse_with

__all__ = ["App"]

E = TypeVar("E", bound=ErrorHandler)

# Where the innermost layer leaves the request whose handler crashed, for the outermost.
_CRASHED: Final = "asgi_rt.crashed"
_logger = logging.getLogger("asgi_rt.app")


class App(Router):
    """An ASGI application. Register everything at import time; any number of tasks may call it.

    `lifespan` takes the app and gives an async context manager; the mapping it yields is in every
    request's `state`. `grace` is how many seconds streams and background tasks get when the server
    goes down. `max_body_bytes` bounds `request.body()` and `json()`. With `debug` a crash shows its
    traceback to the client.
    """

    def __init__(
        self,
        *,
        lifespan: Lifespan | None = None,
        debug: bool = False,
        grace: float = 10.0,
        max_body_bytes: int = MAX_BODY_BYTES,
        precedence: Precedence = Precedence.SPECIFIC,
        converters: Mapping[str, Converter] | None = None,
        redirect_slashes: bool = False,
    ) -> None:
        super().__init__(
            precedence=precedence, converters=converters, redirect_slashes=redirect_slashes
        )
        self.grace = grace
        self.max_body_bytes = max_body_bytes
        self.error_handlers = ErrorHandlers(debug=debug)
        self.background = TaskGroup(grace=grace)
        """The tasks this app owns, those of the lifespan that began last."""
        self._lifespans: list[Lifespan] = []
        self._middleware: list[Callable[[ASGIApp], ASGIApp]] = []
        self._stack: ASGIApp | None = None
        self._face = self
        self._late: LateLifespan | None = None
        self._is_outermost = True
        self._quick_find = None if precedence is Precedence.FIRST else self.tree.find_route
        if lifespan is not None:
            self.add_lifespan(lifespan)

    # Registration

    def add_lifespan(self, lifespan: Lifespan) -> Lifespan:
        """Run another lifespan inside those that are there. Usable as a decorator.

        An async generator function is taken for the context manager it describes.
        """
        if inspect.isasyncgenfunction(lifespan):
            lifespan = cast("Lifespan", asynccontextmanager(lifespan))
        self._lifespans.append(lifespan)
        return lifespan

    def add_middleware(self, middleware: Callable[..., ASGIApp], **options: Any) -> None:
        """Wrap the app in `middleware(app, **options)`; the one added last is the outermost."""
        if self._stack is not None:
            raise RuntimeError("the app has started already; add middleware before")
        self._middleware.append(lambda app: middleware(app, **options))

    def error_handler(self, key: type[Exception] | int) -> Callable[[E], E]:
        """Register `handler(request, error)` for a class of exceptions, or a status.

        It returns what a handler may return. For `Exception` and 500 the error is still raised to
        the server afterwards, which logs it.
        """

        def register(handler: E) -> E:
            self.error_handlers.add(key, handler)
            return handler

        return register

    def mount(self, path: str, app: AnyASGIApp, *, name: str = "", lifespan: bool = True) -> Mount:
        """Hand every path below `path` to an ASGI application; see `Router.mount`.

        ASGI 2 applications are taken too. With `lifespan` its lifespan runs inside this app's, and
        what it puts into the state is shared.
        """
        untyped: Any = compatibility
        single: ASGIApp = untyped.guarantee_single_callable(app)
        return super().mount(path, single, name=name, lifespan=lifespan)

    # Serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP exchange, or the lifespan. What crashes is answered, then raised."""
        if "app" in scope and self._is_outermost and self._is_late(scope):
            await self._begin_late(scope)
        if self._middleware or scope["type"] != "http":
            if self._middleware or scope["type"] != "websocket":
                await self._serve_otherwise(scope, receive, send)
                return
            run = self._websocket(scope, receive, send)
            if not isinstance(run, WebSocketRun):
                await run
                return
            # From here, as each message goes through all that the handler was called by.
            try:
                await run.begin()
                await run.handler(run.ws)
                run.end()
            except BaseException as error:
                if await run.is_crash(error):
                    raise
            finally:
                await run.finish()
            return
        # All in one coroutine, for each further one costs a tenth of a request (0.2 of 1.8 us).
        scope["app"] = self._face
        request = Request(scope, receive)
        try:
            # Few variables, too: a stream that is open all day stands in this frame.
            method = scope["method"]
            target: Any = None
            if not scope.get("root_path") and b"%" not in (scope.get("raw_path") or b""):
                path = scope["path"]
                found: Any = self.literals.get(path)
                if found is not None:
                    target = found.get(method)
                elif self._quick_find is not None:
                    found = self._quick_find(path, method)
                    if found is not None:
                        target, request.path_params = found
            if target is None:
                target = self._target(request)
                if not isinstance(target, Route):
                    await self._serve_other(target, request, send)
                    return
            if not self._is_outermost:
                scope["route"] = target  # for the middleware, which may want to name it
            result = await target.endpoint(request)
            if type(result) is dict:
                # The commonest result has no object and no call of its own, which makes a request
                # a quarter quicker (2.2 us, with 2.9).
                try:
                    body = dump_plain(result)
                except TypeError:
                    body = dump_json(result)
                size = len(body)
                if method == "HEAD":
                    body = b""
                request.response = BEGUN
                headers = [
                    JSON_TYPE,
                    LENGTHS[size] if size < KNOWN_LENGTHS else content_length(size),
                ]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body, "more_body": False})
            elif isinstance(result, StreamingResponse):
                request.response = result
                await result(scope, request.inbox, send)
            else:
                await send_result(result, request, send)
        except Exception as error:
            await self._answer(error, request, send)
        finally:
            if request.has_form:
                await request.aclose()

    def _target(self, request: Request) -> Route | Mount | Response:
        """What the path leads to; puts the path's parameters into the request."""
        found = self.match(request.scope)
        request.path_params = found.params
        request.mount_depth = found.depth
        return found.target

    async def _serve_other(self, target: Mount | Response, request: Request, send: Send) -> None:
        if isinstance(target, Mount):
            await self._serve_mount(target, request, send)
        else:
            await send_result(target, request, send)

    async def _serve_mount(self, mount: Mount, request: Request, send: Send) -> None:
        watched = request.response = HeadWatch(send)
        if not self._is_outermost:
            request.scope["route"] = mount
        scope = mounted_scope(request.scope, request.mount_depth, request.path_params)
        await mount.app(scope, request.inbox, watched.send)

    async def _answer(self, error: Exception, request: Request, send: Send) -> None:
        """Turn an error into a response, if none has begun; raise it if nobody expected it."""
        begun = request.response
        try:
            if is_disconnect(error, begun):
                return
            if begun is not None and begun.head_sent:
                raise error
            try:
                answer = await self.error_handlers.response_to(error, request)
                if answer is not UNHANDLED:
                    await send_result(answer, request, send)
                    return
            except Exception as failure:
                if is_disconnect(failure, request.response):
                    return
                if failure is not error:
                    failure.__context__ = error
                error = failure
            await self._answer_crash(error, request, send)
            raise error
        finally:
            del error  # its traceback knows this frame, which would keep the request alive

    async def _answer_crash(self, error: Exception, request: Request, send: Send) -> None:
        """Answer what nobody expected, where this is the outermost layer and nothing is sent."""
        if not self._is_outermost:
            crashed: list[Request] = request.scope.get(_CRASHED, [])
            crashed.append(request)
            return
        for answer in self.error_handlers.answers_to_crash(error, request):
            if request.response is not None and request.response.head_sent:
                return
            try:
                await send_result(await answer, request, send)
            except Exception as failure:
                if is_disconnect(failure, request.response):
                    return
                _logger.exception("the handler for status 500 failed")
            else:
                return

    async def _serve_otherwise(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(scope, receive, send, self._run)
        else:
            await self._serve_through_middleware(scope, receive, send)

    async def _serve_through_middleware(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve behind the middleware; what crashes in it or below it is answered out here."""
        if self._stack is None:
            self._stack = self._build_stack()
        scope["app"] = self
        crashed: list[Request] = []
        scope[_CRASHED] = crashed
        watched = HeadWatch(send)
        try:
            await self._stack(scope, receive, watched.send)
        except Exception as error:
            if scope["type"] != "http":
                raise
            # The handler's own request, if it got that far: it has the parameters and the body.
            request = crashed[-1] if crashed else Request(scope, receive)
            request.response = watched
            await self._answer(error, request, send)

    def _build_stack(self) -> ASGIApp:
        """The middleware around a copy of this app that has none."""
        innermost = copy(self)
        innermost._middleware = []
        innermost._is_outermost = False
        app: ASGIApp = innermost
        for wrap in self._middleware:
            app = wrap(app)
        return app

    def _websocket(
        self, scope: Scope, receive: Receive, send: Send
    ) -> WebSocketRun | Awaitable[None]:
        """What serves a WebSocket: a handler, a mounted app, or a refusal."""
        scope["app"] = self._face
        handler, options = None, REFUSED
        try:
            found = self.match(scope)
        except HTTPError as error:
            handler = refuse_with(error)
        else:
            target = found.target
            if isinstance(target, Mount):
                scope["route"] = target
                below = mounted_scope(scope, found.depth, found.params)
                return target.app(below, receive, send)
            assert isinstance(target, Route)
            assert target.websocket is not None
            scope["route"] = target
            handler, options = target.handler, target.websocket
            if found.params:
                scope["path_params"] = {**scope.get("path_params", {}), **found.params}
        run = WebSocketRun(handler, options, scope, receive, send)
        return run.run_in_group() if run.needs_group else run

    def _is_late(self, scope: Scope) -> bool:
        """Whether this app is mounted in one of another package, and nobody has run its lifespan.

        Where one of this package's has mounted it, that has run it, or was told not to.
        """
        if self.background.is_open and not (self._late and self._late.holds(self.background)):
            return False
        return not isinstance(scope["app"], App) and self._has_lifespan

    @property
    def _has_lifespan(self) -> bool:
        mounted = [mount.app for mount in self.mounts if mount.lifespan]
        return bool(self._lifespans) or any(
            app._has_lifespan if isinstance(app, App) else True for app in mounted
        )

    async def _begin_late(self, scope: Scope) -> None:
        """Run the lifespan from now on. Raises LifespanError, for the app that has mounted it."""
        if self._late is None:
            self._late = LateLifespan(f"the app mounted at {scope.get('root_path') or '/'}", self)
        scope["state"] = {**scope.get("state", {}), **await self._late.state(scope)}

    @asynccontextmanager
    async def _run(self, state: dict[str, Any]) -> AsyncGenerator[None, None]:
        """All that lives while the app runs."""
        # By identity: what is mounted twice is one app, and starts once.
        apps = {id(mount.app): mount for mount in reversed(self.mounts) if mount.lifespan}
        mounted = [
            (str(mount), mount.app) for mount in self.mounts if apps.get(id(mount.app)) is mount
        ]
        # One for each lifespan: an app may run several times at once, on several loops.
        outer, background = self.background, TaskGroup(grace=self.grace)
        self.background = background
        try:
            async with run_lifespan(self, self._lifespans, mounted, state, background=background):
                if self._middleware and self._stack is None:
                    self._stack = self._build_stack()  # what is wrong with it is known at once
                yield
        finally:
            if outer.is_open:
                self.background = outer
