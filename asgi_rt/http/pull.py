"""Pulling a stream's source, telling what it has ready from what must be waited for.

What is ready can be joined into one send; before a wait, what is pending must be sent. The
question is only answered by trying: the source's `__anext__` is run up to its first wait, and if
it gets to an item without one, the item was ready. That is `SteppedPull`. The wait is then carried
on as if nothing had happened, in the same task, so the source notices nothing.

It relies on what an asyncio task does with the futures that are yielded to it; on trio a wait that
has begun must be the task's next, so `PlainPull` treats every item as one to wait for. Iterators
that are not asynchronous run in worker threads: see `sync_pull`.
"""

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Generator
from enum import Enum
from typing import Any, Final, Protocol, cast

__all__ = [
    "CLOSE_SECONDS",
    "END",
    "WAIT",
    "PlainPull",
    "Pull",
    "SteppablePull",
    "SteppedPull",
    "is_finished",
    "on_asyncio",
    "resume",
    "unwind",
]

CLOSE_SECONDS: Final = 5.0
"""How long what was begun may take to end when it is cancelled."""


class _Mark(Enum):
    WAIT = "wait"
    END = "end"


WAIT: Final = _Mark.WAIT
"""What `poll` gives when the source has nothing ready."""
END: Final = _Mark.END
"""What a source that is exhausted gives."""

_EMPTY: Final = object()


class Pull(Protocol):
    """One consumer's hold on a source, on any event loop. Not to be used by two tasks at once."""

    suspends: bool
    """Whether `wait` always lets other tasks run."""

    def poll(self) -> Any:
        """An item that is ready, WAIT or END. Raises what the source raises."""
        ...

    async def wait(self) -> Any:
        """The next item or END. Raises what the source raises."""
        ...

    async def release(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Cancel the wait that the source was left in, if any; False if that took too long.

        To be called outside of any scope that was entered after the wait began.
        """
        ...

    async def aclose(self) -> None:
        """End the source, wherever it stands; its clean-up has run when this returns."""
        ...


class SteppablePull(Protocol):
    """One consumer's hold on a source, on asyncio. Not to be used by two tasks at once."""

    @property
    def items(self) -> AsyncIterator[Any] | None:
        """The source itself: the quickest way to an item that must be waited for, not `poll`.

        For when the source stands in no wait. None where it has to be polled.
        """
        ...

    def poll(self) -> Any:
        """An item that is ready, WAIT or END. Raises what the source raises."""
        ...

    waits_for: Any
    """After WAIT: the future to await before `wait`, whatever it gives or raises; or None."""

    def wait(self, error: BaseException | None) -> Awaitable[Any]:
        """After WAIT, and `waits_for`: the next item or END. Raises what the source raises.

        `error` is what awaiting the future raised.
        """
        ...

    async def absorbs(self, error: asyncio.CancelledError) -> bool:
        """Whether a cancellation that met this task was the source's own, and is dealt with.

        A source that waits may have set a timeout on its task. It can go off while the task is
        sending, and only the source can tell that it was its own.
        """
        ...

    async def release(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Cancel the wait that the source was left in, if any; False if that took too long.

        To be called outside of any scope that was entered after the wait began.
        """
        ...

    async def aclose(self) -> None:
        """End the source, wherever it stands; its clean-up has run when this returns."""
        ...


def on_asyncio() -> bool:
    """Whether this runs in a task of asyncio, uvloop included."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


@types.coroutine
def resume(step: Any, waits_for: Any) -> Generator[Any, Any, Any]:
    """Carry on an awaitable that was begun with `next(step)` and waits for what that gave."""
    if waits_for is not None:
        waits_for._asyncio_future_blocking = True
    try:
        while True:
            try:
                yield waits_for
            except BaseException as error:  # whatever the event loop throws is the awaitable's
                waits_for = _throw(step, error)
            else:
                return cast("Any", (yield from step))
    except StopIteration as stop:
        return stop.value


@types.coroutine
def _carry_on(step: Any) -> Generator[Any, Any, Any]:
    return cast("Any", (yield from step))


def _comes_from(future: Any, error: BaseException) -> bool:
    """Whether an error is a future's, so that whoever awaits the future meets it there."""
    if future is None or not future.done():
        return False
    if future.cancelled():
        return isinstance(error, asyncio.CancelledError)
    return future.exception() is error


def _throw(step: Any, error: BaseException) -> Any:
    """Raise an error where an awaitable waits; what it then waits for."""
    throw = getattr(step, "throw", None)
    try:
        if throw is None:  # an iterator of somebody's own that cannot be told
            raise error
        return throw(error)
    finally:
        del error  # its traceback knows this frame: a cycle, and all that the stream held in it


async def _cancel_future(future: Any, seconds: float = CLOSE_SECONDS) -> bool:
    """Cancel what an awaitable waits for, as cancelling its task would; whether that was possible.

    Only so do the tasks that it waits for learn of it. The future is done when this returns True;
    one that is not done within `seconds` is left alone.
    """
    if future is None or not future.cancel():
        return False
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while not future.done() and clock() < deadline:
        try:
            await asyncio.wait((future,), timeout=deadline - clock())
        except asyncio.CancelledError:
            future.cancel()
    return bool(future.done())


async def unwind(step: Any, waits_for: Any, seconds: float = CLOSE_SECONDS) -> bool:
    """Cancel an awaitable that was begun, and wait `seconds` for its clean-up; whether it ended.

    What it raises on the way out is dropped: whoever began it has gone another way. No scope of
    anyio's is entered, because the awaitable may be inside one, and those must nest.
    """
    task = asyncio.current_task()
    assert task is not None
    cancelled_before = task.cancelling()
    try:
        if await _cancel_future(waits_for, seconds):
            waits_for = next(step)
        else:
            waits_for = _throw(step, asyncio.CancelledError())
        async with asyncio.timeout(seconds):
            await resume(step, waits_for)
    except asyncio.CancelledError:
        if task.cancelling() > cancelled_before:
            raise
    except TimeoutError:
        return False
    except (StopIteration, StopAsyncIteration, Exception):
        return True
    return True


class PlainPull:
    """A source of which nothing is known before it is awaited. For any event loop."""

    suspends = False

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator

    def poll(self) -> Any:
        return WAIT

    async def wait(self) -> Any:
        try:
            return await self._iterator.__anext__()
        except StopAsyncIteration:
            return END

    async def release(self, seconds: float = CLOSE_SECONDS) -> bool:
        return True  # a wait cannot be left

    async def aclose(self) -> None:
        await _close(self._iterator)


class _Items:
    """An iterator that may be looped over again and again, and just goes on each time.

    Not every `__aiter__` is there, and some start afresh.
    """

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return self._iterator.__anext__()


class _Failure:
    """What a source raised while its consumer was doing something else."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class SteppedPull:
    """A source that is run up to its first wait, to see whether it has an item ready."""

    __slots__ = ("_iterator", "_kept", "_step", "waits_for")

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator
        self._step: Any = None
        self.waits_for: Any = None
        self._kept: Any = _EMPTY

    def poll(self) -> Any:
        if self._step is not None:
            return WAIT
        if self._kept is not _EMPTY:
            return self._take_kept()
        try:
            step: Any = self._iterator.__anext__().__await__()
            self._hold(next(step))
        except StopIteration as stop:
            return stop.value
        except StopAsyncIteration:
            return END
        self._step = step
        return WAIT

    def _hold(self, waits_for: Any) -> None:
        self.waits_for = waits_for
        if waits_for is not None:
            # The mark by which asyncio tells `await` from `yield`, for the one who takes the
            # future next. Until `wait` gives it on, others may await the same future.
            waits_for._asyncio_future_blocking = False

    async def wait(self, error: BaseException | None) -> Any:
        # From here on the wait is this task's own: nobody else may throw anything into it.
        step, self._step = self._step, None
        waits_for, self.waits_for = self.waits_for, None
        if waits_for is None:
            try:
                await asyncio.sleep(0)  # what the source waits for is one turn of the event loop
            except BaseException as raised:
                error = raised
        try:
            if error is not None and not _comes_from(waits_for, error):
                return await resume(step, _throw(step, error))
            return await _carry_on(step)
        except StopIteration as stop:
            return stop.value
        except StopAsyncIteration:
            return END
        finally:
            del error  # its traceback knows the frame of the caller

    @property
    def items(self) -> AsyncIterator[Any]:
        is_generator = isinstance(self._iterator, types.AsyncGeneratorType)
        return self._iterator if is_generator else _Items(self._iterator)

    def _take_kept(self) -> Any:
        kept, self._kept = self._kept, _EMPTY
        if isinstance(kept, _Failure):
            raise kept.error
        return kept

    async def absorbs(self, error: asyncio.CancelledError) -> bool:
        step = self._step
        if step is None:
            return False
        task = asyncio.current_task()
        assert task is not None
        self._step = None
        try:
            is_told = await _cancel_future(self.waits_for)
            waits_for = next(step) if is_told else _throw(step, error)
        except StopIteration as stop:
            self._kept = stop.value
        except StopAsyncIteration:
            self._kept = END
        except asyncio.CancelledError:
            return False
        except Exception as failure:
            self._kept = _Failure(failure)
        else:
            if task.cancelling():
                await self._clean_up(step, waits_for)
            else:
                self._step = step
                self._hold(waits_for)
        # Whoever cancels a task for a purpose of their own takes the request back (Task.uncancel).
        return not task.cancelling()

    async def _clean_up(self, step: Any, waits_for: Any) -> None:
        """Let a source that was cancelled for good finish what it does about it."""
        try:
            await resume(step, waits_for)
        except StopAsyncIteration:
            pass
        except Exception as failure:
            self._kept = _Failure(failure)

    async def release(self, seconds: float = CLOSE_SECONDS) -> bool:
        step, self._step = self._step, None
        return step is None or await unwind(step, self.waits_for, seconds)

    async def aclose(self) -> None:
        await self.release()
        await _close(self._iterator)


def is_finished(iterator: Any) -> bool:
    """Whether nothing is left to close: a generator that came to its end, or was closed."""
    return getattr(iterator, "ag_frame", iterator) is None


async def _close(iterator: AsyncIterator[Any]) -> None:
    aclose: Any = getattr(iterator, "aclose", None)
    if aclose is not None:
        closing: Awaitable[None] = aclose()
        await closing
