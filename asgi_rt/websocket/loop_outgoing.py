"""What an app sends over one WebSocket on asyncio, and who else may send by the same `send`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn, Protocol

import anyio
import anyio.lowlevel

from asgi_rt.asgi import Message, Send
from asgi_rt.http.alarms import Alarm, alarms_of_this_loop
from asgi_rt.http.pull import resume
from asgi_rt.websocket.ending import Ending
from asgi_rt.websocket.outgoing import CREDIT, LARGE_BYTES, Outgoing

__all__ = ["LoopOutgoing", "Sharer"]

_clock = time.perf_counter


class Sharer(Protocol):
    """Who sends by the `server_send` of one connection as well, in other tasks."""

    next_sharer: "Sharer | None"
    """Another of the same connection; for that to set. A tuple of them is 64 bytes for each."""

    def stop_pushes(self) -> None:
        """Something else is to be sent first: do not send any more."""
        ...

    def allow_pushes(self) -> None:
        """Nobody else sends, nor waits to."""
        ...


class LoopOutgoing(Outgoing):
    """On asyncio. A send that need not wait costs no lock, no task and no timer."""

    __slots__ = (
        "_alarm",
        "_freed",
        "_is_rested",
        "_shared_credit",
        "_sharer",
    )

    def __init__(self, send: Send, ending: Ending, timeout: float | None) -> None:
        super().__init__(send, ending, timeout)
        self._is_rested = False  # whether a round has passed since it last had credit
        self._freed: anyio.Event | None = None
        self._alarm: Alarm | None = None
        # Where there are any, `credit` is always 0, and this is what may be sent at once.
        self._sharer: Sharer | None = None
        self._shared_credit = 0

    def begin(self) -> None:
        self.credit = CREDIT

    def on_end(self) -> None:
        self.credit = 0
        self.is_due = True

    async def send(self, message: Message, size: int) -> None:
        credit = self.credit
        if credit <= 0:
            if self._sharer is not None:
                await self._send_shared(message, size)
                return
            if not self._may_begin():
                await self._send_in_turn(message)
                return
            credit = CREDIT
        # The same as `_send_one`, without the call: 0.1 us of an echo's 17.
        self.credit = 0
        try:
            sent = self.under_way = self.server_send(message)
            await sent
        except (OSError, RuntimeError, asyncio.CancelledError) as error:
            await self.fail(error)
        finally:
            self.under_way = None
            if self.is_due:
                self.settle()
            else:
                self.credit = credit - 1 - size // LARGE_BYTES

    def carry_on(self, step: Any, waits_for: Any) -> Coroutine[Any, Any, None]:
        """What runs a send to its end that was begun in another task; to be awaited in one.

        Nobody else can send until then. It raises like `send`.
        """
        if waits_for is not None:
            waits_for._asyncio_future_blocking = False  # until it is awaited
        self.stop_pushes()
        self.credit = 0
        self.under_way = resume(step, waits_for)
        if not self._ending.is_noted:
            self._ending.note()
        return self._end_send()

    async def _end_send(self) -> None:
        try:
            await self.under_way
        except (OSError, RuntimeError, asyncio.CancelledError) as error:
            await self.fail(error)
        finally:
            self.under_way = None
            self.settle()

    def share(self, sharer: Sharer) -> None:
        """Have `sharer` told when he may send by `server_send`, and when he may not any more.

        He may not yet: see `is_idle`.
        """
        self._sharer, sharer.next_sharer = sharer, self._sharer
        self._shared_credit += self.credit
        self.credit = 0
        if self.under_way is not None:
            self.is_due = True  # it has credit of its own, which it is not to leave

    def unshare(self, sharer: Sharer) -> None:
        """Take that back."""
        sharers = [each for each in self._each_sharer() if each is not sharer]
        self._sharer = None
        for each in reversed(sharers):
            self._sharer, each.next_sharer = each, self._sharer
        sharer.next_sharer = None
        if self._sharer is None:
            left, self._shared_credit = self._shared_credit, 0
            self._renew()
            self.credit = min(self.credit, max(left, 0))  # coming and going gives no more of it

    @property
    def is_idle(self) -> bool:
        """Whether a message can be sent, and nothing else is to be seen to before."""
        return self.is_free and not self.is_due

    def _each_sharer(self) -> Iterator[Sharer]:
        sharer = self._sharer
        while sharer is not None:
            yield sharer
            sharer = sharer.next_sharer

    def stop_pushes(self) -> None:
        for sharer in self._each_sharer():
            sharer.stop_pushes()

    async def _send_shared(self, message: Message, size: int) -> None:
        """Send while others may send as well: as soon as it has to wait, they must."""
        self._shared_credit -= 1 + size // LARGE_BYTES
        if self._shared_credit <= 0 or not self.is_idle:
            self._shared_credit = CREDIT
            await self._send_in_turn(message)
            return
        step: Any = self.server_send(message).__await__()
        try:
            waits_for = next(step)
        except StopIteration:
            return
        except (OSError, RuntimeError) as error:
            await self.fail(error)
        await self.carry_on(step, waits_for)

    def _may_begin(self) -> bool:
        """Whether a send without credit may begin: the loop has had a turn, and nobody waits."""
        if not (self._is_rested and self.is_free):
            return False
        self._is_rested = False
        if not self._ending.is_noted:
            self._ending.note()
        return True

    @property
    def is_free(self) -> bool:
        is_locked = self.lock is not None and self.lock.locked()
        return self._ending.is_open and self.under_way is None and not is_locked

    async def _send_in_turn(self, message: Message) -> None:
        """Send when others have had their turn, and those who were there first have sent."""
        self._ending.require_open("a message cannot be sent")
        await anyio.lowlevel.checkpoint()
        if self.is_free:
            # Without the lock, which takes 10 us more: of 64 echoes in a row, 0.15 us of each.
            self.credit = 0
            await self._send_one(message)
            return
        async with self._exclusively():
            self._ending.require_open("a message cannot be sent")
            await self._send_one(message)

    async def _send_one(self, message: Message) -> None:
        if not self._ending.is_noted:
            self._ending.note()
        self.stop_pushes()
        try:
            sent = self.under_way = self.server_send(message)
            await sent
        except (OSError, RuntimeError, asyncio.CancelledError) as error:
            await self.fail(error)
        finally:
            self.under_way = None
            self.settle()

    @asynccontextmanager
    async def _exclusively(self) -> AsyncGenerator[None]:
        lock = self._the_lock()
        try:
            async with lock:
                self.credit = 0
                # One who was there before anybody had to wait has no lock.
                while self.under_way is not None:
                    self.is_due = True
                    if self._freed is None:
                        self._freed = anyio.Event()
                    await self._freed.wait()
                yield
        finally:
            self._renew()

    def settle(self) -> None:
        self.is_due = True
        if self._alarm is not None:
            alarms_of_this_loop().cancel(self._alarm)
            self._alarm = None
        if self._freed is not None:
            self._freed.set()
            self._freed = None
        self._renew()

    def _renew(self) -> None:
        """Let sends begin at once, where that is right."""
        if self.is_free:
            self.is_due = False
            if not self._ending.is_noted:
                self._ending.note()
            if self._sharer is None:
                self.credit = CREDIT
            for sharer in self._each_sharer():
                sharer.allow_pushes()

    async def fail(self, error: OSError | RuntimeError | asyncio.CancelledError) -> NoReturn:
        if not isinstance(error, asyncio.CancelledError):
            await self._raise_refused(error)
        await self.absorb(error)
        raise self._ending.error() from None

    def on_round(self) -> None:
        """Bound the send that is under way: it waits."""
        if self.under_way is None:
            self.credit = 0
            self._is_rested = True
        else:
            self.is_due = True
            if self._alarm is None and self._timeout is not None:
                self._alarm = alarms_of_this_loop().set(_clock() + self._timeout, self)

    def on_alarm(self) -> None:
        """For the alarm: the client has read nothing for too long."""
        self._timed_out()
        self.interrupt(None, anywhere=True)
