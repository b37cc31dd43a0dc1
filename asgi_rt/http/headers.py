"""Header fields: a case-insensitive multi-map over the pairs that ASGI carries.

Names and values are bytes on the wire (RFC 9110 section 5) and str here, as Latin-1, which maps
every byte. A name that is no token and a value that holds CR, LF or NUL is refused, so that no
header can be smuggled in (RFC 9110 section 5.5).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, TypeAlias, cast

from asgi_rt.asgi import RawHeaders, Scope

__all__ = [
    "Headers",
    "HeadersLike",
    "MutableHeaders",
    "connection_close",
    "encode_header",
    "parse_options",
    "quote_value",
    "raw_headers",
]

_NAMES: Final = 1024
"""So many names of fields are kept encoded: an app sends the same few."""
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN: Final = re.compile(rb"[\r\n\x00]")
# One parameter with its semicolon; a semicolon inside quotes ends nothing.
_SEGMENT: Final = re.compile(r';((?:[^;"]++|"(?:[^"\\]++|\\.)*+(?:"|\Z))*+)', re.DOTALL)
_PARAMETER: Final = re.compile(
    r"""[ \t]*(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*
        (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^ \t"]*))[ \t]*""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    """The pair as ASGI carries it: the name lower-cased, both as Latin-1.

    Raises ValueError for a name that is no token, and for a value that holds CR, LF, NUL or a
    character outside Latin-1.
    """
    try:
        raw_name = _encoded_name(name)
        raw_value = value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the header {name!r} holds a character that is not Latin-1; percent-encode it"
        ) from error
    if not value.isprintable():  # most values are, and it takes a fifth of the search's 0.15 us
        _check_value(name, raw_value)
    return raw_name, raw_value.strip(b" \t")


@lru_cache(_NAMES)
def _encoded_name(name: str) -> bytes:
    raw = name.encode("latin-1")
    _check_name(raw)
    return raw.lower()


def _checked(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    _check_name(name)
    _check_value(name.decode(), value)
    return name.lower(), value.strip(b" \t")


def _check_name(name: bytes) -> None:
    if _TOKEN.fullmatch(name) is None:
        shown = name.decode("latin-1")
        raise ValueError(
            f"{shown!r} is not a header name: only letters, digits and !#$%&'*+-.^_`|~"
        )


def _check_value(name: str, value: bytes) -> None:
    if _FORBIDDEN.search(value) is not None:
        raise ValueError(f"the value of the header {name!r} holds a CR, LF or NUL")


def _wanted(name: str) -> bytes:
    # Only ASCII has case here: str.lower would make a "k" of the Kelvin sign.
    return name.encode("latin-1", "replace").lower()


class Headers(Mapping[str, str]):
    """A read-only view of header fields; names in any case, repeated names kept in order.

    `headers[name]` is the first value; `get_all(name)` gives every one.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.raw: RawHeaders = raw if type(raw) is list else list(raw)
        """The pairs themselves, names in lower case."""

    def __getitem__(self, name: str) -> str:
        wanted = _wanted(name)
        for raw_name, raw_value in self.raw:
            if raw_name == wanted:
                return raw_value.decode("latin-1")
        raise KeyError(name)

    def get_all(self, name: str) -> list[str]:
        """Every value of that name, in order; an empty list where there is none."""
        wanted = _wanted(name)
        return [value.decode("latin-1") for raw_name, value in self.raw if raw_name == wanted]

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        wanted = _wanted(name)
        return any(raw_name == wanted for raw_name, _ in self.raw)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self.raw))

    def __len__(self) -> int:
        return len({name for name, _ in self.raw})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return sorted(self.raw, key=_name) == sorted(other.raw, key=_name)

    __hash__ = None  # type: ignore[assignment]  # equal by value and, in the subclass, mutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.raw!r})"


class MutableHeaders(Headers):
    """Header fields that can be changed in place. Every write is checked by `encode_header`."""

    __slots__ = ()

    def __setitem__(self, name: str, value: str) -> None:
        """Replace every value of `name` by this one, at the place of the first."""
        pair = encode_header(name, value)
        wanted = pair[0]
        raw = self.raw
        for other in raw:
            if other[0] == wanted:
                at = raw.index(other)
                raw[at:] = [pair, *(each for each in raw[at + 1 :] if each[0] != wanted)]
                return
        raw.append(pair)

    def __delitem__(self, name: str) -> None:
        """Remove every value of `name`; KeyError where there is none."""
        if name not in self:
            raise KeyError(name)
        wanted = _wanted(name)
        self.raw[:] = [pair for pair in self.raw if pair[0] != wanted]

    def append(self, name: str, value: str) -> None:
        """Add a value and keep those that are there."""
        self.raw.append(encode_header(name, value))

    def setdefault(self, name: str, value: str) -> str:
        """Set `name` where it is absent; the value that holds afterwards."""
        if name not in self:
            self.append(name, value)
        return self[name]

    def update(self, fields: "HeadersLike") -> None:
        """Replace what has a name that is in `fields` by all that `fields` has of that name."""
        added = raw_headers(fields)
        replaced = {name for name, _ in added}
        self.raw[:] = [pair for pair in self.raw if pair[0] not in replaced] + added

    def vary(self, name: str) -> None:
        """Name a request header that this response depends on (RFC 9110 section 12.5.5)."""
        present = [
            part.strip().lower() for value in self.get_all("vary") for part in value.split(",")
        ]
        if name.lower() not in present and "*" not in present:
            self["vary"] = ", ".join([*filter(None, self.get_all("vary")), name])


HeadersLike: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


def _name(pair: tuple[bytes, bytes]) -> bytes:
    return pair[0]


def raw_headers(fields: HeadersLike | None) -> RawHeaders:
    """The fields as ASGI carries them. Raises ValueError like `encode_header`."""
    if fields is None:
        return []
    if isinstance(fields, Headers):  # every value of a name, where a mapping has but one
        return [_checked(*pair) for pair in fields.raw]
    return [encode_header(name, value) for name, value in _pairs(fields)]


def _pairs(fields: HeadersLike) -> Iterable[tuple[str, str]]:
    if isinstance(fields, Mapping):
        return cast("Mapping[str, str]", fields).items()  # not a mapping that iterates over pairs
    return fields


def parse_options(value: str) -> tuple[str, dict[str, str]]:
    """A value with parameters, such as `text/html; charset=utf-8`, lower-cased but for values.

    Parameters that do not parse are left out. RFC 9110 section 5.6.6.
    """
    head = value.partition(";")[0]
    options: dict[str, str] = {}
    for segment in _SEGMENT.finditer(value, len(head)):
        match = _PARAMETER.fullmatch(segment[1])
        if match is None:
            continue
        quoted = match["quoted"]
        text = match["token"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        options.setdefault(match["name"].lower(), text)
    return head.strip(" \t").lower(), options


def quote_value(text: str) -> str:
    """`text` as a quoted string, RFC 9110 section 5.6.4."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def connection_close(scope: Scope) -> dict[str, str]:
    """The field that gives up the connection after the response, for a body left unread.

    None from HTTP/2 on, where it must not be sent (RFC 9113 section 8.2.2).
    """
    is_http_1 = scope.get("http_version", "1.1").startswith("1")
    return {"connection": "close"} if is_http_1 else {}
