"""URLs, as text that knows its parts."""

from functools import cached_property
from typing import Any, Final, Literal, Self
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from asgi_rt.asgi import Scope
from asgi_rt.middleware.authority import parse_authority

__all__ = ["URL", "URLPath"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NETLOC: Final = ("hostname", "username", "password", "port")
# What would end a path that is not percent-encoded.
_PATH: Final = str.maketrans({"?": "%3F", "#": "%23", "\\": "%5C"})


class URL(str):
    """A URL: of its text, of the scope of a request, or of its components. It is a `str` as well.

    `scheme`, `netloc`, `path`, `query`, `fragment`, `username`, `password`, `hostname` and `port`
    are attributes. The host of a request is what the client says it is, if that is a host.
    """

    def __new__(cls, url: str = "", scope: Scope | None = None, **components: Any) -> Self:
        self = super().__new__(cls, url if scope is None else _url_of(scope))
        return self.replace(**components) if components else self

    @cached_property
    def components(self) -> SplitResult:
        """Its five parts."""
        return urlsplit(str(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.components, name)

    @property
    def is_secure(self) -> bool:
        """Whether it is reached by TLS."""
        return self.scheme in ("https", "wss")

    def replace(self, **parts: Any) -> Self:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - of a URL
        """The URL with these parts in place of its own: any of its attributes."""
        given = {name: parts.pop(name) for name in _NETLOC if name in parts}
        if given:
            parts["netloc"] = self._netloc_with(**given)
        return type(self)(self.components._replace(**parts).geturl())

    def _netloc_with(self, hostname: str | None = None, **given: Any) -> str:
        user, password, port = (given.get(name, getattr(self, name)) for name in _NETLOC[1:])
        host = self.netloc.rpartition("@")[2]
        host = hostname or (host if host.endswith("]") else host.rsplit(":", 1)[0])
        host = f"[{host}]" if ":" in host and host[0] != "[" else host
        login = user if password is None else f"{user}:{password}"
        before = "" if user is None else f"{login}@"
        return before + host + ("" if port is None else f":{port}")

    def include_query_params(self, **params: Any) -> Self:
        """The URL with these query parameters in place of those of the same names."""
        return self.replace(query=urlencode([*self._params_but(params), *params.items()]))

    def replace_query_params(self, **params: Any) -> Self:
        """The URL with these query parameters alone."""
        return self.replace(query=urlencode(params))

    def remove_query_params(self, keys: Any) -> Self:
        """The URL without the query parameters of that name, or of those names."""
        keys = [keys] if isinstance(keys, str) else keys
        return self.replace(query=urlencode(self._params_but(keys)))

    def _params_but(self, names: Any) -> list[tuple[str, str]]:
        return [pair for pair in parse_qsl(self.query, True) if pair[0] not in names]

    def __repr__(self) -> str:
        shown = self.replace(password="********") if self.password else self
        return f"{type(self).__name__}({str(shown)!r})"


class URLPath(str):
    """The path of a route, and what the route says of protocol and host."""

    protocol: str
    host: str

    def __new__(
        cls, path: str, protocol: Literal["http", "websocket", ""] = "", host: str = ""
    ) -> Self:
        self = super().__new__(cls, _path(path.replace("\\", "%5C")))
        self.protocol, self.host = protocol, host
        return self

    def make_absolute_url(self, base_url: str) -> URL:
        """The URL at that base, in its scheme or, for a WebSocket, the one that goes with it."""
        base = URL(base_url)
        scheme = {"http": "http", "websocket": "ws", "": base.scheme}[self.protocol]
        scheme += "s" if self.protocol and base.is_secure else ""
        path = base.path.rstrip("/") + self
        return URL(scheme=scheme, netloc=self.host or base.netloc, path=path)


def _path(path: str) -> str:
    # What follows two slashes would be taken for a host.
    return "/%2F" + path[2:] if path.startswith("//") else path


def _url_of(scope: Scope) -> str:
    scheme: str = scope.get("scheme", "http")
    path: str = scope["path"].translate(_PATH)
    query: str = scope.get("query_string", b"").decode("latin-1")
    host = _host_of(scope, scheme)
    if host is not None:
        return SplitResult(scheme, host, path, query, "").geturl()
    return _path(path) + (f"?{query}" if query else "")


def _host_of(scope: Scope, scheme: str) -> str | None:
    asked: bytes = next((value for name, value in scope["headers"] if name == b"host"), b"")
    if asked[-1:] != b":" and parse_authority(asked) is not None:
        return asked.decode("latin-1")
    host, port = scope.get("server") or (None, None)
    if host is not None and ":" in host and host[0] != "[":
        host = f"[{host}]"
    return host if host is None or port == _DEFAULT_PORTS.get(scheme) else f"{host}:{port}"
