"""A server that speaks HTTP/1.1 as badly as a test wants it to, and a client with time to spare."""

import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import SocketAttribute, SocketStream

from asgi_rt.sse.client import EventSource

TIMEOUT = 20.0
"""Seconds after which a test gives up waiting; far beyond what anything here takes."""


class Connection:
    """The server's end of one connection, with the request that was made on it."""

    def __init__(self, stream: SocketStream, request: bytes) -> None:
        self.request = request
        self._stream = stream

    @property
    def head(self) -> list[bytes]:
        return self.request.partition(b"\r\n\r\n")[0].split(b"\r\n")

    @property
    def body(self) -> bytes:
        return self.request.partition(b"\r\n\r\n")[2]

    def header(self, name: bytes) -> bytes | None:
        for line in self.head[1:]:
            key, _, value = line.partition(b": ")
            if key.lower() == name.lower():
                return value
        return None

    async def answer(self, status: int = 200, *lines: str, body: bytes | None = None) -> None:
        """A head; without a body the chunks of one follow."""
        length = "Transfer-Encoding: chunked" if body is None else f"Content-Length: {len(body)}"
        head = [f"HTTP/1.1 {status} Something", length, "Connection: close", *lines]
        await self.write("\r\n".join([*head, "", ""]).encode() + (body or b""))

    async def stream(self, *chunks: bytes) -> None:
        """The head of an event stream, and the first chunks."""
        await self.answer(200, "Content-Type: text/event-stream; charset=utf-8")
        for chunk in chunks:
            await self.send(chunk)

    async def send(self, data: bytes) -> None:
        """A chunk."""
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        """The end of the chunks, as it should be."""
        await self.write(b"0\r\n\r\n")

    async def write(self, data: bytes) -> None:
        await self._stream.send(data)

    async def reset(self) -> None:
        """Cut the connection off, without the end that TCP has for it."""
        raw = self._stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await self._stream.aclose()

    async def gone(self) -> None:
        """Return when the client has closed the connection."""
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await self._stream.receive()


Script = Callable[[Connection], Awaitable[None]]


class RawServer:
    """Runs one script for each connection: the next of `scripts`, at last the last again and again.

    A connection that its script leaves open is closed, in the middle of the chunks.
    """

    def __init__(self, *scripts: Script) -> None:
        self.connections: list[Connection] = []
        self.url = ""
        self._scripts = list(scripts)
        self._open = 0
        self._all_closed = anyio.Event()

    async def handle(self, stream: SocketStream) -> None:
        self._open += 1
        try:
            async with stream:
                await self._run_script(stream)
        finally:
            self._open -= 1
            if not self._open:
                self._all_closed.set()
                self._all_closed = anyio.Event()

    async def _run_script(self, stream: SocketStream) -> None:
        request = b""
        # The client may leave at any time, also while the script writes.
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while not _is_whole(request):
                request += await stream.receive()
            connection = Connection(stream, request)
            self.connections.append(connection)
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            await script(connection)

    async def all_closed(self) -> None:
        """Return when no connection is open: raises TimeoutError if a client left one so."""
        with anyio.fail_after(TIMEOUT):
            while self._open:
                await self._all_closed.wait()

    def headers(self, name: bytes) -> list[bytes | None]:
        return [each.header(name) for each in self.connections]


def _is_whole(request: bytes) -> bool:
    head, blank, body = request.partition(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length: ")
    return bool(blank) and len(body) >= int(length.split(b"\r\n")[0] or b"0")


@contextlib.asynccontextmanager
async def serving(*scripts: Script) -> AsyncGenerator[RawServer]:
    server = RawServer(*scripts)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, server.handle)
        server.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/events"
        yield server
        tasks.cancel_scope.cancel()


def events_of(server: RawServer | str, **options: Any) -> EventSource:
    """An `EventSource` that notes in `sleeps` what it would sleep, and leaves nothing to chance."""
    url = server if isinstance(server, str) else server.url
    chance = options.pop("chance", 0.0)
    events = EventSource(url, **options)
    events.sleeps = sleeps = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        await anyio.lowlevel.checkpoint()

    events._reconnection.replace_clock(sleep=sleep, now=lambda: 0.0, chance=lambda: chance)
    return events
