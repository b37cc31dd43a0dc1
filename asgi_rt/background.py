"""Work that outlives a response: tasks after it, and tasks that the app owns.

`BackgroundTask` and `BackgroundTasks` say what to run. `TaskGroup` runs it: supervised, apart from
each other's failures, counted, and drained when the app shuts down.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import anyio
import anyio.abc
import anyio.to_thread

from asgi_rt.asgi import Scope

__all__ = ["BackgroundTask", "BackgroundTasks", "TaskGroup", "plain_task_group", "run_background"]

STATE_KEY: Final = "asgi_rt.background"
_CLEAN_UP_SECONDS: Final = 5.0
_logger = logging.getLogger("asgi_rt.background")


class BackgroundTask:
    """One call to make after the response: an async function, or a sync one, in a worker thread.

    A function that has a parameter named `completed` is told whether the response went out whole.
    """

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.func = func
        self.args = args
        self.kwargs = kwargs

    async def __call__(self, completed: bool = True) -> None:
        """Run it. What it raises is the caller's to handle."""
        kwargs = self.kwargs
        if "completed" not in kwargs and _takes_completed(self.func):
            kwargs = {**kwargs, "completed": completed}
        if _is_async(self.func):
            await self.func(*self.args, **kwargs)
        else:
            await anyio.to_thread.run_sync(partial(self.func, *self.args, **kwargs))

    def __repr__(self) -> str:
        return f"BackgroundTask({_name(self.func)})"


class BackgroundTasks:
    """Calls to make after the response, one after the other. One that fails does not stop the rest.

    `response.background = tasks`, or pass it as `background=`; add to it until the response ends.
    """

    def __init__(self) -> None:
        self.tasks: list[BackgroundTask] = []

    def add(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run `func(*args, **kwargs)` after the response; see `BackgroundTask`."""
        self.tasks.append(BackgroundTask(func, *args, **kwargs))

    async def __call__(self, completed: bool = True) -> None:
        """Run them all. A failure is logged, once, and never raised."""
        for task in self.tasks:
            await _run_logged(task, completed)


Background = BackgroundTask | BackgroundTasks


def _tasks_of(background: Any) -> list[BackgroundTask]:
    """The calls to make, one by one. Anything else that can be called without arguments, as the
    background tasks of other frameworks can, is one.
    """
    if isinstance(background, BackgroundTasks):
        return list(background.tasks)
    return [background if isinstance(background, BackgroundTask) else BackgroundTask(background)]


def _takes_completed(func: Callable[..., Any]) -> bool:
    try:
        return "completed" in inspect.signature(func).parameters
    except (TypeError, ValueError):  # a callable without a signature, such as some builtins
        return False


def _is_async(func: Callable[..., Any]) -> bool:
    while isinstance(func, partial):
        func = func.func
    call = getattr(func, "__call__", None)  # noqa: B004 - an object whose __call__ is async counts
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(call)


def _name(func: Callable[..., Any]) -> str:
    return getattr(func, "__qualname__", repr(func))


async def _run_logged(task: BackgroundTask, completed: bool) -> bool:
    """Run a task; whether it succeeded. Only a cancellation that is meant for it gets out."""
    try:
        await task(completed)
    except (Exception, SystemExit):  # a task that exits is not the end of the app
        _logger.exception("background task %s failed", _name(task.func))
        return False
    except asyncio.CancelledError as error:
        if not _is_stray(error):
            raise
        _logger.exception("background task %s awaited what was cancelled", _name(task.func))
        return False
    return True


def _is_stray(error: asyncio.CancelledError) -> bool:
    """Whether nobody cancelled this task: it awaited another one that was cancelled."""
    task = asyncio.current_task()
    return task is not None and not task.cancelling()


@asynccontextmanager
async def plain_task_group() -> AsyncGenerator[anyio.abc.TaskGroup, None]:
    """A task group for tasks that never raise: what its block raises is raised as it is.

    anyio's own would wrap it in an ExceptionGroup. The tasks are cancelled when the block ends.
    """
    failure: BaseException | None = None
    async with anyio.create_task_group() as group:
        try:
            yield group
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


class TaskGroup:
    """Tasks that an app owns. They outlive the request that started them, not the app.

    Open it with `open()`, in the app's lifespan. `start` may be called from any task of the loop.
    """

    def __init__(self, *, grace: float) -> None:
        self.grace = grace
        """Seconds that running tasks get when the app shuts down; then they are cancelled."""
        self.running = 0
        self.finished = 0
        self.failed = 0
        self.lost = 0
        """Tasks that were cancelled because the grace was over."""
        self._group: anyio.abc.TaskGroup | None = None
        self._scopes: set[anyio.CancelScope] = set()
        self._idle: anyio.Event | None = None

    @property
    def is_open(self) -> bool:
        return self._group is not None

    def start(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run `func(*args, **kwargs)` in a task of the app's own; a sync one in a worker thread.

        What it raises is logged once and counted in `failed`. Raises RuntimeError when the app
        is not running.
        """
        self._spawn(BackgroundTask(func, *args, **kwargs), completed=True)

    def _spawn(self, background: Background, *, completed: bool) -> None:
        if self._group is None:
            raise RuntimeError(
                "the app is not running, so it cannot own a task; start the app's lifespan first"
            )
        tasks = _tasks_of(background)
        self.running += len(tasks)
        self._group.start_soon(self._run, tasks, completed)

    async def _run(self, tasks: list[BackgroundTask], completed: bool) -> None:
        # A scope of its own: cancelling the group would cancel the lifespan that holds it open, and
        # so would a task that ends cancelled, as all of them are where an event loop is closed.
        with suppress(asyncio.CancelledError), anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                for task in tasks:
                    succeeded = await _run_logged(task, completed)
                    self.running -= 1
                    self.finished += succeeded
                    self.failed += not succeeded
                    tasks = tasks[1:]
            finally:
                self.running -= len(tasks)
                self.lost += len(tasks)
                self._scopes.discard(scope)
                if self._idle is not None and not self.running:
                    self._idle.set()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["TaskGroup", None]:
        """Accept tasks inside the block; at its end `drain`."""
        async with plain_task_group() as group:
            self._group = group
            try:
                yield self
            finally:
                await self.drain()
                self._group = None

    async def drain(self, grace: float | None = None) -> None:
        """Wait `grace` seconds for what runs, then cancel the rest, count it as lost and log it.

        None is this group's own `grace`.
        """
        if await self._is_idle_within(self.grace if grace is None else grace):
            return
        _logger.warning("cancelling %d background tasks: the grace is over", self.running)
        for scope in tuple(self._scopes):
            scope.cancel()
        await self._is_idle_within(_CLEAN_UP_SECONDS)

    async def _is_idle_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds, shield=True):
            while self.running:
                self._idle = anyio.Event()
                await self._idle.wait()
        return not self.running


async def run_background(background: Background, scope: Scope, *, completed: bool) -> None:
    """Run what a response left to do: in the app's task group, or here where none is open.

    It runs exactly once whether or not the response went out whole, on every server. Here it is
    shielded from the cancellation of the request and logs what fails.
    """
    owner: TaskGroup | None = scope.get("state", {}).get(STATE_KEY)
    if owner is not None and owner.is_open:
        owner._spawn(background, completed=completed)  # pyright: ignore[reportPrivateUsage] - same module
        return
    tasks = _tasks_of(background)
    with anyio.CancelScope(shield=True):
        for task in tasks:
            await _run_logged(task, completed)
