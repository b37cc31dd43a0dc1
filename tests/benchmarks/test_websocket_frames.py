"""The load generator's half of WebSocket."""

import pytest

from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.websocket import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Frame,
    ServerReader,
    accept_of,
    client_frame,
    handshake,
    masked,
    new_key,
    server_frame,
)

# The example of RFC 6455, section 1.3.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OPENED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)
MASK = b"\x37\xfa\x21\x3d"
LENGTHS = [0, 1, 3, 125, 126, 65_535, 65_536, 70_001]


def opened_reader():
    reader = ServerReader(KEY)
    assert reader.feed(OPENED) == []
    return reader


def test_answer_to_the_key_is_that_of_the_specification():
    assert accept_of(KEY) == ACCEPT


def test_key_is_the_sixteen_bytes_in_base64():
    assert new_key(b"the sample nonce") == KEY


def test_handshake_asks_for_version_13_and_no_extension():
    request = handshake("/echo", KEY)
    assert request.startswith(b"GET /echo HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n")
    assert b"\r\nSec-WebSocket-Key: " + KEY + b"\r\n" in request
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in request
    assert b"Extensions" not in request


def test_client_frame_is_that_of_the_specification():
    # RFC 6455, section 5.7: a single-frame masked text message, "Hello".
    assert client_frame(TEXT, b"Hello", MASK) == bytes.fromhex("818537fa213d7f9f4d5158")


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_length_is_written_in_the_shortest_way(length, head):
    payload = bytes(length)
    assert server_frame(BINARY, payload) == head + payload
    marked = bytes([head[0], head[1] | 0x80]) + head[2:]
    assert client_frame(BINARY, payload, b"\0\0\0\0") == marked + bytes(4) + payload


@pytest.mark.parametrize("length", LENGTHS)
def test_masking_twice_gives_the_payload_back(length):
    payload = bytes(at % 251 for at in range(length))
    hidden = masked(payload, MASK)
    assert masked(hidden, MASK) == payload
    assert [hidden[at] ^ payload[at] for at in range(length)] == [
        MASK[at % 4] for at in range(length)
    ]


@pytest.mark.parametrize("length", LENGTHS)
def test_frame_of_any_length_is_read(length):
    payload = b"x" * length
    assert opened_reader().feed(server_frame(TEXT, payload)) == [Frame(TEXT, payload)]


def test_connection_is_open_only_after_the_whole_answer():
    reader = ServerReader(KEY)
    for at in range(len(OPENED)):
        assert not reader.opened
        assert reader.feed(OPENED[at : at + 1]) == []
    assert reader.opened


WIRE = (
    OPENED
    + server_frame(TEXT, b"one")
    + server_frame(PING, b"")
    + server_frame(TEXT, b"t" * 126)
    + server_frame(CLOSE, b"\x03\xe8")
)
FRAMES = [Frame(TEXT, b"one"), Frame(PING, b""), Frame(TEXT, b"t" * 126), Frame(CLOSE, b"\x03\xe8")]


def test_frames_that_come_with_the_answer_are_read():
    assert ServerReader(KEY).feed(WIRE) == FRAMES


def test_frames_split_anywhere_are_read():
    for cut in range(1, len(WIRE)):
        reader = ServerReader(KEY)
        assert reader.feed(WIRE[:cut]) + reader.feed(WIRE[cut:]) == FRAMES


def test_frames_byte_by_byte_are_read_once_they_are_whole():
    reader = ServerReader(KEY)
    read = [reader.feed(WIRE[at : at + 1]) for at in range(len(WIRE))]
    assert [frames for frames in read if frames] == [[frame] for frame in FRAMES]
    assert read[-1] == [FRAMES[-1]]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        pytest.param(b"HTTP/1.1 403 Forbidden\r\n\r\n", "status 403", id="refused"),
        pytest.param(OPENED.replace(ACCEPT, b"AAAA"), "not the answer", id="other-key"),
        pytest.param(
            OPENED[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "extension",
            id="extension",
        ),
        pytest.param(b"SSH-2.0-server\r\n\r\n", "status line", id="not-http"),
    ],
)
def test_answer_that_does_not_open_the_connection_is_refused(answer, fault):
    with pytest.raises(ProtocolError, match=fault):
        ServerReader(KEY).feed(answer)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(client_frame(TEXT, b"Hello", MASK), id="masked"),
        pytest.param(b"\x01\x05Hello", id="first-fragment"),
        pytest.param(b"\x80\x05Hello", id="last-fragment"),
        pytest.param(b"\xc1\x05Hello", id="compressed"),
        pytest.param(b"\x83\x05Hello", id="reserved-opcode"),
    ],
)
def test_frame_that_no_server_should_send_is_refused(frame):
    with pytest.raises(ProtocolError):
        opened_reader().feed(frame)
