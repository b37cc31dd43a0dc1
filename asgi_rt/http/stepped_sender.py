"""The sender of streams on asyncio: one task pulls and sends.

What happens beside it (`Watch`) needs a second task only when the first is about to wait, so a
stream whose items are all at hand has none. See docs/architecture.md.
"""

import asyncio
import time
from typing import Any, Final

from asgi_rt.asgi import Message, Send
from asgi_rt.errors import ClientDisconnected, HTTPError
from asgi_rt.http.delivery import deliver
from asgi_rt.http.inbox import Inbox
from asgi_rt.http.pull import END, WAIT, SteppablePull
from asgi_rt.http.sender import JOIN_BYTES, TURN_SECONDS, Body
from asgi_rt.http.watch import Over, Watch

__all__ = ["SteppedSender"]

# A source that waited for as many items in a row is taken for one that waits for each.
_LONE_ITEMS: Final = 3
# So many of its items are then sent as they come before it is looked at again.
_EAGER_ITEMS: Final = 64
_clock = time.perf_counter


class SteppedSender(Watch):
    """A `Sender` for one stream on asyncio. `run` it once."""

    __slots__ = ("_pull", "is_complete")

    def __init__(self, pull: SteppablePull, body: Body, *, inbox: Inbox, send: Send) -> None:
        super().__init__(body, inbox=inbox, send=send)
        self._pull = pull
        self.is_complete = False

    @property
    def was_cut_off(self) -> bool:
        return not (self.is_complete or self._inbox.is_disconnected or self._failed)

    async def run(self) -> None:
        pending: list[bytes] = []
        self.begin()
        try:
            if self.is_due:
                await self.attend()
            if self._body.head_wait == 0:
                await self.send_opening()
            item = await self._send_joined(self._pull.poll(), pending, 0)
            while item is not END:
                item = await self._send_eagerly(item)
                item = await self._send_joined(item, pending, _LONE_ITEMS)
            await self._finish(pending)
        except Over:
            pass
        except ClientDisconnected:
            self._failed = True
        except asyncio.CancelledError:
            if not self.has_cancelled():
                raise
        except Exception as error:
            self._failed = True
            is_told = await self._send_error(pending, error)
            if not (is_told and isinstance(error, HTTPError)):
                raise
        finally:
            await self.end()
        await self.conclude()

    async def _send_joined(self, item: Any, pending: list[bytes], lone_items: int) -> Any:
        """Send an item and those that follow, what is ready in one.

        Returns, for the first time when the source has waited for each of so many items in a row,
        the item that is still to be sent; END with what is pending still to be sent.
        """
        pull, encode = self._pull, self._body.encode
        size = 0
        turn_ends = 0.0
        while item is not END:
            if item is WAIT:
                if pending:
                    size = 0
                    if await self._flush(pending):
                        item = pull.poll()  # it may have come meanwhile
                        continue
                self.watch()
                if self.is_due:
                    if self._is_ending:
                        raise Over
                    self.tend()
                item = await pull.wait()
                if self.is_due:
                    await self.attend()
                turn_ends = 0.0
                lone_items += 1
                if lone_items > _LONE_ITEMS and pull.items is not None and self.head_sent:
                    return item
                continue
            chunk = encode(item)
            if chunk:
                pending.append(chunk)
                size += len(chunk)
            item = pull.poll()
            if item is WAIT or item is END:
                continue
            # It goes on without a wait: now and then others must have their turn.
            lone_items = 0
            if size < JOIN_BYTES:
                now = _clock()
                if now < turn_ends:
                    continue
                if not turn_ends:
                    turn_ends = now + TURN_SECONDS
                    continue
            if pending:
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
        encode, send, items = self._body.encode, self._send, self._pull.items
        assert items is not None
        await self._flush([encode(item)])
        left = _EAGER_ITEMS
        async for item in items:
            if self.is_due:
                await self.attend()
            left -= 1
            if not left:
                return item
            if chunk := encode(item):
                self.sent_at = _clock()
                self.sending = True
                try:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except OSError as error:
                    raise ClientDisconnected from error
                self.sending = False
        return END

    # Sending

    async def _flush(self, pending: list[bytes]) -> bool:
        """Send what is pending; whether that had to wait."""
        has_waited = False
        if not self.head_sent:
            self.head_sent = True
            has_waited = await self._deliver(self._body.head())
            pending.insert(0, self._body.encode_begin())
        body = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        message = {"type": "http.response.body", "body": body, "more_body": True}
        return await self._deliver(message) or has_waited

    async def _finish(self, pending: list[bytes]) -> None:
        pending.append(self._body.encode_end())
        if not self.head_sent:
            self.head_sent = True
            await self._deliver(self._body.head())
            pending.insert(0, self._body.encode_begin())
        if self._watcher is not None:
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
        self.sending = True
        try:
            step: Any = self._send(message).__await__()
            try:
                waits_for = next(step)
            except StopIteration:
                pass
            else:
                has_waited = self.guarded = True
                self.watch()
                timeout = self._body.send_timeout
                await deliver(step, waits_for, self._pull, timeout)
        except OSError as error:
            raise ClientDisconnected from error
        self.sending = self.guarded = False
        self.sent_at = _clock()
        return has_waited

    async def _send_error(self, pending: list[bytes], error: Exception) -> bool:
        """Send what was given before the source failed, and tell the client; whether it was told.

        Not after a send that failed itself.
        """
        if self.sending or self._is_ending:
            return False
        told = self._body.encode_error(error) if self.head_sent or pending else None
        try:
            if pending:
                await self._flush(pending)
            if told is not None:
                await self._deliver_last(told)
        except (Over, ClientDisconnected):
            return False
        return told is not None
