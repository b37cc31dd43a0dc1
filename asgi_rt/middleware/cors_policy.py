"""Which pages of other origins may read what: the rules of CORS, as the Fetch standard has them.

Fetch, "CORS protocol", read by a server: what a response says of itself, and what a preflight is
answered. What does not depend on the request is made at construction.
"""

import re
from collections.abc import Collection, Iterable
from typing import Any, Final, cast

from asgi_rt.asgi import RawHeaders
from asgi_rt.errors import HTTPError
from asgi_rt.http.headers import MutableHeaders
from asgi_rt.websocket.guard import OriginRule

__all__ = ["CORSPolicy", "is_preflight"]

_ANY: Final = "*"
_SAME: Final = "same"

_ORIGIN: Final = b"origin"
_REQUEST_METHOD: Final = b"access-control-request-method"
_REQUEST_HEADERS: Final = b"access-control-request-headers"
_REQUEST_PRIVATE_NETWORK: Final = b"access-control-request-private-network"
_ALLOW_ORIGIN: Final = b"access-control-allow-origin"
_ALLOW_METHODS: Final = b"access-control-allow-methods"
_ALLOW_HEADERS: Final = b"access-control-allow-headers"
_MAX_AGE: Final = b"access-control-max-age"
_EXPOSE_HEADERS: Final = b"access-control-expose-headers"
_CREDENTIALS: Final = (b"access-control-allow-credentials", b"true")
_PRIVATE_NETWORK: Final = (b"access-control-allow-private-network", b"true")
_VARY: Final = b"vary"
_VARY_BY_ORIGIN: Final = (_VARY, b"Origin")
_PREFLIGHT_VARY: Final = (
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers,"
    " Access-Control-Request-Private-Network"
)

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY")
# Allowed by Fetch for some values; listing them allows the others too, such as application/json.
_SAFELISTED: Final = ("Accept", "Accept-Language", "Content-Language", "Content-Type")
# Pages never see it, whatever a server says (Fetch, "forbidden response-header name").
_NEVER_EXPOSED: Final = frozenset({b"set-cookie", _VARY})

# No origin of a browser is longer: a scheme, a host of 253 characters and a port.
_MAX_ORIGIN_BYTES: Final = 512
# Of a method, and of the names of all header fields that are asked for. Where any is allowed they
# are sent back.
_MAX_METHOD_BYTES: Final = 64
_MAX_REQUESTED_BYTES: Final = 4096
_SERIALIZED: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[A-Za-z0-9\-._~:%!$&'()*+;=\[\]]*")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def is_preflight(headers: RawHeaders) -> bool:
    """Whether a request with the method OPTIONS is a preflight (Fetch, "HTTP requests")."""
    names = {name for name, _ in headers}
    return _ORIGIN in names and _REQUEST_METHOD in names


class CORSPolicy:
    """What pages of other origins may do. Immutable: any thread may use it.

    The options are those of `CORSMiddleware`. Raises TypeError and ValueError for wrong ones.
    """

    def __init__(
        self,
        *,
        allow_origins: Collection[str],
        allow_origin_regex: str | re.Pattern[str] | None,
        allow_methods: Collection[str],
        allow_headers: Collection[str],
        allow_credentials: bool,
        allow_private_network: bool,
        expose_headers: Collection[str],
        max_age: int,
    ) -> None:
        origins = _listed("allow_origins", allow_origins)
        methods = _listed("allow_methods", allow_methods)
        headers = _listed("allow_headers", allow_headers)
        exposed = _listed("expose_headers", expose_headers)
        credentials: RawHeaders = [_CREDENTIALS] if allow_credentials else []

        has_any = _ANY in origins
        self._is_public = has_any and not allow_credentials
        self._echoes_any = has_any and allow_credentials
        self._rule = _origin_rule(origins)
        self._exact = frozenset(each.lower().encode() for each in origins if _ANY not in each)
        self._regex = _compiled(allow_origin_regex)

        self._any_method = _ANY in methods
        named = _METHODS if self._any_method else [_checked(each).upper() for each in methods]
        self._methods = frozenset(each.encode() for each in named)
        self._allow_methods = ", ".join(dict.fromkeys(named)).encode()

        self._any_header = _ANY in headers
        names = {_checked(each).lower(): each for each in (*headers, *_SAFELISTED)}
        self._headers = frozenset(name.encode() for name in names)
        self._allow_headers = ", ".join(names[name] for name in sorted(names)).encode()

        self._allow_private_network = allow_private_network
        self._preflight: RawHeaders = [
            *credentials,
            (_MAX_AGE, b"%d" % _seconds(max_age)),
            (_VARY, _PREFLIGHT_VARY.encode()),
        ]
        # To a request with credentials "*" is a name like any other, and a layer cannot know.
        self._exposes_all = _ANY in exposed and allow_credentials
        self._response = credentials
        if exposed and not self._exposes_all:
            value = ", ".join(_checked(each) for each in exposed)
            self._response = [*credentials, (_EXPOSE_HEADERS, value.encode())]

    # Responses

    def allowed_origin(self, headers: RawHeaders) -> bytes | None:
        """What a response to this request allows to read it: an origin, "*", or None for nobody."""
        if self._is_public:
            return b"*"
        origin = _only(headers, _ORIGIN)
        return origin if origin is not None and self._allows(origin) else None

    def fields(self, raw: Iterable[tuple[bytes, bytes]], origin: bytes | None) -> RawHeaders:
        """A response's header fields and, behind them, those that allow `origin` to read it.

        A response with an Access-Control-Allow-Origin of its own has a policy of its own, and keeps
        it; of other fields the response's own one stays. `Vary` tells caches wherever the answer
        may be another for another origin. For everybody it never is: then the fields are on each
        response (Fetch, "CORS protocol and HTTP caches").
        """
        raw = [*raw]
        if not self._is_public:
            _vary_by_origin(raw)
        if origin is None:
            return raw
        present = {name for name, _ in raw}
        if _ALLOW_ORIGIN in present:
            return raw
        raw.append((_ALLOW_ORIGIN, origin))
        raw += [pair for pair in self._response if pair[0] not in present]
        if self._exposes_all and _EXPOSE_HEADERS not in present:
            names = sorted(present - _NEVER_EXPOSED)
            raw += [(_EXPOSE_HEADERS, b", ".join(names))] if names else []
        return raw

    # Preflights

    def preflight(self, headers: RawHeaders) -> RawHeaders:
        """The header fields of the answer to a preflight, Fetch's "HTTP responses".

        Raises HTTPError where it is refused. What is sent back is what is allowed, and no more.
        """
        origin = self.allowed_origin(headers)
        method = _only(headers, _REQUEST_METHOD) or b""
        names = _requested_headers(headers)
        is_private = any(name == _REQUEST_PRIVATE_NETWORK for name, _ in headers)
        checks = (
            ("the origin", origin is not None),
            ("the method", self._allows_method(method)),
            ("a header", names is not None and self._allows_headers(names)),
            ("a private network", self._allow_private_network or not is_private),
        )
        refused = [what for what, is_allowed in checks if not is_allowed]
        if origin is None or refused:
            detail = f"this preflight asks for what is not allowed here: {', '.join(refused)}"
            raise HTTPError(400, detail, headers={"vary": _PREFLIGHT_VARY})
        fields = [(_ALLOW_ORIGIN, origin), (_ALLOW_METHODS, self._methods_with(method))]
        allow_headers = b", ".join(names or ()) if self._any_header else self._allow_headers
        if allow_headers:
            fields.append((_ALLOW_HEADERS, allow_headers))
        if is_private:
            fields.append(_PRIVATE_NETWORK)
        return [*fields, *self._preflight]

    def _allows(self, origin: bytes) -> bool:
        if origin in self._exact:
            return True
        if len(origin) > _MAX_ORIGIN_BYTES or _SERIALIZED.fullmatch(origin) is None:
            return False
        if self._echoes_any or self._rule.refusal([(_ORIGIN, origin)], "https") is None:
            return True
        return self._regex is not None and self._regex.fullmatch(origin.decode()) is not None

    def _allows_method(self, method: bytes) -> bool:
        if method in self._methods:
            return True
        fits = len(method) <= _MAX_METHOD_BYTES and _TOKEN.fullmatch(method) is not None
        return self._any_method and fits

    def _methods_with(self, method: bytes) -> bytes:
        if method in self._methods:
            return self._allow_methods
        return self._allow_methods + b", " + method

    def _allows_headers(self, names: Iterable[bytes]) -> bool:
        return self._any_header or self._headers.issuperset(names)


def _vary_by_origin(raw: RawHeaders) -> None:
    for name, _ in raw:
        if name == _VARY:
            MutableHeaders(raw).vary("Origin")
            return
    raw.append(_VARY_BY_ORIGIN)


# What a client sends


def _only(headers: RawHeaders, wanted: bytes) -> bytes | None:
    """The value of the only field of that name; None where there is none, or more than one."""
    found = None
    for name, value in headers:
        if name == wanted:
            if found is not None:
                return None
            found = value
    return found


def _requested_headers(headers: RawHeaders) -> list[bytes] | None:
    """The names that a preflight asks for, in lower case; None where they are not readable."""
    text = b",".join(value for name, value in headers if name == _REQUEST_HEADERS)
    if len(text) > _MAX_REQUESTED_BYTES:
        return None
    names = [part.strip(b" \t").lower() for part in text.split(b",")]
    names = [name for name in names if name]  # RFC 9110 section 5.6.1: empty elements are none
    return names if all(_TOKEN.fullmatch(name) for name in names) else None


# What is configured


def _listed(option: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Collection):
        raise TypeError(f"{option} is a list of str, such as [{value!r}], not {value!r}")
    entries = tuple(cast("Collection[object]", value))
    for each in entries:
        if not isinstance(each, str):
            raise TypeError(f"{option} is a list of str; {each!r} is none")
    return cast("tuple[str, ...]", entries)


def _origin_rule(origins: tuple[str, ...]) -> OriginRule:
    if _SAME in origins:
        raise ValueError("allow_origins: a page needs no CORS for its own host; leave 'same' out")
    try:
        return OriginRule(tuple(each for each in origins if each != _ANY))
    except ValueError as error:
        raise ValueError(f"allow_origins: {error}") from None


def _compiled(regex: str | re.Pattern[str] | None) -> re.Pattern[str] | None:
    try:
        compiled = None if regex is None else re.compile(regex)
    except re.error as error:
        raise ValueError(f"allow_origin_regex is no regular expression: {error}") from None
    if compiled is not None and not isinstance(cast("Any", compiled.pattern), str):
        raise TypeError("allow_origin_regex is matched against str, not against bytes")
    return compiled


def _checked(name: str) -> str:
    """A method, or the name of a field: a token, RFC 9110 section 5.6.2."""
    if not name.isascii() or _TOKEN.fullmatch(name.encode()) is None:
        raise ValueError(f"{name!r} is neither a method nor a header name; give one in each entry")
    return name


def _seconds(max_age: int) -> int:
    given: Any = max_age
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"max_age is a whole number of seconds, not {given!r}")
    if given < 0:
        raise ValueError(f"max_age is at least 0 seconds, not {given}; 0 keeps nothing")
    return given
