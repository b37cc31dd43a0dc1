"""A source that waits while something is sent is treated as if it were simply awaited."""

import asyncio
import threading

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer

from asgi_rt import SendTimeout, StreamingResponse
from asgi_rt.http.pull import END, WAIT
from asgi_rt.http.sync_pull import SyncPull

on_asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)


async def run(response: StreamingResponse, server: FakeServer) -> None:
    with anyio.fail_after(10):
        await response(server.scope, server.receive, server.send)


@on_asyncio_only
async def test_others_may_await_the_future_that_a_source_waits_for():
    server = FakeServer()
    shared = asyncio.get_running_loop().create_future()

    async def source():
        yield b"a"
        yield await shared

    async def other():
        return await shared

    server.freeze()
    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source()), server)
        await server.blocked.wait()
        task = asyncio.ensure_future(other())
        await anyio.wait_all_tasks_blocked()
        server.thaw()
        await anyio.wait_all_tasks_blocked()
        shared.set_result(b"b")
    assert await task == b"b"
    assert server.body == b"ab"


@on_asyncio_only
@pytest.mark.parametrize("ending", ["leaves", "stays frozen"])
async def test_what_a_source_waits_for_is_cancelled_with_it(ending):
    server = FakeServer(stuck=True)
    cancelled = []

    async def child(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(name)

    async def source():
        yield b"a"
        await asyncio.gather(child("one"), child("two"))
        yield b"b"

    server.freeze()
    response = StreamingResponse(source(), send_timeout=0.02)
    if ending == "leaves":
        response.send_timeout = None
        async with anyio.create_task_group() as group:
            group.start_soon(run, response, server)
            await server.blocked.wait()
            await anyio.wait_all_tasks_blocked()
            server.leave()
    else:
        with pytest.raises(SendTimeout):
            await run(response, server)
    assert cancelled == ["one", "two"]


@pytest.mark.parametrize("scope", ["move_on_after", "task_group"])
@pytest.mark.parametrize("ending", ["send fails", "send times out", "lifetime ends"])
async def test_a_source_may_wait_inside_a_scope_whatever_ends_the_stream(scope, ending):
    server = FakeServer(stuck=True)
    closed = []

    async def source():
        try:
            yield b"a"
            if scope == "move_on_after":
                with anyio.move_on_after(60):
                    await anyio.sleep_forever()
            else:
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep, 60)
        finally:
            closed.append(True)

    async def send(message):
        await server.send(message)
        if ending == "send fails" and message["type"] == "http.response.body":
            await anyio.lowlevel.checkpoint()
            raise OSError("the client is gone")

    options = {
        "send fails": {},
        "send times out": {"send_timeout": 0.02},
        "lifetime ends": {"max_lifetime": 0.02},
    }[ending]
    if ending == "send times out":
        server.freeze()
    response = StreamingResponse(source(), **options)
    with anyio.fail_after(10):
        if ending == "send times out":
            with pytest.raises(SendTimeout):
                await response(server.scope, server.receive, send)
        else:
            await response(server.scope, server.receive, send)
    assert closed == [True]


@pytest.mark.parametrize("ending", ["cancelled", "lifetime"])
async def test_a_stream_ends_while_the_head_that_went_first_is_blocked(ending):
    server = FakeServer(stuck=True)
    closed = []

    async def source():
        try:
            await anyio.sleep_forever()
            yield b"a"
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
            closed.append(True)

    server.freeze()
    lifetime = 0.05 if ending == "lifetime" else None
    response = StreamingResponse(source(), head_wait=0.005, max_lifetime=lifetime)
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.blocked.wait()
        if ending == "cancelled":
            group.cancel_scope.cancel()
    assert closed == [True]


@on_asyncio_only
async def test_a_timeout_of_the_source_s_own_never_meets_the_head_that_went_first():
    server = FakeServer()
    timed_out = []

    async def source():
        await server.blocked.wait()
        yield b"a"
        with anyio.move_on_after(0.005):
            await anyio.sleep_forever()
        timed_out.append(len(server.messages))
        yield b"b"

    server.freeze()
    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source(), head_wait=0.005), server)
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        server.thaw()
    assert server.body == b"ab"
    assert server.is_complete


async def test_the_end_of_a_sync_source_is_not_missed_between_two_looks():
    """The thread fails after `poll` has looked and before `wait` asks for more."""
    begun = []

    def source():
        begun.append(True)
        raise LookupError
        yield

    pull = SyncPull(source())
    poll, looks = pull.poll, []

    def slow_poll():
        looks.append(True)
        item = poll()
        if len(looks) == 2 and item is WAIT:
            pull._end, pull._is_pulling = LookupError(), False
        return item

    pull.poll = slow_poll
    with pytest.raises(LookupError), anyio.fail_after(10):
        assert await pull.wait() is not END
    await pull.aclose()
    assert len(begun) <= 1


async def test_a_sync_source_that_hangs_is_given_up_and_takes_no_place(monkeypatch):
    monkeypatch.setattr("asgi_rt.http.sync_pull._MAX_THREADS", 1)
    monkeypatch.setattr("asgi_rt.http.streaming.CLOSE_SECONDS", 0.02)
    server, next_server = FakeServer(), FakeServer()
    hanging, let_go, ended = anyio.Event(), threading.Event(), anyio.Event()
    token = anyio.lowlevel.current_token()

    def source():
        try:
            anyio.from_thread.run_sync(hanging.set, token=token)
            let_go.wait(10)
            yield b"x"
        finally:
            anyio.from_thread.run_sync(ended.set, token=token)

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source()), server)
        await hanging.wait()
        server.leave()
    await run(StreamingResponse(b"%d," % number for number in range(3)), next_server)
    assert next_server.body == b"0,1,2,"
    let_go.set()
    with anyio.fail_after(10):
        await ended.wait()
