"""A server that is taken for uvicorn, so that what is published is sent in its publisher's turn."""

from collections.abc import Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fakes import FakeServer

from asgi_rt.asgi import Message
from asgi_rt.sse import Decoder, Event

DEADLINE = 10.0
"""Seconds that only guard against hanging."""


class Steps:
    """Awaits a coroutine, and counts how often its task was woken for that."""

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self.count = 0

    def __await__(self) -> Generator[Any, Any, None]:
        step: Any = self._coroutine.__await__()
        value: Any = None
        error: BaseException | None = None
        while True:
            self.count += 1
            try:
                if error is None:
                    waits_for = step.send(value)
                else:
                    thrown, error = error, None
                    try:
                        waits_for = step.throw(thrown)
                    finally:
                        del thrown  # its traceback knows this frame
            except StopIteration:
                return
            value = None
            try:
                value = yield waits_for
            except BaseException as raised:
                error = raised


class WokenServer(FakeServer):
    """An HTTP exchange whose client can freeze: a send then waits, and sends when that is over.

    As uvicorn does it, nothing is sent once the client has left, and that is no error; `raises`
    has a send raise an error instead.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.faults: list[str] = []
        self.sends = 0
        self.error: BaseException | None = None
        """What came out of the app."""
        self.raises: Exception | None = None
        self.waits = 0
        """How many sends have begun to wait."""
        self.cancelled = 0
        """How many sends were cancelled while they waited."""
        self.steps: Steps | None = None
        self.is_done = False
        self._is_sending = False

    async def send(self, message: Message) -> None:
        if self._is_sending:
            self.faults.append(f"{message} was sent while another message was")
        self.sends += 1
        if self.raises is not None:
            raise self.raises
        self._is_sending = True
        try:
            while self._is_frozen and not self.left.is_set():
                self.waits += 1
                self.blocked.set()
                try:
                    await self._thawed.wait()
                except BaseException:
                    self.cancelled += 1
                    raise
        finally:
            self._is_sending = False
        frozen, self._is_frozen = self._is_frozen, False
        await super().send(message)
        self._is_frozen = frozen

    def freeze(self) -> None:
        if not self._is_frozen:
            super().freeze()
            self.blocked = anyio.Event()

    async def run(self, app: Callable[..., Coroutine[Any, Any, None]]) -> None:
        self.steps = Steps(app(self.scope, self.receive, self.send))
        try:
            await self.steps
        except Exception as error:
            self.error = error
        finally:
            self.is_done = True
            self._sent.set()

    async def has(self, part: bytes, count: int = 1) -> None:
        """Return when the body holds `part` so often."""
        with anyio.fail_after(DEADLINE):
            while self.body.count(part) < count:
                assert not self.is_done, f"it ended with {self.error!r} after {self.body!r}"
                await self._sent.wait()

    @property
    def events(self) -> list[Event]:
        """What a client makes of the body."""
        return Decoder().feed(self.body)

    @property
    def datas(self) -> list[Any]:
        """The data of its events."""
        return [event.data for event in self.events]


class PushedServer(WokenServer):
    """The same, taken for uvicorn."""

    __module__ = "uvicorn.fake"


@asynccontextmanager
async def streamed(app: Any, server: WokenServer | None = None, *, ends: bool = False):
    """Have a stream sent; its client leaves at the end of the block, unless the stream `ends`."""
    server = PushedServer() if server is None else server
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, app)
            yield server
            if not ends:
                server.leave()
    assert server.is_done
    assert server.faults == []
