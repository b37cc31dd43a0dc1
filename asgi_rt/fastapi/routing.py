"""Routers: path operations registered, and the routers of others taken in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict

from typing_extensions import Unpack

from asgi_rt.fastapi.api_route import APIRoute
from asgi_rt.fastapi.datastructures import Default, DefaultPlaceholder, URLPath
from asgi_rt.fastapi.decorators import Decorators
from asgi_rt.fastapi.exceptions import FastAPIError
from asgi_rt.fastapi.lifespans import Lifespans
from asgi_rt.fastapi.overridable import APIWebSocketRoute
from asgi_rt.fastapi.params import Depends
from asgi_rt.fastapi.path_operation import Responses, RouteOptions, Tags, generate_unique_id
from asgi_rt.fastapi.responses import JSONResponse
from asgi_rt.fastapi.routes import (
    BaseRoute,
    Match,
    Mount,
    NoMatchFound,
    Route,
    WebSocketRoute,
)

__all__ = [
    "APIRoute",
    "APIRouter",
    "APIWebSocketRoute",
    "BaseRoute",
    "Match",
    "Mount",
    "NoMatchFound",
    "Route",
    "WebSocketRoute",
    "generate_unique_id",
]


class RouteList(list[BaseRoute]):
    """Routes, and how often they were changed."""

    version = 0


def _counted(name: str) -> Callable[..., Any]:
    change: Callable[..., Any] = getattr(list, name)

    def changed(self: RouteList, *args: Any, **kwargs: Any) -> Any:
        self.version += 1
        return change(self, *args, **kwargs)

    return changed


for _name in ("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"):
    setattr(RouteList, _name, _counted(_name))
for _name in ("__setitem__", "__delitem__", "__iadd__"):
    setattr(RouteList, _name, _counted(_name))


class Shared(TypedDict, total=False):
    """What is said of many routes at once."""

    tags: Tags | None
    dependencies: Sequence[Depends] | None
    default_response_class: Any
    responses: Responses | None
    callbacks: list[BaseRoute] | None
    deprecated: bool | None
    include_in_schema: bool
    generate_unique_id_function: Any
    strict_content_type: Any


_LISTS: Final = ("tags", "dependencies", "callbacks")
_DEFAULTS: Final[Mapping[str, Any]] = {
    "response_class": Default(JSONResponse),
    "generate_unique_id_function": Default(generate_unique_id),
    "strict_content_type": Default(True),
}


def _merged(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a route that stands in something that has options as well."""
    both: dict[str, Any] = {
        **inner,
        **{name: [*(outer.get(name) or ()), *(inner.get(name) or ())] for name in _LISTS},
        "responses": {**(outer.get("responses") or {}), **(inner.get("responses") or {})},
        "deprecated": inner.get("deprecated") or outer.get("deprecated"),
        "include_in_schema": all(each.get("include_in_schema", True) for each in (outer, inner)),
    }
    for name, default in _DEFAULTS.items():
        wider = outer.get("default_response_class" if name == "response_class" else name, default)
        own = inner.get(name, default)
        both[name] = wider if isinstance(own, DefaultPlaceholder) else own
    return both


class APIRouter(Decorators):
    """Path operations that share a prefix and more, to be included in an app or another router.

    What is registered after that is served as well, after everything that is there by then.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        routes: Iterable[BaseRoute] | None = None,
        redirect_slashes: bool = True,
        dependency_overrides_provider: Any = None,
        route_class: type[APIRoute] = APIRoute,
        on_startup: Sequence[Callable[[], Any]] | None = None,
        on_shutdown: Sequence[Callable[[], Any]] | None = None,
        lifespan: Any = None,
        **shared: Unpack[Shared],
    ) -> None:
        _check_prefix(prefix)
        _check_names(shared)
        self.prefix = prefix
        self.tags: Tags = shared.get("tags") or []
        self.dependencies = list(shared.get("dependencies") or ())
        self.responses: Responses = shared.get("responses") or {}
        self.callbacks: list[BaseRoute] = shared.get("callbacks") or []
        self.deprecated = shared.get("deprecated")
        self.include_in_schema = shared.get("include_in_schema", True)
        self.default_response_class: Any = shared.get(
            "default_response_class", _DEFAULTS["response_class"]
        )
        self.generate_unique_id_function: Any = shared.get(
            "generate_unique_id_function", _DEFAULTS["generate_unique_id_function"]
        )
        self.strict_content_type: Any = shared.get(
            "strict_content_type", _DEFAULTS["strict_content_type"]
        )
        self._routes = RouteList(routes or ())
        self.redirect_slashes = redirect_slashes
        self.dependency_overrides_provider = dependency_overrides_provider
        self.route_class = route_class
        self.lifespans = Lifespans(lifespan, on_startup, on_shutdown)
        self.on_startup = self.lifespans.on_startup
        self.on_shutdown = self.lifespans.on_shutdown
        self.lifespan_context = self.lifespans.run
        """Takes the app; what runs while the app does. May be replaced."""
        self._parents: list[tuple[APIRouter, str, Shared]] = []

    @property
    def routes(self) -> RouteList:
        """All routes, those of included routers as they are served. May be changed."""
        return self._routes

    @routes.setter
    def routes(self, routes: Iterable[BaseRoute]) -> None:
        self._routes[:] = routes

    # Registration

    def add_api_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Iterable[str] | None = None,
        route_class_override: type[APIRoute] | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Register a path operation; raises for what contradicts itself."""
        kind = route_class_override or self.route_class
        route = self._made(kind, path, endpoint, {**options, "methods": methods})
        route.check()
        self._add(route)

    def _made(
        self, kind: type[APIRoute], path: str, endpoint: Any, options: dict[str, Any]
    ) -> APIRoute:
        return kind(
            self.prefix + path,
            endpoint,
            dependency_overrides_provider=self.dependency_overrides_provider,
            **_merged(vars(self), options),
        )

    def add_api_websocket_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        name: str | None = None,
        *,
        dependencies: Sequence[Depends] | None = None,
        **options: Any,
    ) -> None:
        """Register a handler of WebSockets; `options` are those of `WebSocketOptions`.

        Any page may connect unless `origins` says otherwise.
        """
        route = APIWebSocketRoute(
            self.prefix + path,
            endpoint,
            name=name,
            dependencies=[*self.dependencies, *(dependencies or ())],
            dependency_overrides_provider=self.dependency_overrides_provider,
            **options,
        )
        _ = route.dependant, route.websocket
        self._add(route)

    def add_route(
        self,
        path: str,
        route: Callable[..., Any],
        methods: Iterable[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> None:
        """Register a function of the request, or an ASGI application for one path."""
        self._add(Route(path, route, methods, name, include_in_schema))

    def add_websocket_route(
        self, path: str, route: Callable[..., Any], name: str | None = None
    ) -> None:
        """Register a function of the WebSocket, or an ASGI application for one path."""
        self._add(WebSocketRoute(path, route, name))

    def mount(self, path: str, app: Any, name: str | None = None) -> None:
        """Hand every path below `path` to an ASGI application. Its lifespan runs with the app's.

        A router is included there.
        """
        if isinstance(app, APIRouter):
            self.include_router(app, prefix=path.rstrip("/"), include_in_schema=False)
            return
        self._add(Mount(path, app, name=name))

    def add_event_handler(self, event_type: str, func: Callable[[], Any]) -> None:
        """Call a function at "startup" or "shutdown"."""
        assert event_type in ("startup", "shutdown")
        (self.on_startup if event_type == "startup" else self.on_shutdown).append(func)

    def _add(self, route: BaseRoute) -> None:
        self.routes.append(route)
        for parent, prefix, shared in self._parents:
            parent._take(route, prefix, shared)

    # Inclusion

    def include_router(
        self, router: "APIRouter", *, prefix: str = "", **shared: Unpack[Shared]
    ) -> None:
        """Register what another router holds, under a prefix and with what is said here.

        Raises FastAPIError where prefix and path would both be empty.
        """
        is_inside = self is router or router.contains(self)
        assert not is_inside, (
            "Cannot include the same APIRouter instance into itself."
            " Did you mean to include a different router?"
        )
        _check_prefix(prefix)
        _check_names(shared)
        for route in router.routes:
            if not prefix and not route.path:
                raise FastAPIError(
                    f"Prefix and path cannot be both empty (path operation: {route.name})"
                )
        for route in list(router.routes):
            self._take(route, prefix, shared)
        router._parents.append((self, prefix, shared))
        self.lifespans.include(router.lifespans)

    def contains(self, router: "APIRouter") -> bool:
        """Whether that router is included in this one, be it in another that is."""
        return any(each is self or self.contains(each) for each, _, _ in router._parents)

    def _take(self, route: BaseRoute, prefix: str, shared: Shared) -> None:
        if isinstance(route, APIRoute):
            options = _merged(shared, route.options)
            made = self._made(type(route), prefix + route.path, route.endpoint, options)
            made.stream_item_type = route.stream_item_type
            self._add(made)
        elif isinstance(route, APIWebSocketRoute):
            dependencies = [*(shared.get("dependencies") or ()), *route.dependencies]
            self.add_api_websocket_route(
                prefix + route.path,
                route.endpoint,
                route.name,
                dependencies=dependencies,
                **route.options,
            )
        else:
            self._add(route.below(self.prefix + prefix))

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path of the first route of that name with those parameters. Raises NoMatchFound."""
        for route in self.routes:
            try:
                return route.url_path_for(name, **path_params)
            except NoMatchFound:
                continue
        raise NoMatchFound(name, path_params)


def _check_prefix(prefix: str) -> None:
    if prefix:
        assert prefix.startswith("/"), "A path prefix must start with '/'"
        assert not prefix.endswith("/"), (
            "A path prefix must not end with '/', as the routes will start with '/'"
        )


def _check_names(shared: Shared) -> None:
    # Subclasses hand on what Starlette has as well, which is mostly nothing.
    given = {name for name, value in shared.items() if value is not None}
    unknown = given - Shared.__annotations__.keys()
    if unknown:
        raise TypeError(f"a router has no option {min(unknown)!r}")
