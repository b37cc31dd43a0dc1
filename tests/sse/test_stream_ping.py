"""Pings: only when idle, never before the head, and the source does not notice them."""

import asyncio
import itertools
import threading
import time

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from sse.wire import (
    PING,
    Pings,
    StallingServer,
    datas,
    frames,
    holds,
    is_head,
    on_asyncio_only,
    run,
)

from asgi_rt import SendTimeout
from asgi_rt.sse import EventStream


@pytest.mark.parametrize("ping", [0.005, None])
async def test_a_silent_source_is_pinged_for_again_and_again_and_goes_on(ping):
    server, may_give, errors = Pings(), anyio.Event(), []

    async def source():
        state = 1
        yield "first"
        try:
            await may_give.wait()
        except BaseException as error:
            errors.append(error)
            raise
        yield f"state {state}"

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), ping=ping, retry=None), server)
        await server.body_has(1)
        if ping is None:
            await anyio.wait_all_tasks_blocked()
        else:
            await server.pinged(3)
        may_give.set()
    assert errors == []
    assert datas(server) == ["first", "state 1"]
    assert server.is_complete
    assert (PING in frames(server)) is (ping is not None)


@on_asyncio_only
async def test_a_source_that_is_pinged_for_was_never_asked_to_cancel():
    server, cancelling = Pings(), []

    async def source():
        task = asyncio.current_task()
        yield "first"
        await server.pinged(2)
        assert task is asyncio.current_task()
        cancelling.append(task.cancelling())
        yield "second"

    await run(EventStream(source(), ping=0.002), server)
    assert cancelling == [0]


async def test_a_ping_comes_only_after_the_interval_without_a_send():
    """Over some thirty intervals; the machine may stall, so each ping has to prove its silence."""
    ping, server = 0.01, Pings()

    async def source():
        for number in range(150):
            yield number
            await anyio.sleep(0.002 if number % 50 else 0.025)

    await run(EventStream(source(), ping=ping), server)
    pings = 0
    for (before, _), (at, body) in itertools.pairwise(server.times):
        if body.startswith(PING):
            pings += 1
            assert at - before >= ping * 0.9
    assert 0 < pings < 50
    assert datas(server) == [str(number) for number in range(150)]


async def test_no_ping_follows_an_event_that_came_in_the_same_turn():
    server = Pings()

    async def source():
        yield "first"
        await anyio.sleep(0.005)
        yield "second"
        await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), ping=0.02, retry=None), server)
        await server.body_has(1)
        await anyio.lowlevel.checkpoint()
        time.sleep(0.03)  # the event loop stalls: event and ping are now due at once
    assert frames(server)[-1] == b"data: second"


async def test_a_ping_is_never_sent_before_the_head():
    server, may_give = Pings(), anyio.Event()

    async def source():
        await may_give.wait()
        yield "first"
        await server.pinged(1)

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), ping=0.001, head_wait=0.02), server)
        await server.pinged(2)
        may_give.set()
    assert is_head(server.messages[0])
    assert frames(server)[0].startswith(b"retry: ")
    assert frames(server)[1:3] == [PING, PING]


async def test_pings_go_out_while_a_sync_source_blocks_in_its_thread():
    server, may_give = Pings(), threading.Event()

    def source():
        yield "first"
        assert may_give.wait(10)
        yield "second"

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), ping=0.002), server)
        await server.pinged(2)
        may_give.set()
    assert datas(server) == ["first", "second"]


async def test_pings_go_out_while_a_source_spins_without_giving_anything():
    server = Pings()

    async def source():
        yield "first"
        while server.body.count(PING) < 2:
            await anyio.lowlevel.checkpoint()
        yield "second"

    await run(EventStream(source(), ping=0.002), server)
    assert datas(server) == ["first", "second"]


async def test_pings_go_out_while_a_source_gives_nothing_but_empty_frames():
    server = Pings()

    async def source():
        yield "first"
        while server.body.count(PING) < 2:
            yield b""
        yield "second"

    await run(EventStream(source(), ping=0.005), server)
    assert datas(server) == ["first", "second"]


# What a source may do meanwhile


@pytest.mark.parametrize("kind", ["asyncio", "anyio"])
@pytest.mark.parametrize("slow", [False, True], ids=["quick send", "slow send"])
async def test_a_source_s_own_timeout_fires_between_pings_for_it_alone(anyio_backend, kind, slow):
    if kind == "asyncio" and anyio_backend[0] == "trio":
        return
    server = Pings()

    async def send(message):
        await server.send(message)
        for _ in range(10 if slow else 0):
            await anyio.sleep(0.0003)

    async def source():
        for number in range(3):
            try:
                if kind == "asyncio":
                    async with asyncio.timeout(0.01):
                        await anyio.sleep_forever()
                else:
                    with anyio.fail_after(0.01):
                        await anyio.sleep_forever()
            except TimeoutError:
                yield number
        await server.pinged(1)

    response = EventStream(source(), ping=0.002, head_wait=0.001)
    with anyio.fail_after(10):
        await response(server.scope, server.receive, send)
    assert datas(server) == ["0", "1", "2"]
    assert server.is_complete


async def test_a_source_s_own_scope_may_end_while_a_ping_is_held_up():
    server = StallingServer(holds(PING))

    async def source():
        yield "first"
        with anyio.move_on_after(0.02) as scope:
            await server.blocked.wait()
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        server.thaw()
        yield "second"
        await anyio.lowlevel.checkpoint()
        yield "third"

    await run(EventStream(source(), ping=0.002, retry=None), server)
    assert datas(server) == ["first", "second", "third"]
    assert server.is_complete


async def test_tasks_and_futures_that_a_source_waits_for_are_left_alone():
    server = Pings()

    async def child(name):
        await server.pinged(2)
        done.append(name)

    done = []

    async def source():
        yield "first"
        async with anyio.create_task_group() as group:
            group.start_soon(child, "a")
            group.start_soon(child, "b")
        yield "second"

    await run(EventStream(source(), ping=0.002), server)
    assert sorted(done) == ["a", "b"]
    assert datas(server) == ["first", "second"]


@on_asyncio_only
@pytest.mark.parametrize("count", [0, 1, 6])
async def test_a_future_of_another_loop_is_refused_as_asyncio_does(count):
    """Whether it is the first item or a later one, which are pulled in different ways."""
    other = asyncio.new_event_loop()
    server, seen = FakeServer(), []

    async def source():
        for number in range(count):
            await anyio.lowlevel.checkpoint()
            yield number
        try:
            await other.create_future()
        except RuntimeError as error:
            seen.append(str(error))
        yield "refused"

    try:
        await run(EventStream(source(), retry=None), server)
    finally:
        other.close()
    assert "different loop" in seen[0]
    assert datas(server)[-1] == "refused"


async def test_a_send_may_wait_on_locks_of_anyio_meanwhile():
    """As behind middleware that hands messages on through memory streams."""
    server = Pings()
    entrance, exit_ = anyio.create_memory_object_stream(0)

    async def forward():
        async with exit_:
            async for message in exit_:
                await anyio.sleep(0.0005)
                await server.send(message)

    async def source():
        for number in range(20):
            with anyio.move_on_after(0.001 + number / 10_000):
                await anyio.sleep_forever()
            yield number

    response = EventStream(source(), ping=0.001, head_wait=0.001)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(forward)
            async with entrance:
                await response(server.scope, server.receive, entrance.send)
    assert datas(server) == [str(number) for number in range(20)]
    assert server.is_complete


# A client that is frozen


async def test_a_client_that_froze_while_idle_is_given_up_at_a_ping():
    server, closed = StallingServer(holds(PING), stuck=True), []

    async def source():
        try:
            yield "first"
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    with pytest.raises(SendTimeout):
        await run(EventStream(source(), ping=0.002, send_timeout=0.01), server)
    assert closed == [True]
    assert not server.is_complete
    assert server.body.count(PING) == 1


async def test_other_streams_go_on_while_one_is_frozen():
    frozen, other = StallingServer(holds(b"data")), FakeServer()

    async def endless():
        while True:
            yield "x" * 1000
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(endless()), frozen)
        await frozen.blocked.wait()
        group.start_soon(run, EventStream(endless()), other)
        await other.body_has(100_000)
        assert len(frozen.body) < 100_000
        frozen.leave()
        other.leave()
