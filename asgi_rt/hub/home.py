"""The event loop that a hub belongs to while somebody is subscribed, or it is held open."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Final, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel

from asgi_rt.errors import HubError

__all__ = ["Home"]

T = TypeVar("T")

_ELSEWHERE: Final = (
    "this hub belongs to another event loop, where it is held open or has subscribers: publish"
    " by `publish_from_thread`, or give each event loop a hub of its own, and these a backplane of"
    " many processes"
)
_IN_USE: Final = (
    "this hub was used on another event loop last, which still runs: publish by"
    " `publish_from_thread`, or give each event loop a hub of its own"
)
_CLOSED_ELSEWHERE: Final = (
    "this hub is used on an event loop that runs in another thread: close it there, for instance by"
    " `loop.call_soon_threadsafe(hub.close)`"
)
_NOWHERE: Final = (
    "a hub is used on an event loop, and none runs in this thread: publish by `publish_from_thread`"
)
_NOT_YET: Final = (
    "this hub is on no event loop yet: hold it open there, by `async with hub:` in the app's"
    " lifespan, before other threads publish"
)
_WOULD_WAIT: Final = (
    "`publish_from_thread` waits, and would have the event loop of this thread wait for it: here,"
    " `await publish(...)` or call `publish_nowait(...)`"
)
_OVER: Final = "the event loop of this hub is over"
# How often a waiting thread looks whether the event loop is still there, and how long it waits for
# one that is too busy to keep the time itself.
_LOOK_SECONDS: Final = 0.25
_GRACE_SECONDS: Final = 1.0


class Home:
    """Which event loop, and which thread, a hub is used on."""

    __slots__ = ("_loop", "_thread")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | anyio.lowlevel.EventLoopToken | None = None
        self._thread: int | None = None

    def enter(self, *, is_held: bool) -> bool:
        """Be on the event loop that runs here; whether it was on another, or on none, before.

        A hub that is not held is taken along to whichever loop it is used on. Raises HubError where
        it is held on another, where another still runs in another thread, and where none runs.
        """
        if self._is_here():
            return False
        if is_held:
            raise HubError(_ELSEWHERE)
        if (loop := _running_loop()) is None:
            raise HubError(_NOWHERE)
        if self._thread != threading.get_ident() and _is_running(self._loop):
            raise HubError(_IN_USE)
        self._loop = loop
        self._thread = threading.get_ident()
        return True

    def require_here_or_at_rest(self) -> bool:
        """Raise HubError where the event loop it is on runs, and not here; whether it runs here."""
        # Not by its thread: an event loop may go on in another than where it was used last.
        is_here = self._is_here()
        if not is_here and _is_running(self._loop):
            raise HubError(_CLOSED_ELSEWHERE)
        return is_here

    def run_from_thread(
        self, function: Callable[[], Coroutine[Any, Any, T]], timeout: float | None
    ) -> T:
        """Run a function on the event loop, which keeps to `timeout` itself, and wait for it.

        Raises HubError where there is none any more, or where it would wait for itself.
        """
        if _running_loop() is not None:
            raise HubError(_WOULD_WAIT)
        loop = self._loop
        if loop is None:
            raise HubError(_NOT_YET)
        if isinstance(loop, asyncio.AbstractEventLoop):
            return _run_on_asyncio(loop, function, timeout)
        try:
            return anyio.from_thread.run(function, token=loop)
        except anyio.RunFinishedError:
            raise HubError(_OVER) from None

    def _is_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return threading.get_ident() == self._thread and _trio_token() == self._loop


def _run_on_asyncio(
    loop: asyncio.AbstractEventLoop,
    function: Callable[[], Coroutine[Any, Any, T]],
    timeout: float | None,
) -> T:
    """As `anyio.from_thread.run`, which would wait for ever for a loop that ends meanwhile."""
    is_given_up = False

    async def run() -> T:
        if is_given_up:  # while it was not begun
            raise asyncio.CancelledError
        return await function()

    step = run()
    try:
        future = asyncio.run_coroutine_threadsafe(step, loop)
    except RuntimeError:
        step.close()
        raise HubError(_OVER) from None
    gives_up_at = None if timeout is None else time.monotonic() + timeout + _GRACE_SECONDS
    try:
        while True:
            try:
                return future.result(_LOOK_SECONDS)
            except TimeoutError:
                if future.done() or (gives_up_at is not None and time.monotonic() >= gives_up_at):
                    raise
                if loop.is_closed():
                    step.close()
                    raise HubError(_OVER) from None
    except CancelledError:
        raise HubError(_OVER) from None
    finally:
        is_given_up = True
        future.cancel()


def _running_loop() -> asyncio.AbstractEventLoop | anyio.lowlevel.EventLoopToken | None:
    """What runs in this thread, in a callback too: the event loop of asyncio, or trio's token."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return _trio_token()


def _is_running(loop: asyncio.AbstractEventLoop | anyio.lowlevel.EventLoopToken | None) -> bool:
    if loop is None or isinstance(loop, asyncio.AbstractEventLoop):
        return loop is not None and loop.is_running()
    try:
        token: Any = loop.native_token
        token.run_sync_soon(int)  # trio has no other way to ask
    except RuntimeError:  # its RunFinishedError
        return False
    return True


def _trio_token() -> anyio.lowlevel.EventLoopToken | None:
    try:
        return anyio.lowlevel.current_token()
    except RuntimeError:
        return None
