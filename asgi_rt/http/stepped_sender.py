"""The sender of streams on asyncio: one task pulls and sends.

What happens beside it is seen to by `Watch`, which begins when that task is about to wait: a stream
whose items are all at hand has none of it. See docs/architecture.md.
"""

import asyncio
import time
from typing import Any, Final

from asgi_rt.asgi import Message, Send
from asgi_rt.errors import ClientDisconnected, HTTPError
from asgi_rt.http.delivery import deliver
from asgi_rt.http.inbox import Inbox
from asgi_rt.http.pull import END, WAIT, SteppablePull, unwind
from asgi_rt.http.pulled_source import PulledSource
from asgi_rt.http.sender import JOIN_BYTES, TURN_SECONDS, Body
from asgi_rt.http.watch import UNTIMED, Over, Watch

__all__ = ["SteppedSender"]

# A source that waited for as many items in a row is taken for one that waits for each.
_LONE_ITEMS: Final = 3
# So many of its items are then sent as they come before it is looked at again.
_EAGER_ITEMS: Final = 64
_clock = time.perf_counter


class SteppedSender(Watch):
    """A `Sender` for one stream on asyncio. `run` it once."""

    __slots__ = (
        "_lone_items",
        "_pending",
        "_pull",
        "_pushed",
        "_source",
        "is_complete",
    )

    def __init__(self, pull: SteppablePull, body: Body, *, inbox: Inbox, send: Send) -> None:
        super().__init__(body, inbox=inbox, send=send)
        self._pull = pull
        self._pending: list[bytes] | None = None
        self._lone_items = 0
        # Where it has its items sent by others.
        self._source = pull if isinstance(pull, PulledSource) else None
        # A send that was begun in another task's turn: what runs it, and what it waits for.
        self._pushed: tuple[Any, Any] | None = None
        self.is_complete = False

    @property
    def was_cut_off(self) -> bool:
        return not (self.is_complete or self._inbox.is_disconnected or self._failed)

    async def run(self) -> None:
        # A stream may wait all its life, and then stands here: in a frame less, it takes 0.3 KiB
        # less. So the source is waited for here, and the response is settled here as well.
        self.begin()
        try:
            try:
                if self.is_due:
                    await self.attend()
                if self._body.head_wait == 0:
                    await self.send_opening()
                item = await self._send_ready(b"")
                while item is not END:
                    error = None
                    if self._pull.waits_for is not None:
                        try:
                            await self._pull.waits_for
                        except BaseException as raised:  # it is the source's to see
                            error = raised
                    try:
                        item = await self._pull.wait(error)
                    finally:
                        error = None  # its traceback knows this frame
                    if self.is_due:
                        await self.attend()
                    self._lone_items += 1
                    if self._lone_items > _LONE_ITEMS and self.head_sent and item is not END:
                        item = await self._send_eagerly(item)
                    if item is not END:
                        item = await self._send_ready(self._body.encode(item))
                await self._finish()
            except Over:
                pass
            except ClientDisconnected:
                self._failed = True
            except asyncio.CancelledError:
                if not self.has_cancelled():
                    await self.take_back_cancellation()
                    raise
            except Exception as error:
                is_told = await self._send_error(error)
                self._failed = True
                if not (is_told and isinstance(error, HTTPError)):
                    raise
            finally:
                await self.end()
            await self.conclude()
        finally:
            await self._body.settle(self)

    async def _send_ready(self, chunk: bytes) -> Any:
        """Send a chunk and what the source has ready, joined. Gives WAIT with nothing pending, or
        END with something.
        """
        pull, encode = self._pull, self._body.encode
        pending = self._pending = [chunk] if chunk else []
        size = len(chunk)
        turn_ends = 0.0
        while (item := pull.poll()) is not END:
            if item is WAIT:
                if size:
                    size = 0
                    if await self._flush(pending):
                        continue  # it may have come meanwhile
                self._pending = None  # an empty list is not kept while the source waits
                self.watch()
                if self._source is not None and not self.is_due:
                    self._source.allow_pushes()
                return item
            self._lone_items = 0
            if chunk := encode(item):
                pending.append(chunk)
                size += len(chunk)
            # It goes on without a wait: now and then others must have their turn.
            if size < JOIN_BYTES:
                now = _clock()
                if now < turn_ends:
                    continue
                if not turn_ends:
                    turn_ends = now + TURN_SECONDS
                    continue
            if size:
                await self._flush(pending)
                size = 0
            self.watch()
            await asyncio.sleep(0)  # one turn of the event loop
            if self.is_due:
                await self.attend()
            turn_ends = _clock() + TURN_SECONDS
        return item

    async def _send_eagerly(self, item: Any) -> Any:
        """Send an item, and some that follow, as they come; gives the one that comes then, or END.

        For a source that waits for each of its items: looking first whether it has the next one
        ready, and stepping the send, would take 1 us longer for each.
        """
        encode, send, items = self._body.encode, self.server_send, self._pull.items
        if items is None:
            return item
        if chunk := encode(item):
            await self._flush([chunk])
            if self.is_due:
                self.watch()
        left = _EAGER_ITEMS
        async for item in items:
            if self.is_due:
                await self.attend()
            left -= 1
            if not left:
                return item
            if chunk := encode(item):
                self.sent_at = _clock()
                self.under_way = True
                try:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except OSError as error:
                    raise ClientDisconnected from error
                self.under_way = False
                if self.is_due:
                    self.watch()
        return END

    # For a source that has its items sent in the turn of whoever makes them

    def carry_on(self, step: Any, waits_for: Any) -> None:
        """Run a send to its end that was begun in another task, and that waits for a future."""
        self.under_way = True
        self.sent_at = UNTIMED
        self.is_due = True
        self._pushed = (step, waits_for)
        if self._source is not None:
            self._source.wake()

    def become_due(self) -> None:
        super().become_due()
        if self._source is not None:
            self._source.stop_pushes()
            self.note_pushes()

    def allow_pushes(self) -> None:
        if self._source is not None:
            self._source.allow_pushes()

    def note_pushes(self) -> None:
        if self._source is not None:
            self.sent_at = max(self.sent_at, self._source.pushed_at)

    async def attend(self) -> None:
        if self._pushed is not None:
            (step, waits_for), self._pushed = self._pushed, None
            try:
                await deliver(step, waits_for, self._pull, self._body.send_timeout)
            except OSError as error:
                raise ClientDisconnected from error
            self.under_way = False
            self.sent_at = _clock()
        await super().attend()

    async def end(self) -> None:
        pushed, self._pushed = self._pushed, None
        try:
            if pushed is not None:
                await unwind(*pushed, self._body.close_seconds())
        finally:
            await super().end()

    # Sending

    async def _flush(self, pending: list[bytes]) -> bool:
        """Send what is pending; whether that had to wait."""
        has_waited = False
        if not self.head_sent:
            has_waited = await self._deliver(self.take_head())
            pending.insert(0, self._body.encode_begin())
        body = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        message = {"type": "http.response.body", "body": body, "more_body": True}
        return await self._deliver(message) or has_waited

    async def _finish(self) -> None:
        await self.quiet()
        pending = self._pending or []
        pending.append(self._body.encode_end())
        if not self.head_sent:
            await self._deliver(self.take_head())
            pending.insert(0, self._body.encode_begin())
        if self.is_watching:
            # A client that has left by now must be seen now: once the response is complete,
            # servers tell of a disconnect whether there was one or not.
            await asyncio.sleep(0)
            if self.is_due:
                await self.attend()
        await self._deliver_last(b"".join(pending))
        self.is_complete = True

    async def _deliver_last(self, body: bytes) -> None:
        await self._deliver({"type": "http.response.body", "body": body, "more_body": False})

    async def _deliver(self, message: Message) -> bool:
        """Send one message, while the source may stand in a wait; whether it had to wait."""
        has_waited = False
        self.under_way = True
        try:
            step: Any = self.server_send(message).__await__()
            try:
                waits_for = next(step)
            except StopIteration:
                pass
            else:
                has_waited = True
                self.sent_at = UNTIMED
                self.watch()
                timeout = self._body.send_timeout
                await deliver(step, waits_for, self._pull, timeout)
        except OSError as error:
            raise ClientDisconnected from error
        self.under_way = False
        self.sent_at = _clock()
        return has_waited

    async def _send_error(self, error: Exception) -> bool:
        """Send what was given before the source failed, and tell the client; whether it was told.

        Not after a send that failed itself.
        """
        pending = self._pending
        try:
            await self.quiet()
            if self.under_way or self._inbox.is_disconnected:
                return False
            told = self._body.encode_error(error) if self.head_sent or pending else None
            if pending:
                await self._flush(pending)
            if told is not None:
                await self._deliver_last(told)
        except (Over, ClientDisconnected):
            return False
        except asyncio.CancelledError:
            if not self.has_cancelled():
                raise
            return False
        return told is not None
