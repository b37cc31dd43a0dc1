"""Watching for the disconnect without a task: at uvicorn's own `receive`, real and pretended."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from contextvars import Context
from typing import Any

import anyio
import pytest
import uvicorn
from fakes import FakeServer
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from asgi_rt import App
from asgi_rt.http.inbox import Inbox
from asgi_rt.sse import EventStream

DISCONNECT = {"type": "http.disconnect"}
END = {"type": "http.request", "body": b"", "more_body": False}
PROTOCOLS = {"httptools": HttpToolsProtocol, "h11": H11Protocol}

on_asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
kinds = pytest.mark.parametrize("kind", ["pretended", *PROTOCOLS])


class Pretended:
    """Receives as uvicorn's request does, and minds that nobody else does meanwhile."""

    def __init__(self, length: int = 0) -> None:
        self._changed = asyncio.Event()
        self._body = b""
        self._missing = length
        self._has_left = False
        self._is_receiving = False
        self.error: Exception | None = None
        self.arrive(b"")

    def arrive(self, body: bytes) -> None:
        self._body += body
        self._missing -= len(body)
        self._changed.set()

    def leave(self) -> None:
        self._has_left = True
        self._changed.set()

    def fail(self) -> None:
        """From now on nothing can be received."""
        self.error = RuntimeError("receive failed")
        self._changed.set()

    async def receive(self) -> dict[str, Any]:
        assert not self._is_receiving, "two were in receive at once"
        self._is_receiving = True
        try:
            if not self._has_left and self.error is None:
                await self._changed.wait()
                self._changed.clear()
        finally:
            self._is_receiving = False
        if self.error is not None:
            raise self.error
        if self._has_left:
            return DISCONNECT
        body, self._body = self._body, b""
        return {"type": "http.request", "body": body, "more_body": self._missing > 0}


Pretended.__module__ = "uvicorn.pretended"


class NoTransport(asyncio.Transport):
    """To nowhere."""

    def write(self, data: Any) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Real:
    """One request to one of uvicorn's own protocols, whose app does nothing until it is let go."""

    def __init__(self, kind: str, length: int) -> None:
        self._begun, self._over = asyncio.Event(), asyncio.Event()
        self.receive: Any = None
        config = uvicorn.Config(self._serve, interface="asgi3", lifespan="off", log_config=None)
        self._state = ServerState()
        self._protocol = PROTOCOLS[kind](config, self._state, {})
        self._protocol.connection_made(NoTransport())
        head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
        self._protocol.data_received(head.encode())
        self._has_left = False

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.receive = receive
        self._begun.set()
        await self._over.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def begin(self) -> None:
        await self._begun.wait()

    def arrive(self, body: bytes) -> None:
        self._protocol.data_received(body)

    def leave(self) -> None:
        self._has_left = True
        self._protocol.connection_lost(None)

    async def end(self) -> None:
        if not self._has_left:
            self.leave()
        self._over.set()
        await asyncio.gather(*self._state.tasks)


@contextlib.asynccontextmanager
async def exchange(kind: str, *, length: int = 0) -> AsyncIterator[Any]:
    """A request whose body of `length` bytes has yet to arrive."""
    if kind == "pretended":
        yield Pretended(length)
        return
    real = Real(kind, length)
    await real.begin()
    try:
        yield real
    finally:
        await real.end()


class Told:
    """What it is told, and a way to wait for that."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []
        self._is_told = asyncio.Event()

    def on_left(self, error: Exception | None) -> None:
        self.errors.append(error)
        self._is_told.set()

    async def wait(self) -> None:
        with anyio.fail_after(10):
            await self._is_told.wait()


def watch(inbox: Inbox, told: Told) -> bool:
    return inbox.watch(told, Context())


async def some_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def soon(awaitable: Any) -> Any:
    with anyio.fail_after(10):
        return await awaitable


# Being told


@kinds
@on_asyncio_only
async def test_it_is_told_once_when_the_client_leaves(kind):
    async with exchange(kind) as client:
        inbox, told = Inbox(client.receive), Told()
        assert watch(inbox, told)
        await some_turns()
        assert told.errors == []
        assert not inbox.is_disconnected
        client.leave()
        await told.wait()
        await some_turns()
        inbox.unwatch()
        assert told.errors == [None]
        assert inbox.is_disconnected


@kinds
@on_asyncio_only
async def test_it_is_told_at_once_where_the_client_has_left_before(kind):
    async with exchange(kind) as client:
        inbox, told = Inbox(client.receive), Told()
        client.leave()
        assert watch(inbox, told)
        assert told.errors == [None]


@kinds
@on_asyncio_only
@pytest.mark.parametrize("leaves_first", [False, True])
async def test_it_is_not_told_after_unwatch(kind, leaves_first):
    async with exchange(kind) as client:
        inbox, told = Inbox(client.receive), Told()
        assert watch(inbox, told)
        await some_turns()
        if leaves_first:
            client.leave()
            inbox.unwatch()
        else:
            inbox.unwatch()
            client.leave()
        await some_turns()
        assert told.errors == []
        await soon(inbox.disconnected())


@kinds
@on_asyncio_only
async def test_it_may_watch_again(kind):
    async with exchange(kind) as client:
        inbox, first, second = Inbox(client.receive), Told(), Told()
        assert watch(inbox, first)
        inbox.unwatch()
        assert watch(inbox, second)
        client.leave()
        await second.wait()
        assert (first.errors, second.errors) == ([], [None])


@on_asyncio_only
@pytest.mark.parametrize("at_once", [False, True])
async def test_it_is_told_what_receive_raises_and_others_meet_it_too(at_once):
    client = Pretended()
    inbox, told = Inbox(client.receive), Told()
    if at_once:
        client.fail()
    assert watch(inbox, told)
    reader = asyncio.create_task(inbox.disconnected())
    await some_turns()
    if not at_once:
        client.fail()
    await told.wait()
    with pytest.raises(RuntimeError, match="receive failed"):
        await soon(reader)
    assert told.errors == [client.error]
    assert not inbox.is_disconnected


# Others that read


@kinds
@on_asyncio_only
@pytest.mark.parametrize("after", [False, True], ids=["meanwhile", "after it"])
async def test_others_get_the_request_once_and_the_disconnect(kind, after):
    async with exchange(kind) as client:
        inbox = Inbox(client.receive)
        assert watch(inbox, Told())
        if after:
            inbox.unwatch()
        assert await soon(inbox()) == END
        readers = [asyncio.create_task(read()) for read in (inbox, inbox.disconnected, inbox)]
        await some_turns()
        assert not any(reader.done() for reader in readers)
        assert not await inbox.poll()
        client.leave()
        assert await soon(asyncio.gather(*readers)) == [DISCONNECT, None, DISCONNECT]


@kinds
@on_asyncio_only
async def test_a_reader_that_waits_goes_on_when_the_watch_ends(kind):
    async with exchange(kind) as client:
        inbox, told = Inbox(client.receive), Told()
        assert watch(inbox, told)
        await soon(inbox())
        reader = asyncio.create_task(inbox())
        await some_turns()
        inbox.unwatch()
        await some_turns()
        assert not reader.done()
        client.leave()
        assert await soon(reader) == DISCONNECT
        assert told.errors == []


@kinds
@on_asyncio_only
async def test_cancelling_a_reader_does_not_end_the_watch(kind):
    async with exchange(kind) as client:
        inbox, told = Inbox(client.receive), Told()
        assert watch(inbox, told)
        reader = asyncio.create_task(inbox.disconnected())
        await some_turns()
        reader.cancel()
        await asyncio.wait((reader,))
        client.leave()
        await told.wait()
        assert told.errors == [None]


@kinds
@on_asyncio_only
@pytest.mark.parametrize("reads", ["during", "after"])
async def test_a_body_that_is_here_is_kept_for_its_reader(kind, reads):
    async with exchange(kind, length=5) as client:
        inbox, told = Inbox(client.receive), Told()
        client.arrive(b"hello")
        assert watch(inbox, told)
        if reads == "after":
            client.leave()
            await told.wait()
        assert await soon(inbox.chunk()) == (b"hello", False)
        assert await soon(inbox.chunk()) == (b"", False)


# Where it cannot be done


@kinds
@on_asyncio_only
@pytest.mark.parametrize("arrived", [b"", b"he"])
async def test_a_body_that_still_comes_is_refused_and_nothing_of_it_lost(kind, arrived):
    async with exchange(kind, length=5) as client:
        inbox, told = Inbox(client.receive), Told()
        if arrived:
            client.arrive(arrived)
        assert not watch(inbox, told)
        client.arrive(b"hello"[len(arrived) :])
        read, more = b"", True
        while more:
            chunk, more = await soon(inbox.chunk())
            read += chunk
        assert read == b"hello"
        assert watch(inbox, told)
        client.leave()
        await told.wait()
        assert told.errors == [None]


@on_asyncio_only
async def test_who_receives_already_goes_on_and_the_watch_is_refused():
    client = Pretended()
    inbox, told = Inbox(client.receive), Told()
    reader = asyncio.create_task(inbox.disconnected())
    await some_turns()
    assert not watch(inbox, told)
    client.leave()
    await soon(reader)
    assert told.errors == []


@on_asyncio_only
@pytest.mark.parametrize("kind", ["another server", "function", "partial", "inbox"])
async def test_a_receive_that_is_not_uvicorn_s_own_is_refused_and_not_asked(kind):
    client = Pretended()
    server, asked = FakeServer(), []

    async def receive() -> Any:
        asked.append(True)
        return await client.receive()

    inbox = Inbox(
        {
            "another server": server.receive,
            "function": receive,
            "partial": functools.partial(client.receive),
            "inbox": Inbox(client.receive),
        }[kind]
    )
    assert not watch(inbox, Told())
    assert not asked
    (server if kind == "another server" else client).leave()
    await soon(inbox.disconnected())


# Through a whole app


@on_asyncio_only
async def test_a_mounted_app_reads_its_request_after_a_stream_that_was_watched():
    client, server, outer, seen = Pretended(), FakeServer(), App(), []

    async def foreign(scope: Any, receive: Any, send: Any) -> None:
        async def source() -> AsyncIterator[str]:
            yield "first"
            await asyncio.sleep(0)
            yield "second"

        await EventStream(source())(scope, receive, send)
        seen.append(await receive())
        client.leave()
        seen.append(await receive())

    outer.mount("/inner", foreign)
    server.scope.update(path="/inner/x", raw_path=b"/inner/x")
    await soon(outer(server.scope, client.receive, server.send))
    assert server.is_complete
    assert seen == [END, DISCONNECT]


@on_asyncio_only
async def test_a_source_reads_its_request_while_its_stream_is_watched():
    client, server, app, seen = Pretended(), FakeServer(path="/events"), App(), []

    @app.sse("/events", methods=["GET"])
    async def events(request: Any) -> AsyncIterator[str]:
        yield "first"
        await asyncio.sleep(0)
        seen.append(await request.is_disconnected())
        seen.append(await request.body())
        seen.append(await request.is_disconnected())
        yield "second"

    await soon(app(server.scope, client.receive, server.send))
    assert server.is_complete
    assert seen == [False, b"", False]


@on_asyncio_only
async def test_a_watch_that_is_called_off_as_its_message_comes_receives_no_more():
    arrived = asyncio.Event()
    arrived.set()
    receiving: list[bool] = []

    class Server:
        async def receive(self) -> dict[str, Any]:
            receiving.append(True)
            try:
                await arrived.wait()
                arrived.clear()
            finally:
                receiving.pop()
            return {"type": "http.request", "body": b"", "more_body": False}

    class Watcher:
        def on_left(self, error: Exception | None) -> None:
            raise AssertionError("the client has not left")

    Server.__module__ = "uvicorn.pretended"
    inbox = Inbox(Server().receive)
    assert inbox.watch(Watcher(), Context())
    arrived.set()
    inbox.unwatch()
    for _ in range(5):
        await asyncio.sleep(0)
    assert receiving == []


@on_asyncio_only
async def test_a_scope_around_a_response_is_left_though_its_client_has_left_too():
    """The stream cancels its own task, and then somebody else does: each takes back their own."""
    client, server = Pretended(), FakeServer()
    waits, is_ending, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> None:
        try:
            waits.set()
            await asyncio.Event().wait()
        finally:
            is_ending.set()
            await may_end.wait()

    async def source() -> AsyncIterator[str]:
        yield "first"
        async with asyncio.TaskGroup() as group:
            group.create_task(slow_to_end())

    scope = anyio.CancelScope()

    async def respond() -> str:
        with scope:
            await EventStream(source())(server.scope, client.receive, server.send)
        return "left"

    task = asyncio.create_task(respond())
    await waits.wait()
    client.leave()
    await is_ending.wait()
    scope.cancel()
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.wait((task,))
    assert not task.cancelled()
    assert task.result() == "left"
