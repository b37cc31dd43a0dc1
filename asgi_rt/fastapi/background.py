"""Calls to make after the response, before the dependencies that yield are closed."""

from collections.abc import Callable, Sequence
from typing import Any

from asgi_rt.background import BackgroundTask as PlainTask
from asgi_rt.background import BackgroundTasks as PlainTasks
from asgi_rt.fastapi.concurrency import run_in_threadpool
from asgi_rt.handlers import is_async

__all__ = ["BackgroundTask", "BackgroundTasks"]


class BackgroundTask(PlainTask):
    """One call: an async function, or a sync one, in a worker thread. It gets what was given."""

    async def __call__(self, completed: bool = True) -> None:
        if is_async(self.func):
            await self.func(*self.args, **self.kwargs)
        else:
            await run_in_threadpool(self.func, *self.args, **self.kwargs)


class BackgroundTasks(PlainTasks):
    """Calls to make one after the other. A failure is logged, and does not stop the rest."""

    def __init__(self, tasks: Sequence[PlainTask] | None = None) -> None:
        self.tasks = list(tasks or ())

    def add_task(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run `func(*args, **kwargs)` after the response."""
        self.tasks.append(BackgroundTask(func, *args, **kwargs))

    add = add_task
