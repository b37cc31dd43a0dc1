"""Routes: what stands at a path, and how its path is built again."""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from enum import Enum
from functools import cache, cached_property
from typing import Any, Final, Self
from uuid import UUID

from asgi_rt.asgi import ASGIApp, Scope, Send
from asgi_rt.fastapi.concurrency import run_in_threadpool
from asgi_rt.fastapi.datastructures import URLPath
from asgi_rt.fastapi.requests import Request
from asgi_rt.fastapi.websockets import WebSocket
from asgi_rt.handlers import handler_name, is_async
from asgi_rt.http.response import Response
from asgi_rt.routing.patterns import CONVERTERS, Converter, Pattern, parse_pattern
from asgi_rt.routing.tree import Precedence, Tree
from asgi_rt.serving import HeadWatch
from asgi_rt.websocket.options import WebSocketOptions

__all__ = ["BaseRoute", "Match", "Mount", "NoMatchFound", "Route", "WebSocketRoute"]
__all__ += ["deliver", "path_below"]

_ANY_METHOD: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
)


class _Matched:
    """A converter that takes what a regular expression matches."""

    def __init__(self, expression: str, parse: Callable[[str], Any]) -> None:
        self._matches = re.compile(expression).fullmatch
        self._parse = parse

    def parse(self, text: str) -> Any:
        if self._matches(text) is None:
            raise ValueError(text)
        return self._parse(text)

    def format(self, value: Any) -> str:
        return str(value)


# What Starlette's take: no sign, and UUIDs with or without their dashes.
_CONVERTERS: Final[Mapping[str, Converter]] = {
    **CONVERTERS,
    "int": _Matched("[0-9]+", int),
    "float": _Matched(r"[0-9]+(?:\.[0-9]+)?", float),
    "uuid": _Matched("-?".join(f"[0-9a-fA-F]{{{n}}}" for n in (8, 4, 4, 4, 12)), UUID),
}
_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([A-Za-z_][A-Za-z0-9_]*))?\}")


class Match(Enum):
    """What a route takes of a request: nothing, the path but not the method, or all of it."""

    NONE = 0
    PARTIAL = 1
    FULL = 2


class NoMatchFound(Exception):
    """No route has that name and those parameters.

    It is Starlette's exception as well, where that is loaded: a mount of Starlette's asks the
    routes below it one by one, and at no other goes on to the next.
    """

    def __new__(cls, name: str, path_params: dict[str, Any]) -> Self:
        kind: Any = cls
        theirs: Any = getattr(sys.modules.get("starlette.routing"), "NoMatchFound", cls)
        made: Self = super().__new__(cls if issubclass(cls, theirs) else _both(kind, theirs))
        return made

    def __init__(self, name: str, path_params: dict[str, Any]) -> None:
        params = ", ".join(path_params)
        Exception.__init__(self, f'No route exists for name "{name}" and params "{params}".')


@cache
def _both(ours: Any, theirs: Any) -> Any:
    return type(ours.__name__, (ours, theirs), {"__module__": ours.__module__})


async def deliver(response: ASGIApp, request: Request, send: Send) -> None:
    """Send a response; `request.response` tells from then on how far it is."""
    if isinstance(response, Response) and response.is_streamed:
        request.response = response
        await response(request.scope, request.inbox, send)
    else:
        watched = request.response = HeadWatch(send)
        await response(request.scope, request.receive, watched.send)


def path_below(scope: Scope) -> str:
    """The path below the mount point, if it is there; the specification says so."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


class BaseRoute:
    """What stands at a path."""

    path: str
    name: str
    endpoint: Any
    methods: set[str] | None = None
    include_in_schema: bool = True
    also: str | None = None
    """What a client may speak to it besides `protocol`."""

    def __init__(self, path: str, endpoint: Any, name: str | None = None) -> None:
        self.path = path
        self.path_format = _PARAMETER.sub(r"{\1}", path)
        self.endpoint = endpoint
        self.name = handler_name(endpoint) if name is None else name

    @cached_property
    def pattern(self) -> Pattern:
        """The path, parsed. Raises RouteError for one that can never match, and like FastAPI."""
        found = _PARAMETER.findall(self.path)
        for _, kind in found:
            assert kind in ("", *_CONVERTERS), f"Unknown path convertor '{kind}'"
        if len(dict(found)) < len(found):
            raise ValueError(f"Duplicated param names at path {self.path}")
        return parse_pattern(self.path, _CONVERTERS)

    def below(self, prefix: str) -> Self:
        """The same under a prefix."""
        made = copy(self)
        BaseRoute.__init__(made, prefix + self.path, self.endpoint, self.name)
        made.__dict__.pop("pattern", None)
        made.__dict__.pop("_alone", None)
        return made

    @cached_property
    def _alone(self) -> Tree[Self]:
        alone: Tree[Self] = Tree(Precedence.FIRST)
        alone.put(self.pattern, "", self)
        return alone

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """What it takes of a request, and what it adds to the scope.

        For those who ask one route after another, as middleware does that wants to know its path;
        the app itself looks a path up in all routes at once.
        """
        first, *segments = path_below(scope).split("/")
        found = None if first else self._alone.find(segments, "")
        if found is None or scope["type"] not in (self.protocol, self.also):
            return Match.NONE, {}
        params: dict[str, Any] = {**(scope.get("path_params") or {}), **found.params}
        is_full = self.methods is None or scope["method"] in self.methods
        added = {"endpoint": self.endpoint, "path_params": params}
        return Match.FULL if is_full else Match.PARTIAL, added

    @property
    def param_convertors(self) -> Mapping[str, Converter]:
        """The converter of each parameter of the path, by name."""
        return self.pattern.converters

    @property
    def protocol(self) -> Any:
        """What a client speaks to it, for URLs."""
        return "http"

    def url_path_for(self, name: str, /, **params: Any) -> URLPath:
        """The path with these parameters in it. Raises NoMatchFound unless they are its own."""
        if name != self.name or set(params) != set(self.param_convertors):
            raise NoMatchFound(name, params)
        return URLPath(self._filled(params), self.protocol)

    def _filled(self, params: dict[str, Any]) -> str:
        known = self.param_convertors
        texts = {key: known[key].format(value) for key, value in params.items()}
        return _PARAMETER.sub(lambda found: texts[found[1]], self.path)

    def __repr__(self) -> str:
        methods = "" if self.methods is None else f", methods={sorted(self.methods)!r}"
        return f"{type(self).__name__}(path={self.path!r}, name={self.name!r}{methods})"


class Route(BaseRoute):
    """A function of the request, or an ASGI application for one path. GET answers HEAD as well."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        methods: Iterable[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> None:
        super().__init__(path, endpoint, name)
        self.include_in_schema = include_in_schema
        self._is_function = _is_function(endpoint)
        default = ("GET",) if self._is_function else _ANY_METHOD
        self.methods = {method.upper() for method in methods or default}
        if "GET" in self.methods:
            self.methods.add("HEAD")

    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request."""
        if not self._is_function:
            watched = request.response = HeadWatch(send)
            await self.endpoint(request.scope, request.receive, watched.send)
            return
        if is_async(self.endpoint):
            response = await self.endpoint(request)
        else:
            response = await run_in_threadpool(self.endpoint, request)
        await deliver(response, request, send)


class WebSocketRoute(BaseRoute):
    """A function of the WebSocket, or an ASGI application for one path."""

    options: Mapping[str, Any] = {}

    @property
    def protocol(self) -> Any:
        return "websocket"

    @cached_property
    def websocket(self) -> WebSocketOptions:
        """What holds for its connections. Any page may connect unless `origins` says otherwise."""
        given: dict[str, Any] = {"origins": None, **self.options}
        return WebSocketOptions(**given)

    @property
    def app(self) -> Any:
        """The ASGI application; None where it is a function."""
        return None if _is_function(self.endpoint) else self.endpoint

    async def talk(self, websocket: WebSocket) -> None:
        """Serve a connection."""
        await self.endpoint(websocket)


class Mount(BaseRoute):
    """An ASGI application below a path."""

    also = "websocket"

    def __init__(self, path: str, app: Any, name: str | None = None) -> None:
        assert path == "" or path.startswith("/"), "Routed paths must start with '/'"
        super().__init__(path.rstrip("/"), app, name or "")
        self.app = app

    @cached_property
    def pattern(self) -> Pattern:
        """The path, parsed."""
        return parse_pattern(self.path, _CONVERTERS) if self.path else Pattern("", (), {})

    @property
    def routes(self) -> list[BaseRoute]:
        """Those of the application, where it has some."""
        routes: list[BaseRoute] = getattr(self.app, "routes", [])
        return routes

    @cached_property
    def _alone(self) -> Tree[Self]:
        alone: Tree[Self] = Tree(Precedence.FIRST)
        alone.put_mount(self.pattern, self)
        return alone

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, added = super().matches(scope)
        if match is Match.NONE or not path_below(below := self.scope_of(scope)):
            return Match.NONE, {}
        return match, {**added, **{key: below[key] for key in ("app_root_path", "root_path")}}

    async def serve(self, request: Request, send: Send) -> None:
        """Hand a request on."""
        watched = request.response = HeadWatch(send)
        await self.app(self.scope_of(request.scope), request.receive, watched.send)

    def scope_of(self, scope: Scope) -> Scope:
        """What the mounted app sees: a longer root path."""
        root: str = scope.get("root_path", "")
        taken = path_below(scope).split("/")[: len(self.pattern.segments) + 1]
        outermost = scope.get("app_root_path", root)
        return {**scope, "app_root_path": outermost, "root_path": root + "/".join(taken)}

    def url_path_for(self, name: str, /, **params: Any) -> URLPath:
        own, _, below = name.partition(":") if self.name else ("", "", name)
        mine = {key: params[key] for key in self.param_convertors if key in params}
        theirs = {key: value for key, value in params.items() if key not in mine}
        if own == self.name and len(mine) == len(self.param_convertors):
            find: Any = getattr(self.app, "url_path_for", None)
            if below and find is not None:
                found = find(below, **theirs)
                return URLPath(self._filled(mine) + found, found.protocol)
            if not below and theirs.keys() == {"path"}:
                return URLPath(f"{self._filled(mine)}/{theirs['path'].lstrip('/')}")
        raise NoMatchFound(name, params)


def _is_function(endpoint: Any) -> bool:
    while hasattr(endpoint, "func"):
        endpoint = endpoint.func
    return inspect.isfunction(endpoint) or inspect.ismethod(endpoint)
