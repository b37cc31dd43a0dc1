"""Pulling a source that is not asynchronous, in worker threads.

A thread is held only while the source is working: it pulls a batch and goes. The event loop takes
items as they come, during the batch too, so a source that blocks holds nothing back that it has
already given.
"""

import contextvars
import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

import anyio
import anyio.lowlevel

from asgi_rt.http.pull import CLOSE_SECONDS, END, WAIT
from asgi_rt.http.threads import Threads

__all__ = ["SyncPull"]

_BATCH_ITEMS: Final = 512
_BATCH_BYTES: Final = 64 * 1024
_BATCH_SECONDS: Final = 0.005
# Its own threads, not the default limiter's: endless streams must not keep handlers from theirs.
_MAX_THREADS: Final = 40
_threads: anyio.lowlevel.RunVar[Threads] = anyio.lowlevel.RunVar("asgi_rt.sync_pull")
_logger = logging.getLogger("asgi_rt.streaming")


def _threads_of_this_loop() -> Threads:
    threads = _threads.get(None)
    if threads is None:
        threads = Threads(_MAX_THREADS)
        _threads.set(threads)
    return threads


class SyncPull:
    """A hold on an iterator that may block, like `Pull`: one consumer, on one event loop."""

    suspends = True
    items = None
    waits_for = None

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self._ready: deque[Any] = deque()
        self._arrived: anyio.Event | None = None
        self._is_pulling = False
        self._is_closing = False
        self._is_abandoned = False
        self._is_told = False
        self._end: Any = None
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()
        self._threads = _threads_of_this_loop()
        self._call_soon: Callable[[Callable[[], None]], object] | None = None

    def poll(self) -> Any:
        end = self._end  # read first: whatever the thread gave before it ended is in `_ready`
        if self._ready:
            return self._ready.popleft()
        if isinstance(end, BaseException):
            self._end = END
            try:
                raise end
            finally:
                del end  # its traceback knows this frame
        return WAIT if end is None else END

    async def wait(self, error: BaseException | None = None) -> Any:
        while (item := self.poll()) is WAIT:
            arrived = self._arrived = anyio.Event()
            if not self._is_pulling:
                # The thread says how the source ended before it says that it is gone.
                if self._end is not None or self._ready:
                    continue
                self._submit(self._pull_batch)
            await arrived.wait()
        return item

    async def absorbs(self, error: BaseException) -> bool:
        return False  # the source runs in another thread and knows nothing of this task

    async def release(self, seconds: float = CLOSE_SECONDS) -> bool:
        return True

    def _submit(self, work: Callable[[], None]) -> None:
        self._is_pulling = True
        if self._call_soon is None:
            native: Any = anyio.lowlevel.current_token().native_token
            self._call_soon = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
        self._threads.submit(partial(self._run, work))

    # In a worker thread

    def _run(self, work: Callable[[], None]) -> None:
        try:
            self._context.run(work)
        except BaseException as error:  # carried to the task that consumes the stream
            self._end = error
        with self._lock:
            self._is_pulling = False
            is_abandoned = self._is_abandoned
        if is_abandoned:
            self._end_abandoned()
        self._is_told = False
        self._tell()

    def _end_abandoned(self) -> None:
        self._threads.reclaim()
        if isinstance(self._end, BaseException):
            _logger.error("a source that was given up has failed", exc_info=self._end)
        try:
            self._context.run(_close, self._iterator)
        except Exception:
            _logger.exception("a source that was given up failed while it was being closed")

    def _pull_batch(self) -> None:
        deadline = time.perf_counter() + _BATCH_SECONDS
        pulled_bytes = 0
        for _ in range(_BATCH_ITEMS):
            item = next(self._iterator, END)
            if item is END:
                self._end = END
                return
            self._ready.append(item)
            self._tell()
            if isinstance(item, bytes | str):
                pulled_bytes += len(item)
            if self._is_closing or pulled_bytes >= _BATCH_BYTES or time.perf_counter() >= deadline:
                return

    def _tell(self) -> None:
        if self._is_told or self._call_soon is None:
            return
        self._is_told = True
        with suppress(RuntimeError):  # the event loop has ended: nobody is left to be told
            self._call_soon(self._on_told)

    # In the event loop

    def _on_told(self) -> None:
        self._is_told = False
        if self._arrived is not None:
            self._arrived.set()

    async def aclose(self) -> None:
        """End the source. Cancelled while that blocks, it leaves the rest to the thread."""
        self._is_closing = True
        self._ready.clear()
        try:
            await self._batch_over()
        except BaseException:
            with self._lock:
                self._is_abandoned = self._is_pulling
                if self._is_abandoned:
                    self._threads.abandon()
            raise
        if _needs_a_thread(self._iterator):
            self._submit(partial(_close, self._iterator))
            await self._batch_over()
        else:
            _close(self._iterator)
        if isinstance(self._end, BaseException):
            error, self._end = self._end, END
            raise error

    async def _batch_over(self) -> None:
        while self._is_pulling:
            arrived = self._arrived = anyio.Event()
            await arrived.wait()


def _needs_a_thread(iterator: Iterator[Any]) -> bool:
    """Whether closing runs code of the user's, which may block."""
    if inspect.isgenerator(iterator):
        return inspect.getgeneratorstate(iterator) == inspect.GEN_SUSPENDED
    return hasattr(iterator, "close")


def _close(iterator: Any) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        close()
