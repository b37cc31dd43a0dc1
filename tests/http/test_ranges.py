"""Byte ranges and multipart bodies, against oracles written here."""

import itertools
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.http.ranges import (
    MAX_RANGES,
    ByteRange,
    content_range,
    frame_parts,
    parse_range,
)

CONTENT = bytes(range(200))


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
