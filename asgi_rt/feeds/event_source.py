"""What a stream of server-sent events gets from a hub: frames, joined, or pushed one by one."""

import asyncio
from typing import Any, Final

from asgi_rt.feeds.wire import Framing, bodies, form_of, frame_of_gap
from asgi_rt.http.pull import END, WAIT
from asgi_rt.http.pulled_source import PulledSource
from asgi_rt.http.servers import sends_from_anywhere
from asgi_rt.http.stepped_sender import SteppedSender
from asgi_rt.hub.message import Gap, Message
from asgi_rt.hub.subscription import Subscription
from asgi_rt.sse.framing import Event, encode, encode_comment

__all__ = ["EventSource"]

_JOIN_BYTES: Final = 16 * 1024
_OPEN: Final = encode_comment("open")


class EventSource(PulledSource):
    """One subscription as a source of frames. For one stream.

    While the stream waits for it, and nothing else waits, a message is sent in the turn of its
    publisher; the stream's task sleeps on. What is published in the same turn after that is held
    until the turn is over, and is then sent as one.
    """

    __slots__ = (
        "_framing",
        "_is_begun",
        "_sender",
        "subscription",
        "waits_for",
    )

    def __init__(self, subscription: Subscription, framing: Framing) -> None:
        self.subscription = subscription
        self._framing = framing
        self._is_begun = False
        self._sender: SteppedSender | None = None
        self.waits_for: asyncio.Future[None] | None = None

    # For a stream on any event loop

    async def __anext__(self) -> bytes:
        if not self._is_begun:
            return await self._begin()
        frames = self._frames()
        if not frames:
            frames = self._frame(await self.subscription.__anext__())
        return frames

    async def aclose(self) -> None:
        """Unsubscribe."""
        self._sender = None  # it knows its source
        self.subscription.sink = None
        await self.subscription.aclose()

    # For a stream on asyncio

    items = None

    def pushes_to(self, sender: SteppedSender) -> None:
        self._sender = sender
        self.subscription.sink = self
        if sends_from_anywhere(sender.server_send):
            self.subscription.server_send = sender.server_send
            self.subscription.encode = bodies(self._framing)

    def allow_pushes(self) -> None:
        waits_for = self.waits_for
        if waits_for is not None and not waits_for.done():
            self.subscription.allow_pushes()

    def stop_pushes(self) -> None:
        self.subscription.stop_pushes()

    @property
    def pushed_at(self) -> float:
        return self.subscription.pushed_last_at

    def poll(self) -> Any:
        if self.waits_for is not None:
            return WAIT
        frames = self._next()
        if frames is None:
            return WAIT
        if frames is END or frames:
            return frames
        self.waits_for = asyncio.get_running_loop().create_future()
        return WAIT

    async def wait(self, error: BaseException | None) -> Any:
        self.waits_for = None
        self.subscription.stop_pushes()
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback knows this frame
        if not self._is_begun:
            return await self._begin()
        if self._sender is not None and self._sender.is_due:
            return b""  # until the client can take it, it is the policy's to say what waits
        if self.subscription.must_load:
            await self.subscription.load()
        return self._next() or b""

    def _next(self) -> Any:
        """Frames, b"" where there are none, END, or None where they must be waited for."""
        if not self._is_begun:
            return None
        frames = self._frames()
        if frames:
            return frames
        if self.subscription.must_load:
            return None
        return END if self.subscription.is_over else b""

    async def absorbs(self, error: asyncio.CancelledError) -> bool:
        return False

    async def release(self, seconds: float = 0) -> bool:
        self.waits_for = None
        self.subscription.stop_pushes()
        return True

    # For the hub, and for the stream

    def wake(self) -> None:
        waits_for = self.waits_for
        if waits_for is not None:
            self.subscription.stop_pushes()
            if not waits_for.done():
                waits_for.set_result(None)

    def carry_on(self, step: Any, waits_for: Any) -> None:
        assert self._sender is not None
        self._sender.carry_on(step, waits_for)

    def fail(self, error: Exception) -> None:
        assert self._sender is not None
        self._sender.fail(error)

    # Frames

    async def _begin(self) -> bytes:
        """Subscribe; what tells the client where it begins."""
        await self.subscription.start()
        self._is_begun = True
        frames = self._frames()
        if frames:  # from where the client was, or history, with ids of its own
            return frames
        place = self.subscription.start_cursor
        if place is None or self.subscription.recovered:
            return _OPEN
        return encode(Event(id=str(place)))

    def _frames(self) -> bytes:
        """What is there, joined."""
        take = self.subscription.take
        item = take()
        if item is None:
            return b""
        frames = [self._frame(item)]
        size = len(frames[0])
        while size < _JOIN_BYTES and (item := take()) is not None:
            frames.append(self._frame(item))
            size += len(frames[-1])
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _frame(self, item: Message | Gap) -> bytes:
        if isinstance(item, Gap):
            return frame_of_gap(item)
        frame: bytes = form_of(item, self._framing)
        return frame
