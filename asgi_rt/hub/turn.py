"""One turn of the event loop, as a publisher counts them."""

import asyncio
import time
from typing import Any, Final

import anyio.lowlevel

__all__ = ["TURN_SECONDS", "Turn"]

TURN_SECONDS: Final = 0.002
"""How long one task may publish before others have their turn."""
_clock = time.perf_counter


class Turn:
    """Numbers the turns in which something is published, and bounds them in time.

    What is published first in a turn goes out at once. What follows in the same turn waits until it
    is over, and is then sent as one. Outside of any event loop each message has a turn of its own.
    """

    __slots__ = ("_is_open", "began_at", "number")

    def __init__(self) -> None:
        self.number = 0
        """That of this turn, or of the last in which something was published."""
        self._is_open = False
        self.began_at = 0.0
        """When it began, by `time.perf_counter`."""

    def begin(self) -> None:
        """Something is published in this turn."""
        if self._is_open:
            return
        self.number += 1
        self.began_at = _clock()
        try:
            asyncio.get_running_loop().call_soon(self._close)
        except RuntimeError:
            if (trio_token := _trio_token()) is None:
                return
            trio_token.run_sync_soon(self._close)
        self._is_open = True

    def _close(self) -> None:
        self._is_open = False

    @property
    def is_long(self) -> bool:
        """Whether others are to have their turn now."""
        return _clock() >= self.began_at + TURN_SECONDS


def _trio_token() -> Any:
    try:
        return anyio.lowlevel.current_token().native_token
    except RuntimeError:
        return None
