"""The bounded pipe alone."""

import anyio
import pytest

from asgi_rt.testing.condition import Condition
from asgi_rt.testing.pipe import Pipe


def make_pipe(max_bytes):
    return Pipe(max_bytes, Condition())


async def test_read_gives_chunks_as_they_were_put():
    pipe = make_pipe(100)
    pipe.put(b"one")
    pipe.put(b"")
    pipe.put(b"two")
    pipe.finish()
    assert [await pipe.read() for _ in range(4)] == [b"one", b"two", b"", b""]


async def test_read_of_a_few_bytes_leaves_the_rest_of_the_chunk():
    pipe = make_pipe(100)
    pipe.put(b"abcdef")
    assert [await pipe.read(4), await pipe.read(4)] == [b"abcd", b"ef"]
    assert pipe.bytes_buffered == 0
    assert pipe.bytes_written == 6


async def test_read_of_no_bytes_is_refused():
    with pytest.raises(ValueError, match="max_bytes must be 1 or more"):
        await make_pipe(1).read(0)


def test_a_negative_bound_is_refused():
    with pytest.raises(ValueError, match="pipe_bytes must be 0 or more"):
        make_pipe(-1)


async def test_drain_waits_only_above_the_mark():
    pipe = make_pipe(4)
    pipe.put(b"1234")
    await pipe.drain()
    assert not pipe.is_full
    pipe.put(b"5")
    assert pipe.is_full
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipe.drain)
        await anyio.wait_all_tasks_blocked()
        assert pipe.is_blocked
        assert await pipe.read(1) == b"1"
        assert not pipe.is_blocked


async def test_a_pipe_of_no_bytes_holds_the_writer_until_all_is_read():
    pipe = make_pipe(0)
    pipe.put(b"ab")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipe.drain)
        await anyio.wait_all_tasks_blocked()
        await pipe.read(1)
        assert pipe.is_blocked
        await pipe.read(1)
        assert not pipe.is_blocked


async def test_an_unbounded_pipe_never_waits():
    pipe = make_pipe(None)
    pipe.put(b"x" * 1_000_000)
    assert not pipe.is_full
    await pipe.drain()


async def test_several_writers_wait_and_all_go_on():
    pipe = make_pipe(1)
    pipe.put(b"xxx")
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(pipe.drain)
        await anyio.wait_all_tasks_blocked()
        await pipe.read()


async def test_a_cancelled_drain_leaves_its_data_and_no_writer_behind():
    pipe = make_pipe(0)
    pipe.put(b"kept")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pipe.drain()
    assert not pipe.is_blocked
    assert await pipe.read() == b"kept"


async def test_a_cancelled_read_takes_nothing():
    pipe = make_pipe(10)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pipe.read()
    pipe.put(b"kept")
    assert await pipe.read() == b"kept"


async def test_a_frozen_pipe_gives_nothing_until_it_thaws():
    pipe = make_pipe(10)
    pipe.put(b"data")
    pipe.freeze()
    read = []

    async def reader():
        read.append(await pipe.read())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        assert read == []
        assert pipe.is_frozen
        pipe.thaw()
    assert read == [b"data"]


async def test_breaking_frees_writers_and_even_a_frozen_reader():
    pipe = make_pipe(0)
    pipe.put(b"lost")
    pipe.freeze()
    read = []

    async def reader():
        read.append(await pipe.read())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipe.drain)
        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        pipe.break_()
    assert read == [b""]
    pipe.put(b"more")
    assert pipe.bytes_buffered == 0
    assert pipe.bytes_written == 4
