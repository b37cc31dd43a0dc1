"""What a dispatch function knows of the task it runs in."""

import asyncio

import anyio
import anyio.lowlevel
import pytest

from asgi_rt.http.pull import on_asyncio
from asgi_rt.middleware.tasks import cancel_scope_of, current_task, runs_in


def of_the_library():
    if on_asyncio():
        return asyncio.current_task()
    import trio

    return trio.lowlevel.current_task()


async def test_the_task_is_the_one_that_the_library_says():
    assert current_task() is of_the_library()


async def test_code_runs_in_its_own_task_and_in_no_other():
    async def child():
        found.extend([runs_in(parent), runs_in(current_task())])

    parent = current_task()
    found = [runs_in(parent)]
    async with anyio.create_task_group() as group:
        group.start_soon(child)
    assert found == [True, False, True]


async def test_a_callback_runs_in_no_task():
    def callback():
        found.extend([current_task(), runs_in(None), runs_in(task)])
        is_called.set()

    if not on_asyncio():
        pytest.skip("only asyncio has them")
    task, found, is_called = current_task(), [], anyio.Event()
    asyncio.get_running_loop().call_soon(callback)
    with anyio.fail_after(5):
        await is_called.wait()
    assert found == [None, True, False]
    assert not runs_in(None)


async def test_the_scope_of_a_task_changes_where_one_is_entered_and_left():
    task = current_task()
    before = cancel_scope_of(task)
    with anyio.CancelScope():
        within = cancel_scope_of(task)
        with anyio.CancelScope():
            await anyio.lowlevel.checkpoint()
            assert cancel_scope_of(task) not in (before, within)
        assert cancel_scope_of(task) is within
    assert within is not before
    assert cancel_scope_of(task) is before


async def test_the_scope_of_a_task_does_not_change_by_that_of_another():
    async def child():
        with anyio.CancelScope():
            is_entered.set()
            await is_seen.wait()

    is_entered, is_seen = anyio.Event(), anyio.Event()
    task = current_task()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            before = cancel_scope_of(task)
            group.start_soon(child)
            await is_entered.wait()
            assert cancel_scope_of(task) is before
            is_seen.set()


def test_no_task_has_no_scope():
    assert cancel_scope_of(None) is None
