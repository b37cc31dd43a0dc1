"""Sync code for an event loop."""

import threading
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from asgi_rt.fastapi.concurrency import (
    contextmanager_in_threadpool,
    iterate_in_threadpool,
    run_in_threadpool,
    run_until_first_complete,
)


async def test_function_runs_in_another_thread():
    def function(a: int, *, b: int) -> Any:
        return a, b, threading.current_thread() is threading.main_thread()

    assert await run_in_threadpool(function, 1, b=2) == (1, 2, False)


async def test_iterable_is_asked_in_other_threads():
    def source() -> Any:
        yield threading.current_thread() is threading.main_thread()
        yield None

    assert [item async for item in iterate_in_threadpool(source())] == [False, None]


@contextmanager
def noting(log: list[str], *, suppresses: bool = False) -> Any:
    log.append("in")
    try:
        yield "value"
    except KeyError:
        log.append("error")
        if not suppresses:
            raise
    finally:
        log.append("out")


async def test_context_manager_is_entered_and_left():
    log: list[str] = []
    async with contextmanager_in_threadpool(noting(log)) as value:
        assert (value, log) == ("value", ["in"])
    assert log == ["in", "out"]


@pytest.mark.parametrize("suppresses", [False, True])
async def test_context_manager_gets_the_error_and_may_suppress_it(suppresses):
    log: list[str] = []
    raised = False
    try:
        async with contextmanager_in_threadpool(noting(log, suppresses=suppresses)):
            raise KeyError("x")
    except KeyError:
        raised = True
    assert (log, raised) == (["in", "error", "out"], not suppresses)


async def test_context_manager_is_left_when_cancelled_and_no_thread_is_free():
    log: list[str] = []
    limiter = anyio.to_thread.current_default_thread_limiter()
    with anyio.CancelScope() as scope:
        async with contextmanager_in_threadpool(noting(log)):
            borrowers = [object() for _ in range(int(limiter.total_tokens))]
            for each in borrowers:
                limiter.acquire_on_behalf_of_nowait(each)
            try:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
            finally:
                # It is left with every place taken.
                log.append("leaving")
    for each in borrowers:
        limiter.release_on_behalf_of(each)
    assert log == ["in", "leaving", "out"]


async def test_first_to_return_ends_the_others():
    log: list[str] = []

    async def quick(name: str) -> None:
        log.append(name)

    async def endless() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("ended")

    with anyio.fail_after(5):
        await run_until_first_complete((endless, {}), (quick, {"name": "quick"}))
    assert log == ["quick", "ended"]
