"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import contextlib
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, TypeVarTuple, cast

import anyio
from anyio.from_thread import BlockingPortal

from asgi_rt.testing.task import in_trio

__all__ = ["LoopThread"]

T = TypeVar("T")
Args = TypeVarTuple("Args")


_GRACE: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Result(Generic[T]):
    value: T | None
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class _Running:
    portal: BlockingPortal
    stop: Callable[[], None]
    """Ends the loop, soon. May be called from any thread."""


class LoopThread:
    """One event loop in one daemon thread, started by the first `call`.

    `call` may be used from any thread but that one. The thread ends with `close`, or when this
    object is garbage or the interpreter exits, which is held up for a second at most. (anyio's
    `start_blocking_portal` may hang there: it waits for a loop that no longer turns.)
    """

    def __init__(self, backend: str, backend_options: dict[str, Any] | None) -> None:
        self._backend = backend
        self._backend_options = backend_options
        self._starting = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._is_closed = False

    @property
    def is_running(self) -> bool:
        return self._portal is not None

    def call(self, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """What `function(*args)` returns or raises, run in the loop. RuntimeError once closed.

        An exception in the calling thread meanwhile, such as KeyboardInterrupt, cancels it.
        """
        future = self._start().start_task_soon(_capture, function, args)
        try:
            result = future.result()
        except BaseException:
            future.cancel()
            raise
        if result.error is not None:
            raise result.error
        return cast("T", result.value)

    def run(self, function: Callable[[], T]) -> T:
        """As `call`, for a function that waits for nothing."""
        return self.call(_run, function)

    def close(self, timeout: float | None) -> None:
        """End the loop and its thread, waiting `timeout` seconds at most. May be called again."""
        with self._starting:
            finalizer, self._finalizer = self._finalizer, None
            self._portal = None
            self._is_closed = True
        ending = finalizer.detach() if finalizer is not None else None
        if ending is not None:
            _, _, (stop, thread), _ = ending
            stop()
            thread.join(timeout)

    def _start(self) -> BlockingPortal:
        with self._starting:
            if self._is_closed:
                # What belongs to the ended loop must not be used in another one.
                raise RuntimeError("the client is closed; make a new one")
            if self._portal is None:
                started: Future[_Running] = Future()
                thread = threading.Thread(
                    target=_run_loop,
                    args=(self._backend, self._backend_options, started),
                    name="asgi_rt test client",
                    daemon=True,
                )
                thread.start()
                running = started.result()
                self._portal = running.portal
                self._finalizer = weakref.finalize(self, _end, running.stop, thread)
            return self._portal


def _end(stop: Callable[[], None], thread: threading.Thread) -> None:
    """End the loop of a `LoopThread` that is garbage, or that is left when the interpreter exits.

    The collector may run in any thread, that of the loop too, so the wait is short.
    """
    stop()
    if threading.current_thread() is not thread and not sys.is_finalizing():
        thread.join(_GRACE)


def _run_loop(
    backend: str, backend_options: dict[str, Any] | None, started: Future[_Running]
) -> None:
    try:
        anyio.run(_serve, started, backend=backend, backend_options=backend_options)
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


async def _serve(started: Future[_Running]) -> None:
    stopped = anyio.Event()
    soon = _scheduler()

    def stop() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            soon(stopped.set)

    async with BlockingPortal() as portal:
        started.set_result(_Running(portal, stop))
        await stopped.wait()
        await portal.stop(cancel_remaining=True)


def _scheduler() -> Callable[[Callable[[], None]], object]:
    """What has this loop call a function soon, from whatever thread."""
    if in_trio():
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
    return asyncio.get_running_loop().call_soon_threadsafe


async def _capture(function: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> _Result[T]:
    try:
        return _Result(await function(*args), None)
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:  # SystemExit, for one, would end the loop
        return _Result(None, error)


async def _run(function: Callable[[], T]) -> T:
    return function()
