"""Sending clients from http to https."""

from typing import Final

from asgi_rt.asgi import ASGIApp
from asgi_rt.http.response import RedirectResponse
from asgi_rt.middleware.authority import Authority, authority_of, parse_authority, url_at
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.hooks import Middleware

__all__ = ["HTTPSRedirectMiddleware"]

_SECURE: Final = {"http": "https", "ws": "wss"}
_SCHEMES: Final = {"http": "http", "websocket": "ws"}
# What keeps the method and the body, and is as lasting (RFC 9110 sections 15.4.2 to 15.4.9).
_KEEPS_METHOD: Final = {301: 308, 302: 307, 307: 307, 308: 308}
_HTTP_PORT: Final = 80


class HTTPSRedirectMiddleware(Middleware):
    """Redirects http to https, and denies a WebSocket without TLS with a redirect to wss.

    - `host`: where to, such as "example.com" or "example.com:8443". By default to the host that
      was asked for, whose port is kept unless it is 80; the Host field is then the client's choice
      and is only checked to be one, a 400 otherwise. Where answers are cached, name the host, or
      put TrustedHostMiddleware outside.
    - `status_code`: 307, or 308, 301 and 302. Requests other than GET and HEAD get 308 in place of
      301 and 307 in place of 302, so that none loses its method and body on the way.

    The scheme is the scope's. Behind a proxy that ends TLS the server must know it from there, as
    uvicorn does with --proxy-headers and --forwarded-allow-ips; otherwise this never ends.

    Raises ValueError for a host that is none and for another status.
    """

    def __init__(self, app: ASGIApp, *, host: str | None = None, status_code: int = 307) -> None:
        super().__init__(app)
        if status_code not in _KEEPS_METHOD:
            raise ValueError(f"{status_code} is not a redirect: use 301, 302, 307 or 308")
        self._status_code = status_code
        self._authority = None if host is None else _fixed(host)

    def before(self, connection: Connection) -> RedirectResponse | None:
        scope = connection.scope
        scheme: str = scope.get("scheme") or _SCHEMES[scope["type"]]
        if scheme not in _SECURE:
            return None
        authority = self._authority or _asked_for(connection)
        query = scope.get("query_string", b"")
        url = url_at(_SECURE[scheme], authority, connection.raw_path, query)
        return RedirectResponse(url, self._status_for(scope.get("method", "GET")))

    def _status_for(self, method: str) -> int:
        if method in ("GET", "HEAD"):
            return self._status_code
        return _KEEPS_METHOD[self._status_code]


def _asked_for(connection: Connection) -> Authority:
    authority = authority_of(connection.scope["headers"])
    return Authority(authority.host) if authority.port == _HTTP_PORT else authority


def _fixed(host: str) -> Authority:
    authority = parse_authority(host.encode())
    if authority is None:
        raise ValueError(
            f"{host!r} cannot be the host of a redirect: write a host such as 'example.com',"
            " with a port if it is not 443, and without a scheme"
        )
    return authority
