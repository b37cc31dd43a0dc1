"""What a handler sends, and what becomes of it when the client does not read."""

import asyncio
import contextlib

import anyio
import anyio.lowlevel
import pytest

from asgi_rt import WebSocketClosed
from asgi_rt.http.pull import on_asyncio
from websocket.fake_server import KINDS, QUICK_BACKENDS, FakeServer, connection

WITHIN = 3.0
"""Seconds after which a wait that ought to end has failed."""

kinds = pytest.mark.parametrize("kind", KINDS)


async def turns(count):
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


# Many who send at once

TASKS = 50
SENDS = 1000
HIGH_WATER_MARK = 701
"""So many messages find room before a send must wait for the client."""


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", QUICK_BACKENDS)
@kinds
async def test_many_tasks_send_each_in_its_order(kind):
    async def send(ws, name):
        for number in range(SENDS):
            await ws.send_text(f"{name} {number}")

    async def read():
        while True:
            await server.blocked()
            await turns(pauses.pop() if pauses else 0)
            server.thaw(HIGH_WATER_MARK)

    async def handler(ws):
        await ws.accept()
        server.freeze(HIGH_WATER_MARK)
        async with anyio.create_task_group() as reading:
            reading.start_soon(read)
            async with anyio.create_task_group() as sending:
                for name in range(TASKS):
                    sending.start_soon(send, ws, name)
            reading.cancel_scope.cancel()
        server.thaw()

    pauses = [0, 1, 5, 20]
    async with connection(handler, kind) as server:
        pass
    assert len(server.data) == TASKS * SENDS
    next_of = dict.fromkeys(range(TASKS), 0)
    for data in server.data:
        name, number = map(int, data.split())
        assert number == next_of[name]
        next_of[name] += 1


@kinds
@pytest.mark.parametrize("cancelled", [0, 1, 2])
async def test_cancelling_one_of_those_who_wait_to_send_leaves_the_others_in_order(kind, cancelled):
    scopes = []

    async def send(ws, number):
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await ws.send_text(f"{number}")
            await ws.send_text(f"{number} again")

    async def handler(ws):
        await ws.accept()
        server.freeze()
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(send, ws, number)
                await server.blocked()
                await turns(5)
            scopes[cancelled].cancel()
            await turns(5)
            server.thaw()
        await ws.send_text("last")

    async with connection(handler, kind) as server:
        pass
    left = [number for number in range(3) if number != cancelled]
    firsts = [data for data in server.data if len(data) == 1]
    assert firsts == [f"{number}" for number in left]
    for number in left:
        assert server.data.index(f"{number} again") > server.data.index(f"{number}")
    assert server.data[-1] == "last"
    assert len(server.data) == 5
    assert server.close == (1000, "")


@kinds
async def test_all_who_wait_to_send_are_freed_by_a_send_timeout(kind):
    seen = []

    async def send(ws):
        try:
            await ws.send_text("x")
        except WebSocketClosed as closed:
            seen.append((closed.code, closed.by))

    async def handler(ws):
        await ws.accept()
        server.freeze()
        with anyio.fail_after(WITHIN):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(send, ws)

    async with connection(handler, kind, send_timeout=0.02) as server:
        pass
    assert seen == [(1008, "server")] * 5
    assert server.messages[1:] == []


@kinds
async def test_a_send_timeout_is_no_time_limit_of_a_connection(kind):
    """Each send has it anew; here all of them take longer than one may."""

    async def handler(ws):
        await ws.accept()
        for _ in range(10):
            server.freeze()
            async with anyio.create_task_group() as group:
                group.start_soon(ws.send_text, "x")
                await server.blocked()
                await anyio.sleep(0.02)
                server.thaw()

    async with connection(handler, kind, send_timeout=0.1) as server:
        pass
    assert server.close == (1000, "")


# Closing while others send


@kinds
async def test_a_close_stands_behind_the_send_that_is_under_way(kind):
    seen = []

    async def send(ws, text):
        try:
            await ws.send_text(text)
        except WebSocketClosed as closed:
            seen.append((text, closed.code))

    async def handler(ws):
        await ws.accept()
        server.freeze()
        async with anyio.create_task_group() as group:
            group.start_soon(send, ws, "first")
            await server.blocked()
            group.start_soon(send, ws, "second")
            await turns(5)
            group.start_soon(ws.close, 4000)
            await ws.wait_closed()
            await turns(5)
            assert server.close is None
            server.thaw()

    async with connection(handler, kind) as server:
        pass
    assert server.data == ["first"]
    assert server.close == (4000, "")
    assert seen == [("second", 4000)]


@kinds
async def test_a_close_gives_up_where_the_client_reads_nothing(kind, monkeypatch):
    monkeypatch.setattr("asgi_rt.websocket.outgoing.CLOSE_SECONDS", 0.02)
    seen = []

    async def send(ws):
        try:
            await ws.send_text("x")
        except WebSocketClosed as closed:
            seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        server.freeze()
        with anyio.fail_after(WITHIN):
            async with anyio.create_task_group() as group:
                group.start_soon(send, ws)
                await server.blocked()
                await ws.close(4000)

    async with connection(handler, kind) as server:
        pass
    assert seen == [4000]
    assert server.messages[1:] == []


@kinds
async def test_cancelling_a_close_does_not_undo_it(kind):
    async def handler(ws):
        await ws.accept()
        server.freeze()
        async with anyio.create_task_group() as group:
            group.start_soon(ws.close, 4000)
            await server.blocked()
            others.start_soon(thaw)
            group.cancel_scope.cancel()

    async def thaw():
        await turns(10)
        server.thaw()

    async with anyio.create_task_group() as others, connection(handler, kind) as server:
        pass
    assert server.close == (4000, "")


@kinds
async def test_many_who_close_at_once_send_one_close(kind):
    async def handler(ws):
        await ws.accept()
        server.freeze()
        async with anyio.create_task_group() as group:
            for code in range(4000, 4010):
                group.start_soon(ws.close, code)
            await server.blocked()
            server.thaw()
        assert ws.closed is not None
        assert server.close == (ws.closed.code, "")

    async with connection(handler, kind) as server:
        pass


# Others get their turn


async def count_turns(counted):
    while True:
        counted[0] += 1
        await anyio.lowlevel.checkpoint()


@kinds
@pytest.mark.parametrize(("size", "sends_a_turn"), [(1, 64), (2**14, 6), (2**17, 3)])
async def test_a_tight_loop_of_sends_lets_others_run(kind, size, sends_a_turn):
    async def handler(ws):
        await ws.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(count_turns, counted)
            for _ in range(1000):
                await ws.send_text("x" * size)
            group.cancel_scope.cancel()

    counted = [0]
    async with connection(handler, kind) as server:
        pass
    assert len(server.data) == 1000
    assert counted[0] >= 1000 // sends_a_turn - 2


@kinds
async def test_a_tight_loop_of_receives_lets_others_run(kind):
    async def handler(ws):
        await ws.accept()
        server.send_text(*["x"] * 1000)
        async with anyio.create_task_group() as group:
            group.start_soon(count_turns, counted)
            for _ in range(1000):
                await ws.receive()
            group.cancel_scope.cancel()

    counted = [0]
    async with connection(handler, kind) as server:
        pass
    assert counted[0] >= 1000 // 64 - 2


@kinds
async def test_a_tight_loop_that_echoes_lets_others_run(kind):
    async def handler(ws):
        await ws.accept()
        server.send_text(*["x"] * 1000)
        async with anyio.create_task_group() as group:
            group.start_soon(count_turns, counted)
            for _ in range(1000):
                await ws.send_text(await ws.receive_text())
            group.cancel_scope.cancel()

    counted = [0]
    async with connection(handler, kind) as server:
        pass
    assert counted[0] >= 1000 // 64 - 2


# The time a send may take


@kinds
async def test_a_send_from_a_context_manager_is_bounded(kind):
    """Nothing leads from the task to what an async generator awaits."""
    seen = []

    @contextlib.asynccontextmanager
    async def saying_farewell(ws):
        try:
            yield
        finally:
            try:
                await ws.send_text("bye")
            except WebSocketClosed as closed:
                seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        server.freeze()
        with anyio.fail_after(WITHIN):
            async with saying_farewell(ws):
                pass

    async with connection(handler, kind, send_timeout=0.02) as server:
        pass
    assert seen == [1008]


@kinds
async def test_a_send_is_bounded_in_a_task_that_has_survived_a_cancellation(kind):
    """Such a task counts as being cancelled for ever: nothing says `uncancel`."""
    seen = []

    async def handler(ws):
        await ws.accept()
        if on_asyncio():
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        server.freeze()
        try:
            await ws.send_text("x")
        except BaseException as error:
            seen.append(type(error))
            raise

    async with connection(handler, kind, send_timeout=0.02) as server:
        pass
    assert seen == [WebSocketClosed]


# A server that closes by itself


@kinds
async def test_a_send_after_a_close_of_the_server_raises_what_the_server_tells(kind):
    """uvicorn calls it an error of the app's, which cannot know yet."""
    seen = []

    async def handler(ws):
        await ws.accept()
        await ws.receive()
        server.fail(1009, "too big")
        try:
            await ws.send_text("echo")
        except Exception as error:
            seen.append(error)
            raise

    async with connection(handler, kind) as server:
        server.send_text("a")
    assert [(type(error), error.args) for error in seen] == [(WebSocketClosed, (1009, "too big"))]


@kinds
async def test_a_handler_that_returns_after_a_close_of_the_server_has_not_failed(kind):
    async def handler(ws):
        await ws.accept()
        await ws.receive()
        server.fail(1009, "too big")

    async with connection(handler, kind) as server:
        server.send_text("a")


@kinds
async def test_a_close_lets_a_send_that_is_under_way_be_taken(kind, monkeypatch):
    monkeypatch.setattr("asgi_rt.websocket.link._TELL_SECONDS", 0.02)

    async def send(ws):
        with contextlib.suppress(WebSocketClosed):
            await ws.send_text("first")

    async def handler(ws):
        await ws.accept()
        server.freeze()
        async with anyio.create_task_group() as group:
            group.start_soon(send, ws)
            await server.blocked()
            group.start_soon(ws.close, 4000)
            await anyio.sleep(0.1)
            server.thaw()

    async with connection(handler, kind) as server:
        pass
    assert (server.data, server.close) == (["first"], (4000, ""))


class PlainServer(FakeServer):
    """Its `send` is no coroutine function, and so raises when it is called."""

    def send(self, message):
        if self.is_lost:
            raise OSError("the client has left")
        return super().send(message)

    is_lost = False


@pytest.mark.parametrize("sends_before", [0, 1, 100])
@pytest.mark.parametrize("name", ["send_text", "send_bytes"])
async def test_a_send_that_raises_when_it_is_called_tells_that_the_client_has_left(
    name, sends_before
):
    async def handler(ws):
        await ws.accept()
        send = getattr(ws, name)
        data = "text" if name == "send_text" else b"bytes"
        for _ in range(sends_before):
            await send(data)
        server.is_lost = True
        for _ in range(2):
            with pytest.raises(WebSocketClosed) as closed:
                await send(data)
            seen.append((closed.value.code, closed.value.by))

    seen = []
    async with connection(handler, PlainServer) as server:
        pass
    assert seen == [(1006, "network")] * 2
