"""What streams of events cost while they are open: one task each, and nothing afterwards."""

import asyncio

import anyio
import pytest
from fakes import FakeServer
from sse.wire import Pings, on_asyncio_only, run

from asgi_rt.sse import EventStream


def task_count(backend: str) -> int:
    if backend == "asyncio":
        return len(asyncio.all_tasks())
    import trio

    pending, count = [trio.lowlevel.current_root_task()], 0
    while pending:
        count += 1
        pending += [
            child for nursery in pending.pop().child_nurseries for child in nursery.child_tasks
        ]
    return count


async def test_an_idle_stream_has_one_task_beside_its_own(anyio_backend):
    before, counts, server = task_count(anyio_backend[0]), [], Pings()

    async def source():
        yield "first"
        await server.pinged(2)
        counts.append(task_count(anyio_backend[0]) - before)

    await run(EventStream(source(), ping=0.001, max_lifetime=60), server)
    assert counts == [1]


@on_asyncio_only
async def test_a_stream_that_never_waits_has_no_task_beside_its_own():
    before, counts = len(asyncio.all_tasks()), []

    async def source():
        for number in range(3):
            counts.append(len(asyncio.all_tasks()) - before)
            yield number

    await run(EventStream(source(), ping=0.001), FakeServer())
    assert counts == [0, 0, 0]


@pytest.mark.slow
async def test_a_thousand_streams_that_are_left_leave_nothing(anyio_backend):
    before, closed = task_count(anyio_backend[0]), []
    servers = [FakeServer() for _ in range(1000)]

    async def source(server):
        try:
            yield "first"
            await anyio.sleep_forever()
        finally:
            closed.append(server)

    async with anyio.create_task_group() as group:
        for server in servers:
            group.start_soon(run, EventStream(source(server)), server)
        for server in servers:
            await server.body_has(1)
        assert task_count(anyio_backend[0]) == before + 2000
        for server in servers:
            server.leave()
    assert task_count(anyio_backend[0]) == before
    assert len(closed) == 1000
