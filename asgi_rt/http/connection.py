"""What an HTTP request and a WebSocket have in common: the head that the client sent."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from asgi_rt.asgi import Scope
from asgi_rt.drain import Drain, drain_of
from asgi_rt.errors import HTTPError
from asgi_rt.http.cookies import parse_cookies
from asgi_rt.http.headers import Headers
from asgi_rt.http.query import Query, parse_query

__all__ = ["HTTPConnection"]

_PATH_SAFE: Final = "/:@!$&'()*+,;=-._~"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class HTTPConnection:
    """The head of a request, each part of it worked out when it is first asked for."""

    # Set on the class, so that a request that asks for none of them pays for none of them.
    _headers: Headers | None = None
    _query: Query | None = None
    _cookies: dict[str, str] | None = None
    scope: Scope
    """The ASGI scope."""

    path_params: Mapping[str, Any] = MappingProxyType({})
    """What the route's converters made of the path."""

    @property
    def path(self) -> str:
        """The path, percent-decoded, below whatever this app is mounted at."""
        path: str = self.scope["path"]
        root: str = self.scope.get("root_path", "")
        if root and not path.startswith(root):
            # A proxy has cut a part of it off, and Starlette has mounted this app below that part.
            root = root.removeprefix(self.scope.get("app_root_path") or "")
        if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
            return path[len(root) :]
        return path

    @property
    def raw_path(self) -> bytes:
        """The path as it came, still percent-encoded, mounts included."""
        raw: bytes | None = self.scope.get("raw_path")
        if raw is not None:
            return raw
        return quote(self.scope["path"], safe=_PATH_SAFE).encode("ascii")

    @property
    def headers(self) -> Headers:
        """The header fields, by names in any case."""
        if self._headers is None:
            self._headers = Headers(self.scope["headers"])
        return self._headers

    @property
    def query(self) -> Query:
        """The fields of the query, repeated keys included. A query that is not UTF-8 is a 400."""
        if self._query is None:
            try:
                self._query = parse_query(self.scope.get("query_string", b""))
            except ValueError as error:
                raise HTTPError(400, str(error)) from None
        return self._query

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies, by name."""
        if self._cookies is None:
            self._cookies = parse_cookies("; ".join(self.headers.get_all("cookie")))
        return self._cookies

    @property
    def client(self) -> tuple[str, int] | None:
        """The peer's host and port, where the server knows them."""
        client = self.scope.get("client")
        return None if client is None else (client[0], client[1])

    @property
    def app(self) -> Any:
        """The app that serves this connection."""
        return self.scope["app"]

    @property
    def state(self) -> dict[str, Any]:
        """What the lifespans gave, and what middleware and handlers add for this connection."""
        state: dict[str, Any] = self.scope.setdefault("state", {})
        return state

    @property
    def drain(self) -> Drain | None:
        """The server's shutdown signal: `await request.drain.wait()`; None without lifespan."""
        return drain_of(self.scope)

    @property
    def base_url(self) -> str:
        """Scheme, host and mount point of this request's URL, without a slash at the end."""
        scheme = self.scope.get("scheme", "http")
        host = self.headers.get("host") or _authority(self.scope, scheme)
        return f"{scheme}://{host}{quote(self.scope.get('root_path', ''), safe=_PATH_SAFE)}"

    @property
    def url(self) -> str:
        """The URL that was asked for. The host is what the client says it is."""
        scope = self.scope
        root = scope.get("root_path", "")
        origin = self.base_url[: -len(quote(root, safe=_PATH_SAFE)) or None]
        query = scope.get("query_string", b"").decode("latin-1")
        return origin + self.raw_path.decode("latin-1") + (f"?{query}" if query else "")

    def url_for(self, name: str, /, **params: Any) -> str:
        """The absolute URL of a named route of this app. Raises ReverseError."""
        path: str = self.app.path_for(name, **params)
        return self.base_url + path


def _authority(scope: Scope, scheme: str) -> str:
    """The server's own host and port, for a request that names none."""
    host, port = scope.get("server") or ("localhost", None)
    if host.startswith("/"):  # the path of a Unix socket
        return "localhost"
    if ":" in host:
        host = f"[{host}]"
    return host if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{host}:{port}"
