"""The check that a server broadcasts what it is told to, to everybody, before it is measured."""

import re
import socket
from contextlib import ExitStack, closing
from typing import Protocol

from benchmarks.harness.broadcast import SOCKETS, Publishing
from benchmarks.harness.broadcast_requests import WrongAnswer, await_subscribers, publish
from benchmarks.harness.event_stream import BodyReader
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.server import HOST
from benchmarks.harness.subscriber import READ_BYTES, Transport, WrongDelivery, request
from benchmarks.harness.websocket import TEXT
from benchmarks.harness.ws_connection import Connection

LISTENERS = 3
ORDER = Publishing(count=100, burst=3)
TIMEOUT = 10.0
STAMPED = re.compile(r"\^(\d{8}) (\d{19}) \.*\|")


class _Listener(Protocol):
    """One that takes apart all that it receives; `texts` are the messages so far."""

    texts: list[str]

    def read(self) -> None: ...

    def close(self) -> None: ...


class _Stream:
    def __init__(self, port: int) -> None:
        self.texts: list[str] = []
        self._reader = BodyReader()
        self._body = b""
        self._sock = socket.create_connection((HOST, port), TIMEOUT)
        self._sock.sendall(request("sse", b""))

    def read(self) -> None:
        data = self._sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server hung up")
        self._body += self._reader.feed(data)
        blocks = self._body.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]
        self.texts = [text for block in blocks if (text := _data(block)) is not None]

    def close(self) -> None:
        self._sock.close()


class _Socket:
    def __init__(self, port: int) -> None:
        self.texts: list[str] = []
        self._connection = Connection(HOST, port, SOCKETS, TIMEOUT)

    def read(self) -> None:
        for frame in self._connection.read():
            if frame.opcode != TEXT:
                raise WrongDelivery(f"a message that is no text: {frame.payload[:40]!r}")
            self.texts.append(frame.payload.decode())

    def close(self) -> None:
        self._connection.close()


def broadcast_fault(transport: Transport, port: int) -> str | None:
    """What is wrong with the broadcasts of the server on `port`, in one line, or None.

    Raises OSError, TimeoutError among them, and HTTPException where it does not answer at all.
    """
    listen = _Socket if transport == "ws" else _Stream
    try:
        with ExitStack() as stack:
            listeners: list[_Listener] = [
                stack.enter_context(closing(listen(port))) for _ in range(LISTENERS)
            ]
            await_subscribers(HOST, port, LISTENERS)
            publish(HOST, port, ORDER)
            for listener in listeners:
                while len(listener.texts) < ORDER.count:
                    listener.read()
                _expect_all(listener.texts)
        await_subscribers(HOST, port, 0)
    except (ConnectionError, ProtocolError, WrongAnswer, WrongDelivery) as error:
        return str(error)
    return None


def _expect_all(texts: list[str]) -> None:
    if len(texts) > ORDER.count:
        raise WrongDelivery(f"{len(texts)} messages came of {ORDER.count}")
    for number, text in enumerate(texts):
        stamped = STAMPED.fullmatch(text)
        if text != ORDER.message(number, int(stamped[2]) if stamped else 0):
            raise WrongDelivery(f"message {number} is {text[:40]!r}")


def _data(block: bytes) -> str | None:
    """The data of an event, or None where the block is only comments and settings."""
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line[:5] == b"data:"]
    return b"\n".join(lines).decode() if lines else None
