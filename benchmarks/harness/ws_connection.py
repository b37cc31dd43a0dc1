"""One WebSocket of a client over a plain socket."""

import os
import socket
from contextlib import suppress

from benchmarks.harness.websocket import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    ServerReader,
    client_frame,
    handshake,
    new_key,
)

READ_BYTES = 65536
NORMAL_CLOSURE = (1000).to_bytes(2, "big")


class Connection:
    """Sends the handshake when it is made; `opened` once the server has answered it.

    The socket blocks for `timeout` seconds at most, and then raises TimeoutError. One task or
    selector at a time. `close` it.
    """

    __slots__ = ("_reader", "sock")

    def __init__(self, host: str, port: int, path: str, timeout: float = 30.0) -> None:
        key = new_key(os.urandom(16))
        self._reader = ServerReader(key)
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(handshake(path, key))

    @property
    def opened(self) -> bool:
        return self._reader.opened

    def wait_opened(self) -> None:
        """Read until the handshake is answered. Raises ProtocolError and ConnectionError."""
        while not self.opened:
            self.read()

    def read(self) -> list[Frame]:
        """The messages in what comes next, which may be none; pings are answered.

        Raises ConnectionError where the server has closed, and ProtocolError.
        """
        return self.take(self.sock.recv(READ_BYTES))

    def take(self, data: bytes) -> list[Frame]:
        """The same for what has been received already."""
        if not data:
            raise ConnectionError("the server hung up")
        return [frame for frame in self._reader.feed(data) if self._is_message(frame)]

    def send_text(self, text: bytes) -> None:
        self._send(TEXT, text)

    def close(self) -> None:
        """Say goodbye, without waiting for the answer."""
        with suppress(OSError):
            self._send(CLOSE, NORMAL_CLOSURE)
        self.sock.close()

    def _send(self, opcode: int, payload: bytes) -> None:
        self.sock.sendall(client_frame(opcode, payload, os.urandom(4)))

    def _is_message(self, frame: Frame) -> bool:
        if frame.opcode == CLOSE:
            code = int.from_bytes(frame.payload[:2], "big") or "no code"
            reason = frame.payload[2:].decode("utf-8", "replace")
            raise ConnectionError(f"the server closed with {code} {reason}".rstrip())
        if frame.opcode == PING:
            self._send(PONG, frame.payload)
        return frame.opcode not in (PING, PONG)
