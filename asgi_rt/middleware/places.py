"""Places of which there are so many, and a line of those who wait for one, first come first served.

Like a semaphore, but with an end to its line, and a place goes straight from who leaves to who is
next: whoever comes meanwhile cannot overtake.
"""

from collections import OrderedDict
from dataclasses import dataclass

import anyio

__all__ = ["Places", "PlacesCounters", "Waiter"]


@dataclass(slots=True)
class PlacesCounters:
    """How many are served, wait, and were refused. To be read; what limits them writes it."""

    active: int = 0
    """How many are served now."""
    queued: int = 0
    """How many wait now."""
    refused: int = 0
    """How many were refused so far: at once, or when they had waited too long."""
    left: int = 0
    """How many left so far while they waited, as far as was noticed."""


class Waiter:
    """One who waits for a place."""

    __slots__ = ("has_left", "has_place", "woken")

    def __init__(self) -> None:
        self.woken = anyio.Event()
        """Set when it has a place, or has left."""
        self.has_place = False
        self.has_left = False

    def on_left(self, error: Exception | None) -> None:
        """The client has left; with an error nothing more will be known of it."""
        if error is None:
            self.has_left = True
            self.woken.set()


class Places:
    """`max_taken` places and a line of at most `max_waiting`.

    What begins with `take` or `wait` ends with one `give_back`. It never waits; it is bound to no
    event loop, but may be used on one at a time.
    """

    def __init__(self, max_taken: int, max_waiting: int, counters: PlacesCounters) -> None:
        self._max_taken = max_taken
        self._max_waiting = max_waiting
        # Others may count in it as well, so what is free is not told by it.
        self._counters = counters
        self._taken = 0
        # Not a deque: who leaves it may stand anywhere.
        self._line: OrderedDict[Waiter, None] = OrderedDict()

    def take(self) -> bool:
        """Take a place; False where none is free."""
        if self._taken >= self._max_taken:
            return False
        self._taken += 1
        self._counters.active += 1
        return True

    def stand_in_line(self) -> Waiter | None:
        """The end of the line; None where it is full."""
        if len(self._line) >= self._max_waiting:
            return None
        waiter = Waiter()
        self._line[waiter] = None
        self._counters.queued += 1
        return waiter

    def step_out(self, waiter: Waiter) -> None:
        """Wait no longer, and give back the place that came meanwhile."""
        if waiter.has_place:
            waiter.has_place = False
            self.give_back()
        elif waiter in self._line:
            del self._line[waiter]
            self._counters.queued -= 1

    def give_back(self) -> None:
        """Hand a place to who is next, or leave it free."""
        if not self._line:
            self._taken -= 1
            self._counters.active -= 1
            return
        waiter, _ = self._line.popitem(last=False)
        self._counters.queued -= 1
        waiter.has_place = True
        waiter.woken.set()
