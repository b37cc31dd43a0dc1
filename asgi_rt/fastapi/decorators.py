"""The decorators that apps and routers have in common."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from typing_extensions import Unpack

from asgi_rt.fastapi.path_operation import RouteOptions

__all__ = ["Decorators"]

H = TypeVar("H", bound=Callable[..., Any])


class _OfMethod(Protocol):
    def __call__(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]: ...


def _of_method(method: str) -> Any:
    def decorate(self: "Decorators", path: str, **options: Unpack[RouteOptions]) -> Any:
        return self.api_route(path, methods=(method,), **options)

    decorate.__doc__ = f"A path operation for {method} alone."
    return decorate


def _registering(add: Callable[..., Any], *args: Any, **options: Any) -> Callable[[H], H]:
    def register(handler: H) -> H:
        add(*args, handler, **options)
        return handler

    return register


class Decorators:
    """Each registers the function below it and leaves it as it is."""

    add_api_route: Any
    add_api_websocket_route: Any
    add_route: Any
    add_websocket_route: Any
    add_event_handler: Any

    get: _OfMethod = _of_method("GET")
    put: _OfMethod = _of_method("PUT")
    post: _OfMethod = _of_method("POST")
    delete: _OfMethod = _of_method("DELETE")
    options: _OfMethod = _of_method("OPTIONS")
    head: _OfMethod = _of_method("HEAD")
    patch: _OfMethod = _of_method("PATCH")
    trace: _OfMethod = _of_method("TRACE")

    def api_route(
        self, path: str, *, methods: Iterable[str] | None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[H], H]:
        """A path operation for these methods, by default GET."""
        return _registering(self.add_api_route, path, methods=methods, **options)

    def websocket(self, path: str, name: str | None = None, **options: Any) -> Callable[[H], H]:
        """A handler of WebSockets; see `APIRouter.add_api_websocket_route`."""
        return _registering(self.add_api_websocket_route, path, name=name, **options)

    def route(self, path: str, **options: Any) -> Callable[[H], H]:
        """A function of the request; see `APIRouter.add_route`."""
        return _registering(self.add_route, path, **options)

    def websocket_route(self, path: str, name: str | None = None) -> Callable[[H], H]:
        """A function of the WebSocket."""
        return _registering(self.add_websocket_route, path, name=name)

    def on_event(self, event_type: str) -> Callable[[H], H]:
        """A function to call at "startup" or "shutdown"."""
        return _registering(self.add_event_handler, event_type)
