"""Byte ranges, conditional requests and HTTP dates, against oracles written here."""

import itertools
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.http.ranges import (
    CONDITIONAL_FIELDS,
    MAX_RANGES,
    ByteRange,
    content_range,
    format_date,
    frame_parts,
    parse_date,
    parse_range,
    select,
)

CONTENT = bytes(range(200))
MODIFIED = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"


# Ranges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", [(0, 10)]),
        ("bytes=190-", [(190, 200)]),
        ("bytes=-10", [(190, 200)]),
        ("bytes=-1000", [(0, 200)]),
        ("bytes=150-100000000000000000000", [(150, 200)]),
        ("BYTES=0-0", [(0, 1)]),
        ("  bytes=0-0\t", [(0, 1)]),
        ("bytes= 0-0 ,\t5-6 ", [(0, 1), (5, 7)]),
        ("bytes=,,0-0,,", [(0, 1)]),
        ("bytes=100-109,0-9", [(100, 110), (0, 10)]),
        ("bytes=100-109,0-9,5-14", [(100, 110), (0, 15)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=50-60,0-100,55-150", [(0, 151)]),
        ("bytes=0-0,500-600", [(0, 1)]),
    ],
)
def test_range_that_can_be_satisfied(header, expected):
    assert parse_range(header, 200) == tuple(ByteRange(*part) for part in expected)


@pytest.mark.parametrize("header", ["bytes=200-", "bytes=200-300", "bytes=-0", "bytes=-0,999-"])
def test_range_that_holds_no_byte_is_unsatisfiable(header):
    assert parse_range(header, 200) == ()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=0-1,5-4",
        "bytes=--5",
        "bytes=0-1-2",
        "bytes=0 - 1",
        "bytes =0-1",
        "bytes=+0-1",
        "bytes=0-1;2-3",
        "bytes=٠-١",
        "bytes=0x0-0x1",
        "bytes=" + "9" * 5000 + "-",
        "items=0-1",
        "0-1",
    ],
)
def test_range_that_does_not_parse_is_ignored(header):
    assert parse_range(header, 200) is None


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-5", "bytes=0-0", "bytes=9-"])
def test_range_of_an_empty_representation_is_ignored(header):
    assert parse_range(header, 0) is None


def test_range_with_as_many_parts_as_allowed_is_read():
    header = "bytes=" + ",".join(f"{2 * at}-{2 * at}" for at in range(MAX_RANGES))
    parts = parse_range(header, 200)
    assert parts is not None
    assert len(parts) == MAX_RANGES


@pytest.mark.parametrize("spec", ["0-", "1-2", "", "x"])
def test_range_with_more_parts_than_allowed_is_ignored(spec):
    assert parse_range("bytes=" + ",".join([spec] * 20_000), 200) is None


def wanted_offsets(header: str, size: int) -> list[set[int]] | None:
    """The oracle: for each range of a header the offsets it asks for, one by one."""
    header = header.strip(" \t")
    if header[:6].lower() != "bytes=" or size == 0 or header.count(",") >= MAX_RANGES:
        return None
    wanted: list[set[int]] = []
    for element in header[6:].split(","):
        spec = element.strip(" \t")
        if not spec:
            continue
        first, dash, last = spec.partition("-")
        numbers = [number for number in (first, last) if number]
        if not dash or not numbers:
            return None
        if any(set(number) - set("0123456789") or len(number) > 40 for number in numbers):
            return None
        if not first:
            wanted.append({at for at in range(size) if size - at <= int(last)})
        elif last and int(last) < int(first):
            return None
        else:
            stop = int(last) if last else size
            wanted.append({at for at in range(size) if int(first) <= at <= stop})
    return wanted or None


positions = st.one_of(st.integers(0, 40), st.integers(0, 10**42)).map(str)
specs = st.one_of(
    st.tuples(positions, positions).map("-".join),
    positions.map("{}-".format),
    positions.map("-{}".format),
    st.text("0123456789- \t,x", max_size=6),
)
headers = st.one_of(
    st.lists(specs, max_size=8).map(lambda parts: "bytes=" + ",".join(parts)),
    st.lists(specs, max_size=8).map(lambda parts: " Bytes=" + " ,\t".join(parts)),
    st.text("bytes=0123456789-, \t", max_size=30),
    st.text(max_size=30),
)


@given(headers, st.integers(0, 60))
def test_range_parts_are_the_bytes_that_were_asked_for(header, size):
    wanted = wanted_offsets(header, size)
    parts = parse_range(header, size)
    if wanted is None:
        assert parts is None
        return
    assert parts is not None
    served = list(itertools.chain.from_iterable(range(*part) for part in parts))
    assert set(served) == set().union(*wanted)
    assert len(served) == len(set(served)), "no byte twice"


@given(headers, st.integers(0, 60))
def test_range_parts_never_touch_and_keep_the_order_of_the_request(header, size):
    parts = parse_range(header, size) or ()
    ascending = sorted(parts)
    assert all(one.stop < other.start for one, other in itertools.pairwise(ascending))
    wanted = [offsets for offsets in wanted_offsets(header, size) or [] if offsets]
    places = [
        next(at for at, offsets in enumerate(wanted) if offsets <= set(range(*part)))
        for part in parts
    ]
    assert places == sorted(places)


# multipart/byteranges


def read_multipart(body: bytes, boundary: str) -> list[tuple[bytes, bytes]]:
    """The header block and the content of each part, found by the lengths that they declare."""
    delimiter = b"--" + boundary.encode()
    assert body.startswith(delimiter)
    parts = []
    at = len(delimiter)
    while body[at : at + 2] != b"--":
        assert body[at : at + 2] == b"\r\n"
        end = body.index(b"\r\n\r\n", at)
        head = body[at + 2 : end]
        span = head.rpartition(b"bytes ")[2].partition(b"/")[0]
        first, last = map(int, span.split(b"-"))
        start = end + 4
        stop = start + last - first + 1
        parts.append((head, body[start:stop]))
        assert body[stop : stop + 2 + len(delimiter)] == b"\r\n" + delimiter
        at = stop + 2 + len(delimiter)
    assert body[at:] == b"--\r\n"
    return parts


def assemble(ranges: tuple[ByteRange, ...], content: bytes, **options: str | None):
    multipart = frame_parts(ranges, len(content), boundary="limit", **options)
    body = b"".join(
        piece if isinstance(piece, bytes) else content[piece.start : piece.stop]
        for piece in multipart.pieces
    )
    return multipart, body


@given(headers, st.binary(min_size=1, max_size=60))
def test_multipart_body_has_the_declared_length_and_the_asked_for_bytes(header, content):
    ranges = parse_range(header, len(content))
    if not ranges:
        return
    multipart, body = assemble(ranges, content, media_type="text/plain")
    assert multipart.content_length == len(body)
    parts = read_multipart(body, "limit")
    assert [data for _, data in parts] == [content[part.start : part.stop] for part in ranges]


def test_multipart_is_read_by_a_mime_parser():
    multipart, body = assemble((ByteRange(1, 3), ByteRange(65, 70)), CONTENT, media_type="a/b")
    message = message_from_bytes(f"Content-Type: {multipart.media_type}\r\n\r\n".encode() + body)
    first, second = message.get_payload()
    assert second.get_content_type() == "a/b"
    assert second["content-range"] == "bytes 65-69/200"
    assert second.get_payload(decode=True) == CONTENT[65:70]
    assert first["content-range"] == "bytes 1-2/200"


def test_multipart_of_an_untyped_representation_names_no_type():
    _, body = assemble((ByteRange(0, 1), ByteRange(5, 6)), CONTENT, media_type=None)
    assert b"Content-Type" not in body


def test_content_range_of_a_part_and_of_none():
    assert content_range(ByteRange(0, 10), 200) == "bytes 0-9/200"
    assert content_range(None, 200) == "bytes */200"


# Conditions


def status(method: str = "GET", *, etag: str | None = '"a"', **fields: str) -> int:
    names = {name.replace("_", "-"): value for name, value in fields.items()}
    return select(method, names, size=200, etag=etag, last_modified=MODIFIED).status_code


def test_request_without_conditions_gets_everything():
    assert select("GET", {}, size=200) == (200, (ByteRange(0, 200),))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("*", 304),
        ('"a"', 304),
        ('W/"a"', 304),
        ('"b", "a"', 304),
        ('"b,c" , W/"a"', 304),
        ('"b"', 200),
        ('"A"', 200),
        ("a", 200),
        ("", 200),
        ('"', 200),
        ('w/"a"', 200),
    ],
)
def test_if_none_match(header, expected):
    assert status(if_none_match=header) == expected


def test_if_none_match_compares_a_weak_tag_of_ours_weakly():
    assert status(etag='W/"a"', if_none_match='"a"') == 304


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("*", 200),
        ('"a"', 200),
        ('"b", "a"', 200),
        ('W/"a"', 412),
        ('"b"', 412),
        ("nonsense", 412),
    ],
)
def test_if_match(header, expected):
    assert status(if_match=header) == expected


def test_if_match_never_matches_a_weak_tag_of_ours():
    assert status(etag='W/"a"', if_match='W/"a"') == 412


def test_if_match_fails_where_there_is_no_tag():
    assert status(etag=None, if_match='"a"') == 412


@pytest.mark.parametrize(
    ("date", "since", "unmodified_since"),
    [(DATE, 304, 200), (LATER, 304, 200), (EARLIER, 200, 412), ("yesterday", 200, 200)],
)
def test_conditions_on_the_date(date, since, unmodified_since):
    assert status(if_modified_since=date) == since
    assert status(if_unmodified_since=date) == unmodified_since


def test_conditions_on_the_date_of_what_has_none_hold():
    for name in ("if-modified-since", "if-unmodified-since"):
        assert select("GET", {name: EARLIER}, size=1).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_conditions_of_a_method_that_does_not_read(method):
    assert status(method, if_none_match="*") == 412
    assert status(method, if_modified_since=LATER) == 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"if_match": '"a"', "if_unmodified_since": EARLIER}, 200),
        ({"if_match": '"b"', "if_none_match": '"a"'}, 412),
        ({"if_unmodified_since": EARLIER, "if_none_match": '"a"'}, 412),
        ({"if_none_match": '"b"', "if_modified_since": LATER}, 200),
        ({"if_none_match": '"a"', "range": "bytes=0-1"}, 304),
        ({"if_match": '"a"', "range": "bytes=0-1"}, 206),
        ({"if_match": '"b"', "range": "bytes=900-"}, 412),
        ({"if_modified_since": LATER, "range": "bytes=900-"}, 304),
    ],
)
def test_conditions_come_in_the_order_of_the_specification(fields, expected):
    assert status(**fields) == expected


@pytest.mark.parametrize(
    ("if_range", "expected"),
    [
        ('"a"', 206),
        ('W/"a"', 200),
        ('"b"', 200),
        ('"a", "b"', 200),
        ("*", 200),
        ("", 200),
        (DATE, 206),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 206),
        (LATER, 200),
        (EARLIER, 200),
    ],
)
def test_if_range(if_range, expected):
    assert status(if_range=if_range, range="bytes=0-1") == expected


def test_if_range_never_matches_a_weak_tag_of_ours():
    assert status(etag='W/"a"', if_range='W/"a"', range="bytes=0-1") == 200


def test_if_range_of_another_version_hides_an_unsatisfiable_range():
    assert status(if_range='"b"', range="bytes=900-") == 200
    assert status(if_range='"a"', range="bytes=900-") == 416


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_range_counts_for_get_only(method):
    assert status(method, range="bytes=0-1") == 200


fields = st.dictionaries(
    st.sampled_from(sorted(CONDITIONAL_FIELDS)),
    st.one_of(st.text(), headers, st.sampled_from([DATE, LATER, '"a"', 'W/"a"', "*"])),
)


@given(fields, st.sampled_from(["GET", "HEAD", "PUT"]), st.integers(0, 60))
def test_select_never_raises_and_stays_within_the_representation(fields, method, size):
    selection = select(method, fields, size=size, etag='"a"', last_modified=MODIFIED)
    assert bool(selection.ranges) == (selection.status_code in (200, 206))
    assert all(0 <= start <= stop <= size for start, stop in selection.ranges)


# Dates


@pytest.mark.parametrize(
    "text",
    [
        DATE,
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sun, 6 nov 1994 08:49:37 gmt",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        " 06 Nov 1994 08:49:37 ",
    ],
)
def test_date_is_read_in_every_format(text):
    assert parse_date(text) == MODIFIED


def test_date_with_a_leap_second_is_the_second_before():
    assert parse_date("Thu, 31 Dec 1998 23:59:60 GMT") == 915148799


@pytest.mark.parametrize(("year", "expected"), [("70", 0), ("69", 3124224000)])
def test_date_with_two_digits_of_a_year_turns_at_1970(year, expected):
    assert parse_date(f"Thursday, 01-Jan-{year} 00:00:00 GMT") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "yesterday",
        "1994-11-06T08:49:37Z",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0200",
        "Sun, 06 Nov 1994 08:49:37 EST",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
    ],
)
def test_date_that_is_none(text):
    assert parse_date(text) is None


def test_date_is_written_in_the_preferred_format():
    assert format_date(MODIFIED) == DATE


@given(st.integers(0, 253402300799))
def test_date_is_read_as_it_was_written(timestamp):
    assert parse_date(format_date(timestamp)) == timestamp


@given(st.text())
def test_date_never_raises(text):
    parse_date(text)
