"""The router: routes and mounts registered, requests matched to them, URLs built back."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

from asgi_rt.asgi import ASGIApp, Scope
from asgi_rt.errors import HTTPError, ReverseError, RouteError
from asgi_rt.handlers import handler_name
from asgi_rt.http.response import RedirectResponse, Response
from asgi_rt.routing.handlers import (
    Handler,
    check_websocket_handler,
    make_endpoint,
    make_event_endpoint,
)
from asgi_rt.routing.patterns import (
    CONVERTERS,
    SAFE_IN_SEGMENT,
    Converter,
    Pattern,
    Rest,
    parse_pattern,
)
from asgi_rt.routing.routes import Mount, Route
from asgi_rt.routing.scopes import mounted_scope, path_segments, split_path
from asgi_rt.routing.tree import WEBSOCKET, Found, Precedence, Tree
from asgi_rt.websocket.options import WebSocketOptions

__all__ = ["Mount", "Route", "Router", "mounted_scope", "path_segments"]

H = TypeVar("H", bound=Handler)

_METHOD_CHARACTERS: Final = frozenset("!#$%&'*+-.^_`|~ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


class Router:
    """Routes and mounts. Fill it at import time; matching may then run from any task.

    `redirect_slashes` answers a path that only a slash at the end keeps from matching with a 307.
    With `Precedence.FIRST` a route that an earlier one hides is refused unless `allow_hidden`.
    """

    def __init__(
        self,
        *,
        precedence: Precedence = Precedence.SPECIFIC,
        converters: Mapping[str, Converter] | None = None,
        redirect_slashes: bool = False,
        allow_hidden: bool = False,
    ) -> None:
        self.converters = {**CONVERTERS, **(converters or {})}
        if self.converters["path"] is not CONVERTERS["path"]:
            raise RouteError("the converter `path` cannot be replaced: it takes many segments")
        self.redirect_slashes = redirect_slashes
        self.allow_hidden = allow_hidden
        self.routes: list[Route] = []
        self.mounts: list[Mount] = []
        self.literals: dict[str, dict[str, Route]] = {}
        """Routes without parameters by path and method: most requests need no more.

        Mounts without parameters are here as well, with no methods.
        """
        self.tree: Tree[Route | Mount] = Tree(precedence)
        """Every route and mount."""
        self._ordered: list[Route | Mount] = []
        self._names: dict[str, list[Route | Mount]] = {}

    # Registration

    def add_route(
        self,
        path: str,
        handler: Handler,
        *,
        methods: tuple[str, ...] | list[str] = ("GET",),
        name: str | None = None,
        sse: bool = False,
        **stream_options: Any,
    ) -> Route:
        """Register a handler. GET answers HEAD as well, unless HEAD is registered on its own.

        `name` is for `path_for`; it defaults to the function's. `stream_options` are
        StreamingResponse's, for a handler that yields, or EventStream's, with `sse`. Raises
        RouteError for a route that can never match, that stands there already, or whose handler
        does not take one request.
        """
        if isinstance(methods, str):
            raise RouteError(f"{path}: `methods` is a list, as [{methods!r}]")
        methods = tuple(dict.fromkeys(method.upper() for method in methods))
        label = f"{','.join(methods)} {path}"
        if not methods:
            raise RouteError(f"{path} can never match: it has no methods")
        for method in methods:
            if not method or not _METHOD_CHARACTERS.issuperset(method):
                raise RouteError(f"{label}: {method!r} is not a method")
        pattern = parse_pattern(path, self.converters)
        make = make_event_endpoint if sse else make_endpoint
        endpoint = make(handler, label, stream_options)
        name = handler_name(handler) if name is None else name
        route = Route(pattern, methods, handler, endpoint, name, stream_options, sse)
        self._insert(route)
        return route

    def add_websocket_route(
        self, path: str, handler: Handler, *, name: str | None = None, **options: Any
    ) -> Route:
        """Register a handler for WebSockets; see `websocket`. It may share its path with others.

        Raises RouteError like `add_route`, and for options that `WebSocketOptions` does not know.
        """
        label = f"websocket {path}"
        pattern = parse_pattern(path, self.converters)
        check_websocket_handler(handler, label)
        try:
            websocket = WebSocketOptions(**options)
        except (TypeError, ValueError) as error:
            raise RouteError(f"{label}: {error}") from None
        # As they were understood: an iterator is spent by now, and they may be registered again.
        options |= {"origins": websocket.origin_rule, "subprotocols": websocket.subprotocols}
        name = handler_name(handler) if name is None else name
        route = Route(pattern, (WEBSOCKET,), handler, handler, name, options, websocket=websocket)
        self._insert(route)
        return route

    def _insert(self, route: Route) -> None:
        """Put a route into the tree and the indexes, or raise and change nothing."""
        pattern = route.pattern
        visible = [method for method in route.methods if not self._is_hidden(route, method)]
        for method in visible:
            present = self.tree.get(pattern, method)
            if present is not None and not _is_implied_head(present, method):
                raise RouteError(f"{route} is registered already, as {present}")
        for method in visible:
            self.tree.put(pattern, method, route)
        if "GET" in visible and self.tree.get(pattern, "HEAD") is None:
            self.tree.put(pattern, "HEAD", route)
        self.routes.append(route)
        self._ordered.append(route)
        self._names.setdefault(route.name, []).append(route)
        if pattern.is_literal:
            self._index(route)

    def _is_hidden(self, route: Route, method: str) -> bool:
        """Whether an earlier route answers instead, under `Precedence.FIRST`."""
        if self.tree.precedence is not Precedence.FIRST:
            return False
        same = self.tree.get(route.pattern, method)
        for earlier in self.tree.covering(route.pattern, method):
            if earlier is same and _is_implied_head(earlier, method):
                continue
            if not self.allow_hidden:
                raise RouteError(f"{route} can never match: {earlier} is registered before it")
            return True
        return False

    def _index(self, route: Route) -> None:
        """Remember for which methods the tree leads to a route without parameters."""
        path = route.pattern.text
        methods = self.literals.setdefault(path, {})
        for method in (*route.methods, "HEAD"):
            found = self.tree.find(path.split("/")[1:], method)
            if found is not None and found.target is route:
                methods[method] = route

    def mount(self, path: str, app: ASGIApp, *, name: str = "", lifespan: bool = True) -> Mount:
        """Hand every path below `path` to an ASGI application.

        It sees `root_path` extended by the prefix and `path` as it came, as the ASGI specification
        says. Of what is below the prefix, a path that a route has is that route's, for any method;
        that aside, a mount is less specific than any parameter. (With `Precedence.FIRST` what was
        registered first comes first.) `name` makes its routes reachable for `path_for` as
        `name:route`. Raises RouteError where the prefix is taken, or has a `path` parameter.
        """
        text = path.rstrip("/")
        pattern = parse_pattern(text, self.converters) if text else Pattern("/", (), {})
        mount = Mount(pattern, app, name, lifespan)
        if any(isinstance(segment, Rest) for segment in pattern.segments):
            raise RouteError(f"{mount}: a `path` parameter leaves open where the prefix ends")
        self._insert_mount(mount)
        self.mounts.append(mount)
        self._ordered.append(mount)
        if pattern.is_literal:
            self.literals.setdefault(pattern.text, {})
        if name:
            self._names.setdefault(name, []).append(mount)
        return mount

    def _insert_mount(self, mount: Mount) -> None:
        is_first = self.tree.precedence is Precedence.FIRST
        if is_first:
            earlier = next(self.tree.covering_mounts(mount.pattern), None)
        else:
            earlier = self.tree.get_mount(mount.pattern)
        if earlier is None:
            self.tree.put_mount(mount.pattern, mount)
        elif not (is_first and self.allow_hidden):
            raise RouteError(f"{mount} can never match: {earlier} is registered before it")

    def include(self, router: "Router", prefix: str = "") -> None:
        """Register what another router holds, under a prefix. What it gets later is not seen."""
        if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
            raise RouteError(f"the prefix {prefix!r} must begin with a slash and not end with one")
        for kind, converter in router.converters.items():
            if self.converters.setdefault(kind, converter) is not converter:
                raise RouteError(
                    f"both routers have a converter {kind!r}, and not the same one: share it"
                )
        for each in list(router):
            path = prefix + each.pattern.text
            if isinstance(each, Route) and each.websocket is not None:
                self.add_websocket_route(path, each.handler, name=each.name, **each.options)
            elif isinstance(each, Route):
                again: dict[str, Any] = {"methods": each.methods, "name": each.name}
                self.add_route(path, each.handler, sse=each.sse, **again, **each.options)
            else:
                self.mount(path, each.app, name=each.name, lifespan=each.lifespan)

    def route(
        self,
        path: str,
        *,
        methods: tuple[str, ...] | list[str] = ("GET",),
        name: str | None = None,
        **stream_options: Any,
    ) -> Callable[[H], H]:
        """Decorator form of `add_route`; the function stays what it was."""

        def register(handler: H) -> H:
            self.add_route(path, handler, methods=methods, name=name, **stream_options)
            return handler

        return register

    def get(self, path: str, *, name: str | None = None, **options: Any) -> Callable[[H], H]:
        """Register a handler for GET, and HEAD with it; see `add_route`."""
        return self.route(path, methods=("GET",), name=name, **options)

    def post(self, path: str, *, name: str | None = None, **options: Any) -> Callable[[H], H]:
        """Register a handler for POST; see `add_route`."""
        return self.route(path, methods=("POST",), name=name, **options)

    def put(self, path: str, *, name: str | None = None, **options: Any) -> Callable[[H], H]:
        """Register a handler for PUT; see `add_route`."""
        return self.route(path, methods=("PUT",), name=name, **options)

    def patch(self, path: str, *, name: str | None = None, **options: Any) -> Callable[[H], H]:
        """Register a handler for PATCH; see `add_route`."""
        return self.route(path, methods=("PATCH",), name=name, **options)

    def delete(self, path: str, *, name: str | None = None, **options: Any) -> Callable[[H], H]:
        """Register a handler for DELETE; see `add_route`."""
        return self.route(path, methods=("DELETE",), name=name, **options)

    def sse(
        self,
        path: str,
        *,
        methods: tuple[str, ...] | list[str] = ("GET",),
        name: str | None = None,
        **options: Any,
    ) -> Callable[[H], H]:
        """Register a handler that answers with server-sent events: it yields them.

        It may also return an iterable of them, a Response, or None, a 204, which tells an
        EventSource not to come back. `options` are EventStream's. With other `methods`, such as
        POST, it may read the body before its first event.
        """
        return self.route(path, methods=methods, name=name, sse=True, **options)

    def websocket(self, path: str, *, name: str | None = None, **options: Any) -> Callable[[H], H]:
        """Register a handler for WebSockets: `async def`, and takes the `WebSocket`.

        `options` are those of `WebSocketOptions`: `origins`, `subprotocols`, `max_message_bytes`,
        `messages_per_second`, `idle_timeout`, `send_timeout`, and what becomes of `unread`
        messages. Only pages of the same origin may connect, unless `origins` says otherwise.
        """

        def register(handler: H) -> H:
            self.add_websocket_route(path, handler, name=name, **options)
            return handler

        return register

    # Matching

    def match(self, scope: Scope) -> Found[Route | Mount | Response]:
        """What answers a request: a route, a mount, or a response for OPTIONS or a stray slash.

        Raises HTTPError: 404, 405 with Allow, 400 for a path that is not UTF-8.
        """
        method: str = scope.get("method", WEBSOCKET)
        segments = path_segments(scope)
        found = self.tree.find(segments, method)
        if found is not None:
            return cast("Found[Route | Mount | Response]", found)
        methods = self.tree.methods(segments)
        if methods and method != WEBSOCKET:
            allow = ", ".join(sorted({*methods, "OPTIONS"}))
            if method == "OPTIONS":
                return _found(Response(status_code=204, headers={"allow": allow}))
            detail = f"{method} is not allowed here; {allow} are"
            raise HTTPError(405, detail, headers={"allow": allow})
        if self.redirect_slashes and method != WEBSOCKET:
            location = self._slash_twin(scope)
            if location is not None:
                return _found(RedirectResponse(location))
        raise HTTPError(404, "nothing is found at this path")

    def _slash_twin(self, scope: Scope) -> str | None:
        """The URL with the slash at its end added or removed, if that one is routed."""
        segments, root_depth = split_path(scope)
        twin = segments[:-1] if segments[-1:] == [""] else [*segments, ""]
        found = self.tree.find(twin[root_depth:], scope["method"])
        if found is None or isinstance(found.target, Mount):
            return None
        url = "".join("/" + quote(segment, safe=SAFE_IN_SEGMENT) for segment in twin)
        if url.startswith("//"):
            return None  # it would be the URL of another site
        query: bytes = scope.get("query_string", b"")
        return f"{url}?{query.decode('latin-1')}" if query else url

    # Reverse

    def path_for(self, name: str, /, **params: Any) -> str:
        """The percent-encoded path of a named route; `mount:route` for one of a mounted app.

        Raises ReverseError where there is no such name, where several routes have it and the
        parameters fit none or more than one of them, or where a parameter does not fit.
        """
        own, _, below = name.partition(":")
        if below and name not in self._names and own in self._names:
            return self._path_in_mount(own, below, params)
        named = self._names.get(name, [])
        candidates = [route for route in named if isinstance(route, Route)]
        if named and not candidates:
            raise ReverseError(f"{name!r} is a mount: name a route in it, as '{name}:route'")
        if not candidates:
            raise ReverseError(f"no route is named {name!r}; there are {sorted(self._names)}")
        fitting = [
            route for route in candidates if route.pattern.converters.keys() == params.keys()
        ]
        paths = {route.pattern.format(params) for route in fitting or candidates[:1]}
        if len(paths) > 1:
            raise ReverseError(
                f"{len(paths)} routes are named {name!r}: give them names of their own"
            )
        return paths.pop()

    def _path_in_mount(self, own: str, below: str, params: Mapping[str, Any]) -> str:
        mounts = [mount for mount in self._names[own] if isinstance(mount, Mount)]
        if len(mounts) != 1:
            raise ReverseError(f"{len(mounts)} mounts are named {own!r}, to look for {below!r} in")
        mount = mounts[0]
        path_for: Any = getattr(mount.app, "path_for", None)
        if path_for is None:
            raise ReverseError(
                f"the app mounted as {own!r} cannot build URLs: it has no path_for()"
            )
        ours = {key: params[key] for key in mount.pattern.converters if key in params}
        theirs = {key: value for key, value in params.items() if key not in ours}
        return _format_prefix(mount, ours) + str(path_for(below, **theirs))

    def __iter__(self) -> Iterator[Route | Mount]:
        """Routes and mounts, in the order of their registration."""
        yield from self._ordered


def _format_prefix(mount: Mount, params: Mapping[str, Any]) -> str:
    return mount.pattern.format(params) if mount.pattern.segments else ""


def _is_implied_head(target: Route | Mount, method: str) -> bool:
    """Whether a route answers HEAD only because it answers GET; one of its own replaces it."""
    return method == "HEAD" and isinstance(target, Route) and "HEAD" not in target.methods


def _found(response: Response) -> Found[Route | Mount | Response]:
    return Found[Route | Mount | Response](response, {}, 0)
