"""One coroutine in one plain task: no task group and no cancel scope of the caller's holds it.

A client that is opened in a fixture's task and closed in another may hold neither, since anyio
demands that both are left by the task that entered them.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

import anyio

__all__ = ["PlainTask", "TaskCancelledError", "in_trio", "shielded"]


class TaskCancelledError(Exception):
    """The coroutine was cancelled, and not through its `PlainTask`."""


class PlainTask:
    """A coroutine running in a task of its own, on the caller's event loop, in its `context`.

    Nothing is raised into the loop: `error` holds whatever the coroutine raised, `SystemExit` and
    the like included. `on_done` is called once, in the loop, after the end.
    """

    def __init__(
        self,
        call: Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        context: Context | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> None:
        self.error: BaseException | None = None
        self.is_cancelled = False
        """Whether `cancel` was called before the end."""
        self._call = call
        self._on_done = on_done
        self._done = anyio.Event()
        start = self._start_trio if in_trio() else self._start_asyncio
        self._cancel = start(name, copy_context() if context is None else context)

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def cancel(self) -> None:
        """Cancel the coroutine, as a server does that shuts down. It may take its time to end."""
        if not self.is_done:
            self.is_cancelled = True
            self._cancel()

    async def wait(self) -> None:
        """Wait for the end. Any number of tasks may; cancelling a wait does not cancel the task."""
        await self._done.wait()

    async def end(self, timeout: float | None) -> bool:
        """Wait `timeout` seconds for the end, then cancel the task and wait as long again.

        Returns whether the task ended by itself. The caller's cancellation is held off meanwhile;
        with a timeout of None it is not, and cancels the task.
        """
        try:
            if await self._ended_within(timeout):
                return not self.is_cancelled
            self.cancel()
            await self._ended_within(timeout)
        finally:
            self.cancel()
        return False

    async def _ended_within(self, timeout: float | None) -> bool:
        with shielded(timeout):
            await self._done.wait()
        return self.is_done

    def _start_asyncio(self, name: str, context: Context) -> Callable[[], object]:
        # This object holds the task; the loop alone would hold it weakly.
        self._task = asyncio.create_task(self._run(), name=name, context=context)
        self._task.add_done_callback(self._asyncio_done)
        return self._task.cancel

    def _start_trio(self, name: str, context: Context) -> Callable[[], object]:
        import trio

        scope = trio.CancelScope()

        async def run() -> None:
            try:
                with scope:
                    await self._call()
            except BaseException as error:
                self.error = error
            if isinstance(self.error, trio.Cancelled):
                self.error = TaskCancelledError()
            self._finish()

        trio.lowlevel.spawn_system_task(run, name=name, context=context)
        return scope.cancel

    async def _run(self) -> None:
        try:
            await self._call()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.error = error

    def _asyncio_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self.is_cancelled:
            self.error = TaskCancelledError()
        self._finish()

    def _finish(self) -> None:
        self._done.set()
        if self._on_done is not None:
            self._on_done()


def shielded(timeout: float | None) -> anyio.CancelScope:
    """A scope that holds off the caller's cancellation for `timeout` seconds and then gives up.

    With None it does neither: what is not bounded must stay cancellable.
    """
    if timeout is None:
        return anyio.CancelScope()
    return anyio.move_on_after(timeout, shield=True)


def in_trio() -> bool:
    """Whether the caller is a trio task; if not it is one of asyncio's."""
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_task()
