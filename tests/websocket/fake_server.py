"""A server's side of one WebSocket connection, whose client is the test.

What it is sent and what it lets receive goes through a `Lifecycle` of its own: what comes out of
turn, or while something else is under way, is noted as a fault. Time plays no part.
"""

import asyncio
import contextlib
import logging
import types
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, NoReturn

import anyio
import pytest

from asgi_rt import App
from asgi_rt.asgi import Message, Scope
from asgi_rt.errors import LifecycleError
from asgi_rt.http.pull import on_asyncio
from asgi_rt.websocket.lifecycle import Lifecycle, State, message_name
from asgi_rt.websocket.rounds import Rounds, rounds_of_this_loop

TIMEOUT = 20.0
"""Seconds after which a test gives up; far beyond what anything here takes."""


def websocket_scope(path: str = "/", **more: Any) -> Scope:
    """A scope such as a server makes for a handshake."""
    plain, _, query = path.partition("?")
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": plain,
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
        **more,
    }


class FakeServer:
    """One connection. A send waits while the client has no room, and then takes the message.

    After the client has left a send raises OSError, as the specification has it from 2.4 on; with
    `raises=False` it drops what it is given.
    """

    def __init__(self, *, raises: bool = True, tells: bool = True, **scope: Any) -> None:
        self.scope = websocket_scope(**scope)
        self.messages: list[Message] = []
        """What the app has sent, and the server has taken."""
        self.faults: list[str] = []
        self.lifecycle = Lifecycle()
        self.receives_begun = 0
        self.sends_begun = 0
        self.is_receiving = False
        """Whether somebody waits for the client."""
        self.is_blocked = False
        """Whether a send waits for the client."""
        self.is_done = False
        self.error: BaseException | None = None
        """What came out of the app."""
        self.raises = raises
        self.tells = tells
        self._room: int | None = None
        self._is_gone = False
        self._has_closed = False
        self._has_told = False  # of the end
        self._is_sending = False
        self._waiters: list[anyio.Event] = []
        self._start()
        self._put({"type": "websocket.connect"})

    # The client

    def send_text(self, *texts: str) -> None:
        self._put_messages({"type": "websocket.receive", "text": text} for text in texts)

    def send_bytes(self, *messages: bytes) -> None:
        self._put_messages({"type": "websocket.receive", "bytes": data} for data in messages)

    def _put_messages(self, messages: Iterator[Message]) -> None:
        if not self._has_told and not self._is_gone and self.close is None:
            for message in messages:
                self._put(message)

    def leave(self, code: int = 1000, reason: str = "") -> None:
        """The client closes the connection."""
        self._end({"type": "websocket.disconnect", "code": code, "reason": reason})

    def lose(self) -> None:
        """The connection breaks."""
        self._end({"type": "websocket.disconnect", "code": 1006})

    def vanish(self) -> None:
        """It breaks, and the server tells only those who send, until it loses the connection."""
        self._is_gone = True
        self._changed()

    def fail(self, code: int, reason: str) -> None:
        """The server closes the connection, because of something that the client has done.

        As uvicorn does it: a message that is sent after that is an error of the app's. Before the
        handshake was answered the connection is just lost.
        """
        if not self.messages:
            self.lose()
        elif not self._has_told and not self._is_gone and self.close is None:
            self._has_closed = True
            self._tell({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _end(self, disconnect: Message) -> None:
        self._is_gone = True
        if not self._has_told:
            self._tell(disconnect)
        self._changed()

    def _tell(self, disconnect: Message) -> None:
        self._has_told = True
        self._put(disconnect)

    def freeze(self, room: int = 0) -> None:
        """The client reads nothing any more; so many messages find room before a send blocks."""
        self._room = room

    def thaw(self, room: int | None = None) -> None:
        """It reads again: so many messages, or all there are."""
        self._room = None if room is None else (self._room or 0) + room
        self.is_blocked = False
        self._changed()

    # What the test waits for

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds; it is looked at whenever something happens here."""
        with anyio.fail_after(TIMEOUT):
            while not condition():
                event = anyio.Event()
                self._waiters.append(event)
                await event.wait()

    async def accepted(self) -> None:
        await self.until(lambda: self.messages)

    async def has_sent(self, count: int) -> None:
        """Return when the app has sent so many messages to the client."""
        await self.until(lambda: len(self.data) >= count)

    async def blocked(self) -> None:
        await self.until(lambda: self.is_blocked)

    async def receiving(self) -> None:
        await self.until(lambda: self.is_receiving)

    async def done(self) -> None:
        """Return when the app has."""
        await self.until(lambda: self.is_done)

    def _changed(self) -> None:
        waiters, self._waiters = self._waiters, []
        for event in waiters:
            event.set()

    # What the app has sent

    @property
    def data(self) -> list[str | bytes]:
        """The messages to the client."""
        sends = [each for each in self.messages if each["type"] == "websocket.send"]
        return [each["bytes"] if each.get("text") is None else each["text"] for each in sends]

    @property
    def close(self) -> tuple[int, str] | None:
        """Code and reason of the close that the app has sent."""
        if self.messages and self.messages[-1]["type"] == "websocket.close":
            return self.messages[-1]["code"], self.messages[-1]["reason"]
        return None

    @property
    def status(self) -> int | None:
        """That of the response by which the handshake was denied."""
        if self.messages and self.messages[0]["type"] == "websocket.http.response.start":
            return self.messages[0]["status"]
        return None

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.messages[1:])

    # The app

    async def run(self, app: Callable[..., Any]) -> None:
        """Run the app to its end; what it raises is `error`."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:
            self.error = error
        finally:
            self.is_done = True
            self._changed()

    async def receive(self) -> Message:
        if self.is_receiving:
            self.faults.append("two receive at once")
        self.receives_begun += 1
        self.is_receiving = True
        self._changed()
        try:
            message = await self._next()
        finally:
            self.is_receiving = False
        self.lifecycle.received(message_name(message))
        self._changed()
        return message

    async def send(self, message: Message) -> None:
        if self._is_sending:
            self.faults.append(f"{message} was sent while another message was")
        self.sends_begun += 1
        if self.lifecycle.app is State.CLOSED and not self._is_gone:
            self.faults.append(f"{message} was sent after the end")
        self._is_sending = True
        try:
            while self._room == 0 and not self._is_gone:
                self.is_blocked = True
                self._changed()
                await self.until_changed()
            self.is_blocked = False
            self._take(message)
        finally:
            self._is_sending = self.is_blocked = False
            self._changed()

    async def until_changed(self) -> None:
        event = anyio.Event()
        self._waiters.append(event)
        await event.wait()

    def _take(self, message: Message) -> None:
        name = message_name(message)
        if self._is_gone:
            if self.raises:
                raise ClientDisconnected("the client has left")
            return
        try:
            self.lifecycle.sent(name)
        except LifecycleError as error:
            if self.lifecycle.app is not State.CLOSED:  # else it ended during the wait
                self.faults.append(str(error))
            _refuse(RuntimeError(str(error)))
        if self._has_closed:
            _refuse(RuntimeError(f"Unexpected ASGI message '{name}', after sending a close"))
        if self._room is not None:
            self._room -= 1
        was_open = self.close is None and self.status is None and bool(self.messages)
        self.messages.append(message)
        if name == "websocket.close" and self.tells:
            code = message["code"] if was_open else 1006
            reason = message["reason"]
            self._tell({"type": "websocket.disconnect", "code": code, "reason": reason})
        elif name == "websocket.http.response.end":
            self._tell({"type": "websocket.disconnect", "code": 1006})
            self._put({"type": "websocket.disconnect", "code": 1006})

    # What the kinds of servers differ in

    def _start(self) -> None:
        self._queue: deque[Message] = deque()

    def _put(self, message: Message) -> None:
        self._queue.append(message)
        self._changed()

    async def _next(self) -> Message:
        while not self._queue:
            await self.until_changed()
        if len(self._queue) == 1 and self._queue[0]["type"] == "websocket.disconnect":
            return self._queue[0]  # again and again
        return self._queue.popleft()


def _raise(error: Exception) -> NoReturn:
    raise error


# As the code of a server raises it: that is how the package tells it from an error of others.
_refuse = types.FunctionType(_raise.__code__, {"__name__": "uvicorn.protocols.websockets.fake"})


class ClientDisconnected(OSError):
    """As uvicorn calls it."""


class UvicornServer(FakeServer):
    """Taken for uvicorn: waits for nothing but a future, and tells of an end only once."""

    __module__ = "uvicorn.protocols.websockets.fake"

    def _start(self) -> None:
        super()._start()
        self._messages: asyncio.Queue[Message] | None = asyncio.Queue() if on_asyncio() else None

    def _put(self, message: Message) -> None:
        if self._messages is None:
            self._queue.append(message)
        else:
            self._messages.put_nowait(message)
        self._changed()

    async def _next(self) -> Message:
        if self._messages is not None:
            return await self._messages.get()
        while not self._queue:
            await self.until_changed()
        return self._queue.popleft()


KINDS = [FakeServer, UvicornServer]
QUICK_BACKENDS = [  # asyncio's debug mode would take most of the time of a long test
    pytest.param(("asyncio", {}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]


@contextlib.asynccontextmanager
async def connection(
    handler: Callable[..., Any],
    kind: type[FakeServer] = FakeServer,
    *,
    server: dict[str, Any] | None = None,
    crashes: bool = False,
    **options: Any,
) -> AsyncGenerator[FakeServer]:
    """A connection to this handler. At the end of the block the handler must end as well."""
    fake = kind(**(server or {}))
    app = App()
    app.websocket("/", **options)(handler)
    with no_errors_logged():
        async with anyio.create_task_group() as group:
            group.start_soon(fake.run, app)
            yield fake
            await fake.done()
    if fake.error is not None and not crashes:
        raise fake.error
    assert fake.faults == []


async def a_round() -> None:
    """Return when the connections that were used have been looked after."""
    if on_asyncio():
        visit = _Visit()
        rounds_of_this_loop().add(visit)
        with anyio.fail_after(TIMEOUT):
            await visit.event.wait()


class _Visit:
    def __init__(self) -> None:
        self.event = anyio.Event()

    def on_round(self) -> None:
        self.event.set()


class SteppedRounds(Rounds):
    """Rounds that are due when the test says so, not when it is time."""

    def add(self, target: Any) -> None:
        self._due.append(target)

    def step(self) -> None:
        self._run()


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@contextlib.contextmanager
def errors_logged() -> Iterator[list[str]]:
    """What is logged as an error in the block, by the package or by the event loop."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    try:
        yield errors.messages
    finally:
        logging.getLogger().removeHandler(errors)


@contextlib.contextmanager
def no_errors_logged() -> Iterator[None]:
    """Nothing in the block may log an error."""
    with errors_logged() as errors:
        yield
    assert errors == []
