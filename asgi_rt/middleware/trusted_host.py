"""Serving only the hosts that the app is for."""

from collections.abc import Collection
from typing import Any, Final, cast

from asgi_rt.asgi import ASGIApp
from asgi_rt.errors import HTTPError
from asgi_rt.http.response import RedirectResponse
from asgi_rt.middleware.authority import Authority, authority_of, parse_authority, url_at
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.hooks import Middleware

__all__ = ["TrustedHostMiddleware"]

_ANY: Final = "*"
_WILDCARD: Final = "*."
_WWW: Final = "www."
_SCHEMES: Final = {"http": "http", "websocket": "ws"}


class TrustedHostMiddleware(Middleware):
    """Answers 400 to requests, and denies WebSockets, for hosts that are not listed.

    The Host field is the client's, and ends up in links, redirects and caches. So one that is
    missing, repeated or malformed is a 400 in any case, and is not sent back.

    - `allowed_hosts`: "example.com"; "*.example.com" for every subdomain at any depth, but not for
      example.com; "127.0.0.1", "[::1]"; "*" for every host. Case, ports and the dot of the root do
      not count. By default every host.
    - `www_redirect`: sends requests for example.com to www.example.com, with 307, where only that
      one is listed.

    What a proxy writes into X-Forwarded-Host plays no part. Raises TypeError and ValueError for
    hosts that cannot be listed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Collection[str] = (_ANY,),
        www_redirect: bool = True,
    ) -> None:
        super().__init__(app)
        patterns = _listed(allowed_hosts)
        self._allows_any = _ANY in patterns
        exact = (each for each in patterns if not each.startswith("*"))
        parents = (each for each in patterns if each.startswith(_WILDCARD))
        self._hosts = frozenset(_host(each, each) for each in exact)
        self._suffixes = tuple(f".{_parent(each)}" for each in parents)
        # As nearly every client sends it, so that nearly no Host has to be parsed.
        self._values = frozenset(host.encode() for host in self._hosts)
        self._www_redirect = www_redirect

    def before(self, connection: Connection) -> RedirectResponse | None:
        headers = connection.scope["headers"]
        values = [value for name, value in headers if name == b"host"]
        if len(values) == 1 and values[0] in self._values:
            return None
        authority = authority_of(headers)
        host = authority.host
        if self._allows_any or host in self._hosts or host.endswith(self._suffixes):
            return None
        if self._www_redirect and _WWW + host in self._hosts:
            return _redirect(connection, Authority(_WWW + host, authority.port))
        raise HTTPError(400, "this host is not served here")


def _redirect(connection: Connection, authority: Authority) -> RedirectResponse:
    scope = connection.scope
    scheme: str = scope.get("scheme") or _SCHEMES[scope["type"]]
    return RedirectResponse(
        url_at(scheme, authority, connection.raw_path, scope.get("query_string", b""))
    )


def _listed(hosts: Any) -> tuple[str, ...]:
    if isinstance(hosts, str) or not isinstance(hosts, Collection):
        raise TypeError(f"allowed_hosts is a list of str, such as [{hosts!r}], not {hosts!r}")
    patterns = tuple(cast("Collection[object]", hosts))
    for each in patterns:
        if not isinstance(each, str):
            raise TypeError(f"allowed_hosts is a list of str; {each!r} is none")
        if each.startswith("*") and each != _ANY and not each.startswith(_WILDCARD):
            raise _bad_host(each, "a wildcard stands for a whole subdomain")
    return cast("tuple[str, ...]", patterns)


def _parent(pattern: str) -> str:
    parent = _host(pattern, pattern.removeprefix(_WILDCARD))
    if parent.startswith("["):
        raise _bad_host(pattern, "an address has no subdomains")
    return parent


def _host(pattern: str, text: str) -> str:
    if not text.isascii():
        raise _bad_host(pattern, "clients send a host outside ASCII in its xn-- form")
    authority = parse_authority(text.encode())
    if authority is None:
        raise _bad_host(pattern, "it is neither a name nor an address")
    if authority.port is not None:
        raise _bad_host(pattern, "every port is allowed, so none is given")
    return authority.host


def _bad_host(pattern: str, fault: str) -> ValueError:
    return ValueError(
        f"{pattern!r} cannot be an allowed host: {fault}. Write '*', a host such as"
        " 'example.com', '127.0.0.1' or '[::1]', or '*.example.com'"
    )
