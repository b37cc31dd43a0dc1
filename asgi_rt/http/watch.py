"""What happens beside a stream's source, on asyncio: its client leaves, the clock, the shutdown.

What has to be sent while the source is silent is sent by a task that lives only as long as that
takes. Whatever ends a stream cancels the task that pulls and sends.
"""

import asyncio
import logging
import time
from typing import Final

from asgi_rt.asgi import Message, Send
from asgi_rt.errors import ClientDisconnected, SendTimeout
from asgi_rt.http.alarms import Alarm, alarms_of_this_loop
from asgi_rt.http.inbox import Inbox
from asgi_rt.http.sender import Body

__all__ = ["UNTIMED", "Over", "Watch"]

UNTIMED: Final = float("inf")
_NEVER: Final = float("inf")
_LEAST_ALARM_SECONDS: Final = 0.001
_clock = time.perf_counter
_logger = logging.getLogger("asgi_rt.streaming")


class Over(Exception):
    """Ends a stream from within: the client has left, or it was cut off."""


class Watch:
    """Watches one stream for the task that pulls and sends it, here called the main task.

    That task calls `begin` and, on every way out, `end`; `watch` before it first waits; and, after
    every wait but never while its source stands in one, `attend` if it `is_due`. It says when it
    sends, by `under_way` and `sent_at`; UNTIMED for a send that bounds its own time.
    """

    __slots__ = (
        "_alarm",
        "_beside",
        "_body",
        "_cancelled_before",
        "_cancels",
        "_error",
        "_failed",
        "_farewell_due",
        "_head_due_at",
        "_inbox",
        "_is_cut_off",
        "_is_quiet",
        "_lifetime_ends",
        "_task",
        "_watcher",
        "head_sent",
        "is_due",
        "sent_at",
        "server_send",
        "under_way",
    )

    def __init__(self, body: Body, *, inbox: Inbox, send: Send) -> None:
        self._body = body
        self._inbox = inbox
        self.server_send = send
        self._task: asyncio.Task[object] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._beside: asyncio.Task[None] | None = None
        self._alarm: Alarm | None = None
        self._cancels = 0
        self._cancelled_before = 0
        self._error: Exception | None = None
        self._failed = False
        self._is_cut_off = False
        self._is_quiet = False
        self._farewell_due = False
        self._head_due_at: float | None = None
        self._lifetime_ends = 0.0
        self.is_due = False
        """Whether the main task must `attend` before it goes on."""
        self.under_way = False
        """Whether a send is under way; it stays so when that failed."""
        self.sent_at = 0.0
        """When the last send began, or was over. What others push is noted when it matters."""
        self.head_sent = False

    # From any task of the event loop

    def cancel(self) -> None:
        """Cut the stream off."""
        self._is_cut_off = True
        self._stop()

    def begin_drain(self) -> None:
        """Tell the client that the server goes down, and end unless the source may finish."""
        self._farewell_due = True
        self.tend()

    # From the main task

    def begin(self) -> None:
        """Say which task is the main one."""
        task = self._task = asyncio.current_task()
        assert task is not None
        self._cancelled_before = task.cancelling()
        if self._body.max_lifetime is not None:
            self._lifetime_ends = _clock() + self._body.max_lifetime

    def watch(self) -> None:
        """Be there from now on: the main task is about to wait, and its source may stand in a wait.

        Raises Over when the stream is to end. What else is due is sent beside the main task.
        """
        if not self.is_watching:
            self._head_due_at = _NEVER
            if not self._inbox.watch(self, alarms_of_this_loop().context):
                self._watcher = asyncio.create_task(self._inbox.disconnected())
                self._watcher.add_done_callback(self._on_watched)
            if self._body.head_wait is not None:
                self._head_due_at = _clock() + self._body.head_wait
            self._set_alarm()
        if self.is_due:
            if self.is_ending:
                raise Over
            self.tend()

    def tend(self) -> None:
        """Have what is due sent beside the main task, unless that is sending itself."""
        self.become_due()
        is_free = self._beside is None and not self.under_way and not self._is_quiet
        if is_free and self._task is not None:
            self._beside = asyncio.create_task(self._attend_beside())

    async def attend(self) -> None:
        """Wait for, or send, what is due. Raises Over when the stream is to end."""
        while self._beside is not None:
            await asyncio.wait((self._beside,))
        self.is_due = False
        await self._send_due()
        if self.is_ending:
            raise Over

    async def quiet(self) -> None:
        """Have nothing sent beside the main task any more; wait for what is."""
        self._is_quiet = True
        while self._beside is not None:
            await asyncio.wait((self._beside,))

    def take_head(self) -> Message:
        """The head, which is sent now."""
        self.head_sent = True
        self.sent_at = _clock()
        if self._alarm is not None:
            alarms_of_this_loop().cancel(self._alarm)
            self._set_alarm()  # from now on pings may be due
        return self._body.head()

    @property
    def is_watching(self) -> bool:
        """Whether `watch` was called."""
        return self._head_due_at is not None

    def has_cancelled(self) -> bool:
        """Whether a cancellation of the main task came from here alone."""
        assert self._task is not None
        return 0 < self._cancels >= self._task.cancelling() - self._cancelled_before

    async def take_back_cancellation(self) -> None:
        """Leave the cancellation of the main task to whoever else has cancelled it.

        Raises theirs, if they say it again: a scope of anyio's knows its own by their message.
        """
        if self._cancels and self._task is not None:
            for _ in range(self._cancels):
                self._task.uncancel()
            self._cancels = 0
            self._is_quiet = True
            await asyncio.sleep(0)

    async def end(self) -> None:
        """End all that was begun here. A cancellation from elsewhere is raised afterwards."""
        task, self._task = self._task, None
        assert task is not None
        if self._alarm is not None:
            alarms_of_this_loop().cancel(self._alarm)
        if self.is_watching:
            self._inbox.unwatch()
        cancellation: asyncio.CancelledError | None = None
        begun: set[asyncio.Task[None]] = set()
        begun.update(each for each in (self._watcher, self._beside) if each is not None)
        for each in begun:
            each.cancel()
        seconds = self._body.close_seconds()
        while begun:
            try:
                _, begun = await asyncio.wait(begun, timeout=seconds)
                break
            except asyncio.CancelledError as error:
                cancellation = error
                begun = {each for each in begun if not each.done()}
        for _ in range(self._cancels):
            task.uncancel()
        if cancellation is not None and task.cancelling() > self._cancelled_before:
            raise cancellation

    async def conclude(self) -> None:
        """After `end`: raise what failed here, or end the response where it was cut off.

        As a whole one, where that is no lie.
        """
        error, self._error = self._error, None
        if error is not None:
            self._failed = True
            try:
                raise error
            finally:
                del error  # its traceback knows this frame
        if not self._is_cut_off or self._inbox.is_disconnected or self._failed:
            return
        if not self.head_sent:
            raise self._body.unavailable()
        if self._body.ends_cleanly and not self.under_way:
            try:
                async with asyncio.timeout(self._body.close_seconds()):
                    await self.server_send(
                        {"type": "http.response.body", "body": b"", "more_body": False}
                    )
            except OSError:  # TimeoutError is one
                pass

    # For a source that has its items sent by others

    def become_due(self) -> None:
        """Something is due: nobody else is to send before it."""
        self.is_due = True

    def allow_pushes(self) -> None:
        """Nothing is due, and the main task waits for its source: others may send."""

    def note_pushes(self) -> None:
        """Note in `sent_at` when they did."""

    # Sending beside the source

    async def send_opening(self) -> None:
        """Send the head, and what goes before the first item, as there is no item yet."""
        await self._send_within(self.take_head())
        begin = self._body.encode_begin()
        if begin:
            await self._send_chunk(begin)

    async def _send_chunk(self, chunk: bytes) -> None:
        await self._send_within({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _send_within(self, message: Message) -> None:
        self.under_way = True
        self.sent_at = UNTIMED
        timeout = asyncio.timeout(self._body.send_timeout)
        try:
            async with timeout:
                await self.server_send(message)
        except OSError as error:
            if timeout.expired():
                assert self._body.send_timeout is not None
                raise SendTimeout(self._body.send_timeout) from None
            raise ClientDisconnected from error
        self.under_way = False
        self.sent_at = _clock()

    async def _send_due(self) -> None:
        while not self.is_ending:
            now = _clock()
            if self._farewell_due:
                self._farewell_due = False
                await self._say_farewell()
            elif self._is_head_due(now):
                await self.send_opening()
            elif self._is_ping_due(now):
                await self._send_chunk(self._body.encode_ping())
            else:
                return

    async def _say_farewell(self) -> None:
        farewell = self._body.encode_farewell()
        if not farewell:
            return
        if self.head_sent or self._body.finish_in_drain:
            if not self.head_sent:
                await self.send_opening()
            await self._send_chunk(farewell)
        if not self._body.finish_in_drain:
            self._is_cut_off = True
            if not self._is_quiet:  # else it is at its end by itself
                self._stop()

    async def _attend_beside(self) -> None:
        try:
            await self._send_due()
            self.is_due = self.is_ending
            if not self.is_due:
                self.allow_pushes()
        except Exception as error:
            self.fail(error)
        finally:
            self._beside = None

    def fail(self, error: Exception) -> None:
        """End the stream for what was raised in another task than the main one."""
        if isinstance(error, OSError | ClientDisconnected):
            self._failed = True
            self._is_cut_off = True
        else:
            self._error = error
        self._stop()

    # The client, the clock, the end

    @property
    def is_ending(self) -> bool:
        return self._is_cut_off or self._inbox.is_disconnected or self._error is not None

    def _on_watched(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled():
            error = watcher.exception()
            self.on_left(error if isinstance(error, Exception) else None)

    def on_left(self, error: Exception | None) -> None:
        """For the inbox: the client has left, or `receive` has failed."""
        self._error = self._error or error
        self._stop()

    def _stop(self) -> None:
        """End the main task's wait, whatever it waits for."""
        self.become_due()
        task = self._task
        if task is None or asyncio.current_task() is task:
            return
        self._cancels += 1
        task.cancel()
        # Again, if it does not end: a source may be slow to clean up, or not even mean to.
        if self._alarm is not None:
            alarms_of_this_loop().cancel(self._alarm)
        seconds = self._body.close_seconds()
        self._alarm = alarms_of_this_loop().set(_clock() + seconds, self)

    def _set_alarm(self) -> None:
        """One alarm for everything. No send moves it: that would take each of them 1 us longer."""
        now = _clock()
        due = self._next_alarm(now)
        if due is not None:
            due = max(due, now + _LEAST_ALARM_SECONDS)
            self._alarm = alarms_of_this_loop().set(due, self)

    def _next_alarm(self, now: float) -> float | None:
        body = self._body
        alarms: list[float] = []
        if body.max_lifetime is not None:
            alarms.append(self._lifetime_ends)
        if not self.head_sent and self._head_due_at is not None and body.head_wait is not None:
            alarms.append(self._head_due_at)
        if self.head_sent and body.ping is not None:
            alarms.append(body.ping + (now if self.under_way else self.sent_at))
        if body.send_timeout is not None:
            is_timed = self.under_way and self.sent_at is not UNTIMED
            alarms.append(body.send_timeout + (self.sent_at if is_timed else now))
        return min(alarms, default=None)

    def _is_head_due(self, now: float) -> bool:
        return not self.head_sent and self._head_due_at is not None and now >= self._head_due_at

    def _is_ping_due(self, now: float) -> bool:
        ping = self._body.ping
        if ping is None or self._is_quiet:
            return False
        return self.head_sent and now >= self.sent_at + ping

    def on_alarm(self) -> None:
        """For the alarm clock: see what is due."""
        if self._cancels:
            _logger.warning(
                "a stream's source was cancelled and does not end; it is cancelled again"
            )
            self._stop()
            return
        self.note_pushes()
        now = _clock()
        if self._body.max_lifetime is not None and now >= self._lifetime_ends:
            self.cancel()
            return
        if self.under_way:
            timeout = self._body.send_timeout
            if timeout is not None and now >= self.sent_at + timeout:
                self._error = SendTimeout(timeout)
                self._stop()
                return
        elif self._is_ping_due(now) or self._is_head_due(now):
            self.tend()
        self._set_alarm()
