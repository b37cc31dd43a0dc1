"""What serves a FastAPI app: this package's App with FastAPI's rules of matching and of errors.

Of all routes that match a path the first that takes the method is taken; else the first of them
answers 405. Paths are matched decoded. A mount takes what has a slash after its prefix.
"""

import traceback
from typing import Any

from asgi_rt.app import App
from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.fastapi.concurrency import run_in_threadpool
from asgi_rt.fastapi.datastructures import URL
from asgi_rt.fastapi.exceptions import (
    HTTPException,
    StarletteHTTPException,
    WebSocketDisconnect,
    WebSocketException,
)
from asgi_rt.fastapi.requests import Request
from asgi_rt.fastapi.responses import PlainTextResponse, RedirectResponse
from asgi_rt.fastapi.routes import BaseRoute, Mount, WebSocketRoute, deliver, path_below
from asgi_rt.fastapi.routing import APIRouter
from asgi_rt.fastapi.websockets import WebSocket
from asgi_rt.handlers import is_async
from asgi_rt.http.response import Response
from asgi_rt.routing.routes import Mount as MountedApp
from asgi_rt.routing.tree import WEBSOCKET, Leaf, Precedence, Tree
from asgi_rt.serving import HeadWatch, is_disconnect
from asgi_rt.websocket.closing import closing_for
from asgi_rt.websocket.denial import deny
from asgi_rt.websocket.link import Link
from asgi_rt.websocket.serve import REFUSED, WebSocketHandler, WebSocketRun

__all__ = ["Engine"]

Match = tuple[BaseRoute, dict[str, Any], bool]
"""The route, the parameters of the path, and whether it takes the method."""


class Table:
    """The routes of a router by their paths. Made again when they were changed."""

    def __init__(self, router: APIRouter) -> None:
        self.routes = router.routes
        self.version = -1
        """Of the routes, when they were read."""
        self.literals: dict[str, dict[str, BaseRoute]] = {}
        """Routes without parameters, by path and method: most requests need no more."""
        self._tree: Tree[BaseRoute] = Tree(Precedence.FIRST)

    def build(self) -> None:
        """Read the routes."""
        routes = self.routes
        version = routes.version  # before: a thread may add routes meanwhile
        tree: Tree[BaseRoute] = Tree(Precedence.FIRST)
        for route in routes:
            if route.path.startswith("/") or isinstance(route, Mount):
                _put(tree, route)
        self._tree = tree
        literals: dict[str, dict[str, BaseRoute]] = {}
        self.literals = {}
        for route in routes:
            if "{" not in route.path and not isinstance(route, Mount):
                for method in route.methods or ():
                    found = self.find(route.path, method)
                    if found is not None and found[0].path == route.path:
                        literals.setdefault(route.path, {}).setdefault(method, found[0])
        self.literals = literals
        self.version = version

    def find(self, path: str, method: str) -> Match | None:
        """What answers a path below the mount point."""
        first, *segments = path.split("/")
        if first:
            return None
        best: Leaf[BaseRoute] | None = None
        partial: Leaf[BaseRoute] | None = None
        taken: list[Any] = []
        rest: list[Any] = []
        for node, values, depth in self._tree.reached(segments):
            leaf = node.mount
            if depth == len(segments):
                leaf = node.leaves.get(method)
                if leaf is None and method != WEBSOCKET:
                    for other in node.leaves.values():
                        if other.target.methods and (
                            partial is None or other.order < partial.order
                        ):
                            partial, rest = other, values
            if leaf is not None and (best is None or leaf.order < best.order):
                best, taken = leaf, values
        if best is not None:
            return best.target, best.params(taken), True
        return None if partial is None else (partial.target, partial.params(rest), False)


def _put(tree: Tree[BaseRoute], route: BaseRoute) -> None:
    """Put it where nothing stands yet: what was registered first is first."""
    if isinstance(route, Mount):
        if tree.get_mount(route.pattern) is None:
            tree.put_mount(route.pattern, route)
        return
    for method in (WEBSOCKET,) if isinstance(route, WebSocketRoute) else route.methods or ():
        if tree.get(route.pattern, method) is None:
            tree.put(route.pattern, method, route)


class _Link(Link):
    __slots__ = ()
    error_class = WebSocketDisconnect


class _Run(WebSocketRun):
    __slots__ = ()
    link_class = _Link
    websocket_class = WebSocket


async def _call(handler: Any, connection: Any, error: Exception) -> Any:
    if is_async(handler):
        return await handler(connection, error)
    return await run_in_threadpool(handler, connection, error)


class Engine(App):
    """Serves what the routers and the exception handlers of a FastAPI app say."""

    def __init__(self, face: Any, *, grace: float) -> None:
        super().__init__(precedence=Precedence.FIRST, grace=grace)
        self.face = face
        self.table = Table(face.router)
        self.add_lifespan(lambda _: face.router.lifespan_context(face))

    def add_layer(self, cls: Any, args: Any, kwargs: Any) -> None:
        """Wrap the app in `cls(app, *args, **kwargs)`, around what was added before."""
        self._middleware.append(lambda app: cls(app, *args, **kwargs))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange, or the lifespan. What crashes is answered, then raised."""
        if self._middleware or scope["type"] != "http":
            if scope["type"] == "lifespan":
                self.mounts = [
                    MountedApp(route.pattern, route.app, "", lifespan=True)
                    for route in self.face.router.routes
                    if isinstance(route, Mount)
                ]
            await super().__call__(scope, receive, send)
            return
        # All in one coroutine, as in the base class.
        scope["app"] = self.face
        if "router" not in scope:
            scope["router"] = self.face.router
        request = Request(scope, receive, send)
        try:
            table = self.table
            if table.version != table.routes.version:
                table.build()
            route: Any = None
            if not scope.get("root_path"):
                methods = table.literals.get(scope["path"])
                if methods is not None:
                    route = methods.get(scope["method"])
            if route is None:
                route = self._routed(request)
                if isinstance(route, Response):
                    await deliver(route, request, send)
                    return
            else:
                scope["route"] = route
                scope["endpoint"] = route.endpoint
                scope["path_params"] = request.path_params
            await route.serve(request, send)
        except Exception as error:
            await self._answer(error, request, send)
        finally:
            if request.has_form:
                await request.aclose()

    def _routed(self, request: Request) -> Any:
        """The route for a request, which learns of it, or a redirect. Raises HTTPException."""
        scope = request.scope
        path = path_below(scope)
        found = self.table.find(path, scope["method"])
        if found is None:
            location = self._redirect(scope, path)
            if location is None:
                raise StarletteHTTPException(404)
            return RedirectResponse(location)
        route, params, is_full = found
        request.path_params = _enter(scope, route, params)
        if not is_full:
            raise StarletteHTTPException(405, headers={"Allow": ", ".join(route.methods or ())})
        return route

    def _redirect(self, scope: Scope, below: str) -> str | None:
        if not self.face.router.redirect_slashes or below == "/":
            return None
        path = scope["path"]
        twin = {**scope, "path": path.rstrip("/") if below.endswith("/") else path + "/"}
        is_there = self.table.find(path_below(twin), scope["method"]) is not None
        return str(URL(scope=twin)) if is_there else None

    # Errors

    def _handler_of(self, error: Exception) -> Any:
        handlers = self.face.exception_handlers
        if isinstance(error, StarletteHTTPException) and error.status_code != 500:
            by_status = handlers.get(error.status_code)
            if by_status is not None:
                return by_status
        for kind in type(error).__mro__:
            if kind in handlers and kind is not Exception:
                return handlers[kind]
        return _close if isinstance(error, WebSocketException) else None

    async def _answer(self, error: Exception, request: Any, send: Send) -> None:
        """Turn an error into a response, if none has begun; raise it if nobody expected it."""
        try:
            # Twice, as routes and apps both do: a handler may raise what another one answers.
            for _ in range(2):
                begun = request.response
                if is_disconnect(error, begun):
                    return
                error = _known(error)
                handler = self._handler_of(error)
                if handler is None:
                    break
                if begun is not None and begun.head_sent:
                    error = _too_late(error)
                    break
                try:
                    response = await _call(handler, request, error)
                    if response is not None:
                        await deliver(response, request, send)
                    return
                except Exception as failure:
                    failure.__context__ = error
                    error = failure
            await self._answer_crash(error, request, send)
            raise error
        finally:
            del error  # its traceback knows this frame, which would keep the request alive

    async def _answer_crash(self, error: Exception, request: Any, send: Send) -> None:
        """Answer what nobody expected, where this is the outermost layer and nothing is sent."""
        if not self._is_outermost:
            return
        handlers = self.face.exception_handlers
        handler = handlers.get(500) or handlers.get(Exception)
        response: Any = PlainTextResponse("Internal Server Error", 500)
        if self.face.debug:
            response = PlainTextResponse("".join(traceback.format_exception(error)), 500)
        elif handler is not None:  # called in every case, as it may log
            response = await _call(handler, request, error)
        if request.response is None or not request.response.head_sent:
            await deliver(response, request, send)

    async def _serve_through_middleware(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve behind the middleware; whatever comes out of it is a crash."""
        if self._stack is None:
            self._stack = self._build_stack()
        scope["app"] = self.face
        watched = HeadWatch(send)
        try:
            await self._stack(scope, receive, watched.send)
        except Exception as error:
            if is_disconnect(error, watched):
                return
            if scope["type"] == "http":
                request = Request(scope, receive, send)
                request.response = watched
                await self._answer_crash(error, request, watched.send)
            raise

    # WebSockets

    def _websocket(self, scope: Scope, receive: Receive, send: Send) -> Any:
        scope["app"] = self.face
        if "router" not in scope:
            scope["router"] = self.face.router
        if self.table.version != self.table.routes.version:
            self.table.build()
        found = self.table.find(path_below(scope), WEBSOCKET)
        handler: WebSocketHandler = _refuse
        options = REFUSED
        if found is not None:
            route, params, _ = found
            _enter(scope, route, params)
            if isinstance(route, Mount):
                return route.app(route.scope_of(scope), receive, send)
            assert isinstance(route, WebSocketRoute)
            if route.app is not None:
                return route.app(scope, receive, send)
            handler, options = self._talker(route), route.websocket
        run = _Run(handler, options, scope, receive, send)
        return run.run_in_group() if run.needs_group else run

    def _talker(self, route: WebSocketRoute) -> WebSocketHandler:
        async def talk(websocket: Any) -> None:
            try:
                await route.talk(websocket)
            except Exception as error:
                error = _known(error)
                handler = self._handler_of(error)
                if handler is None:
                    raise
                response = await _call(handler, websocket, error)
                link = websocket.link
                if isinstance(response, Response) and link.is_open:
                    # No answer can be sent any more: the code for its status says what it can.
                    link.fail(*closing_for(HTTPError(max(400, response.status_code), _said(error))))
                elif isinstance(response, Response) and not link.is_over:
                    await deny(link, websocket.scope, response)

        return talk

    def _is_late(self, scope: Scope) -> bool:
        return False  # who mounts an app of FastAPI's runs its lifespan, or means it not to run


def _said(error: Exception) -> str | None:
    """What an error tells the client."""
    return str(error.detail) if isinstance(error, StarletteHTTPException) else None


async def _refuse(websocket: Any) -> None:
    await websocket.close()


async def _close(websocket: Any, error: WebSocketException) -> None:
    await websocket.close(error.code, error.reason)


def _known(error: Exception) -> Exception:
    """The error of this package that is FastAPI's by another name."""
    if isinstance(error, HTTPError):
        detail = error.detail or error.title
        return HTTPException(error.status_code, detail, error.headers)
    return error


def _too_late(error: Exception) -> Exception:
    late = RuntimeError("Caught handled exception, but response already started.")
    late.__cause__ = error
    return late


def _enter(scope: Scope, route: BaseRoute, params: dict[str, Any]) -> dict[str, Any]:
    """Write into the scope where it led."""
    scope["route"] = route
    scope["endpoint"] = route.endpoint
    every: dict[str, Any] = {**(scope.get("path_params") or {}), **params}
    scope["path_params"] = every
    return every
