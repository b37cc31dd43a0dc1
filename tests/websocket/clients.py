"""WebSocket clients that share no code with the package: two libraries under one face, and one that
is as bare as a socket and breaks the rules as it pleases.
"""

import base64
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import aiohttp
import anyio
import websockets
from server_process import TIMEOUT, RawClient
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websockets

LOST = 1006
"""What a client notes where the connection ended without a close frame."""
CONTINUATION, TEXT, BINARY, CLOSE = 0x0, 0x1, 0x2, 0x8


class Refused(Exception):
    """The handshake was answered with an HTTP response."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        """None where the client keeps none."""
        super().__init__(status, body)


class Client(Protocol):
    """One open connection."""

    subprotocol: str | None
    headers: Mapping[str, str]
    compresses: bool

    async def send(self, message: str | bytes) -> None: ...

    async def receive(self) -> str | bytes: ...

    async def close(self, code: int, reason: str) -> None: ...

    async def end(self) -> tuple[int, str]:
        """Read all that comes; the code and the reason of the close frame that ends it."""
        ...


Connect = Callable[..., AbstractAsyncContextManager[Client]]


class _WebsocketsClient:
    def __init__(self, connection: ClientConnection) -> None:
        assert connection.response is not None
        self._connection = connection
        self.subprotocol = connection.subprotocol
        self.headers = connection.response.headers
        self.compresses = bool(connection.protocol.extensions)
        self.send = connection.send
        self.receive = connection.recv
        self.close = connection.close

    async def end(self) -> tuple[int, str]:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await self._connection.recv()
        assert self._connection.close_code is not None
        return self._connection.close_code, self._connection.close_reason or ""


@asynccontextmanager
async def with_websockets(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    compress: bool = False,
) -> AsyncIterator[Client]:
    """A connection of the library `websockets`; Refused where the handshake is."""
    opening = connect_websockets(
        url,
        additional_headers=headers,
        origin=origin,
        subprotocols=list(subprotocols) or None,
        compression="deflate" if compress else None,
        max_size=None,
        proxy=None,
        ping_interval=None,
    )
    with anyio.fail_after(TIMEOUT):
        try:
            connection = await opening
        except websockets.InvalidStatus as refusal:
            response = refusal.response
            raise Refused(response.status_code, response.headers, response.body) from None
        async with connection:
            yield _WebsocketsClient(connection)


class _AiohttpClient:
    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection
        self.subprotocol = connection.protocol
        self.headers = connection._response.headers
        self.compresses = bool(connection.compress)

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._connection.send_str(message)
        else:
            await self._connection.send_bytes(message)

    async def receive(self) -> str | bytes:
        received = await self._connection.receive()
        assert received.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), received
        return received.data

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code=code, message=reason.encode())

    async def end(self) -> tuple[int, str]:
        # Not `close_code`, which is 1000 where the stream just ends.
        while True:
            try:
                received = await self._connection.receive()
            except aiohttp.ClientConnectionResetError:
                continue  # it could not answer a ping; the close may stand behind that
            if received.type is aiohttp.WSMsgType.CLOSE:
                return received.data, received.extra or ""
            if received.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return LOST, ""


@asynccontextmanager
async def with_aiohttp(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    compress: bool = False,
) -> AsyncIterator[Client]:
    """A connection of aiohttp's client; Refused, without a body, where the handshake is."""
    with anyio.fail_after(TIMEOUT):
        async with aiohttp.ClientSession() as session:
            try:
                connection = await session.ws_connect(
                    url,
                    headers=headers,
                    origin=origin,
                    protocols=subprotocols,
                    compress=15 if compress else 0,
                    max_msg_size=0,
                )
            except aiohttp.WSServerHandshakeError as refusal:
                raise Refused(refusal.status, refusal.headers or {}, None) from None
            async with connection:
                yield _AiohttpClient(connection)


CONNECTS: dict[str, Connect] = {"websockets": with_websockets, "aiohttp": with_aiohttp}


def frame(opcode: int, payload: bytes = b"", *, is_last: bool = True) -> bytes:
    """A frame of a client, RFC 6455 section 5.2, masked with zeros."""
    head = bytes([opcode | (0x80 if is_last else 0)])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack("!BH", 0x80 | 126, len(payload))
    else:
        head += struct.pack("!BQ", 0x80 | 127, len(payload))
    return head + bytes(4) + payload


class BareClient(RawClient):
    """A socket that says what it is told to."""

    def __init__(self, address: tuple[str, int], path: str | None, **options: Any) -> None:
        """Connect and, with a path, send the handshake."""
        super().__init__(address, **options)
        self._read = b""
        if path is not None:
            self.ask(path)

    def ask(self, path: str) -> None:
        """Send the handshake; `shake_hands` reads the answer."""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def shake_hands(self) -> None:
        answer = self.read_until(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        self._read = answer.partition(b"\r\n\r\n")[2]

    def send(self, opcode: int, payload: bytes = b"", *, is_last: bool = True) -> None:
        self.socket.sendall(frame(opcode, payload, is_last=is_last))

    def read_frame(self) -> tuple[int, bytes]:
        """The opcode and the payload of the next frame, as servers send them: not masked."""
        opcode, length = self.take(2)
        size = length & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.take(8))
        return opcode & 0xF, self.take(size)

    def take(self, size: int) -> bytes:
        """The next bytes, exactly so many."""
        while len(self._read) < size:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionResetError("the connection ended within a frame")
            self._read += chunk
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def end(self) -> tuple[int, str]:
        """Read all frames; the code and the reason of the close frame, LOST where none comes."""
        try:
            while True:
                opcode, payload = self.read_frame()
                if opcode == CLOSE:
                    code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                    return code, payload[2:].decode()
        except ConnectionError:
            return LOST, ""

    def reset(self) -> None:
        """Leave as a crashed machine does: with an RST in place of every farewell."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
