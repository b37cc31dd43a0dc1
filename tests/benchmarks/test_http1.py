"""The load generator's reading of HTTP/1.1 responses."""

import pytest

from benchmarks.harness.http1 import ProtocolError, ResponseReader

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;note=x\r\nlo\r\n0\r\n\r\n"
)
TRAILED = CHUNKED[:-2] + b"Digest: abc\r\n\r\n"
BODILESS = b"HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n"

RESPONSES = [
    pytest.param(SIZED, (200, b"hello"), id="content-length"),
    pytest.param(CHUNKED, (201, b"hello"), id="chunked"),
    pytest.param(TRAILED, (201, b"hello"), id="chunked-with-trailers"),
    pytest.param(BODILESS, (204, b""), id="bodiless"),
]


@pytest.mark.parametrize(("wire", "expected"), RESPONSES)
def test_response_in_one_piece_is_read(wire, expected):
    assert ResponseReader().feed(wire) == expected


@pytest.mark.parametrize(("wire", "expected"), RESPONSES)
def test_response_split_anywhere_is_read(wire, expected):
    for cut in range(1, len(wire)):
        reader = ResponseReader()
        assert reader.feed(wire[:cut]) is None
        assert reader.feed(wire[cut:]) == expected


@pytest.mark.parametrize(("wire", "expected"), RESPONSES)
def test_response_byte_by_byte_is_read(wire, expected):
    reader = ResponseReader()
    answers = [reader.feed(wire[at : at + 1]) for at in range(len(wire))]
    assert answers == [None] * (len(wire) - 1) + [expected]


def test_responses_one_after_another_are_read():
    reader = ResponseReader()
    assert [reader.feed(wire) for wire in (SIZED, CHUNKED, SIZED)] == [
        (200, b"hello"),
        (201, b"hello"),
        (200, b"hello"),
    ]


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(SIZED + b"HTTP", id="more-than-one-response"),
        pytest.param(b"HTTP/1.1 200 OK\r\nDate: today\r\n\r\n", id="unframed-body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", id="negative-length"),
        pytest.param(b"SSH-2.0-server\r\n\r\n", id="not-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", id="no-colon"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="bad-chunk-size"
        ),
    ],
)
def test_malformed_response_is_refused(wire):
    with pytest.raises(ProtocolError):
        ResponseReader().feed(wire)
