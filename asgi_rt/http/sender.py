"""Sends what a source yields as one response body. The engine of every stream.

One task pulls and sends. A second watches for the disconnect; it is started when the first is
about to wait, so a stream whose items are all at hand has none. See docs/architecture.md.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import anyio
import anyio.abc
import anyio.lowlevel

from asgi_rt.asgi import Message, Send
from asgi_rt.errors import ClientDisconnected
from asgi_rt.http.delivery import Delivery
from asgi_rt.http.inbox import Inbox
from asgi_rt.http.pull import END, WAIT, Pull

__all__ = ["Sender"]

# What a source has ready is joined into one send of about this size: 16 KiB is where a larger one
# no longer paid, and it is a quarter of what servers buffer before they make the sender wait.
_JOIN_BYTES: Final = 16 * 1024
# A source that never waits gets this long before it has to let others run.
_TURN_SECONDS: Final = 0.002


class Sender:
    """Drives one source to its end, or to the client's.

    `encode` turns an item into bytes and `encode_end` gives what follows the last one. `make_head`
    gives the `http.response.start` message when it is time: after `encode` of the first item,
    unless that keeps the client waiting for more than `head_wait` seconds. After `run`
    the attributes tell what happened: `is_complete`, `head_sent`.
    """

    def __init__(
        self,
        pull: Pull,
        encode: Callable[[Any], bytes],
        encode_end: Callable[[], bytes],
        make_head: Callable[[], Message],
        *,
        inbox: Inbox,
        send: Send,
        head_wait: float | None,
        send_timeout: float | None,
        max_lifetime: float | None,
    ) -> None:
        self._pull = pull
        self._encode = encode
        self._encode_end = encode_end
        self._make_head = make_head
        self._inbox = inbox
        self._head_wait = head_wait
        self._max_lifetime = max_lifetime
        self._deliver = Delivery(send, pull, timeout=send_timeout, before_wait=self._watch)
        self._head_delivered: anyio.Event | None = None
        self._group: anyio.abc.TaskGroup | None = None
        self._is_watched = False
        self._is_cut_off = False
        self._failure: BaseException | None = None
        self._has_failed = False
        self.head_sent = False
        """Whether the head was handed to the server: no other response is possible then."""
        self.is_complete = False
        """Whether the source came to its end and the server took all of it."""

    def cancel(self) -> None:
        """Cut the stream off, from any task of the loop."""
        self._is_cut_off = True
        if self._group is not None:
            self._group.cancel_scope.cancel()

    async def run(self) -> None:
        """Send it all. Returns when the source is exhausted, the client has left, or the stream was
        cut off, by `cancel` or at the end of its lifetime; raises what the source raised, and
        SendTimeout.
        """
        try:
            await self._run_watched()
        finally:
            self._group = None
            del self._deliver  # it knows this object: without it nothing is left to collect
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
            if self._max_lifetime is not None:
                group.cancel_scope.deadline = anyio.current_time() + self._max_lifetime
            if self._is_cut_off:
                group.cancel_scope.cancel()
            try:
                if self._head_wait == 0:
                    await self._send_head()
                await self._send_items()
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                self._failure = error  # kept, or the task group would wrap it in a group
                await self._pull.release()
            if self._is_watched:
                group.cancel_scope.cancel()

    @property
    def was_cut_off(self) -> bool:
        """Whether it ended for neither the source nor the client, nor an error."""
        ended = self.is_complete or self._inbox.is_disconnected or self._has_failed
        return not ended

    async def _send_items(self) -> None:
        pending: list[bytes] = []
        try:
            await self._join_items(pending)
        except Exception as error:
            # What was given before the source failed is the client's, if it is still there.
            self._failure = error
            if pending:
                with suppress(ClientDisconnected):
                    await self._flush(pending)
            raise

    async def _join_items(self, pending: list[bytes]) -> None:
        pull = self._pull
        size = 0
        turn_ends = time.perf_counter() + _TURN_SECONDS
        while True:
            item = pull.poll()
            if item is WAIT:
                if pending:
                    await self._flush(pending)
                    size = 0
                self._watch()
                item = await pull.wait()
                if pull.suspends:
                    turn_ends = time.perf_counter() + _TURN_SECONDS
            if item is END:
                await self._finish(pending)
                return
            if self._head_delivered is not None:
                # Before the source is asked again: its own timeouts are for its own waits.
                await self._head_delivered.wait()
            chunk = self._encode(item)
            if chunk:
                pending.append(chunk)
                size += len(chunk)
            if size >= _JOIN_BYTES or time.perf_counter() >= turn_ends:
                if pending:
                    await self._flush(pending)
                    size = 0
                self._watch()
                await anyio.lowlevel.checkpoint()
                turn_ends = time.perf_counter() + _TURN_SECONDS

    async def _flush(self, pending: list[bytes]) -> None:
        if not self.head_sent or self._head_delivered is not None:
            await self._send_head()
        body = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        await self._deliver({"type": "http.response.body", "body": body, "more_body": True})

    async def _finish(self, pending: list[bytes]) -> None:
        pending.append(self._encode_end())
        await self._send_head()
        body = b"".join(pending)
        if self._is_watched:
            # A client that has left by now must be seen now: once the response is complete,
            # servers tell of a disconnect whether there was one or not.
            await anyio.lowlevel.checkpoint()
        await self._deliver({"type": "http.response.body", "body": body, "more_body": False})
        self.is_complete = True

    async def _send_head(self) -> None:
        """Send the head, once; whoever comes second waits until the server has it."""
        if self._head_delivered is not None:
            await self._head_delivered.wait()
        if self.head_sent:
            return
        self.head_sent = True
        delivered = self._head_delivered = anyio.Event()
        try:
            await self._deliver(self._make_head())
        finally:
            delivered.set()
            self._head_delivered = None

    def _watch(self) -> None:
        if not self._is_watched and self._group is not None:
            self._is_watched = True
            self._group.start_soon(self._watch_client)

    async def _watch_client(self) -> None:
        """Send the head if the source is slow to start; end the stream when the client leaves."""
        assert self._group is not None
        try:
            if not self.head_sent and self._head_wait is not None:
                with anyio.move_on_after(self._head_wait):
                    await self._inbox.disconnected()
                if not self._inbox.is_disconnected:
                    await self._send_head()
            await self._inbox.disconnected()
        except Exception as error:  # kept: see `_run_watched`
            self._failure = self._failure or error
        self._group.cancel_scope.cancel()
