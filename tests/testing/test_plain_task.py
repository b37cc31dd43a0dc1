"""One coroutine in a task that nobody's scope holds."""

import asyncio
from contextvars import ContextVar

import anyio
import pytest

from asgi_rt.testing.task import PlainTask, TaskCancelledError

variable = ContextVar("variable", default="unset")


async def test_the_error_is_kept_and_not_raised_into_the_loop():
    error = SystemExit(3)

    async def fail():
        raise error

    done = []
    task = PlainTask(fail, name="failing", on_done=lambda: done.append(task.error))
    await task.wait()
    assert task.is_done
    assert task.error is error
    assert done == [error]
    assert await task.end(0)


async def test_it_runs_in_a_copy_of_the_callers_context():
    seen = []

    async def look():
        seen.append(variable.get())
        variable.set("inner")

    variable.set("outer")
    await PlainTask(look, name="looking").wait()
    assert seen == ["outer"]
    assert variable.get() == "outer"


async def test_a_cancel_before_the_first_step_ends_it():
    async def never():
        await anyio.sleep_forever()

    task = PlainTask(never, name="never")
    task.cancel()
    await task.wait()
    assert task.is_cancelled
    assert task.error is None


async def test_end_cancels_after_the_timeout_and_waits():
    cleaned = []

    async def stay():
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            cleaned.append(True)

    task = PlainTask(stay, name="staying")
    assert not await task.end(0.01)
    assert cleaned == [True]


async def test_a_cancelled_end_still_ends_the_task():
    async def stay():
        await anyio.sleep_forever()

    task = PlainTask(stay, name="staying")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await task.end(0.01)
    assert task.is_done


async def test_a_cancelled_end_without_a_bound_cancels_at_once():
    async def stay():
        await anyio.sleep_forever()

    task = PlainTask(stay, name="staying")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await task.end(None)
    await task.wait()
    assert task.is_cancelled


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_cancels_itself_is_told_apart():
    async def give_up():
        raise asyncio.CancelledError

    task = PlainTask(give_up, name="giving up")
    await task.wait()
    assert isinstance(task.error, TaskCancelledError)
    assert not task.is_cancelled


async def test_start_and_end_may_be_in_different_tasks():
    tasks = []

    async def stay():
        await anyio.sleep_forever()

    async def start():
        tasks.append(PlainTask(stay, name="staying"))

    async with anyio.create_task_group() as group:
        group.start_soon(start)
    async with anyio.create_task_group() as group:
        group.start_soon(tasks[0].end, 0.01)
    assert tasks[0].is_done
