"""Streams of events on the fake server, and what they put on the wire."""

import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from fakes import FakeServer

from asgi_rt import BackgroundTask, EventStream
from asgi_rt.asgi import Message
from asgi_rt.sse import Decoder, Event

ENDS_WITHIN = 10  # seconds, far more than it takes: it bounds a test that hangs
PING = b": ping"

on_asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)


async def run(response: EventStream, server: FakeServer) -> None:
    with anyio.fail_after(ENDS_WITHIN):
        await response(server.scope, server.receive, server.send)


def frames(server: FakeServer) -> list[bytes]:
    """The blocks that were sent, without their blank lines."""
    *whole, rest = server.body.split(b"\n\n")
    assert rest == b"", f"the body ends within a frame: {rest!r}"
    return whole


def events(server: FakeServer) -> list[Event]:
    """What a client makes of the body."""
    return Decoder().feed(server.body)


def datas(server: FakeServer) -> list[Any]:
    return [event.data for event in events(server)]


class Outcome:
    """Background work that notes whether the response went out whole."""

    def __init__(self) -> None:
        self.completed: list[bool] = []

    def task(self) -> BackgroundTask:
        return BackgroundTask(self._note)

    async def _note(self, completed: bool) -> None:
        self.completed.append(completed)


class StallingServer(FakeServer):
    """Its client stops reading at the first message that `stalls` picks."""

    def __init__(self, stalls: Callable[[Message], bool], **options: Any) -> None:
        super().__init__(**options)
        self._stalls = stalls

    async def send(self, message: Message) -> None:
        if self._stalls(message):
            self.freeze()
        await super().send(message)


class Pings(FakeServer):
    """A server that waits for pings, and knows what stood before each."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.times: list[tuple[float, bytes]] = []

    async def send(self, message) -> None:
        self.times.append((time.perf_counter(), message.get("body", b"")))
        await super().send(message)

    async def pinged(self, count: int) -> None:
        while self.body.count(PING) < count:
            await self.sent(len(self.messages) + 1)


def is_head(message: Message) -> bool:
    return message["type"] == "http.response.start"


def holds(part: bytes) -> Callable[[Message], bool]:
    """Picks messages by what is in their body."""
    return lambda message: part in message.get("body", b"")
