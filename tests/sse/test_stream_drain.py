"""How streams of events end when they are told to: their lifetime, the drain and its grace."""

import re
import time
from contextlib import asynccontextmanager

import anyio
import pytest
from fakes import FakeServer
from sse.wire import Outcome, StallingServer, datas, frames, holds, on_asyncio_only, run

from asgi_rt import HTTPError, SendTimeout
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.sse import Event, EventStream

FAR = 60.0  # seconds of grace that no test waits for


class Source:
    """Gives one event, then waits for ever, or until it may go on; knows how it ended."""

    def __init__(self) -> None:
        self.may_go_on = anyio.Event()
        self.is_closed = False
        self.iterator = self._iterate()

    async def _iterate(self):
        try:
            yield "first"
            await self.may_go_on.wait()
            yield "second"
        finally:
            self.is_closed = True


@asynccontextmanager
async def enforced(drain):
    """With the task that cuts off what outlasts the grace, as each app has one."""
    async with anyio.create_task_group() as group:
        group.start_soon(drain.enforce)
        yield group
        if not drain.is_draining or drain.grace == FAR:
            group.cancel_scope.cancel()


def draining_server(grace=FAR, **options):
    drain = Drain(grace=grace)
    return drain, FakeServer(state={STATE_KEY: drain}, **options)


# The lifetime


async def test_a_lifetime_ends_as_if_the_source_had():
    server, source, outcome = FakeServer(), Source(), Outcome()
    response = EventStream(source.iterator, max_lifetime=0.02, background=outcome.task())
    began = time.perf_counter()
    await run(response, server)
    # The clocks of some event loops, which wake it, tick in milliseconds.
    assert time.perf_counter() - began >= 0.9 * 0.02 - 0.001
    assert server.is_complete
    assert datas(server) == ["first"]
    assert source.is_closed
    assert outcome.completed == [False]


def test_lifetimes_are_spread_over_a_tenth():
    lifetimes = [EventStream([], max_lifetime=100).max_lifetime for _ in range(50)]
    assert min(lifetimes) >= 90
    assert max(lifetimes) <= 100
    assert len(set(lifetimes)) > 10
    assert EventStream([]).max_lifetime is None


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_a_lifetime_ends_a_source_that_never_waits(sync):
    def sync_source():
        while True:
            yield "x" * 100

    async def source():
        while True:
            yield "x" * 100

    server = FakeServer()
    await run(EventStream(sync_source() if sync else source(), max_lifetime=0.01), server)
    assert server.is_complete
    assert set(datas(server)) == {"x" * 100}


async def test_a_lifetime_that_is_over_before_the_head_is_a_503():
    async def source():
        await anyio.sleep_forever()
        yield

    server = FakeServer()
    with pytest.raises(HTTPError) as caught:
        await run(EventStream(source(), max_lifetime=0.005, head_wait=None), server)
    assert caught.value.status_code == 503
    assert server.messages == []


# The drain


@pytest.mark.parametrize("retry", [1000, None])
@pytest.mark.parametrize("farewell", [None, Event("moved", "bye"), Event(comment="bye")])
async def test_a_stream_says_farewell_ends_cleanly_and_closes_its_source(retry, farewell):
    drain, server = draining_server()
    source, outcome = Source(), Outcome()
    response = EventStream(
        source.iterator, retry=retry, farewell=farewell, background=outcome.task()
    )
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.body_has(len(b"data: first\n\n"))
        drain.begin()
    assert server.is_complete
    said = frames(server)[1 if retry is None else 2 :]
    if retry is not None:
        hint = re.fullmatch(rb"retry: (\d+)", said.pop(0))
        assert 1000 <= int(hint[1]) <= 3000
    expected = {None: b": ", "moved": b"event: bye\ndata: moved"}.get(
        farewell and farewell.data, b": bye"
    )
    assert len(said) == 1
    assert said[0].startswith(expected)
    assert source.is_closed
    assert drain.open_connections == 0
    assert outcome.completed == [False]


async def test_a_stream_that_never_waits_says_farewell_too():
    drain, server = draining_server()

    async def source():
        while True:
            yield "x"

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source()), server)
        await server.body_has(1000)
        drain.begin()
    assert server.is_complete
    assert frames(server)[-1].startswith(b": ")


async def test_a_sync_source_says_farewell_too():
    drain, server = draining_server()

    def source():
        while True:
            yield "x"

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source()), server)
        await server.body_has(1000)
        drain.begin()
    assert server.is_complete
    assert frames(server)[-1].startswith(b": ")


async def test_a_source_may_finish_after_the_farewell():
    drain, server = draining_server()
    source, outcome = Source(), Outcome()
    response = EventStream(
        source.iterator, retry=None, finish_in_drain=True, background=outcome.task()
    )
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.body_has(1)
        drain.begin()
        await server.sent(3)
        assert not source.is_closed
        source.may_go_on.set()
    first, farewell, second = frames(server)
    assert farewell.startswith(b": ")
    assert (first, second) == (b"data: first", b"data: second")
    assert server.is_complete
    assert outcome.completed == [True]


async def test_a_source_that_may_finish_is_pinged_for_during_the_grace():
    drain, server = draining_server()
    source = Source()
    response = EventStream(source.iterator, ping=0.002, finish_in_drain=True)
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.body_has(1)
        drain.begin()
        while b": ping" not in server.body.partition(b"going down")[2]:
            await server.sent(len(server.messages) + 1)
        source.may_go_on.set()
    assert server.is_complete


async def test_a_source_that_may_finish_and_does_not_is_cut_off_at_the_grace():
    drain, server = draining_server(grace=0.01)
    source, outcome = Source(), Outcome()
    response = EventStream(source.iterator, finish_in_drain=True, background=outcome.task())
    async with enforced(drain) as group:
        group.start_soon(run, response, server)
        await server.body_has(1)
        drain.begin()
    assert server.is_complete
    assert datas(server) == ["first"]
    assert source.is_closed
    assert outcome.completed == [False]


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("stuck", [False, True])
async def test_a_client_that_is_frozen_does_not_hold_the_drain_up(finish, stuck):
    await outlasts_no_grace(b"first", finish=finish, stuck=stuck)


@on_asyncio_only
@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("stuck", [False, True])
async def test_a_client_that_freezes_at_the_farewell_does_not_hold_the_drain_up(finish, stuck):
    await outlasts_no_grace(b"going down", finish=finish, stuck=stuck)


async def outlasts_no_grace(held_up_at, *, finish, stuck):
    drain = Drain(grace=0.02)
    server = StallingServer(holds(held_up_at), state={STATE_KEY: drain}, stuck=stuck)
    source, outcome = Source(), Outcome()
    response = EventStream(
        source.iterator, finish_in_drain=finish, send_timeout=None, background=outcome.task()
    )
    async with enforced(drain) as group:
        group.start_soon(run, response, server)
        await server.body_has(len(b"data: first\n\n"))
        drain.begin()
        await server.blocked.wait()
    assert source.is_closed
    assert drain.open_connections == 0
    assert outcome.completed == [False]


@on_asyncio_only
async def test_a_source_that_fails_while_the_farewell_is_sent_is_told_of_after_it():
    drain = Drain(grace=FAR)
    server = StallingServer(holds(b"going down"), state={STATE_KEY: drain})
    may_fail = anyio.Event()

    async def source():
        yield "first"
        await may_fail.wait()
        raise ValueError("on purpose")

    async def fails():
        with pytest.raises(ValueError, match="on purpose"):
            await run(EventStream(source(), retry=None, error_events=True), server)

    async with anyio.create_task_group() as group:
        group.start_soon(fails)
        await server.body_has(1)
        drain.begin()
        await server.blocked.wait()
        may_fail.set()
        await anyio.wait_all_tasks_blocked()
        server.thaw()
    first, farewell, error = frames(server)
    assert first == b"data: first"
    assert farewell.startswith(b": ")
    assert error.startswith(b"event: error")
    assert server.is_complete


async def test_a_client_that_thaws_within_the_grace_gets_its_farewell():
    drain = Drain(grace=FAR)
    server = StallingServer(holds(b"first"), state={STATE_KEY: drain})
    source = Source()
    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source.iterator, retry=None), server)
        await server.blocked.wait()
        drain.begin()
        await anyio.wait_all_tasks_blocked()
        assert server.body == b"data: first\n\n"
        server.thaw()
    assert server.is_complete
    assert frames(server)[-1].startswith(b": ")


async def test_a_farewell_is_bound_by_the_send_timeout():
    drain = Drain(grace=FAR)
    server = StallingServer(holds(b"going down"), state={STATE_KEY: drain}, stuck=True)
    source, outcome = Source(), Outcome()
    response = EventStream(
        source.iterator, send_timeout=0.01, finish_in_drain=True, background=outcome.task()
    )

    async def times_out():
        with pytest.raises(SendTimeout):
            await run(response, server)

    async with anyio.create_task_group() as group:
        group.start_soon(times_out)
        await server.body_has(1)
        drain.begin()
    assert source.is_closed
    assert outcome.completed == [False]


@pytest.mark.parametrize("head_wait", [None, FAR])
async def test_a_stream_that_still_waits_for_its_head_is_a_503_then(head_wait):
    drain, server = draining_server()
    begun, outcome = anyio.Event(), Outcome()
    caught = []

    async def source():
        begun.set()
        await anyio.sleep_forever()
        yield

    iterator = source()
    response = EventStream(iterator, head_wait=head_wait, background=outcome.task())

    async def is_refused():
        with pytest.raises(HTTPError) as refusal:
            await run(response, server)
        caught.append(refusal.value)

    async with anyio.create_task_group() as group:
        group.start_soon(is_refused)
        await begun.wait()
        await anyio.wait_all_tasks_blocked()
        drain.begin()
    assert caught[0].status_code == 503
    assert "retry-after" in caught[0].headers
    assert server.messages == []
    assert iterator.ag_frame is None
    assert outcome.completed == [False]


async def test_a_stream_that_may_finish_has_its_head_with_the_farewell():
    drain, server = draining_server()
    begun, may_give = anyio.Event(), anyio.Event()

    async def source():
        begun.set()
        await may_give.wait()
        yield "late"

    response = EventStream(source(), head_wait=None, finish_in_drain=True)
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await begun.wait()
        await anyio.wait_all_tasks_blocked()
        drain.begin()
        await server.sent(2)
        may_give.set()
    hint, *rest = frames(server)
    assert hint.startswith(b"retry: ")
    assert datas(server) == ["late"]
    assert any(frame.startswith(b": ") for frame in rest)
    assert server.is_complete


@pytest.mark.parametrize("finish", [False, True])
async def test_a_new_stream_is_refused_with_retry_after(finish):
    drain, server = draining_server()
    drain.begin()
    source, outcome = Source(), Outcome()
    response = EventStream(source.iterator, finish_in_drain=finish, background=outcome.task())
    with pytest.raises(HTTPError) as caught:
        await run(response, server)
    assert caught.value.status_code == 503
    assert "retry-after" in caught.value.headers
    assert server.messages == []
    assert source.iterator.ag_frame is None
    assert outcome.completed == [False]


async def test_a_stream_that_ended_has_nothing_to_do_with_the_drain():
    drain, server = draining_server()
    source = Source()
    source.may_go_on.set()
    await run(EventStream(source.iterator), server)
    sent = len(server.messages)
    drain.begin()
    assert drain.open_connections == 0
    assert len(server.messages) == sent


async def test_a_source_that_heeds_the_drain_itself_says_farewell_too():
    drain, server = draining_server()

    async def source():
        yield "first"
        await drain.wait()
        yield "last"

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), finish_in_drain=True), server)
        await server.body_has(1)
        await anyio.wait_all_tasks_blocked()
        drain.begin()
    assert server.is_complete
    assert datas(server) == ["first", "last"]
    assert b"going down" in server.body
