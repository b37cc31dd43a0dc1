"""A client's half of WebSocket (RFC 6455): no more than a load needs, but rightly.

Values in, values out; the sockets are in `ws_connection`. A message that comes in fragments is
refused, because nothing that is sent here is long enough for a server to cut it up.
"""

import hashlib
from base64 import b64encode
from typing import NamedTuple

from benchmarks.harness.http1 import ProtocolError, parse_head

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
OPCODES = frozenset({TEXT, BINARY, CLOSE, PING, PONG})
LAST_FRAME = 0x80
MASKED = 0x80


class Frame(NamedTuple):
    opcode: int
    payload: bytes


class ServerReader:
    """Takes what a connection receives, in any pieces, and gives back whole frames.

    What comes first must be the answer to the handshake that was made with `key`; `opened` tells
    whether it has come.
    """

    __slots__ = ("_key", "_pending", "opened")

    def __init__(self, key: bytes) -> None:
        self.opened = False
        self._key = key
        self._pending = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises ProtocolError."""
        data = self._pending + data
        start = 0
        if not self.opened:
            head_end = data.find(b"\r\n\r\n")
            if head_end < 0:
                self._pending = data
                return []
            expect_upgrade(data[:head_end], self._key)
            self.opened = True
            start = head_end + 4
        frames: list[Frame] = []
        while (cut := _frame(data, start)) is not None:
            frame, start = cut
            frames.append(frame)
        self._pending = data[start:]
        return frames


def handshake(path: str, key: bytes) -> bytes:
    """The request for a WebSocket at `path`, with a key as `new_key` makes them.

    As bare as the protocol allows: the scope holds the headers for as long as a connection is open,
    and those of a browser would be most of a KiB of every figure. No extension is offered.
    """
    lines = [
        b"GET " + path.encode("ascii") + b" HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: " + key,
        b"Sec-WebSocket-Version: 13",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def new_key(sixteen: bytes) -> bytes:
    """The key of a handshake, of 16 bytes that should be random."""
    return b64encode(sixteen)


def accept_of(key: bytes) -> bytes:
    """What a server that understood the handshake answers to its key."""
    return b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def expect_upgrade(head: bytes, key: bytes) -> None:
    """Raises ProtocolError unless the head accepts the handshake made with `key`, as it was."""
    status, headers = parse_head(head)
    if status != 101:
        raise ProtocolError(f"the handshake was answered by status {status}")
    if headers.get(b"sec-websocket-accept") != accept_of(key):
        raise ProtocolError(f"not the answer to this handshake: {head[:200]!r}")
    if b"sec-websocket-extensions" in headers:
        raise ProtocolError("an extension is in use that was not offered")


def client_frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """One whole message as a client sends it, masked with the four bytes of `mask`."""
    size = len(payload)
    head = bytes([LAST_FRAME | opcode])
    if size < 126:
        head += bytes([MASKED | size])
    elif size < 2**16:
        head += bytes([MASKED | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([MASKED | 127]) + size.to_bytes(8, "big")
    return head + mask + masked(payload, mask)


def server_frame(opcode: int, payload: bytes) -> bytes:
    """One whole message as a server sends it: what a client awaits."""
    size = len(payload)
    head = bytes([LAST_FRAME | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 2**16:
        return head + b"\x7e" + size.to_bytes(2, "big") + payload
    return head + b"\x7f" + size.to_bytes(8, "big") + payload


def masked(payload: bytes, mask: bytes) -> bytes:
    """The payload with every byte changed by its byte of `mask`, which the same call undoes."""
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return mixed.to_bytes(len(payload), "big")


def _frame(data: bytes, start: int) -> tuple[Frame, int] | None:
    """The frame at `start` and where it ends, or None while a part of it is missing."""
    if len(data) < start + 2:
        return None
    opcode = data[start] ^ LAST_FRAME
    if opcode not in OPCODES:
        raise ProtocolError(f"not a whole message of a known kind: {data[start : start + 40]!r}")
    size, body = data[start + 1], start + 2
    if size & MASKED:
        raise ProtocolError("the server has masked a frame")
    if size > 125:
        body += 2 if size == 126 else 8
        size = int.from_bytes(data[start + 2 : body], "big")
    end = body + size
    return None if len(data) < end else (Frame(opcode, data[body:end]), end)
