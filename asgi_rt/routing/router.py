"""The router: routes and mounts registered, requests matched to them, URLs built back."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, unquote_to_bytes

from asgi_rt.asgi import ASGIApp, Scope
from asgi_rt.errors import HTTPError, ReverseError, RouteError
from asgi_rt.http.response import RedirectResponse, Response
from asgi_rt.routing.handlers import Endpoint, Handler, make_endpoint
from asgi_rt.routing.patterns import CONVERTERS, Converter, Pattern, parse_pattern
from asgi_rt.routing.tree import Found, Precedence, Tree

__all__ = ["Mount", "Route", "Router", "mounted_scope", "path_segments"]

H = TypeVar("H", bound=Handler)

# Stands where the method of an HTTP request does. Methods are upper case, so it is none of them.
_WEBSOCKET: Final = "websocket"
_METHOD_CHARACTERS: Final = frozenset("!#$%&'*+-.^_`|~ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One pattern, its methods, and what answers them."""

    pattern: Pattern
    methods: tuple[str, ...]
    handler: Handler
    endpoint: Endpoint
    name: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{','.join(self.methods)} {self.pattern.text}"


@dataclass(frozen=True, slots=True, eq=False)
class Mount:
    """An ASGI application under a prefix."""

    pattern: Pattern
    app: ASGIApp
    name: str
    lifespan: bool
    """Whether its lifespan runs within the lifespan of the app it is mounted in."""

    def __str__(self) -> str:
        return f"mount {self.pattern.text}"


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
        self.redirect_slashes = redirect_slashes
        self.allow_hidden = allow_hidden
        self.routes: list[Route] = []
        self.mounts: list[Mount] = []
        self.literals: dict[str, dict[str, Route]] = {}
        """Routes without parameters by path and method: most requests need no more."""
        self.tree: Tree[Route | Mount] = Tree(precedence)
        """Every route and mount."""
        self._names: dict[str, list[Route | Mount]] = {}

    # Registration

    def add_route(
        self,
        path: str,
        handler: Handler,
        *,
        methods: tuple[str, ...] | list[str] = ("GET",),
        name: str | None = None,
        **stream_options: Any,
    ) -> Route:
        """Register a handler. GET answers HEAD as well, unless HEAD is registered on its own.

        `name` is for `path_for`; it defaults to the function's. `stream_options` are
        StreamingResponse's, for a handler that yields. Raises RouteError for a route that can never
        match, that stands there already, or whose handler does not take one request.
        """
        methods = tuple(dict.fromkeys(method.upper() for method in methods))
        label = f"{','.join(methods)} {path}"
        if not methods:
            raise RouteError(f"{path} can never match: it has no methods")
        for method in methods:
            if not method or not _METHOD_CHARACTERS.issuperset(method):
                raise RouteError(f"{label}: {method!r} is not a method")
        pattern = parse_pattern(path, self.converters)
        endpoint = make_endpoint(handler, label, stream_options)
        if name is None:
            name = str(getattr(handler, "__name__", type(handler).__name__))
        route = Route(pattern, methods, handler, endpoint, name, stream_options)
        self._insert(route, label)
        return route

    def _insert(self, route: Route, label: str) -> None:
        pattern = route.pattern
        hidden = self._hidden_methods(route, label)
        for method in route.methods:
            if method in hidden:
                continue
            present = self.tree.add(pattern, method, route)
            if present is not None:
                if method != "HEAD" or "HEAD" in _methods(present):
                    raise RouteError(f"{label} is registered already, as {present}")
                self.tree.replace(pattern, method, route)
        if "GET" in route.methods and "GET" not in hidden:
            self.tree.add(pattern, "HEAD", route)
        self.routes.append(route)
        self._names.setdefault(route.name, []).append(route)
        if pattern.is_literal:
            self._index(route)

    def _hidden_methods(self, route: Route, label: str) -> set[str]:
        """The methods that an earlier route answers instead, under `Precedence.FIRST`."""
        if self.tree.precedence is not Precedence.FIRST:
            return set()
        hidden: set[str] = set()
        for method in route.methods:
            earlier = self.tree.covering(route.pattern, method)
            if earlier is not None:
                hidden.add(method)
                if not self.allow_hidden:
                    raise RouteError(f"{label} can never match: {earlier} is registered before it")
        return hidden

    def _index(self, route: Route) -> None:
        """Remember what the tree says of a path without parameters."""
        path = route.pattern.text
        methods = self.literals.setdefault(path, {})
        for method in (*route.methods, "HEAD"):
            found = self.tree.find(path.split("/")[1:], method)
            if found is not None and isinstance(found.target, Route):
                methods[method] = found.target

    def mount(self, path: str, app: ASGIApp, *, name: str = "", lifespan: bool = True) -> Mount:
        """Hand every path below `path` to an ASGI application.

        It sees `root_path` extended by the prefix and `path` as it came, as the ASGI specification
        says. Routes that match come before mounts, whichever was registered first (unless
        `Precedence.FIRST`). `name` makes its routes reachable for `path_for` as `name:route`.
        """
        if path in ("", "/"):
            path = ""
        pattern = parse_pattern(path.rstrip("/") or "/", self.converters)
        mount = Mount(pattern, app, name, lifespan)
        present = self.tree.add_mount(pattern, mount)
        if present is not None:
            raise RouteError(f"{mount}: the path is taken already, by {present}")
        self.mounts.append(mount)
        if name:
            self._names.setdefault(name, []).append(mount)
        return mount

    def include(self, router: "Router", prefix: str = "") -> None:
        """Register what another router holds, under a prefix. What it gets later is not seen."""
        if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
            raise RouteError(f"the prefix {prefix!r} must begin with a slash and not end with one")
        self.converters = {**router.converters, **self.converters}
        for route in router.routes:
            self.add_route(
                prefix + route.pattern.text,
                route.handler,
                methods=route.methods,
                name=route.name,
                **route.options,
            )
        for mount in router.mounts:
            path = prefix + ("" if mount.pattern.text == "/" else mount.pattern.text)
            self.mount(path, mount.app, name=mount.name, lifespan=mount.lifespan)

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

    # Matching

    def match(self, scope: Scope) -> Found[Route | Mount | Response]:
        """What answers a request: a route, a mount, or a response for OPTIONS or a stray slash.

        Raises HTTPError: 404, 405 with Allow, 400 for a path that is not UTF-8.
        """
        method: str = scope.get("method", _WEBSOCKET)
        segments = path_segments(scope)
        found = self.tree.find(segments, method)
        if found is not None:
            return cast("Found[Route | Mount | Response]", found)
        methods = self.tree.methods(segments)
        if methods and method != _WEBSOCKET:
            allow = ", ".join(sorted({*methods, "OPTIONS"}))
            if method == "OPTIONS":
                return _found(Response(status_code=204, headers={"allow": allow}))
            detail = f"{method} is not allowed here; {allow} are"
            raise HTTPError(405, detail, headers={"allow": allow})
        if self.redirect_slashes and method != _WEBSOCKET:
            location = self._slash_twin(scope)
            if location is not None:
                return _found(RedirectResponse(location))
        raise HTTPError(404, "nothing is found at this path")

    def _slash_twin(self, scope: Scope) -> str | None:
        """The URL with the slash at its end added or removed, if that one is routed."""
        path: str = scope["path"]
        twin = path[:-1] if path.endswith("/") else path + "/"
        if not twin:
            return None
        segments = path_segments({**scope, "path": twin, "raw_path": None})
        found = self.tree.find(segments, scope["method"])
        if found is None or isinstance(found.target, Mount):
            return None
        query: bytes = scope.get("query_string", b"")
        url = "/" + quote(twin.lstrip("/"))  # `//host` would be the URL of another site
        return f"{url}?{query.decode('latin-1')}" if query else url

    # Reverse

    def path_for(self, name: str, /, **params: Any) -> str:
        """The percent-encoded path of a named route; `mount:route` for one of a mounted app.

        Raises ReverseError where there is no such name, where several routes have it and the
        parameters fit none or more than one of them, or where a parameter does not fit.
        """
        own, _, below = name.partition(":")
        if below and own in self._names:
            return self._path_in_mount(own, below, params)
        candidates = [route for route in self._names.get(name, []) if isinstance(route, Route)]
        fitting = [
            route for route in candidates if route.pattern.converters.keys() == params.keys()
        ]
        paths = {route.pattern.format(params) for route in fitting or candidates[:1]}
        if len(paths) == 1:
            return paths.pop()
        if paths:
            raise ReverseError(
                f"{len(paths)} routes are named {name!r}: give them names of their own"
            )
        raise ReverseError(f"no route is named {name!r}; there are {sorted(self._names)}")

    def _path_in_mount(self, own: str, below: str, params: Mapping[str, Any]) -> str:
        for mount in self._names[own]:
            path_for = getattr(getattr(mount, "app", None), "path_for", None)
            if isinstance(mount, Mount) and path_for is not None:
                ours = {key: params[key] for key in mount.pattern.converters if key in params}
                theirs = {key: value for key, value in params.items() if key not in ours}
                prefix = mount.pattern.format(ours)
                return ("" if prefix == "/" else prefix) + str(path_for(below, **theirs))
        raise ReverseError(f"the app mounted as {own!r} cannot build URLs: it has no path_for()")

    def __iter__(self) -> Iterator[Route | Mount]:
        yield from self.routes
        yield from self.mounts


def _methods(target: Route | Mount) -> tuple[str, ...]:
    return target.methods if isinstance(target, Route) else ()


def path_segments(scope: Scope) -> list[str]:
    """The decoded segments of the path below the mount point.

    Taken from `raw_path` where that holds an escape: an encoded slash is data, not a separator.
    Raises HTTPError 400 where the path is not UTF-8.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    raw: bytes | None = scope.get("raw_path")
    has_root = bool(root) and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")
    if raw is not None and b"%" in raw:
        segments = [_decode(segment) for segment in raw.split(b"/")]
        return segments[1 + (root.rstrip("/").count("/") if has_root else 0) :]
    if has_root:
        path = path[len(root.rstrip("/")) :]
    return path.split("/")[1:]


def _decode(segment: bytes) -> str:
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise HTTPError(400, "the path is not UTF-8") from None


def mounted_scope(scope: Scope, depth: int, params: Mapping[str, Any]) -> Scope:
    """The scope that an app sees that is mounted `depth` segments below this one.

    As the ASGI specification has it, `root_path` grows and `path` stays whole.
    """
    prefix = "".join("/" + segment for segment in path_segments(scope)[:depth])
    root: str = scope.get("root_path", "")
    return {
        **scope,
        "root_path": root.rstrip("/") + prefix,
        "path_params": {**scope.get("path_params", {}), **params},
    }


def _found(response: Response) -> Found[Route | Mount | Response]:
    return Found[Route | Mount | Response](response, {}, 0)
