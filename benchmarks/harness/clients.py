"""Clients of one HTTP exchange, without a server: those that send much or leave early."""

import asyncio
import gc
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from benchmarks.harness.exchange import App, Client, Message, Scope, header_dict
from benchmarks.harness.questions import Answer

# asgi_rt tells servers apart by the module of their `receive`, and watches in a plainer way for the
# end of those that wait in it for nothing but a future. These here stand for uvicorn's, and do so
# too.
IMITATED = "uvicorn.protocols.http"
TURNS_TO_CLOSE = 5
"""Of the event loop, within which it closes a generator that nothing refers to any more."""


class Staying(Client):
    """One that takes the whole response."""

    __module__ = IMITATED
    __slots__ = ()


class Uploading(Staying):
    """One whose body has come, in `parts`, before the app asks for the first of them."""

    __module__ = IMITATED
    __slots__ = ("_at", "_parts")

    def __init__(self, parts: Sequence[bytes]) -> None:
        super().__init__()
        self._parts = parts
        self._at = 0

    async def receive(self) -> Message:
        if self.received:
            return await super().receive()
        part = self._parts[self._at]
        self._at += 1
        self.received = self._at == len(self._parts)
        return {"type": "http.request", "body": part, "more_body": not self.received}


class Leaving(Staying):
    """One that leaves when it has had `chunks` chunks of a response without an end.

    What is sent after that is lost without a word, as with uvicorn. The app's handler says by
    `handler_ended` that it is over.
    """

    __module__ = IMITATED
    __slots__ = ("_chunks", "is_handler_over", "left_at", "start")

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self.start: Message = {}
        self.left_at: float | None = None
        self.is_handler_over = False
        self._chunks = chunks

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        elif message.get("body"):
            self._chunks -= 1
            if not self._chunks:
                self.left_at = perf_counter()
                self.over.set()

    def handler_ended(self) -> None:
        self.is_handler_over = True


async def leave(app: App, scope: Scope, state: dict[str, Any], client: Leaving) -> float:
    """Seconds from the client's leaving until the app returns.

    Raises RuntimeError for one that returns before that.
    """
    await app({**scope, "state": {**state, "client": client}}, client.receive, client.send)
    returned = perf_counter()
    if client.left_at is None:
        raise RuntimeError("the app returned before the client left")
    return returned - client.left_at


async def collect_handlers(clients: Sequence[Leaving]) -> None:
    """End what the app has left behind of its handlers, as a garbage collection would some day.

    Raises RuntimeError for a handler that is not even over then.
    """
    if all(client.is_handler_over for client in clients):
        return
    gc.collect()
    for _ in range(TURNS_TO_CLOSE):
        await asyncio.sleep(0)
    if not all(client.is_handler_over for client in clients):
        raise RuntimeError("a handler goes on after its client has left")


def head_of(client: Leaving) -> Answer:
    """The head that a client has had, as an answer without a body."""
    headers = header_dict(client.start)
    status = client.start.get("status", 0)
    return Answer(status, headers.get("content-type", ""), b"", headers)
