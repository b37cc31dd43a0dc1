"""One turn of the event loop, as a publisher counts them."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import anyio.lowlevel

__all__ = ["TURN_SECONDS", "Turn", "call_soon"]

TURN_SECONDS: Final = 0.01
"""How much of the processor's time one task may publish for before others have their turn.

A message to 500 clients takes 3 ms, or 10 where the kernel is slow. The first of a turn is not held
against those that are published after it: they are in one turn, to be joined, on any machine. What
is joined takes about as long as the first did. So others may wait for three times this.
"""
_MESSAGES: Final = 64
"""How many messages are published before others have their turn: those who read take them from
mailboxes then, which are not to be full before that.
"""
_clock = time.perf_counter
# Not the time for which others had the processor: what is sent as one must not depend on them.
_processor_time = time.thread_time


class Turn:
    """Tells apart the turns in which something is published, and bounds them in time.

    What is published first in a turn goes out at once. What follows in the same turn waits until it
    is over, and is then sent as one. Outside of any event loop each message has a turn of its own.
    """

    __slots__ = ("_is_open", "_long_at", "_messages_left", "_on_close", "began_at", "is_first")

    def __init__(self, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        self._is_open = False
        self.is_first = True
        """Whether what was published last was the first in its turn."""
        self.began_at = 0.0
        """When it began, by `time.perf_counter`, which tells turns apart."""
        self._long_at = 0.0
        self._messages_left = 0

    def begin(self) -> bool:
        """Something is published in this turn; whether it is the first."""
        if self._is_open:
            self._messages_left -= 1
            self.is_first = False
            return False
        self.is_first = True
        self._messages_left = _MESSAGES
        self.began_at = _clock()
        self._long_at = _processor_time() + TURN_SECONDS
        self._is_open = call_soon(self._close)
        return True

    def renew(self) -> None:
        """Begin to count the time anew, though not the messages."""
        self._long_at = _processor_time() + TURN_SECONDS

    def _close(self) -> None:
        self._is_open = False
        self._on_close()

    @property
    def is_spent(self) -> bool:
        """Whether its time is over, and nobody is to be pushed to any more."""
        return _processor_time() >= self._long_at

    @property
    def is_long(self) -> bool:
        """Whether others are to have their turn before anything else is published."""
        return self._messages_left <= 0 or self.is_spent


def call_soon(function: Callable[[], None]) -> bool:
    """Have the event loop call a function when this turn is over; whether there is one."""
    try:
        asyncio.get_running_loop().call_soon(function)
    except RuntimeError:
        if (trio_token := _trio_token()) is None:
            return False
        trio_token.run_sync_soon(function)
    return True


def _trio_token() -> Any:
    try:
        return anyio.lowlevel.current_token().native_token
    except RuntimeError:
        return None
