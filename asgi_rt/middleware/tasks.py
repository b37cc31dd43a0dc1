"""What a dispatch function must know of the task that it runs in, on asyncio and on trio.

Its innermost cancel scope, to tell whether one is held open, and its context, as what was set in it
can only be reset there. None of them is said in public by all versions of all libraries. Where they
keep it otherwise than is looked for, nothing is known, and then nobody is told of a scope in the
wrong place but by the error it leads to.
"""

import asyncio
import gc
import sys
from collections.abc import Callable
from contextvars import Context
from importlib import import_module
from typing import Any, Final
from weakref import ref

__all__ = [
    "cancel_scope_of",
    "current_task",
    "in_context_like",
    "in_context_of",
    "runs_in",
]

_states: Any = getattr(import_module("anyio._backends._asyncio"), "_task_states", None)
_entries: Any = getattr(_states, "data", None)
_running_loop: Final = asyncio.get_running_loop
_Future: Final[type[Any]] = asyncio.Future
_tasks: Any = getattr(asyncio.tasks, "_current_tasks", None)
_task_of: Callable[[Any], Any] = asyncio.current_task
if sys.version_info < (3, 12) and _tasks is not None:
    # What that asks there, in Python: without the call a layer of dispatch takes 6% less time.
    _task_of = _tasks.get


def current_task() -> Any:
    """The task that this runs in, of whichever library."""
    try:
        return _task_of(_running_loop())
    except RuntimeError:
        return sys.modules["trio"].lowlevel.current_task()


def runs_in(task: Any) -> bool:
    """Whether this runs in a task, or outside of any where that is None."""
    if isinstance(task, _Future):
        # To look for the event loop is a system call before Python 3.12, of 0.2 us.
        return _task_of(task.get_loop()) is task
    return current_task() is task


def cancel_scope_of(task: Any) -> object:
    """What changes when a task enters or leaves a cancel scope of anyio or trio."""
    if isinstance(task, _Future):
        if not _entries:  # nobody is in one
            return None
        # To ask the mapping itself, and None for its scope, takes 0.15 us more.
        state = _entries.get(ref(task))
        return None if state is None else getattr(state, "cancel_scope", None)
    return getattr(task, "_cancel_status", None)


def in_context_of(task: Any, side: Any) -> Any:
    """A coroutine of a task, to be run by another one in the context of the first.

    What it has set in its own task it can reset there alone, and what others have set there it sees
    there. Where nothing is known of contexts it is the coroutine itself.
    """
    if isinstance(side, _InContext):
        return side
    context = _context_of(task)
    is_shared = context is None or context is _context_of(current_task())
    return side if is_shared else _InContext(task, context, side)


def in_context_like(other: Any, side: Any) -> Any:
    """A coroutine, to be run in the context that another one is run in."""
    return other.also(side) if isinstance(other, _InContext) else side


_entered: Final[set[int]] = set()
"""The contexts that a step below has entered: they cannot be entered twice."""


class _InContext:
    """A coroutine whose every step is run in the context of one task."""

    __slots__ = ("_context", "_side", "_task")

    def __init__(self, task: Any, context: Any, side: Any) -> None:
        self._task = task
        self._context = context
        self._side = side

    def also(self, side: Any) -> "_InContext":
        """Another coroutine, in the same context."""
        return _InContext(self._task, self._context, side)

    @property
    def cr_running(self) -> bool:
        """As a coroutine has it."""
        running: bool = self._side.cr_running
        return running

    def send(self, value: Any) -> Any:
        return self._run(self._side.send, value)

    def throw(self, error: BaseException) -> Any:
        return self._run(self._side.throw, error)

    def _run(self, step: Callable[[Any], Any], value: Any) -> Any:
        key = id(self._context)
        if key in _entered or current_task() is self._task:
            return step(value)
        _entered.add(key)
        try:
            return self._context.run(step, value)
        finally:
            _entered.discard(key)


def _context_of(task: Any) -> Context | None:
    """The context that a task runs in; None where that cannot be found out."""
    if not isinstance(task, asyncio.Task):
        return getattr(task, "context", None)  # trio's
    if sys.version_info >= (3, 12):
        return task.get_context()
    # Its own stands before those of its callbacks, in the order in which it visits what it holds.
    return next((each for each in gc.get_referents(task) if isinstance(each, Context)), None)
