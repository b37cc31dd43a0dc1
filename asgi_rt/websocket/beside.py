"""What runs beside a handler for its WebSocket: rarely anything, and never for longer than it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, Final, Protocol, TypeAlias

import anyio
from anyio.abc import TaskGroup

from asgi_rt.http.alarms import Alarm, alarms_of_this_loop
from asgi_rt.websocket.rounds import Rounds, rounds_of_this_loop

__all__ = ["Beside", "GroupBeside", "LoopBeside"]

_END_SECONDS: Final = 5.0
_clock = time.perf_counter
_logger = logging.getLogger("asgi_rt.websocket")

AsyncFunction: TypeAlias = Callable[..., Awaitable[None]]


class Beside(Protocol):
    """Where one connection has its tasks and its clock. From any task of the event loop."""

    rounds: Rounds | None
    """Who looks after the connections that were used; None where nobody can."""

    def start(self, func: AsyncFunction, *args: Any) -> None:
        """Run `func(*args)` in a task of its own. What it raises is logged."""
        ...

    def call_later(self, seconds: float, func: Callable[[], None]) -> None:
        """Call `func` in so many seconds, unless the connection has ended by then."""
        ...


class LoopBeside:
    """On asyncio: plain tasks, and the timer that all connections of a loop share."""

    __slots__ = ("_alarms", "_context", "_tasks", "rounds")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] | None = None
        # The handler's: middleware may look for its own variables when it receives and sends.
        self._context = copy_context()
        self._alarms: list[_Call] | None = None
        self.rounds: Rounds | None = rounds_of_this_loop()

    def start(self, func: AsyncFunction, *args: Any) -> None:
        if self._tasks is None:
            self._tasks = set()
        task = asyncio.create_task(_logged(func, *args), context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def call_later(self, seconds: float, func: Callable[[], None]) -> None:
        if self._alarms is None:
            self._alarms = []
        self._alarms = [each for each in self._alarms if each.alarm.target is not None]
        self._alarms.append(_Call(seconds, func))

    async def finish(self) -> None:
        """Cancel what was started, and wait for its end, at most 5 seconds."""
        alarms, self._alarms = self._alarms, None
        for each in alarms or ():
            alarms_of_this_loop().cancel(each.alarm)
        if not self._tasks:
            return
        deadline = _clock() + _END_SECONDS
        cancellation: asyncio.CancelledError | None = None
        try:
            # One that has not had its first step yet would have no clean-up at all.
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            cancellation = error
        for task in self._tasks:
            task.cancel()
        while self._tasks and (seconds := deadline - _clock()) > 0:
            try:
                await asyncio.wait(tuple(self._tasks), timeout=seconds)
            except asyncio.CancelledError as error:
                cancellation = error
        if cancellation is not None:
            raise cancellation


class _Call:
    __slots__ = ("_func", "alarm")

    def __init__(self, seconds: float, func: Callable[[], None]) -> None:
        self._func = func
        self.alarm: Alarm = alarms_of_this_loop().set(_clock() + seconds, self)

    def on_alarm(self) -> None:
        self._func()


class GroupBeside:
    """On trio: tasks of the group that is open around the handler."""

    __slots__ = ("_group", "rounds")

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self.rounds: Rounds | None = None

    def start(self, func: AsyncFunction, *args: Any) -> None:
        self._group.start_soon(_logged, func, *args)

    def call_later(self, seconds: float, func: Callable[[], None]) -> None:
        self._group.start_soon(_call_later, seconds, func)


async def _call_later(seconds: float, func: Callable[[], None]) -> None:
    await anyio.sleep(seconds)
    func()


async def _logged(func: AsyncFunction, *args: Any) -> None:
    try:
        await func(*args)
    except Exception:
        _logger.exception("a task beside a WebSocket failed")
