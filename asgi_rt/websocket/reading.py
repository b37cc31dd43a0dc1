"""Reading from one WebSocket while its handler does something else.

Servers stop reading from a client while a message of it waits to be received, and then they see
neither its pongs nor its close. So somebody must always receive. While the handler itself waits
for a message, that is the handler, with nothing between it and the server. When it does something
else, what arrives goes into a bounded inbox.

Who reads then depends on the server. With uvicorn's own `receive` on asyncio it is a callback, as
it waits for nothing but a future; with any other it is one task, begun when it is first needed.
"""

import logging
import sys
import time
from typing import Any, Final

import anyio
import anyio.lowlevel

from asgi_rt.asgi import Message, Receive
from asgi_rt.http.alarms import alarms_of_this_loop
from asgi_rt.http.servers import waits_for_futures
from asgi_rt.websocket.beside import Beside
from asgi_rt.websocket.closing import ending_of
from asgi_rt.websocket.ending import Ending
from asgi_rt.websocket.guard import Guard, size_violation
from asgi_rt.websocket.interruption import Interruptible
from asgi_rt.websocket.lifecycle import State
from asgi_rt.websocket.options import WebSocketOptions
from asgi_rt.websocket.unread import Unread

__all__ = ["INTERRUPTED", "MESSAGES_A_TURN", "Reading"]

MESSAGES_A_TURN: Final = 64
"""After so many messages that needed no wait the loop gets a turn."""
INTERRUPTED: Final[Message] = {"type": "interrupted"}
"""Stands for the message that an interrupted wait did not get."""
_NEVER_FITS: Final = -1
_TO_BE_TOLD: Final = (State.CLOSED, State.OPEN)  # we have closed, and the server has not said so
_clock = time.perf_counter
_logger = logging.getLogger("asgi_rt.websocket")


class Reading(Interruptible):
    """What is read from one client, let in by the limits, and kept until it is received.

    All in one event loop.
    """

    __slots__ = (
        "_beside",
        "_changed",
        "_ending",
        "_guard",
        "_is_pause_watched",
        "_is_plain",
        "_left_of_turn",
        "_options",
        "_paused_at",
        "_reader_runs",
        "_spec_version",
        "_step",
        "_unread",
        "_waits_for",
        "discarded",
        "fits",
        "free_for",
        "has_received",
        "is_watched",
        "receive",
    )

    def __init__(
        self,
        receive: Receive,
        ending: Ending,
        options: WebSocketOptions,
        spec_version: str,
    ) -> None:
        super().__init__()
        self.receive = receive
        self._ending = ending
        self._options = options
        self._spec_version = spec_version
        self._beside: Beside | None = None
        self._is_plain = False
        self._guard: Guard | None = None
        # How many messages the handler may receive from the server before it must see whether that
        # is right: it is open, nobody reads, nothing waits, and a round is due.
        self.free_for = 0
        self.is_watched = False  # whether others wait, or a round has passed, or it is over
        # A text that is no longer can be let in as it is: no character takes more than 4 bytes.
        max_bytes = options.limits.max_message_bytes
        self.fits = sys.maxsize if max_bytes is None else max_bytes // 4
        self._left_of_turn = MESSAGES_A_TURN
        self._unread: Unread | None = None
        self._paused_at: float | None = None
        self._is_pause_watched = False
        self._changed: anyio.Event | None = None
        self._reader_runs = False
        self._step: Any = None
        self._waits_for: Any = None
        self.discarded = 0
        """How many messages were dropped because the inbox was full."""
        self.has_received = False
        """Whether the handler has asked for a message, as far as was seen."""

    async def connect(self) -> None:
        """Wait for the client's request to connect."""
        message = await self.receive()
        self._ending.lifecycle.received(message["type"])

    def begin(self, beside: Beside) -> None:
        """The connection is open: read from now on."""
        self._beside = beside
        limits = self._options.limits
        if limits.need_guard:
            self._guard = Guard(limits, _clock())
            self.fits = _NEVER_FITS
        if limits.idle_timeout is not None:
            beside.call_later(limits.idle_timeout, self._check_idle)
        if beside.rounds is None:
            self._start_reader()
        else:
            self._is_plain = waits_for_futures(self.receive)
            self.free_for = MESSAGES_A_TURN
            self._ending.note()

    def admit(self, message: Message) -> str | bytes | None:
        """What a message holds; None for what ends the connection, or comes after its end."""
        if message is INTERRUPTED:
            return None
        if message["type"] != "websocket.receive":
            self._ending.lifecycle.received(message["type"])
            self._disconnected(message)
            return None
        if not self._ending.is_open:
            return None
        data: str | bytes | None = message.get("text")
        if data is None:
            binary: bytes | bytearray | memoryview = message["bytes"]
            data = binary if isinstance(binary, bytes) else bytes(binary)
        if self._guard is not None:
            found = self._guard.check(data, _clock())
        else:
            found = size_violation(data, self._options.limits.max_message_bytes)
        if found is not None:
            self._ending.fail(*found)
            return None
        return data

    def _disconnected(self, message: Message) -> None:
        self._ending.end(*ending_of(message, self._spec_version))

    # Reading while the handler does not receive

    def on_round(self) -> None:
        """Read, unless the handler or somebody else does."""
        if 0 < self.free_for < MESSAGES_A_TURN:
            self.has_received = True
        if self.under_way is not None:
            self.is_watched = True
            return
        is_read = self._step is not None or self._reader_runs
        if is_read or not self._ending.is_open or self._must_wait():
            return
        self.free_for = 0
        if self._is_plain:
            self._listen()
        else:
            self._start_reader()

    def _listen(self) -> None:
        """Receive as far as that takes no wait, and go on when it can."""
        if self._paused_at is not None:
            self._resume()
        try:
            while self._ending.is_open and not self._must_wait():
                if self._step is None:
                    self._step = self.receive()
                try:
                    waits_for = self._step.send(None)
                except StopIteration as stop:
                    self._step = None
                    self._keep(stop.value)
                else:
                    waits_for._asyncio_future_blocking = False  # it is not a task that takes it
                    context = alarms_of_this_loop().context
                    waits_for.add_done_callback(self._on_ready, context=context)
                    self._waits_for = waits_for
                    break
        except Exception:
            self._step = None
            _logger.exception("a WebSocket cannot be read from any more: receive() failed")
            self._ending.end(1006, "", "network")
        self._wake()

    def _on_ready(self, waits_for: object) -> None:
        if waits_for is self._waits_for:  # else it was called off when it was to be called already
            self._waits_for = None
            self._listen()

    def _stop_listening(self) -> None:
        """Call off what waits; what comes after is there for others."""
        step, self._step = self._step, None
        waits_for, self._waits_for = self._waits_for, None
        if waits_for is not None:
            waits_for.remove_done_callback(self._on_ready)
        if step is not None:
            step.close()

    def _start_reader(self) -> None:
        assert self._beside is not None
        self._reader_runs = True
        self._beside.start(self._read_on)

    async def _read_on(self) -> None:
        try:
            while self._ending.lifecycle.client is State.OPEN:
                if self._ending.is_open and self._must_wait():
                    await self._wait_for_change()
                else:
                    if self._paused_at is not None:
                        self._resume()
                    self._keep(await self.receive())
                    self._wake()
        except Exception:
            self._ending.end(1006, "", "network")
            raise
        finally:
            self._reader_runs = False
            self._wake()

    def _keep(self, message: Message) -> None:
        """Put what has arrived into the inbox."""
        data = self.admit(message)
        if data is None:
            return
        if self._unread is None:
            self._unread = Unread(self._options)
        if self._unread.is_full:
            self._overflow()
            return
        self._unread.put(data)
        if self._must_wait():
            self._pause()

    def _pause(self) -> None:
        """Nothing more is read until something is received: not for ever."""
        assert self._unread is not None
        assert self._beside is not None
        if self._paused_at is None:
            self._paused_at = _clock()
        if not self.has_received:
            _logger.warning(
                "%d messages wait for a WebSocket handler that has received none: its client is"
                " made to wait, and its pings and its close are not seen meanwhile. Receive them,"
                ' or let the route say unread="discard"',
                len(self._unread),
            )
        if self._options.unread_timeout is not None and not self._is_pause_watched:
            self._is_pause_watched = True
            taken = self._unread.taken
            seconds = self._options.unread_timeout
            self._beside.call_later(seconds, lambda: self._check_pause(taken))

    def _check_pause(self, taken: int) -> None:
        self._is_pause_watched = False
        if self._unread is None or not self._must_wait():
            return
        if self._unread.taken == taken:
            self._ending.fail(1013, "messages were sent that were not received")
        else:
            self._pause()

    def _resume(self) -> None:
        """Something was received, so that more can be read."""
        paused_at, self._paused_at = self._paused_at, None
        if self._guard is not None and paused_at is not None:
            self._guard.forgive(paused_at, _clock())

    def _must_wait(self) -> bool:
        unread = self._unread
        return unread is not None and unread.is_full and self._options.unread == "wait"

    def _overflow(self) -> None:
        if self._options.unread == "discard":
            self.discarded += 1
        else:
            self._ending.fail(1013, "messages come faster than they are received")

    def _check_idle(self) -> None:
        """Close what has been silent for too long; look again when that can be so."""
        if self._guard is None or self._beside is None or not self._ending.is_open:
            return
        now = _clock()
        if self._must_wait():
            self._guard.touch(now)  # it is we who are silent
        if found := self._guard.check_idle(now):
            self._ending.fail(*found)
        else:
            self._beside.call_later(self._guard.idle_due() - now, self._check_idle)

    # The end

    async def drain(self) -> None:
        """Receive, and drop, what comes after an end of our own, until the server tells of it too.

        hypercorn holds no more than ten messages for an app: with more on their way it would never
        get to close the connection. uvicorn drops them itself.
        """
        lifecycle = self._ending.lifecycle
        while not self._is_plain and (lifecycle.app, lifecycle.client) == _TO_BE_TOLD:
            if self.under_way is not None or self._reader_runs:
                await self._wait_for_change()
            else:
                await anyio.lowlevel.checkpoint()
                self.admit(await self.receive())

    def on_end(self, *, by_server: bool) -> None:
        """The connection is over. What came before can still be received, unless we ended it."""
        self.free_for = 0
        self.fits = _NEVER_FITS
        self.is_watched = True
        if by_server:
            self._unread = None
        self._stop_listening()
        self._wake()

    def settle(self) -> None:
        """The handler does not receive any more, and others may have to know."""
        self.has_received = True
        self.is_watched = not self._ending.is_open
        if self._ending.is_open:
            self.free_for = MESSAGES_A_TURN
            if not self._ending.is_noted:
                self._ending.note()
        self._wake()

    async def _wait_for_change(self) -> None:
        self.is_watched = True
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
