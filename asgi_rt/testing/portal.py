"""An event loop in a thread of its own, for callers that have none."""

import contextlib
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, TypeVarTuple, cast

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

__all__ = ["LoopThread"]

T = TypeVar("T")
Args = TypeVarTuple("Args")


@dataclass(frozen=True, slots=True)
class _Result(Generic[T]):
    value: T | None
    error: BaseException | None


class LoopThread:
    """One event loop in one daemon thread, started by the first `call`.

    `call` may be used from any thread but that one. The thread ends with `close`, or soon after
    this object is garbage; being a daemon it never holds up the interpreter's exit.
    """

    def __init__(self, backend: str, backend_options: dict[str, Any] | None) -> None:
        self._backend = backend
        self._backend_options = backend_options
        self._starting = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    @property
    def is_running(self) -> bool:
        return self._portal is not None

    def call(self, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """What `function(*args)` returns or raises, run in the loop.

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

    def close(self, timeout: float | None) -> None:
        """End the loop and its thread, waiting `timeout` seconds at most. May be called again."""
        with self._starting:
            self._portal = None
            finalizer, self._finalizer = self._finalizer, None
        if finalizer is not None:
            ending = finalizer()
            if ending is not None:
                ending.join(timeout)

    def _start(self) -> BlockingPortal:
        with self._starting:
            if self._portal is None:
                running = start_blocking_portal(self._backend, self._backend_options)
                self._portal = running.__enter__()
                self._finalizer = weakref.finalize(self, _end, running)
                # At exit the daemon thread stops by itself, and no thread can be started.
                self._finalizer.atexit = False
            return self._portal


async def _capture(function: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> _Result[T]:
    try:
        return _Result(await function(*args), None)
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:
        return _Result(None, error)


def _end(running: AbstractContextManager[BlockingPortal]) -> threading.Thread | None:
    """Leave the portal from a thread that may wait: the collector may run in the loop itself."""
    ending = threading.Thread(target=running.__exit__, args=(None, None, None), daemon=True)
    with contextlib.suppress(RuntimeError):  # the interpreter is ending
        ending.start()
        return ending
    return None
