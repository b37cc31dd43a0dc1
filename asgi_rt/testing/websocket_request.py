"""The request that opens a WebSocket connection, RFC 6455 section 4.1."""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx2

from asgi_rt.testing.options import WebSocketOptions

__all__ = ["accept_key", "build_handshake"]

_SCHEMES: Final = {"ws": "http", "wss": "https"}
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def build_handshake(
    build_request: Callable[..., httpx2.Request], url: str, options: WebSocketOptions
) -> httpx2.Request:
    """The handshake as `build_request`, a client's, makes it: with that client's settings.

    The URL's scheme is http or https, which is what cookies and authentication go by. Raises
    `httpx2.UnsupportedProtocol` for a scheme that is no WebSocket's.
    """
    request = build_request(
        "GET", _http_url(url), headers=options.get("headers"), params=options.get("params")
    )
    request.url = _http_url(request.url)
    if request.url.scheme not in _SCHEMES.values():
        raise httpx2.UnsupportedProtocol(
            f"a WebSocket URL begins with ws:// or wss://, or is relative; not {url!r}",
            request=request,
        )
    headers = request.headers
    headers["connection"] = "Upgrade"
    headers["upgrade"] = "websocket"
    headers.setdefault("sec-websocket-version", "13")
    headers.setdefault("sec-websocket-key", base64.b64encode(secrets.token_bytes(16)).decode())
    if subprotocols := _checked(options.get("subprotocols", ())):
        headers["sec-websocket-protocol"] = ", ".join(subprotocols)
    if (origin := options.get("origin")) is not None:
        headers["origin"] = origin
    return request


def accept_key(key: str) -> bytes:
    """What a server answers to a `sec-websocket-key`, RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID).digest())


def _http_url(url: str | httpx2.URL) -> httpx2.URL:
    url = httpx2.URL(url)
    return url.copy_with(scheme=_SCHEMES[url.scheme]) if url.scheme in _SCHEMES else url


def _checked(subprotocols: Sequence[str]) -> Sequence[str]:
    given: Any = subprotocols
    if isinstance(given, str):
        raise TypeError(f"subprotocols must be a sequence of str: [{given!r}], not {given!r}")
    for each in subprotocols:
        if not _TOKEN.fullmatch(each):
            raise ValueError(f"a subprotocol is a token of RFC 9110 (5.6.2), not {each!r}")
    return subprotocols
