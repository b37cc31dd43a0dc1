"""One WebSocket of an app, without a server: what uvicorn would hand it and take from it."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import cycle
from time import perf_counter
from typing import Any

from benchmarks.harness.echoes import PATH, WrongEcho
from benchmarks.harness.exchange import App, Message, Scope

# asgi_rt tells servers apart by the module of their `receive`, and reads in a plainer way from
# those that wait in it for nothing but a future. These here stand for uvicorn's, and do so too.
IMITATED = "uvicorn.protocols.websockets"


def websocket_scope() -> Scope:
    """The scope that uvicorn makes for the handshake of the load generator, its state left out."""
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 53124),
        "root_path": "",
        "path": PATH,
        "raw_path": PATH.encode("ascii"),
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"sec-websocket-version", b"13"),
        ],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }


class ReadyClient:
    """A client that has sent all its `count` texts before the app asks for the first of them.

    It leaves when it has the last echo. `expect_end` tells whether it got them all.
    """

    __module__ = IMITATED

    def __init__(self, texts: Sequence[str], count: int) -> None:
        self._to_send = self._endless(texts)
        self._awaited = cycle(texts)
        self._unsent = self._missing = count
        self._connected = self._accepted = False
        self._served = asyncio.Event()

    async def receive(self) -> Message:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        if self._unsent:
            self._unsent -= 1
            return next(self._to_send)
        await self._served.wait()
        return {"type": "websocket.disconnect", "code": 1000, "reason": ""}

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            self._take(message)
        elif message["type"] == "websocket.accept":
            self._accepted = True
        elif self._missing:
            raise WrongEcho(f"{self._missing} echoes missing, and then {message!r}")

    def expect_end(self) -> None:
        """Raises WrongEcho if the app returned too early."""
        if self._missing or not self._accepted:
            raise WrongEcho(f"the app has returned, {self._missing} echoes before the last")

    def _take(self, message: Message) -> None:
        text = next(self._awaited)
        if message.get("text") != text:
            raise WrongEcho(f"{text[:40]!r} came back as {str(message)[:120]}")
        self._missing -= 1
        if not self._missing:
            self._served.set()
        elif self._missing < 0:
            raise WrongEcho(f"one echo too many: {text[:40]!r}")

    @staticmethod
    def _endless(texts: Sequence[str]) -> Iterator[Message]:
        # A server makes each message afresh; one that is shared might be written to.
        return ({"type": "websocket.receive", "text": text} for text in cycle(texts))


class WaitingClient(ReadyClient):
    """One that sends its next text when it has the echo of the last.

    It arrives a turn of the event loop later, through a queue, as uvicorn hands messages over.
    """

    __module__ = IMITATED

    def __init__(self, texts: Sequence[str], count: int) -> None:
        super().__init__(texts, count)
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> Message:
        return await self._inbox.get()

    async def send(self, message: Message) -> None:
        await super().send(message)
        if self._unsent:
            self._unsent -= 1
            self._loop.call_soon(self._inbox.put_nowait, next(self._to_send))
        else:
            left: Message = {"type": "websocket.disconnect", "code": 1000, "reason": ""}
            self._loop.call_soon(self._inbox.put_nowait, left)


async def timed_echoes(
    app: App, client: type[ReadyClient], texts: Sequence[str], state: dict[str, Any], count: int
) -> float:
    """Seconds that `count` echoes take on one WebSocket. Raises WrongEcho."""
    made = client(texts, count)
    started = perf_counter()
    await app({**websocket_scope(), "state": state.copy()}, made.receive, made.send)
    elapsed = perf_counter() - started
    made.expect_end()
    return elapsed
