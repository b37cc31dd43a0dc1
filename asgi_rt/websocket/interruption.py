"""Ending the wait of another task from outside, on asyncio."""

import asyncio
import gc
import inspect
from typing import Any

__all__ = ["Interruptible"]


class Interruptible:
    """What waits for the server in any task, one at a time, and can be made to wait no longer.

    asyncio ends a wait that nothing else is going to end only by a cancellation, such as that for a
    server which is to send to a client that does not read. So the task that waits is cancelled, and
    takes it back where it meets it: in that wait.
    """

    __slots__ = ("_cancelled", "_cancelled_before", "under_way")

    def __init__(self) -> None:
        self.under_way: Any = None
        """What of the server's is awaited, if anything is."""
        self._cancelled: asyncio.Task[Any] | None = None
        self._cancelled_before = 0

    def interrupt(self, likely: "asyncio.Task[Any] | None", *, anywhere: bool = False) -> None:
        """End the wait, if there is one and it is the `likely` task's; with `anywhere` any task's.

        That looks at all tasks of the loop: 2 us for each.
        """
        awaited = self.under_way
        if awaited is None or self._cancelled is not None:
            return
        task = _task_awaiting(awaited, likely, anywhere=anywhere)
        if task is not None:
            self._interrupt(task, awaited, is_second=False)

    def _interrupt(self, task: "asyncio.Task[Any]", awaited: Any, *, is_second: bool) -> None:
        if awaited is not self.under_way or self._cancelled is not None:
            return
        if task.cancelling() and not is_second:
            # It may have been cancelled just now, and then that is to come first. If it is there
            # still when the loop has come around, it was cancelled once and went on.
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: self._interrupt(task, awaited, is_second=True))
            return
        self._cancelled_before = task.cancelling()
        self._cancelled = task
        task.cancel()

    async def absorb(self, error: asyncio.CancelledError) -> None:
        """Take the cancellation back. Raises `error`, or theirs, where it is not ours alone."""
        task, self._cancelled = self._cancelled, None
        if task is None:
            raise error
        if task.uncancel() > self._cancelled_before:
            # A scope of anyio's says it again, in words of its own by which it knows it.
            await asyncio.sleep(0)
            raise error


def _task_awaiting(
    awaited: Any, likely: "asyncio.Task[Any] | None", *, anywhere: bool
) -> "asyncio.Task[Any] | None":
    """The task that awaits a coroutine.

    It is looked for, as this is rare: to note the current task before each wait would take 0.15 us
    of an echo's 17, twice.
    """
    if likely is not None and _awaits(likely, awaited):
        return likely
    if not anywhere:
        return None
    return next((task for task in asyncio.all_tasks() if _awaits(task, awaited)), None)


def _awaits(task: "asyncio.Task[Any]", awaited: Any) -> bool:
    step: Any = task.get_coro()
    while step is not None and step is not awaited:
        step = _awaited_by(step)
    return step is not None


def _awaited_by(step: Any) -> Any:
    for name in ("cr_await", "ag_await", "gi_yieldfrom"):
        if hasattr(step, name):
            return getattr(step, name)
    # What stands between a generator and who asks it for an item has no such name.
    return next((each for each in gc.get_referents(step) if _is_step(each)), None)


def _is_step(value: object) -> bool:
    return inspect.iscoroutine(value) or inspect.isasyncgen(value) or inspect.isgenerator(value)
