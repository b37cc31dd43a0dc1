"""Whom a request is for: the host and port in its Host field, and URLs made of them.

RFC 9110 section 7.2, RFC 3986 section 3.2. Servers let through what a client puts there, and it is
sent back in redirects, so what is neither a name nor an address is refused.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple
from urllib.parse import quote

from asgi_rt.asgi import RawHeaders
from asgi_rt.errors import HTTPError

__all__ = ["Authority", "authority_of", "parse_authority", "url_at"]

# A name in DNS has at most 253 characters; with the dot of the root, a colon and a port.
_MAX_BYTES: Final = 260
_AUTHORITY: Final = re.compile(
    rb"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)"
    rb"(?::(?P<port>[0-9]{0,5}))?"
)
_MAX_PORT: Final = 65535
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# "%" as well: both are percent-encoded already.
_PATH_SAFE: Final = "%/:=&~+!$,;'@()*[]"
_QUERY_SAFE: Final = _PATH_SAFE + "?"


class Authority(NamedTuple):
    """A host and a port, in the one form in which two of them can be compared."""

    host: str
    """In lower case, without the dot of the root; an IPv6 address in brackets, at its shortest."""
    port: int | None = None
    """None where none is given."""


def parse_authority(value: bytes) -> Authority | None:
    """The host and port of a Host field; None where it is neither a name nor an address."""
    if len(value) > _MAX_BYTES:
        return None
    match = _AUTHORITY.fullmatch(value.lower())
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port <= _MAX_PORT:
        return None
    if match["name"] is not None:
        return Authority(match["name"].decode(), port)
    try:
        return Authority(f"[{IPv6Address(match['ipv6'].decode())}]", port)
    except AddressValueError:
        return None


def authority_of(headers: RawHeaders) -> Authority:
    """Whom a request is for. Raises HTTPError, a 400, without one Host field that is in order."""
    values = [value for name, value in headers if name == b"host"]
    if len(values) != 1:
        raise HTTPError(400, "a request has one Host header")
    authority = parse_authority(values[0])
    if authority is None:
        raise HTTPError(400, "the Host header is not a host, with or without a port")
    return authority


def url_at(scheme: str, authority: Authority, raw_path: bytes, query: bytes) -> str:
    """The URL of a request at another scheme or host, in ASCII; the scheme's own port is left out.

    `raw_path` and `query` are as they came, percent-encoded; what no URL may hold is encoded here.
    Raises HTTPError, a 400, for a request target that is no path, as it would go on with the host.
    """
    if not raw_path.startswith(b"/"):
        raise HTTPError(400, "the request target is not a path")
    port = authority.port
    suffix = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    url = f"{scheme}://{authority.host}{suffix}{quote(raw_path, safe=_PATH_SAFE)}"
    return f"{url}?{quote(query, safe=_QUERY_SAFE)}" if query else url
