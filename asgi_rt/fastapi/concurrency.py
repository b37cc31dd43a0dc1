"""Sync code for an event loop: in worker threads, as many as anyio's limiter allows."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

import anyio
import anyio.to_thread

__all__ = ["contextmanager_in_threadpool", "iterate_in_threadpool", "run_in_threadpool"]
__all__ += ["run_until_first_complete"]

P = ParamSpec("P")
T = TypeVar("T")
_END: Final = object()


async def run_in_threadpool(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `func(*args, **kwargs)` returns or raises, called in a worker thread."""
    return await anyio.to_thread.run_sync(partial(func, *args, **kwargs))


async def iterate_in_threadpool(iterator: Iterable[T]) -> AsyncGenerator[T, None]:
    """The items of a sync iterable, each asked for in a worker thread."""
    step: Callable[[], Any] = partial(next, iter(iterator), _END)
    while True:
        item: Any = await anyio.to_thread.run_sync(step)
        if item is _END:
            return
        yield item


class _InThreads:
    """A sync context manager that is entered once at most, and left if it was, once.

    asyncio, unlike anyio, cancels a task that waits for a thread, which goes on all the same. So
    each thread waits for the one before it.
    """

    def __init__(self, cm: AbstractContextManager[Any]) -> None:
        self._cm = cm
        self._lock = threading.Lock()
        self._is_open = False
        self._is_over = False

    def enter(self) -> Any:
        with self._lock:
            if self._is_over:  # nobody waits for this thread any more
                return None
            value = self._cm.__enter__()
            self._is_open = True
            return value

    def leave(self, *error: Any) -> bool:
        with self._lock:
            self._is_over = True
            is_open, self._is_open = self._is_open, False
            return is_open and bool(self._cm.__exit__(*error))


@asynccontextmanager
async def contextmanager_in_threadpool(cm: AbstractContextManager[T]) -> AsyncGenerator[T, None]:
    """A sync context manager as an async one, entered and left in worker threads.

    It is left on every way out, shielded, and without waiting for a place among the threads:
    whoever holds them may be waiting for what it would give back.
    """
    manager = _InThreads(cm)
    try:
        value = await run_in_threadpool(manager.enter)
    except asyncio.CancelledError as error:
        await _leave(manager, type(error), error, error.__traceback__)
        raise
    try:
        yield value
    except BaseException as error:
        if not await _leave(manager, type(error), error, error.__traceback__):
            raise
    else:
        await _leave(manager, None, None, None)


async def _leave(manager: _InThreads, *error: Any) -> bool:
    is_handled: bool = False
    cancelled: asyncio.CancelledError | None = None
    while True:
        with anyio.CancelScope(shield=True):
            place = anyio.CapacityLimiter(1)
            try:
                is_handled = await anyio.to_thread.run_sync(manager.leave, *error, limiter=place)
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
                continue
        if cancelled is not None:
            raise cancelled
        return is_handled


async def run_until_first_complete(*calls: tuple[Callable[..., Awaitable[Any]], Any]) -> None:
    """Run `(function, keywords)` pairs at once until one returns; the others are cancelled."""
    async with anyio.create_task_group() as group:

        async def run(func: Callable[..., Awaitable[Any]], kwargs: Any) -> None:
            await func(**kwargs)
            group.cancel_scope.cancel()

        for func, kwargs in calls:
            group.start_soon(run, func, kwargs)
