"""A connection to which a server broadcasts, over a plain socket, and what is counted on it.

Messages are counted by the character that ends each, without taking off what the protocol puts
around them, so a reader costs little more than its system calls. A message with a time is looked
at: as many must have come before it as its number says.
"""

import os
import socket
from contextlib import suppress
from time import perf_counter_ns
from typing import Literal

from benchmarks.harness.broadcast import END, EVENTS, SOCKETS, STAMP, STAMPED_BYTES
from benchmarks.harness.event_stream import expect_events
from benchmarks.harness.websocket import expect_upgrade, handshake, new_key

Transport = Literal["sse", "ws"]

READ_BYTES = 65536
RECEIVED = bytearray(READ_BYTES)
"""What was read last, by whichever connection: nothing of it is kept."""
SMALLEST_BUFFER = 2048
SMALLEST_SEGMENT = 536


class WrongDelivery(Exception):
    """What was delivered is not what was published; the text says where it departs from it."""


class Subscriber:
    """Asks for its stream or WebSocket when it is made; `ready` until it is open, then `read`.

    `count` is how many messages have come since `begin`. `close` it.
    """

    __slots__ = ("_head", "_key", "_unfinished", "count", "received", "sock")

    def __init__(self, host: str, port: int, transport: Transport) -> None:
        self.sock = socket.create_connection((host, port), 30)
        self._key = new_key(os.urandom(16)) if transport == "ws" else b""
        self._head = b""
        self.begin()
        self.sock.sendall(request(transport, self._key))

    def ready(self) -> bool:
        """Take what has come; True once it is open. Raises ProtocolError and ConnectionError."""
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server hung up")
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return False
        if self._key:
            expect_upgrade(self._head[:end], self._key)
        else:
            expect_events(self._head[:end])
        if END in self._head[end:]:
            raise WrongDelivery("a message came before any was published")
        # Of ten thousand, each would hold its own.
        self._head = self._key = b""
        # Read only when the selector says so.
        self.sock.settimeout(None)
        return True

    def begin(self) -> None:
        """From here on messages are numbered anew."""
        self.count = 0
        self.received = 0
        self._unfinished = b""

    def read(self, latencies: list[int]) -> int:
        """How many messages end in what has come; the nanoseconds that those with a time took.

        Raises WrongDelivery and ConnectionError.
        """
        size = self.sock.recv_into(RECEIVED)
        if not size:
            raise ConnectionError("the server hung up")
        self.received += size
        ended = RECEIVED.count(END, 0, size)
        if self._unfinished or RECEIVED.find(STAMP, 0, size) >= 0:
            self._look(self._unfinished + RECEIVED[:size], perf_counter_ns(), latencies)
        self.count += ended
        return ended

    def expect_silence(self) -> None:
        """Raises WrongDelivery if a message has come, and ConnectionError for an end."""
        self.sock.setblocking(False)
        with suppress(BlockingIOError):
            if self.read([]):
                raise WrongDelivery("a message came that was not published")
        self.sock.setblocking(True)

    def close(self) -> None:
        self.sock.close()

    def _look(self, text: bytes, now: int, latencies: list[int]) -> None:
        number, counted = self.count, 0
        self._unfinished = b""
        at = text.find(STAMP)
        while at >= 0:
            end = at + STAMPED_BYTES
            if len(text) < end:
                self._unfinished = text[at:]
                return
            number += text.count(END, counted, at)
            counted = at
            found, published = _stamp(text[at + 1 : end])
            if found != number:
                raise WrongDelivery(f"message {found} came where {number} was due")
            latencies.append(now - published)
            at = text.find(STAMP, end)


class FrozenClient:
    """Asks for its stream or WebSocket and never reads: what is sent to it piles up. `close` it."""

    def __init__(self, host: str, port: int, transport: Transport) -> None:
        self.sock = socket.socket()
        try:
            # As little as can be shall find room in the kernel's buffers, on either side.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BUFFER)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALLEST_SEGMENT)
            self.sock.connect((host, port))
            self.sock.sendall(request(transport, new_key(os.urandom(16))))
        except BaseException:
            self.sock.close()
            raise

    def close(self) -> None:
        self.sock.close()


def request(transport: Transport, key: bytes) -> bytes:
    """As bare as HTTP/1.1 allows: the scope holds the headers while a connection is open."""
    if transport == "ws":
        return handshake(SOCKETS, key)
    return f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii")


def _stamp(text: bytes) -> tuple[int, int]:
    """The number and the time at the beginning of a message."""
    try:
        number, published = text.split()
        return int(number), int(published)
    except ValueError:
        raise WrongDelivery(f"not the beginning of a message: {text!r}") from None
