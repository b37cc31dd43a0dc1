"""What arrives on one HTTP exchange, read once and shared by everybody who waits for it.

A disconnect is only told to whoever calls `receive`, and the same call may bring body instead.
So all readers of one exchange go through one `Inbox`: body that arrives while somebody looks for
the disconnect is kept for the reader of the body, and a disconnect is seen by all.
"""

from collections import deque
from contextvars import Context
from typing import Any, Final, Protocol

import anyio

from asgi_rt.asgi import Message, Receive
from asgi_rt.errors import BodyOverrun, ClientDisconnected
from asgi_rt.http.servers import waits_for_futures

__all__ = ["Inbox"]

_STASH_BYTES: Final = 64 * 1024
# Long enough for a receive that is ready to get through the checkpoints it may hold, on every
# event loop; a cancelled scope would end at the first of them and never see the message.
_POLL_SECONDS: Final = 0.001


class Watcher(Protocol):
    """What wants to know when the client leaves."""

    def on_left(self, error: Exception | None) -> None:
        """It has, or `receive` raised `error`."""
        ...


class Inbox:
    """The messages of one HTTP exchange. Itself an ASGI `receive`, so it can be handed on.

    Several tasks of one event loop may use it at once. Cancelling any of its waits loses nothing,
    as long as the server's own `receive` loses nothing when it is cancelled.

    While nobody has begun to read the body, at most 64 KiB of it is kept, and what goes beyond is
    discarded so that a disconnect is still seen; reading the body then raises BodyOverrun. Once
    somebody reads it nothing is discarded: at 64 KiB the client is made to wait instead.
    """

    __slots__ = (
        "_body_wanted",
        "_changed",
        "_complete",
        "_context",
        "_overrun",
        "_owes_end",
        "_receive",
        "_receiving",
        "_stash",
        "_stashed_bytes",
        "_step",
        "_waits_for",
        "_watcher",
        "is_disconnected",
    )

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._receiving = False
        # Most requests have no body, and an empty deque takes 0.6 KiB.
        self._stash: deque[Message] | None = None
        self._owes_end = False
        self._watcher: Watcher | None = None
        self._context: Context | None = None
        self._step: Any = None
        self._waits_for: Any = None
        self._stashed_bytes = 0
        self._changed: anyio.Event | None = None
        self._complete = False
        self._body_wanted = False
        self._overrun = False
        self.is_disconnected = False
        """Whether a disconnect has been seen so far, by anybody. Reading it receives nothing."""

    @classmethod
    def of(cls, receive: Receive) -> "Inbox":
        """The inbox that `receive` is, or a new one around it."""
        return receive if isinstance(receive, Inbox) else cls(receive)

    async def __call__(self) -> Message:
        """The next message: body in order, then, once the client has left, the disconnect."""
        while (message := self._take()) is None:
            if self.is_disconnected:
                return {"type": "http.disconnect"}
            await self._advance()
        return message

    async def chunk(self) -> tuple[bytes, bool]:
        """The next chunk of the request body, and whether more follows; at the end `(b"", False)`.

        Raises ClientDisconnected when the client left before the body was complete.
        """
        if not (self._stash or self._receiving or self._is_told_all):
            # Nothing is kept, and nobody else receives: not by way of the stash, which takes 0.7 us
            # more, of the 4 in which a small body is read.
            self._body_wanted = True
            received = await self._received()
            if received["type"] == "http.request":
                more = received.get("more_body", False)
                self._complete = not more
                return received.get("body", b""), more
            self.is_disconnected = True
        while (message := self._take()) is None:
            if self._complete:
                return b"", False
            if self.is_disconnected:
                raise ClientDisconnected("the client disconnected before its request was complete")
            await self._advance()
        return message.get("body", b""), message.get("more_body", False)

    @property
    def _is_told_all(self) -> bool:
        return self._complete or self._overrun or self.is_disconnected

    @property
    def is_exhausted(self) -> bool:
        """Whether the whole body has come, and was taken."""
        return self._complete and not self._stash and not self._owes_end

    def stop_reading(self) -> None:
        """Nobody reads the body any more: what arrives of it may be discarded."""
        self._body_wanted = False

    async def disconnected(self) -> None:
        """Return when the client has left."""
        while not self.is_disconnected:
            if self._is_full() and self._body_wanted and not self._complete:
                await self._wait_for_change()
            else:
                await self._advance()

    def watch(self, watcher: Watcher, context: Context) -> bool:
        """Tell `watcher` when the client has left, without a task that waits for it; on asyncio.

        False where that cannot be done: then await `disconnected`. It needs a `receive` that is
        the server's own, as somebody else's may look at the task that it runs in, and a request
        that is here as a whole. What it does runs in `context`. `unwatch` ends it.
        """
        if self._receiving or not waits_for_futures(self._receive):
            return False
        self._watcher = watcher
        self._context = context
        self._receiving = True
        self._listen()
        if self._step is not None and not self._complete:
            self.unwatch()
            return False
        return True

    def unwatch(self) -> None:
        """End what `watch` began; what comes after is there for others."""
        if self._step is not None:
            self._waits_for.remove_done_callback(self._listen)
            self._step.close()
            self._stop_listening()

    def _listen(self, _: object = None) -> None:
        """Receive as far as that takes no wait, and go on when it can."""
        if self._watcher is None:
            return  # it was called off when it was to be called already
        try:
            while not self.is_disconnected:
                if self._step is None:
                    self._step = self._receive()
                try:
                    waits_for = self._step.send(None)
                except StopIteration as stop:
                    self._step = None
                    self._accept(stop.value)
                else:
                    waits_for._asyncio_future_blocking = False  # it is not a task that takes it
                    waits_for.add_done_callback(self._listen, context=self._context)
                    self._waits_for = waits_for
                    return
        except Exception as error:
            self._stop_listening(error)
        else:
            self._stop_listening(None)

    def _stop_listening(self, *told: Exception | None) -> None:
        self._step = self._waits_for = None
        self._receiving = False
        watcher, self._watcher = self._watcher, None
        self._wake()
        if told and watcher is not None:
            watcher.on_left(told[0])

    async def poll(self) -> bool:
        """Whether the client has left. Takes at most a millisecond and never eats a message."""
        has_room = self._complete or not self._is_full()
        if has_room and not self._receiving and not self.is_disconnected:
            with anyio.move_on_after(_POLL_SECONDS):
                await self._advance()
        return self.is_disconnected

    async def _advance(self) -> None:
        """Receive one message, or wait for the task that is receiving already."""
        if self._receiving:
            await self._wait_for_change()
        else:
            self._accept(await self._received())

    async def _received(self) -> Message:
        self._receiving = True
        try:
            return await self._receive()
        finally:
            self._receiving = False
            self._wake()

    def _accept(self, message: Message) -> None:
        if message["type"] != "http.request":
            self.is_disconnected = True
            return
        if self._complete:
            return
        self._complete = not message.get("more_body", False)
        size = len(message.get("body", b""))
        if size and self._is_full() and not self._body_wanted:
            self._overrun = True
            self._stash = None
            self._stashed_bytes = 0
        if self._overrun:
            return
        if self._complete and not size and not self._stash:
            self._owes_end = True
            return
        if self._stash is None:
            self._stash = deque()
        self._stash.append(message)
        self._stashed_bytes += size

    def _take(self) -> Message | None:
        self._body_wanted = True
        if self._overrun:
            raise BodyOverrun(_STASH_BYTES)
        if self._owes_end:
            self._owes_end = False
            return {"type": "http.request", "body": b"", "more_body": False}
        if not self._stash:
            return None
        message = self._stash.popleft()
        self._stashed_bytes -= len(message.get("body", b""))
        self._wake()
        return message

    def _is_full(self) -> bool:
        return self._stashed_bytes >= _STASH_BYTES

    async def _wait_for_change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
