"""Every async test runs on asyncio in debug mode, on uvloop and on trio, and must leave nothing.

"Nothing" is: no task that the test did not find, no async generator that was begun and not closed,
and no warning, of unclosed resources above all (pytest turns those into errors).
"""

import asyncio
import contextlib
import functools
import gc
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies
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
        with _begun_generators() as generators:
            await test(*args, **kwargs)
        left = _tasks() - before
        assert not left, f"tasks are left: {left}"
        still_open = [each for each in generators if each.ag_frame and not each.ag_running]
        assert not still_open, f"async generators are left open: {still_open}"

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


@contextlib.contextmanager
def _begun_generators() -> Iterator["weakref.WeakSet[Any]"]:
    """The async generators that are begun in the block."""
    hooks = sys.get_asyncgen_hooks()
    generators: weakref.WeakSet[Any] = weakref.WeakSet()

    def begin(generator: Any) -> None:
        generators.add(generator)
        if hooks.firstiter is not None:
            hooks.firstiter(generator)

    sys.set_asyncgen_hooks(firstiter=begin)
    try:
        yield generators
    finally:
        sys.set_asyncgen_hooks(firstiter=hooks.firstiter)


@pytest.fixture(autouse=True)
def _collect_garbage() -> Any:
    """Let unclosed resources of this test warn in this test."""
    yield
    gc.collect(0)


@pytest.fixture(scope="module", autouse=True)
def _what_stays() -> None:
    """Let no collection of garbage look again at what is there already: half a million objects,
    of the tests themselves and of what pytest keeps of each, take it a quarter of a second.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _character_table() -> None:
    """Hypothesis's table of all characters takes it a second to make where none is stored yet, as
    in a fresh clone. Made here, it is not held against the test that asks for text first.
    """
    hypothesis.strategies.text().validate()
