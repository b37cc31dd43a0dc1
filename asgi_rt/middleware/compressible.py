"""Which responses may be compressed, and what their heads say then. RFC 9110 and 9111."""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

from asgi_rt.asgi import RawHeaders
from asgi_rt.http.headers import MutableHeaders

__all__ = [
    "CONTENT_TYPES",
    "ContentTypes",
    "Treatment",
    "declared_length",
    "fields_of",
    "mark_encoded",
    "mark_not_modified",
    "mark_only_head",
    "mark_varying",
    "treatment",
]

CONTENT_TYPES: Final = (
    "text/*",
    "*+json",
    "*+xml",
    "*+yaml",
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json-seq",
    "application/jsonl",
    "application/ndjson",
    "application/sql",
    "application/toml",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
)
"""What is compressed by default: text, events included, data as text, and WebAssembly."""

# Names as RFC 6838 section 4.2 allows them.
_PATTERN: Final = re.compile(
    r"""(?P<main>[a-z0-9!#$&^_.+-]+)/(?P<sub>\*|[a-z0-9!#$&^_.+-]+)
        |\*\+(?P<suffix>[a-z0-9!#$&^_.-]+)""",
    re.VERBOSE,
)
_NO_TRANSFORM: Final = re.compile(rb"(?:^|,)[ \t]*no-transform[ \t]*(?:,|$)", re.IGNORECASE)
# Of the bytes that are sent, or of a representation in its coding (RFC 9530): no longer true of
# others, and to be kept by whoever has signed them.
_DIGESTS: Final = frozenset({b"content-digest", b"content-md5", b"digest", b"repr-digest"})
_LOOKED_AT: Final = _DIGESTS | {
    b"accept-ranges",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"vary",
}
# What a head says of the bytes that are not sent; a range would be of those, too.
_OF_OTHER_BYTES: Final = frozenset({b"accept-ranges", b"content-length"})
_NO_CONTENT: Final = frozenset({204, 205})
_PARTIAL: Final = 206
_NOT_MODIFIED: Final = 304
# Python refuses to read numbers of thousands of digits.
_MAX_DIGITS: Final = 20


class Treatment(Enum):
    """What becomes of a response."""

    LEAVE = "leave"
    """It is sent as it is, to everybody."""
    VARY = "vary"
    """It is sent as it is, but there are other answers that are compressed."""
    COMPRESS = "compress"
    """It is compressed for clients that accept it."""


class ContentTypes:
    """Content types, by patterns: `application/json`, `text/*`, `*+json`.

    Raises TypeError for a str in place of several, and ValueError for what is no pattern.
    """

    def __init__(self, patterns: Iterable[str], *, excluded: Iterable[str] = ()) -> None:
        self._included = _Patterns(patterns)
        self._excluded = _Patterns(excluded)

    def __contains__(self, content_type: str) -> bool:
        """Whether it is one of them, by the value of a `Content-Type`, with parameters or not."""
        media_type = content_type.partition(";")[0].strip(" \t").lower()
        return self._included.match(media_type) and not self._excluded.match(media_type)


class _Patterns:
    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise TypeError(f"content types are a list of them, not one str: write [{patterns!r}]")
        self._exact: set[str] = set()
        self._mains: set[str] = set()
        self._suffixes: set[str] = set()
        for pattern in patterns:
            match = _PATTERN.fullmatch(pattern.lower())
            if match is None:
                raise ValueError(
                    f"{pattern!r} is not a content type: write one without parameters, such as"
                    " 'application/json', or a pattern such as 'text/*' or '*+json'"
                )
            if match["suffix"] is not None:
                self._suffixes.add(match["suffix"])
            elif match["sub"] == "*":
                self._mains.add(match["main"])
            else:
                self._exact.add(pattern.lower())

    def match(self, media_type: str) -> bool:
        if media_type in self._exact:
            return True
        main, _, sub = media_type.partition("/")
        return main in self._mains or ("+" in sub and sub.rpartition("+")[2] in self._suffixes)


def fields_of(raw: RawHeaders) -> dict[bytes, bytes]:
    """The header fields that are looked at here, by lower-case name, repeated ones joined."""
    fields: dict[bytes, bytes] = {}
    for name, value in raw:
        if (name := name.lower()) in _LOOKED_AT:
            fields[name] = fields[name] + b"," + value if name in fields else value
    return fields


def treatment(
    status: int, fields: dict[bytes, bytes], *, method: str, has_range: bool, included: ContentTypes
) -> Treatment:
    """What becomes of a response with these `fields_of` its head.

    `has_range` is whether the request has a `Range`, whose answer must be bytes of what others get
    without one. A 304 stands for a response that may have been compressed.
    """
    if status < 200 or status in _NO_CONTENT:
        return Treatment.LEAVE
    if b"content-encoding" in fields or not _DIGESTS.isdisjoint(fields):
        return Treatment.LEAVE
    cache_control = fields.get(b"cache-control")
    if cache_control is not None and _NO_TRANSFORM.search(cache_control):
        return Treatment.LEAVE
    content_type = fields.get(b"content-type")
    if content_type is None:
        return Treatment.VARY if status == _NOT_MODIFIED else Treatment.LEAVE
    if content_type.decode("latin-1") not in included:
        return Treatment.LEAVE
    if method == "HEAD" or status in (_PARTIAL, _NOT_MODIFIED) or b"content-range" in fields:
        return Treatment.VARY
    if has_range and fields.get(b"accept-ranges", b"none").lower() != b"none":
        return Treatment.VARY
    return Treatment.COMPRESS


def declared_length(fields: dict[bytes, bytes]) -> int | None:
    """The `Content-Length`, in bytes; None where there is none, or one that is no number."""
    length = fields.get(b"content-length", b"")
    return int(length) if length.isdigit() and len(length) <= _MAX_DIGITS else None


def mark_varying(headers: MutableHeaders, fields: dict[bytes, bytes]) -> None:
    """Say in a head, whose `fields_of` it are given, that other clients get another answer."""
    if b"vary" in fields:
        headers.vary("Accept-Encoding")
    else:
        headers.raw.append((b"vary", b"Accept-Encoding"))


def mark_encoded(headers: MutableHeaders, coding: str, length: int | None) -> None:
    """Make a head that of a body in a coding. `length` is in bytes; None where it is not known."""
    raw = [pair for pair in headers.raw if pair[0].lower() not in _OF_OTHER_BYTES]
    raw.append((b"content-encoding", coding.encode("ascii")))
    if length is not None:
        raw.append((b"content-length", b"%d" % length))
    headers.raw[:] = raw
    _weaken(headers)


def mark_only_head(headers: MutableHeaders) -> None:
    """Make the answer to a HEAD one that is true of a body in a coding, which is not made."""
    headers.raw[:] = [pair for pair in headers.raw if pair[0].lower() != b"content-length"]
    _weaken(headers)


def mark_not_modified(headers: MutableHeaders, if_none_match: str) -> None:
    """Have a 304 name what the client has by the tag that the client has it under."""
    if f"W/{headers.get('etag', '')}" in if_none_match:
        _weaken(headers)


def _weaken(headers: MutableHeaders) -> None:
    """A strong entity tag is of one coding (RFC 9110 section 8.8.3): make it a weak one."""
    for at, (name, value) in enumerate(headers.raw):
        if name.lower() == b"etag" and not value.startswith(b"W/"):
            headers.raw[at] = name, b"W/" + value
