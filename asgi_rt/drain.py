"""The signal that the server is going down, for whoever holds a connection open.

Servers wait for open connections before they run `lifespan.shutdown` and tell a stream nothing, so
one endless stream hangs a deploy. A `Drain` lives on each running app, stands in the state of
every request's scope, and is begun by SIGTERM and SIGINT through a handler that `watch_signals`
chains before the server's own.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Protocol, cast

import anyio
import anyio.lowlevel

from asgi_rt.asgi import Scope

__all__ = ["Drain", "drain_of", "watch_signals"]

STATE_KEY: Final = "asgi_rt.drain"
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_logger = logging.getLogger("asgi_rt.drain")


class Cancellable(Protocol):
    """What can be told to end at once: an `anyio.CancelScope` fits."""

    def cancel(self) -> None: ...


class Tellable(Cancellable, Protocol):
    """What wants to know when the server begins to go down."""

    def begin_drain(self) -> None: ...


class Drain:
    """One app's shutdown signal, and the connections that are cut off when the grace is over.

    All of it belongs to the app's event loop; only `begin_soon` of `watch_signals` crosses threads.
    """

    def __init__(self, *, grace: float) -> None:
        self.grace = grace
        """Seconds from the signal until what is still open is cancelled."""
        self._begun = anyio.Event()
        self._begun_at: float | None = None
        self._expired = False
        self._open: dict[Cancellable, bool] = {}

    @property
    def is_draining(self) -> bool:
        """Whether the server is going down."""
        return self._begun.is_set()

    async def wait(self) -> None:
        """Return when the server begins to go down."""
        await self._begun.wait()

    def begin(self) -> None:
        """Tell everybody. Calling it again changes nothing."""
        if not self._begun.is_set():
            _logger.info("draining: %d streams are open, grace %g s", len(self._open), self.grace)
            # Not the event loop's clock: this may run in a callback, where anyio knows no loop.
            self._begun_at = time.monotonic()
            self._begun.set()
            for connection in [each for each, tells in self._open.items() if tells]:
                cast("Tellable", connection).begin_drain()

    def remaining(self) -> float:
        """Seconds of the grace that are left: all of it before the drain has begun."""
        if self._begun_at is None:
            return self.grace
        return max(0.0, self._begun_at + self.grace - time.monotonic())

    def add(self, connection: Cancellable, *, tells: bool = False) -> None:
        """Cancel `connection` when the grace is over, unless it was removed before.

        With `tells` it is `Tellable`, and told when the server begins to go down.
        """
        if self._expired:
            connection.cancel()
        else:
            self._open[connection] = tells

    def remove(self, connection: Cancellable) -> None:
        """Forget a connection that has ended."""
        self._open.pop(connection, None)

    @property
    def open_connections(self) -> int:
        """How many connections would be cancelled now."""
        return len(self._open)

    async def enforce(self) -> None:
        """Wait for the signal, then for the grace, then cancel what is open. One task an app."""
        await self._begun.wait()
        await anyio.sleep(self.grace)
        self._expired = True
        if self._open:
            _logger.warning("cancelling %d connections: the grace is over", len(self._open))
        for connection in tuple(self._open):
            connection.cancel()
        self._open.clear()


def drain_of(scope: Scope) -> Drain | None:
    """The drain of the app that serves this scope; None where its lifespan was not run."""
    state = scope.get("state")
    return None if state is None else state.get(STATE_KEY)


@contextmanager
def watch_signals(drain: Drain) -> Generator[None, None, None]:
    """Begin `drain` on SIGTERM and SIGINT inside the block; the previous handlers still run.

    Does nothing outside the main thread, where Python delivers no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    begin_soon = _SignalBridge(drain.begin)
    came_before: set[int] = set()
    previous = {number: _chain(number, begin_soon, came_before) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, (ours, theirs) in previous.items():
            # Who chained after us keeps what they installed; it calls ours, now inert.
            if signal.getsignal(number) is ours:
                signal.signal(number, theirs)
        begin_soon.close()


class _SignalBridge:
    """Calls a function on the event loop from a signal handler, until closed."""

    def __init__(self, func: Callable[[], None]) -> None:
        self._func = func
        self._token: Any = anyio.lowlevel.current_token()
        self._is_open = True

    def __call__(self) -> None:
        if not self._is_open:
            return
        native = self._token.native_token
        call_soon = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
        call_soon(self._func)

    def close(self) -> None:
        self._is_open = False


def _chain(
    number: signal.Signals, begin_soon: _SignalBridge, came_before: set[int]
) -> tuple[Any, Any]:
    theirs = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        is_repeated = bool(came_before)
        is_asked_again = received == signal.SIGINT and received in came_before
        came_before.add(received)
        begin_soon()
        forwarded = received
        if _is_uvicorn(theirs):
            # See docs/decisions/0002-exit-status.md: uvicorn dies of a SIGTERM it has already
            # obeyed. Asked by SIGINT it goes down the same way and exits 0. A second SIGINT would
            # cut the grace off, and of Ctrl-C a worker gets a SIGINT and a SIGTERM, in any order.
            if is_repeated and not is_asked_again:
                return
            forwarded = signal.SIGINT
        if callable(theirs):
            theirs(forwarded, frame)
        elif theirs is signal.SIG_DFL:
            signal.signal(received, signal.SIG_DFL)
            signal.raise_signal(received)

    signal.signal(number, handle)
    return handle, theirs


def _is_uvicorn(handler: Any) -> bool:
    owner = getattr(handler, "__self__", None)
    return type(owner).__module__.partition(".")[0] == "uvicorn"
