"""The ASGI scope of an HTTP request and of a WebSocket connection, as uvicorn would write it."""

from typing import Any, Final
from urllib.parse import unquote

import httpx2

from asgi_rt.asgi import Scope
from asgi_rt.testing.options import ServerOptions

__all__ = ["http_scope", "websocket_scope"]

_PORTS: Final = {"http": 80, "https": 443}
_WEBSOCKET_SCHEMES: Final = {"http": "ws", "https": "wss"}


def http_scope(request: httpx2.Request, options: ServerOptions, state: dict[str, Any]) -> Scope:
    """The scope for `request`. `state` is copied, one level deep.

    `root_path` stands before the path of the URL in `path` and `raw_path`, as a server started
    with a root path has it: the URL is what a proxy that strips the prefix would pass on.

    Specification: https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
    """
    return {
        "type": "http",
        "method": request.method,
        "scheme": request.url.scheme,
        **_connection_scope(request, options, state),
    }


def websocket_scope(
    request: httpx2.Request, options: ServerOptions, state: dict[str, Any]
) -> Scope:
    """The scope for a handshake, the subprotocols taken from its headers. Otherwise as above.

    Specification: https://asgi.readthedocs.io/en/latest/specs/www.html#websocket-connection-scope
    """
    offered = request.headers.get_list("sec-websocket-protocol", split_commas=True)
    return {
        "type": "websocket",
        "scheme": _WEBSOCKET_SCHEMES[request.url.scheme],
        "subprotocols": [each for each in offered if each],
        **_connection_scope(request, options, state),
    }


def _connection_scope(
    request: httpx2.Request, options: ServerOptions, state: dict[str, Any]
) -> dict[str, Any]:
    raw_path = request.url.raw_path.partition(b"?")[0]
    scope: dict[str, Any] = {
        "asgi": {"version": "3.0", "spec_version": options.spec_version},
        "http_version": "1.1",
        "path": options.root_path + unquote(raw_path.decode("ascii")),
        "raw_path": options.root_path.encode("ascii") + raw_path,
        "query_string": request.url.query,
        "root_path": options.root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": options.client,
        "server": (request.url.host, request.url.port or _PORTS.get(request.url.scheme)),
        "state": state.copy(),
    }
    if options.extensions is not None:
        scope["extensions"] = {name: dict(value) for name, value in options.extensions.items()}
    return scope
