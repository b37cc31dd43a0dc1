"""Sync code for an event loop: in worker threads, as many as anyio's limiter allows."""

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


@asynccontextmanager
async def contextmanager_in_threadpool(cm: AbstractContextManager[T]) -> AsyncGenerator[T, None]:
    """A sync context manager as an async one, entered and left in worker threads.

    It is left on every way out, shielded, and without waiting for a place among the threads:
    whoever holds them may be waiting for what it would give back.
    """
    value = await run_in_threadpool(cm.__enter__)
    try:
        yield value
    except BaseException as error:
        if not await _leave(cm, type(error), error, error.__traceback__):
            raise
    else:
        await _leave(cm, None, None, None)


async def _leave(cm: AbstractContextManager[Any], *error: Any) -> bool:
    is_handled: bool | None = False
    with anyio.CancelScope(shield=True):
        place = anyio.CapacityLimiter(1)
        is_handled = await anyio.to_thread.run_sync(cm.__exit__, *error, limiter=place)
    return bool(is_handled)


async def run_until_first_complete(*calls: tuple[Callable[..., Awaitable[Any]], Any]) -> None:
    """Run `(function, keywords)` pairs at once until one returns; the others are cancelled."""
    async with anyio.create_task_group() as group:

        async def run(func: Callable[..., Awaitable[Any]], kwargs: Any) -> None:
            await func(**kwargs)
            group.cancel_scope.cancel()

        for func, kwargs in calls:
            group.start_soon(run, func, kwargs)
