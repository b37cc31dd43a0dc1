"""Which part of a representation a request asks for: conditions, byte ranges and HTTP dates.

RFC 9110: section 5.6.7 (dates), 8.8.3 (entity tags), 13 (conditional requests), 14 (ranges) and
15.3.7 (the answer to a range). `select` joins them; the other functions are its parts.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final, Literal, NamedTuple

__all__ = [
    "CONDITIONAL_FIELDS",
    "MAX_RANGES",
    "ByteRange",
    "Multipart",
    "Selection",
    "content_range",
    "format_date",
    "frame_parts",
    "parse_date",
    "parse_range",
    "select",
]

MAX_RANGES: Final = 64
"""How many ranges one request may list. A reader of PDF files asks for a handful; thousands of
tiny ones are an attack, and the whole representation is cheaper than their framing."""

CONDITIONAL_FIELDS: Final = frozenset(
    {
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
    }
)
"""The request header fields that `select` looks at."""

# Forty digits hold any position of 128 bits; Python refuses to read numbers of thousands.
_RANGE_SPEC: Final = re.compile(r"([0-9]{1,40})-([0-9]{1,40})?|-([0-9]{1,40})")
_ENTITY_TAG: Final = re.compile(r'[ \t,]*(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|$)')
_MONTH_NAMES: Final = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTHS: Final = {name: at for at, name in enumerate(_MONTH_NAMES.split(" "), start=1)}
_CLOCK: Final = r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
_ZONE_DATE: Final = re.compile(
    r"(?:[a-z]+, *)?(?P<day>\d{1,2})[ -](?P<month>[a-z]{3})[ -](?P<year>\d{4}|\d{2}) +"
    + _CLOCK
    + r"(?: +(?:gmt|utc))?",
    re.IGNORECASE | re.ASCII,
)
_ASCTIME_DATE: Final = re.compile(
    r"(?:[a-z]+ +)?(?P<month>[a-z]{3}) +(?P<day>\d{1,2}) +" + _CLOCK + r" +(?P<year>\d{4})",
    re.IGNORECASE | re.ASCII,
)


class ByteRange(NamedTuple):
    """Bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int


class Selection(NamedTuple):
    """What to answer: the status, and for 200 and 206 the ranges of bytes that make the body."""

    status_code: Literal[200, 206, 304, 412, 416]
    ranges: tuple[ByteRange, ...] = ()


class Multipart(NamedTuple):
    """A `multipart/byteranges` body: framing as bytes, content as ranges, in order."""

    media_type: str
    pieces: tuple[bytes | ByteRange, ...]
    content_length: int


def select(
    method: str,
    fields: Mapping[str, str],
    *,
    size: int,
    etag: str | None = None,
    last_modified: int | None = None,
) -> Selection:
    """What a request gets of a representation of `size` bytes that is otherwise sent with a 200.

    `fields` holds the request's `CONDITIONAL_FIELDS` by lower-case name, repeated ones joined by
    commas; `last_modified` is in seconds since 1970. The order is that of section 13.2.2.
    """
    is_read = method in ("GET", "HEAD")
    if not _is_expected(fields, etag, last_modified):
        return Selection(412)
    if not _is_news(fields, etag, last_modified, is_read=is_read):
        return Selection(304) if is_read else Selection(412)
    whole = Selection(200, (ByteRange(0, size),))
    if method != "GET" or "range" not in fields:
        return whole
    if not _is_same(fields.get("if-range"), etag, last_modified):
        return whole
    ranges = parse_range(fields["range"], size)
    if ranges is None:
        return whole
    return Selection(206, ranges) if ranges else Selection(416)


# Conditions, section 13


def _is_expected(fields: Mapping[str, str], etag: str | None, last_modified: int | None) -> bool:
    """If-Match, or If-Unmodified-Since where there is none: steps 1 and 2 of section 13.2.2."""
    wanted = fields.get("if-match")
    if wanted is not None:
        if wanted.strip() == "*":
            return True
        return etag is not None and not etag.startswith("W/") and etag in _entity_tags(wanted)
    limit = parse_date(fields.get("if-unmodified-since", ""))
    return limit is None or last_modified is None or last_modified <= limit


def _is_news(
    fields: Mapping[str, str], etag: str | None, last_modified: int | None, *, is_read: bool
) -> bool:
    """If-None-Match, or If-Modified-Since where there is none: steps 3 and 4 of section 13.2.2."""
    known = fields.get("if-none-match")
    if known is not None:
        if known.strip() == "*":
            return False
        return etag is None or _opaque(etag) not in map(_opaque, _entity_tags(known))
    since = parse_date(fields.get("if-modified-since", "")) if is_read else None
    return since is None or last_modified is None or last_modified > since


def _is_same(if_range: str | None, etag: str | None, last_modified: int | None) -> bool:
    """If-Range, section 13.1.5: the strong comparison, or exactly the date of last modification."""
    if if_range is None:
        return True
    tags = _entity_tags(if_range)
    if tags:
        return tags == [etag] and not tags[0].startswith("W/")
    date = parse_date(if_range)
    return date is not None and date == last_modified


def _entity_tags(header: str) -> list[str]:
    """The tags of a list, up to the first thing that is none."""
    tags: list[str] = []
    at = 0
    while match := _ENTITY_TAG.match(header, at):
        tags.append((match[1] or "") + match[2])
        at = match.end()
    return tags


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/")


# Ranges, section 14


def parse_range(
    header: str, size: int, *, max_ranges: int = MAX_RANGES
) -> tuple[ByteRange, ...] | None:
    """The ranges that a `Range` header asks for of `size` bytes; None where it is to be ignored.

    Empty means that none can be satisfied (416). Ranges that overlap or touch are joined, so they
    never hold a byte twice; they come in the order they were asked for. Ignored are another unit
    than bytes, a header that does not parse, more than `max_ranges` ranges, and any range of
    an empty representation, as no answer to it could be written (section 14.4).
    """
    unit, separator, ranges = header.strip(" \t").partition("=")
    if not separator or unit.lower() != "bytes" or size == 0:
        return None
    if ranges.count(",") >= max_ranges:
        return None
    wanted: list[ByteRange] = []
    for spec in filter(None, (part.strip(" \t") for part in ranges.split(","))):
        match = _RANGE_SPEC.fullmatch(spec)
        if match is None:
            return None
        first, last, suffix = match.groups()
        if suffix is not None:
            wanted.append(ByteRange(max(0, size - int(suffix)), size))
            continue
        if last is not None and int(last) < int(first):
            return None
        stop = size if last is None else min(size, int(last) + 1)
        wanted.append(ByteRange(int(first), stop))
    if not wanted:
        return None
    return _joined([part for part in wanted if part.start < part.stop])


def _joined(ranges: Sequence[ByteRange]) -> tuple[ByteRange, ...]:
    """The same bytes in ranges that do not touch, each at the place of the first that it holds."""
    joined: list[tuple[int, ByteRange]] = []
    for place, part in sorted(enumerate(ranges), key=lambda item: item[1]):
        if joined and part.start <= joined[-1][1].stop:
            before, last = joined[-1]
            stop = max(last.stop, part.stop)
            joined[-1] = (min(before, place), ByteRange(last.start, stop))
        else:
            joined.append((place, part))
    return tuple(part for _, part in sorted(joined))


def content_range(part: ByteRange | None, size: int) -> str:
    """The value of `Content-Range` for that part, or for a 416 where there is none."""
    if part is None:
        return f"bytes */{size}"
    return f"bytes {part.start}-{part.stop - 1}/{size}"


def frame_parts(
    ranges: Sequence[ByteRange], size: int, *, media_type: str | None, boundary: str
) -> Multipart:
    """The body that carries several ranges, section 14.6, its length included.

    `boundary` must be one that the content cannot hold: make it long and random.
    """
    pieces: list[bytes | ByteRange] = []
    length = 0
    content_type = f"Content-Type: {media_type}\r\n" if media_type else ""
    opening = f"--{boundary}\r\n{content_type}Content-Range: "
    for part in ranges:
        head = f"{opening}{content_range(part, size)}\r\n\r\n".encode("latin-1")
        pieces += (head, part)
        length += len(head) + part.stop - part.start
        opening = f"\r\n--{boundary}\r\n{content_type}Content-Range: "
    end = f"\r\n--{boundary}--\r\n".encode("latin-1")
    return Multipart(
        f"multipart/byteranges; boundary={boundary}", (*pieces, end), length + len(end)
    )


# Dates, section 5.6.7


def format_date(timestamp: int) -> str:
    """Seconds since 1970 as an HTTP date. Raises ValueError or OverflowError beyond year 9999."""
    return formatdate(timestamp, usegmt=True)


def parse_date(text: str) -> int | None:
    """An HTTP date as seconds since 1970, or None where it is none.

    All three formats are read, in any case and without looking at the day of the week. Of a year
    with two digits, 70 to 99 lie in the twentieth century.
    """
    text = text.strip()
    match = _ZONE_DATE.fullmatch(text) or _ASCTIME_DATE.fullmatch(text)
    if match is None:
        return None
    month = _MONTHS.get(match["month"].lower(), 0)
    year = int(match["year"])
    if len(match["year"]) == 2:
        year += 1900 if year >= 70 else 2000
    clock = (int(match["hour"]), int(match["minute"]), int(match["second"]))
    if clock[2] == 60:  # datetime knows no leap second: take the one before it
        clock = (*clock[:2], 59)
    try:
        moment = datetime(year, month, int(match["day"]), *clock, tzinfo=UTC)
    except ValueError:  # there is no such month, day or time
        return None
    return int(moment.timestamp())
