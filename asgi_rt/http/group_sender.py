"""The sender of streams for any event loop; for trio, as `stepped_sender` is better on asyncio.

Here a wait that has begun cannot be left, so what has to be sent beside the source is sent by the
second task, the one that watches for the disconnect, and the two take turns at sending.
"""

import time
from contextlib import suppress

import anyio
import anyio.abc
import anyio.lowlevel

from asgi_rt.asgi import Message, Send
from asgi_rt.errors import ClientDisconnected, HTTPError, SendTimeout
from asgi_rt.http.inbox import Inbox
from asgi_rt.http.pull import END, WAIT, Pull
from asgi_rt.http.sender import JOIN_BYTES, TURN_SECONDS, Body

__all__ = ["GroupSender"]

_NEVER = float("inf")


class GroupSender:
    """A `Sender` for one stream. `run` it once."""

    def __init__(self, pull: Pull, body: Body, *, inbox: Inbox, send: Send) -> None:
        self._pull = pull
        self._body = body
        self._inbox = inbox
        self._send = send
        self._turn = anyio.Lock()
        self._group: anyio.abc.TaskGroup | None = None
        self._watching: anyio.CancelScope | None = None
        self._is_watched = False
        self._sending = False
        self._sent_at = 0.0
        self._head_due_at: float | None = None
        self._is_cut_off = False
        self._farewell_due = False
        self._is_quiet = False
        self._is_tending = False
        self._last: bytes | None = None
        self._failure: BaseException | None = None
        self._has_failed = False
        self.head_sent = False
        self.is_complete = False

    @property
    def was_cut_off(self) -> bool:
        return not (self.is_complete or self._inbox.is_disconnected or self._has_failed)

    def cancel(self) -> None:
        self._is_cut_off = True
        if self._group is not None:
            self._group.cancel_scope.cancel()

    def begin_drain(self) -> None:
        self._farewell_due = True
        if self._watching is not None:
            self._watching.cancel()

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            await self._body.settle(self)

    async def _run(self) -> None:
        try:
            await self._run_watched()
            if self.was_cut_off and (self._failure is None or self._last is not None):
                if not self.head_sent:
                    raise self._body.unavailable()
                await self._end_cleanly()
        finally:
            self._group = None
        failure, self._failure = self._failure, None
        self._has_failed = failure is not None
        try:
            if failure is not None and not isinstance(failure, ClientDisconnected):
                raise failure
        finally:
            del failure  # its traceback knows this frame

    async def _run_watched(self) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            if self._body.max_lifetime is not None:
                group.cancel_scope.deadline = anyio.current_time() + self._body.max_lifetime
            if self._is_cut_off:
                group.cancel_scope.cancel()
            pending: list[bytes] = []
            try:
                if self._body.head_wait == 0:
                    await self._send_opening()
                await self._send_items(pending)
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                self._failure = error  # kept, or the task group would wrap it in a group
                if isinstance(error, Exception):
                    await self._send_error(pending, error)
            if self._is_watched:
                group.cancel_scope.cancel()

    async def _send_items(self, pending: list[bytes]) -> None:
        pull = self._pull
        size = 0
        turn_ends = time.perf_counter() + TURN_SECONDS
        while True:
            item = pull.poll()
            if item is WAIT:
                if pending:
                    await self._flush(pending)
                    size = 0
                self._watch()
                item = await pull.wait()
                if pull.suspends:
                    turn_ends = time.perf_counter() + TURN_SECONDS
            if item is END:
                await self._finish(pending)
                return
            chunk = self._body.encode(item)
            if chunk:
                pending.append(chunk)
                size += len(chunk)
            if size >= JOIN_BYTES or time.perf_counter() >= turn_ends:
                if pending:
                    await self._flush(pending)
                    size = 0
                self._watch()
                await anyio.lowlevel.checkpoint()
                turn_ends = time.perf_counter() + TURN_SECONDS

    # Sending

    async def _flush(self, pending: list[bytes]) -> None:
        async with self._turn:
            await self._stop_at_the_end()
            await self._begin(pending)
            body = b"".join(pending)
            pending.clear()
            await self._deliver({"type": "http.response.body", "body": body, "more_body": True})

    async def _finish(self, pending: list[bytes]) -> None:
        pending.append(self._body.encode_end())
        async with self._turn:
            await self._stop_at_the_end()
            self._is_quiet = True
            if self._farewell_due:
                self._farewell_due = False
                pending.append(self._body.encode_farewell())
            await self._begin(pending)
            if self._is_watched:
                # A client that has left by now must be seen now: once the response is complete,
                # servers tell of a disconnect whether there was one or not.
                await anyio.lowlevel.checkpoint()
            await self._deliver_last(b"".join(pending))
        self.is_complete = True

    async def _send_opening(self) -> None:
        """Send the head and what goes before the first item, as there is no item yet."""
        opening: list[bytes] = []
        async with self._turn:
            await self._begin(opening)
            if body := b"".join(opening):
                await self._deliver({"type": "http.response.body", "body": body, "more_body": True})

    async def _begin(self, pending: list[bytes]) -> None:
        if not self.head_sent:
            self.head_sent = True
            await self._deliver(self._body.head())
            pending.insert(0, self._body.encode_begin())

    async def _stop_at_the_end(self) -> None:
        """The farewell is the last: what waited for its turn behind it is not sent any more."""
        if self._last is not None:
            await anyio.sleep_forever()

    async def _deliver_last(self, body: bytes) -> None:
        await self._deliver({"type": "http.response.body", "body": body, "more_body": False})

    async def _deliver(self, message: Message) -> None:
        self._watch()
        self._sending = True
        try:
            await self._send_within(message, self._body.send_timeout)
        except OSError as error:
            raise ClientDisconnected from error
        self._sending = False
        self._sent_at = anyio.current_time()
        self._look_again()

    async def _send_within(self, message: Message, timeout: float | None) -> None:
        if timeout is None:
            await self._send(message)
            return
        with anyio.move_on_after(timeout) as scope:
            await self._send(message)
        if scope.cancelled_caught:
            raise SendTimeout(timeout)

    async def _send_error(self, pending: list[bytes], error: Exception) -> None:
        """Send what was given before the source failed, and what the client is told of that."""
        try:
            async with self._turn:
                self._is_quiet = True
            if self._sending or self._inbox.is_disconnected:
                return
            told = self._body.encode_error(error) if self.head_sent or pending else None
            if pending:
                await self._flush(pending)
            if told is not None:
                await self._deliver_last(told)
        except (ClientDisconnected, SendTimeout):
            return
        if told is not None and isinstance(error, HTTPError):
            self._failure = None
            self._has_failed = True

    async def _end_cleanly(self) -> None:
        """End a stream that was cut off, as a whole response where that is no lie."""
        if not self._body.ends_cleanly or self._sending:
            return
        async with anyio.create_task_group() as group:
            group.cancel_scope.deadline = anyio.current_time() + self._body.close_seconds()
            group.start_soon(self._cancel_when_left, group.cancel_scope)
            with suppress(OSError):
                body = self._last or b""
                await self._send({"type": "http.response.body", "body": body, "more_body": False})
            group.cancel_scope.cancel()

    async def _cancel_when_left(self, scope: anyio.CancelScope) -> None:
        await self._inbox.disconnected()
        scope.cancel()

    # What happens beside the source

    def _watch(self) -> None:
        if not self._is_watched and self._group is not None:
            self._is_watched = True
            if self._body.head_wait is not None:
                self._head_due_at = anyio.current_time() + self._body.head_wait
            self._group.start_soon(self._watch_client)

    async def _watch_client(self) -> None:
        """Have sent what is due beside the source; end the stream when the client leaves."""
        assert self._group is not None
        try:
            while not self._inbox.is_disconnected:
                with anyio.CancelScope(deadline=self._next_deadline()) as self._watching:
                    if self._is_something_due():
                        self._watching.cancel()
                    await self._inbox.disconnected()
                if not self._inbox.is_disconnected and self._is_something_due():
                    self._is_tending = True
                    self._group.start_soon(self._tend)
        except Exception as error:  # kept: see `_run_watched`
            self._failure = self._failure or error
        self._group.cancel_scope.cancel()

    def _is_something_due(self) -> bool:
        if self._is_tending or self._is_quiet:
            return False
        return self._farewell_due or anyio.current_time() >= self._next_deadline()

    def _look_again(self) -> None:
        """Have the watch find out anew what is due next."""
        if self._watching is not None:
            self._watching.deadline = self._next_deadline()

    def _next_deadline(self) -> float:
        if self._is_tending or self._is_quiet:
            return _NEVER
        if not self.head_sent:
            return _NEVER if self._head_due_at is None else self._head_due_at
        return _NEVER if self._body.ping is None else self._sent_at + self._body.ping

    async def _tend(self) -> None:
        """Send what is due, in a task that ends with that."""
        assert self._group is not None
        try:
            if self._farewell_due:
                await self._say_farewell()
            elif not self.head_sent:
                await self._send_opening()
            else:
                await self._send_ping()
        except Exception as error:  # kept: see `_run_watched`
            self._failure = self._failure or error
            self._group.cancel_scope.cancel()
        finally:
            self._is_tending = False
        if self._watching is not None and self._is_something_due():
            self._watching.cancel()
        self._look_again()

    async def _say_farewell(self) -> None:
        assert self._group is not None
        farewell = self._body.encode_farewell()
        async with self._turn:  # not in the middle of a send
            if self._is_quiet or self._sending:
                return
            self._farewell_due = False
            if not farewell:
                return
            if not self._body.finish_in_drain:
                self._last = farewell
                self._group.cancel_scope.cancel()
                return
            opening: list[bytes] = []
            await self._begin(opening)
            body = b"".join([*opening, farewell])
            await self._deliver({"type": "http.response.body", "body": body, "more_body": True})

    async def _send_ping(self) -> None:
        ping = self._body.ping
        async with self._turn:
            if ping is None or self._is_quiet or self._sending:
                return
            if anyio.current_time() < self._sent_at + ping:
                return
            body = self._body.encode_ping()
            await self._deliver({"type": "http.response.body", "body": body, "more_body": True})
