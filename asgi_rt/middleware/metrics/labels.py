"""The labels that a connection is counted under: few, whatever a client sends.

A label makes a series for each of its values, so none of them may be a client's choice: a path
stands as the template of its route, and what is not known as "OTHER" or "unmatched".
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from asgi_rt.asgi import Scope
from asgi_rt.errors import HTTPError
from asgi_rt.middleware.outcome import Outcome

__all__ = ["UNMATCHED", "close_label", "method_label", "route_label", "status_label"]

UNMATCHED: Final = "unmatched"
_OTHER: Final = "OTHER"
_WEBSOCKET: Final = "WEBSOCKET"
# RFC 9110 section 9.3, RFC 5789.
_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)
# RFC 6455 section 7.4.1 and the registry that it begins.
_KNOWN_CODES: Final = range(1000, 1016)
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_CRASHED: Final = 1011
_LOST: Final = 1006
_CLIENT_CLOSED_REQUEST: Final = 499
_SERVER_ERROR: Final = 500


def method_label(scope: Scope) -> str:
    """The method of a request, "WEBSOCKET" for a handshake, "OTHER" for what is not standard."""
    if scope["type"] == "websocket":
        return _WEBSOCKET
    method: str = scope["method"]
    return method if method in _METHODS else _OTHER


def route_label(scope: Scope) -> str:
    """The template of the route that the app has found, or "unmatched".

    asgi_rt, Starlette and FastAPI leave the route in `scope["route"]`, for whoever shares the scope
    with them. FastAPI's route of a router that was included knows nothing of the prefix; what does
    lies beside it.
    """
    route: Any = scope.get("route")
    included: Any = scope.get("fastapi", _NOTHING).get("effective_route_context")
    if included is not None and included.original_route is route:
        route = included
    path: Any = getattr(route, "path", None)
    # Starlette's path of a mount at "/" is empty, which to Prometheus is no label.
    return (path or "/") if isinstance(path, str) else UNMATCHED


def status_label(outcome: Outcome) -> int:
    """The status of what this layer saw no head of.

    A crash is answered further out, by the app's own outermost layer or by the server. Who leaves
    before there is an answer gets none; 499 is what nginx has made the custom for it.
    """
    if outcome.status is not None:
        return outcome.status
    if outcome.disconnected:
        return _CLIENT_CLOSED_REQUEST
    error = outcome.error
    return error.status_code if isinstance(error, HTTPError) else _SERVER_ERROR


def close_label(outcome: Outcome) -> int | str:
    """How a WebSocket was closed: the code, or "OTHER" for one of the client's own making.

    Where neither side has said, it is 1011 for a crash, which is what servers answer it with, and
    1006 otherwise: no close frame.
    """
    code = outcome.code
    if code is None:
        has_crashed = isinstance(outcome.error, Exception) and not outcome.disconnected
        return _CRASHED if has_crashed else _LOST
    return _OTHER if outcome.disconnected and code not in _KNOWN_CODES else code
