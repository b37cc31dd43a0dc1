"""Many clients of a served hub in one event loop, and some that never read."""

import asyncio
import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from server_process import TIMEOUT

_MESSAGE = re.compile(rb"#(\d+) ([\d.]+) x*;")
_MARK = re.compile(rb'#(\d+) [\d.]+ x*;|"missed":(\d+)')
_UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
)


def handshake(path: str) -> bytes:
    """A request for a stream of events, or for a WebSocket where the path begins with /ws."""
    upgrade = _UPGRADE if path.startswith("/ws") else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n".encode()


def frames(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The opcode, beginning and end of each whole payload that a server sent (RFC 6455, 5.2)."""
    start, size = 0, len(data)
    while start + 2 <= size:
        begin, length = start + 2, data[start + 1]
        if length > 125:
            begin += 2 if length == 126 else 8
            length = int.from_bytes(data[start + 2 : begin])
        start_of_next = begin + length
        if start_of_next > size:
            return
        yield data[start] & 15, begin, start_of_next
        start = start_of_next


class Unframed:
    """The texts in what comes over a WebSocket, in any pieces, and the pongs that are due."""

    _PING = 9

    def __init__(self) -> None:
        self._rest = b""
        self._is_open = False

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        data = self._rest + data
        if not self._is_open:
            head, separator, rest = data.partition(b"\r\n\r\n")
            if not separator:
                self._rest = data
                return b"", b""
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._is_open, data = True, rest
        end, texts, pongs = 0, [], []
        for opcode, begin, end in frames(data):
            payload = data[begin:end]
            if opcode == self._PING:
                pongs.append(b"\x8a" + bytes([0x80 | len(payload)]) + bytes(4) + payload)
            else:
                texts.append(payload)
        self._rest = data[end:]
        return b"".join(texts), b"".join(pongs)


class Healthy(asyncio.Protocol):
    """A client that reads all there is: which messages have come, and how long they took."""

    def __init__(self, path: str, *, counts_only: bool = False) -> None:
        self.numbers: list[int] = []
        self.seconds: list[float] = []
        self.count = 0
        self.opened = asyncio.Event()
        self.is_lost = False
        self._path = path
        self._counts_only = counts_only
        self._rest = b""
        self._unframed = Unframed() if path.startswith("/ws") else None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(handshake(self._path))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.opened.set()
        if self._unframed is not None:
            data, pongs = self._unframed.receive(data)
            if pongs:
                self.transport.write(pongs)
        if self._counts_only:
            self.count += data.count(b";")
            return
        data = self._rest + data
        end = 0
        for found in _MESSAGE.finditer(data):
            self.numbers.append(int(found[1]))
            self.seconds.append(now - float(found[2]))
            self.count += 1
            end = found.end()
        self._rest = data[end:]


class Frozen:
    """A client that never reads, until it is asked what there is."""

    _all: ClassVar[list["Frozen"]] = []

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(address)
        self.socket.sendall(handshake(path))
        self._all.append(self)

    @classmethod
    def close_all(cls) -> None:
        while cls._all:
            cls._all.pop().close()

    def read(self, until: bytes | None = None) -> list[str]:
        """What has been sent to it, up to a mark or to the end: numbers, and gaps as "-3"."""
        # In pieces of the small one, five megabytes take eleven seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        data = b""
        while until is None or until not in data:
            try:
                chunk = self.socket.recv(1 << 20)
            except ConnectionResetError:
                break
            if not chunk:
                break
            data += chunk
        self.data = data
        marks = _MARK.finditer(data)
        return [mark[1].decode() if mark[1] else f"-{mark[2].decode()}" for mark in marks]

    def close(self) -> None:
        self.socket.close()


class Crowd:
    """Some healthy clients of one server, in the running event loop."""

    def __init__(self, server: Any, path: str, count: int, *, counts_only: bool = False) -> None:
        self._server = server
        self._path = path
        self._count = count
        self._counts_only = counts_only
        self.clients: list[Healthy] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(self._count):
            client = Healthy(self._path, counts_only=self._counts_only)
            await loop.create_connection(lambda client=client: client, *self._server.address)
            self.clients.append(client)
        async with asyncio.timeout(TIMEOUT):
            for client in self.clients:
                await client.opened.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            client.transport.abort()
        await asyncio.sleep(0)

    async def publish(self, *, within: float = TIMEOUT, **query: Any) -> dict[str, Any]:
        """Have messages published, and wait until all clients have them, and note these alone."""
        before = self.clients[0].count if self.clients else 0
        for client in self.clients:
            client.numbers.clear()
            client.seconds.clear()
        outcome = await get(self._server, "/publish", within=within, **query)
        expected = before + query["count"]
        async with asyncio.timeout(within):
            for client in self.clients:
                while client.count < expected:
                    assert not client.is_lost, f"lost after {client.count} messages"
                    await asyncio.sleep(0.005)
        return outcome

    def p99(self) -> float:
        """Of the seconds that each message took to each client since the last `publish`."""
        seconds = sorted(each for client in self.clients for each in client.seconds)
        return seconds[int(len(seconds) * 0.99)]


async def get(server: Any, path: str, *, within: float = TIMEOUT, **query: Any) -> Any:
    """The JSON that the server answers with."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection(*server.address)
        request = f"GET {path}?{urlencode(query)} HTTP/1.1\r\nHost: localhost\r\n"
        writer.write(f"{request}Connection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return json.loads(answer[answer.index(b"\r\n\r\n") :])
