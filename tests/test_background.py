"""Work after the response: what is called with what, and what becomes of it."""

import logging
import threading
from functools import partial
from typing import Any

import anyio
import pytest
from fakes import http_scope

from asgi_rt.background import (
    STATE_KEY,
    BackgroundTask,
    BackgroundTasks,
    TaskGroup,
    plain_task_group,
    run_background,
)

NO_GRACE = 0.0
LONG_GRACE = 60.0


class Calls:
    """Functions to run in the background, and the record of their calls."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.threads: list[threading.Thread] = []

    async def note(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append((args, kwargs))

    def note_in_thread(self, *args: Any, **kwargs: Any) -> None:
        self.threads.append(threading.current_thread())
        self.seen.append((args, kwargs))

    async def told(self, name: str, completed: bool) -> None:
        self.seen.append((name, completed))

    def told_in_thread(self, *, completed: bool) -> None:
        self.seen.append(completed)

    async def fail(self) -> None:
        self.seen.append("failed")
        raise ValueError("broken")


@pytest.fixture
def calls() -> Calls:
    return Calls()


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What the module logged; asyncio's debug mode adds records of its own on a slow machine."""
    return [record for record in caplog.records if record.name == "asgi_rt.background"]


async def test_background_task_calls_an_async_function(calls):
    await BackgroundTask(calls.note, 1, a=2)()
    assert calls.seen == [((1,), {"a": 2})]


async def test_background_task_calls_a_sync_function_in_a_worker_thread(calls):
    await BackgroundTask(calls.note_in_thread, 1, a=2)()
    assert calls.seen == [((1,), {"a": 2})]
    assert threading.current_thread() not in calls.threads


class Callable_:
    def __init__(self) -> None:
        self.called = False

    async def __call__(self) -> None:
        self.called = True


async def test_background_task_awaits_partials_and_objects_that_are_async(calls):
    await BackgroundTask(partial(partial(calls.note, 1), 2), 3)()
    assert calls.seen == [((1, 2, 3), {})]
    callable_ = Callable_()
    await BackgroundTask(callable_)()
    assert callable_.called


@pytest.mark.parametrize("completed", [True, False])
async def test_background_task_tells_whether_the_response_was_completed(calls, completed):
    await BackgroundTask(calls.told, "a")(completed)
    await BackgroundTask(calls.told_in_thread)(completed)
    assert calls.seen == [("a", completed), completed]


async def test_background_task_leaves_a_completed_that_was_given(calls):
    await BackgroundTask(calls.told, "a", completed="mine")(False)
    assert calls.seen == [("a", "mine")]


async def test_background_task_raises_what_its_function_raises(calls):
    with pytest.raises(ValueError, match="broken"):
        await BackgroundTask(calls.fail)()


async def test_background_task_takes_a_function_without_a_signature():
    await BackgroundTask(dict.fromkeys, "ab")()
    await BackgroundTask(max, 1, 2)()


def test_background_task_shows_its_function(calls):
    assert repr(BackgroundTask(calls.note)) == "BackgroundTask(Calls.note)"


async def test_background_tasks_run_in_order_and_past_a_failure(calls, caplog):
    tasks = BackgroundTasks()
    tasks.add(calls.note, 1)
    tasks.add(calls.fail)
    tasks.add(calls.told, "last")
    await tasks(False)
    assert calls.seen == [((1,), {}), "failed", ("last", False)]
    assert [record.message for record in logged(caplog)] == ["background task Calls.fail failed"]
    assert logged(caplog)[0].exc_info is not None


async def test_task_group_that_is_not_open_refuses_tasks(calls):
    group = TaskGroup(grace=NO_GRACE)
    assert not group.is_open
    with pytest.raises(RuntimeError, match="the app is not running"):
        group.start(calls.note)
    async with group.open():
        assert group.is_open
    with pytest.raises(RuntimeError, match="the app is not running"):
        group.start(calls.note)
    assert group.running == 0


async def test_task_group_runs_and_counts(calls):
    group = TaskGroup(grace=LONG_GRACE)
    async with group.open() as opened:
        assert opened is group
        group.start(calls.note, 1, a=2)
        group.start(calls.note_in_thread, 3)
        assert group.running == 2
    assert sorted(calls.seen) == [((1,), {"a": 2}), ((3,), {})]
    assert (group.running, group.finished, group.failed, group.lost) == (0, 2, 0, 0)


async def test_task_that_fails_leaves_the_others_alone(calls, caplog):
    group = TaskGroup(grace=LONG_GRACE)
    failed, go_on = anyio.Event(), anyio.Event()

    async def fail() -> None:
        failed.set()
        raise ValueError("broken")

    async def outlive() -> None:
        await go_on.wait()
        calls.seen.append("outlived")

    async with group.open():
        group.start(outlive)
        group.start(fail)
        await failed.wait()
        await anyio.wait_all_tasks_blocked()
        assert (group.running, group.failed) == (1, 1)
        go_on.set()
    assert calls.seen == ["outlived"]
    assert (group.running, group.finished, group.failed, group.lost) == (0, 1, 1, 0)
    assert [record.levelno for record in logged(caplog)] == [logging.ERROR]


async def test_tasks_that_run_at_shutdown_are_awaited_within_the_grace():
    group = TaskGroup(grace=LONG_GRACE)
    go_on = anyio.Event()
    ended = []

    async def close() -> None:
        async with group.open():
            group.start(go_on.wait)
        ended.append("closed")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
        await anyio.wait_all_tasks_blocked()
        assert ended == []
        go_on.set()
    assert ended == ["closed"]
    assert (group.finished, group.lost) == (1, 0)


async def test_task_started_while_the_group_drains_is_awaited_too(calls):
    group = TaskGroup(grace=LONG_GRACE)
    go_on = anyio.Event()

    async def start_another() -> None:
        await go_on.wait()
        group.start(calls.note)

    async with anyio.create_task_group() as tasks:

        async def close() -> None:
            async with group.open():
                group.start(start_another)

        tasks.start_soon(close)
        await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert calls.seen == [((), {})]
    assert (group.running, group.finished, group.lost) == (0, 2, 0)


async def test_tasks_beyond_the_grace_are_cancelled_and_counted_as_lost(calls, caplog):
    group = TaskGroup(grace=NO_GRACE)
    cleaned = []

    async def stuck() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(True)

    tasks = BackgroundTasks()
    tasks.add(stuck)
    tasks.add(calls.note, "never reached")
    async with group.open():
        group.start(stuck)
        scope = http_scope(state={STATE_KEY: group})
        await run_background(tasks, scope, completed=True)
        await anyio.wait_all_tasks_blocked()
    assert cleaned == [True, True]
    assert calls.seen == []
    assert (group.running, group.finished, group.failed, group.lost) == (0, 0, 0, 3)
    assert [record.levelno for record in logged(caplog)] == [logging.WARNING]
    assert "cancelling 3 background tasks" in caplog.text


async def test_what_the_block_of_an_open_group_raises_is_raised_as_it_is(calls):
    group = TaskGroup(grace=LONG_GRACE)

    async def fail_in_block() -> None:
        async with group.open():
            group.start(calls.note)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail_in_block()
    assert calls.seen == [((), {})]
    assert not group.is_open


async def test_cancelling_the_holder_of_an_open_group_still_drains(calls):
    group = TaskGroup(grace=LONG_GRACE)
    with anyio.CancelScope() as scope:
        async with group.open():
            group.start(calls.note)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert group.finished + group.lost == 1
    assert not group.is_open


async def test_plain_task_group_raises_no_group_of_exceptions():
    async def fail() -> None:
        async with plain_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail()


async def test_plain_task_group_cancels_its_tasks_at_the_end():
    async with plain_task_group() as group:
        group.start_soon(anyio.sleep_forever)


@pytest.mark.parametrize("completed", [True, False])
async def test_run_background_in_an_app_is_owned_by_it(calls, completed):
    group = TaskGroup(grace=LONG_GRACE)
    async with group.open():
        task = BackgroundTask(calls.told, "a")
        await run_background(task, http_scope(state={STATE_KEY: group}), completed=completed)
        assert group.running == 1
        assert calls.seen == []
    assert calls.seen == [("a", completed)]
    assert group.finished == 1


async def test_run_background_in_an_app_takes_the_tasks_that_are_there(calls):
    group = TaskGroup(grace=LONG_GRACE)
    tasks = BackgroundTasks()
    tasks.add(calls.note, 1)
    tasks.add(calls.fail)
    tasks.add(calls.note, 2)
    async with group.open():
        await run_background(tasks, http_scope(state={STATE_KEY: group}), completed=True)
        tasks.add(calls.note, "too late")
        assert group.running == 3
    assert calls.seen == [((1,), {}), "failed", ((2,), {})]
    assert (group.running, group.finished, group.failed) == (0, 2, 1)


@pytest.mark.parametrize("is_closed", [True, False])
async def test_run_background_without_an_open_group_runs_here(calls, caplog, is_closed):
    scope = http_scope(state={STATE_KEY: TaskGroup(grace=NO_GRACE)} if is_closed else {})
    tasks = BackgroundTasks()
    tasks.add(calls.fail)
    tasks.add(calls.told, "a")
    await run_background(tasks, scope, completed=False)
    await run_background(BackgroundTask(calls.note), scope, completed=False)
    assert calls.seen == ["failed", ("a", False), ((), {})]
    assert len(logged(caplog)) == 1


async def test_run_background_without_any_state_runs_here(calls):
    scope = http_scope()
    del scope["state"]
    await run_background(BackgroundTask(calls.note), scope, completed=True)
    assert calls.seen == [((), {})]


async def test_run_background_in_a_cancelled_request_runs_to_its_end(calls):
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        calls.seen.append("done")

    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_background(BackgroundTask(work), http_scope(), completed=False)
    assert calls.seen == ["done"]


class ForeignTask:
    """As Starlette has it: an object that is awaited when it is called, without arguments."""

    def __init__(self):
        self.calls = 0

    async def __call__(self):
        self.calls += 1


async def test_a_background_task_of_another_framework_is_run():
    task = ForeignTask()
    await run_background(task, {}, completed=True)
    assert task.calls == 1
