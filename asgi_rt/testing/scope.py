"""The ASGI scope of an HTTP request, as uvicorn would write it."""

from typing import Any, Final
from urllib.parse import unquote

import httpx2

from asgi_rt.asgi import Scope
from asgi_rt.testing.options import ServerOptions

__all__ = ["http_scope"]

_PORTS: Final = {"http": 80, "https": 443}


def http_scope(request: httpx2.Request, options: ServerOptions, state: dict[str, Any]) -> Scope:
    """The scope for `request`. `state` is copied, one level deep.

    `root_path` stands before the path of the URL in `path` and `raw_path`, as a server started
    with a root path has it: the URL is what a proxy that strips the prefix would pass on.

    Specification: https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
    """
    raw_path = request.url.raw_path.partition(b"?")[0]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": options.spec_version},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
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
