"""Every async test runs on asyncio in debug mode, on uvloop and on trio, and must leave nothing.

"Nothing" is: no task that the test did not find, no async generator that was begun and not closed,
and no warning, of unclosed resources above all (pytest turns those into errors).
"""

import asyncio
import functools
import gc
import inspect
from collections.abc import Callable
from typing import Any

import pytest

BACKENDS = [
    pytest.param(("asyncio", {"debug": True}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Wrap each async test, whatever runs it, in the search for what it left behind."""
    if inspect.iscoroutinefunction(pyfuncitem.obj) and "anyio_backend" in pyfuncitem.funcargs:
        pyfuncitem.obj = _leaving_nothing(pyfuncitem.obj)


def _leaving_nothing(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    async def wrapped(*args: Any, **kwargs: Any) -> None:
        before = _tasks()
        await test(*args, **kwargs)
        left = _tasks() - before
        assert not left, f"tasks are left: {left}"
        open_generators = _open_generators()
        assert not open_generators, f"async generators are left open: {open_generators}"

    return wrapped


def _tasks() -> set[Any]:
    try:
        return {task for task in asyncio.all_tasks() if not task.done()}
    except RuntimeError:
        return _trio_tasks()


def _trio_tasks() -> set[Any]:
    import trio

    root = trio.lowlevel.current_root_task()
    assert root is not None
    found: set[Any] = set()
    pending = [root]
    while pending:
        task = pending.pop()
        found.add(task)
        for nursery in task.child_nurseries:
            pending.extend(nursery.child_tasks)
    return found


def _open_generators() -> list[Any]:
    """Async generators that were begun in this loop, are not running, and were never closed."""
    try:
        loop: Any = asyncio.get_running_loop()
    except RuntimeError:
        return []  # trio warns of them itself, and a warning is an error
    return [each for each in loop._asyncgens if each.ag_frame is not None and not each.ag_running]


@pytest.fixture(autouse=True)
def _collect_garbage() -> Any:
    """Let unclosed resources of this test warn in this test."""
    yield
    gc.collect(0)
