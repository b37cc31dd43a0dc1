"""Who may open a WebSocket, and how much they may send on it.

`OriginRule` is asked once, before the handshake is accepted. The limits are asked for every
message: `size_violation` needs no state; a `Guard` remembers what a rate or an idle time needs.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Final, TypeAlias

from asgi_rt.asgi import RawHeaders
from asgi_rt.token_bucket import TokenBucket

__all__ = ["Guard", "Limits", "OriginRule", "Origins", "Violation", "size_of", "size_violation"]

# ---------------------------------------------------------------------------- origins

# A host name has 253 at most; what is longer would be looked up once for each dot of it.
_MAX_ORIGIN_BYTES: Final = 512
_SAME: Final = "same"
_NULL: Final = "null"
_ANY: Final = "*"
_WILDCARD: Final = "://*."

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PAGE_SCHEMES: Final = {"ws": "http", "wss": "https"}
_OWN_HOST_HEADERS: Final = (b"host", b"x-forwarded-host", b"forwarded")

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
# One pair of a Forwarded element (RFC 7239 section 4), with what ends it.
_FORWARDED_PAIR: Final = re.compile(
    r"""[ \t]*(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)=
        (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s",;]*))[ \t]*(?P<end>[;,]|\Z)""",
    re.VERBOSE,
)

_Origin: TypeAlias = tuple[str, str, int | None]  # scheme, host, port
_Address: TypeAlias = tuple[str, int | None]  # host, port where one is given


@dataclass(frozen=True, slots=True)
class OriginRule:
    """Which web pages may open a WebSocket: browsers say in `Origin` where the page comes from.

    `allowed` holds any of

    - "same": pages of the host that the connection was made to;
    - "https://app.example.com", "http://localhost:3000": pages of that origin and no other;
    - "https://*.example.com": pages of any subdomain, at any depth, but not of example.com itself;
    - "null": pages without an origin, such as files and sandboxed frames;
    - "*": every page; nothing is checked.

    What is not listed is refused, "same" too: a list of other origins that leaves it out refuses
    the app's own pages. An empty list refuses every page.

    `allow_missing` lets in whoever sends no `Origin`. That is no browser, and it could send any.

    Cookies play no part: this is what keeps a page from using those of another site's user, as
    browsers apply no cross-origin policy to WebSockets. It does not tell which hosts are ours.

    Raises ValueError for an entry that is none of these. Immutable: any thread may use it.
    """

    allowed: tuple[str, ...] = (_SAME,)
    allow_missing: bool = field(default=True, kw_only=True)
    _exact: frozenset[_Origin] = field(init=False, repr=False, compare=False)
    _parents: frozenset[_Origin] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        origins = [entry for entry in self.allowed if entry not in (_SAME, _NULL, _ANY)]
        parents = {_parent(entry) for entry in origins if _WILDCARD in entry}
        exact = {_listed(entry, entry) for entry in origins if _WILDCARD not in entry}
        object.__setattr__(self, "_exact", frozenset(exact))
        object.__setattr__(self, "_parents", frozenset(parents))

    @classmethod
    def parse(cls, value: "Origins") -> "OriginRule":
        """The rule that a route's `origins=` stands for: one entry, several, or None for any.

        Raises ValueError for an entry that `OriginRule` does not know.
        """
        if isinstance(value, OriginRule):
            return value
        if value is None:
            return cls((_ANY,))
        return cls((value,) if isinstance(value, str) else tuple(value))

    def refusal(self, headers: RawHeaders, scheme: str) -> str | None:
        """None for a connection that may be accepted, else a sentence that the client may see.

        `scheme` is the scope's: "ws" or "wss". Same origin is RFC 6454's, as far as it can be known
        behind a proxy: a page from https is let in where the scheme is ws, as TLS may have ended
        there, and the hosts in `X-Forwarded-Host` and `Forwarded` count as ours beside `Host`. That
        is safe here, without trusting any proxy: a page can set none of the three on a WebSocket.
        """
        origins = [value for name, value in headers if name.lower() == b"origin"]
        if not origins:
            return None if self.allow_missing else "an Origin header is required"
        if _ANY in self.allowed:
            return None
        if len(origins) > 1:
            return "there is more than one Origin header"
        if len(origins[0]) > _MAX_ORIGIN_BYTES:
            return "the Origin header is not an origin"
        text = _text(origins[0])
        if text == _NULL:
            return None if _NULL in self.allowed else "pages without an origin are not allowed"
        origin = _parsed_origin(text)
        if origin is None:
            return "the Origin header is not an origin"
        if self._lists(origin):
            return None
        if _SAME in self.allowed:
            return _not_same(origin, headers, scheme)
        return "this origin is not allowed"

    def _lists(self, origin: _Origin) -> bool:
        if origin in self._exact:
            return True
        scheme, host, port = origin
        while self._parents and host:
            host = host.partition(".")[2]
            if (scheme, host, port) in self._parents:
                return True
        return False


Origins: TypeAlias = OriginRule | str | Iterable[str] | None
"""What a route's `origins=` may be: one entry of a rule, several, None for any, or a rule."""


def _not_same(origin: _Origin, headers: RawHeaders, scheme: str) -> str | None:
    page_scheme, host, port = origin
    default_port = _DEFAULT_PORTS.get(page_scheme)
    if default_port is None:
        return "this origin is not allowed"
    if page_scheme == "http" and scheme in ("wss", "https"):
        return "this origin is not allowed: its page was loaded without TLS"
    for own_host, own_port in _own_addresses(headers):
        # A Host without a port was written for the scheme that the client sees, not the proxy's.
        if (own_host, own_port or default_port) == (host, port):
            return None
    return "this origin is not allowed: its page is not from this host"


def _own_addresses(headers: RawHeaders) -> list[_Address]:
    """The addresses that the connection was made to, as the client and the proxies say.

    Browsers do not let a page set these headers on a WebSocket, so what a page cannot forge counts.
    """
    first: dict[bytes, bytes] = {}
    for name, value in headers:
        if (name := name.lower()) in _OWN_HOST_HEADERS:
            first.setdefault(name, value)
    hosts: list[str] = []
    for name, value in first.items():
        text = _text(value)
        if name == b"forwarded":
            text = _forwarded_host(text)
        elif name == b"x-forwarded-host":
            text = text.partition(",")[0].rstrip(" \t")
        hosts.append(text)
    return [address for host in hosts if (address := _parsed_address(host)) is not None]


def _forwarded_host(value: str) -> str:
    """`host` of the first element, which is that of the outermost proxy; empty without one."""
    position = 0
    while (pair := _FORWARDED_PAIR.match(value, position)) is not None:
        if pair["name"].lower() == "host":
            return pair["token"] if pair["quoted"] is None else pair["quoted"]
        if pair["end"] != ";":
            break
        position = pair.end()
    return ""


def _text(value: bytes) -> str:
    # Bytes outside ASCII become characters that no pattern here takes.
    return value.decode("latin-1").strip(" \t")


def _parsed_origin(text: str) -> _Origin | None:
    """The origin in the one form in which two of them can be compared, or None for no origin."""
    scheme, separator, rest = text.lower().partition("://")
    address = _parsed_address(rest)
    if not separator or _SCHEME.fullmatch(scheme) is None or address is None:
        return None
    if not text.isascii():  # to str.lower the Kelvin sign is a "k"
        return None
    # A page has no ws scheme, but clients that are no browsers send it.
    scheme = _PAGE_SCHEMES.get(scheme, scheme)
    host, port = address
    return scheme, host, port or _DEFAULT_PORTS.get(scheme)


def _parsed_address(text: str) -> _Address | None:
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 0 < port < 65536:
        return None
    if match["name"] is not None:
        return match["name"], port
    try:
        return f"[{IPv6Address(match['ipv6'])}]", port
    except AddressValueError:
        return None


def _parent(entry: str) -> _Origin:
    """The domain whose subdomains an entry with a wildcard lists."""
    origin = _listed(entry, entry.replace(_WILDCARD, "://", 1))
    if origin[1].startswith("["):
        raise _bad_entry(entry, "an address has no subdomains")
    return origin


def _listed(entry: str, text: str) -> _Origin:
    origin = _parsed_origin(text)
    if origin is None:
        raise _bad_entry(entry, _fault(text))
    return origin


def _bad_entry(entry: str, fault: str) -> ValueError:
    return ValueError(
        f"{entry!r} cannot be an allowed origin: {fault}. Write 'same', 'null', '*', an origin"
        " such as 'https://app.example.com' or 'http://localhost:3000', or 'https://*.example.com'"
    )


def _fault(text: str) -> str:
    """What keeps a text from being an origin."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return "it has no scheme"
    if _SCHEME.fullmatch(scheme.lower()) is None:
        return f"{scheme!r} is not a scheme"
    if "@" in rest:
        return "an origin holds no user"
    if re.search(r"[/?#]", rest):
        return "an origin ends with its host or port, without a path or a slash"
    if "*" in rest:
        return "a wildcard stands for a whole subdomain, at the start of the host"
    if not rest.isascii():
        return "a browser sends a host outside ASCII in its xn-- form"
    host, _, port = rest.rpartition(":")
    if _parsed_address(host) is not None:
        return f"{port!r} is not a port"
    return "its host is neither a name nor an address"


# ---------------------------------------------------------------------------- limits

Violation: TypeAlias = tuple[int, str]
"""The close code and the reason with which a connection that broke a limit is closed."""

_TOO_BIG: Final = 1009
_POLICY: Final = 1008


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one client may send. None is no limit.

    Raises ValueError for a value that is not positive and finite.
    """

    max_message_bytes: int | None = None
    """Of one message; a text counts in UTF-8."""
    messages_per_second: float | None = None
    """On average; up to one second's worth may come at once, and one message always."""
    idle_timeout: float | None = None
    """Seconds without a message."""

    def __post_init__(self) -> None:
        for name in ("max_message_bytes", "messages_per_second", "idle_timeout"):
            value: float | None = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be more than 0 and finite, not {value}; None is off")

    @property
    def need_guard(self) -> bool:
        """Whether a connection needs a Guard: not where only the size is limited, or nothing."""
        return self.messages_per_second is not None or self.idle_timeout is not None


def size_of(message: str | bytes) -> int:
    """The bytes of a message; of a text, its UTF-8."""
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode("utf-8", "surrogatepass"))


def size_violation(message: str | bytes, max_bytes: int | None) -> Violation | None:
    """None for a message of at most `max_bytes`, else how to close. A text counts in UTF-8."""
    # A character takes at most four bytes, so one comparison is enough for nearly all messages.
    if max_bytes is None or len(message) * 4 <= max_bytes or _fits(message, max_bytes):
        return None
    return _TOO_BIG, f"a message may have at most {max_bytes} bytes"


def _fits(message: str | bytes, max_bytes: int) -> bool:
    if len(message) > max_bytes:
        return False
    return size_of(message) <= max_bytes


class Guard:
    """What a connection with a rate or an idle time has to remember. One task at a time.

    The time is passed in, in seconds of any clock that begins anywhere. Where that clock stands
    still or goes back, no time has passed.
    """

    __slots__ = ("_active_at", "_bucket", "_limits")

    def __init__(self, limits: Limits, now: float) -> None:
        rate = limits.messages_per_second
        self._limits = limits
        self._bucket = None if rate is None else TokenBucket(rate, max(1.0, rate), now)
        self._active_at = now

    def check(self, message: str | bytes, now: float) -> Violation | None:
        """Count a message that came in. None, or how to close the connection because of it."""
        self.touch(now)
        too_big = size_violation(message, self._limits.max_message_bytes)
        if too_big is not None:
            return too_big
        bucket = self._bucket
        if bucket is None or bucket.take(now):
            return None
        return _POLICY, f"at most {bucket.rate:.10g} messages per second may be sent"

    def forgive(self, since: float, now: float) -> None:
        """Nothing was read between these times: what comes now may have been sent in them."""
        bucket = self._bucket
        if bucket is not None and now > since:
            bucket.give((now - since) * bucket.rate, now)
        self.touch(now)

    def touch(self, now: float) -> None:
        """Begin the idle time anew. `check` does it; what else is no idleness is the caller's."""
        self._active_at = max(self._active_at, now)

    def idle_for(self, now: float) -> float:
        """The seconds since the last message, or `touch`."""
        return max(0.0, now - self._active_at)

    def idle_due(self) -> float:
        """The time at which `idle_timeout` runs out if no message comes; inf without one."""
        timeout = self._limits.idle_timeout
        return math.inf if timeout is None else self._active_at + timeout

    def check_idle(self, now: float) -> Violation | None:
        """None, or how to close the connection because its idle time has run out."""
        timeout = self._limits.idle_timeout
        if timeout is None or now < self.idle_due():
            return None
        return _POLICY, f"no message for {timeout:.10g} seconds"
