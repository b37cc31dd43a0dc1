"""One timer of the event loop for all the streams on it: each that is open needs one all the time.

A timer of its own would take a stream 0.5 KiB. For asyncio, uvloop included.
"""

import asyncio
import time
from contextvars import Context
from heapq import heapify, heappop, heappush
from typing import Final, Protocol
from weakref import WeakKeyDictionary, ref

__all__ = ["Alarm", "Alarms", "alarms_of_this_loop"]

# Alarms that were taken back stay in the heap until they are due, or more than those that were not.
_MIN_STALE: Final = 64
_clock = time.perf_counter


class Ringable(Protocol):
    """What an alarm is set for: an object, as a bound method would take 64 bytes."""

    def on_alarm(self) -> None:
        """The alarm is due. It must not raise."""
        ...


class Alarm:
    """A call of `on_alarm` that is to be made at a time."""

    __slots__ = ("due", "target")

    def __init__(self, due: float, target: Ringable) -> None:
        self.due = due
        """When, by `time.perf_counter`."""
        self.target: Ringable | None = target

    def __lt__(self, other: "Alarm") -> bool:
        return self.due < other.due


class Alarms:
    """The alarms of one event loop, all in its thread."""

    def __init__(self) -> None:
        self.context = Context()
        """For callbacks beside streams: each would take 64 bytes for one of its own."""
        self._heap: list[Alarm] = []
        self._stale = 0
        # Weak, as a timer holds its loop, which holds it in turn for as long as it is set.
        self._timer: ref[asyncio.TimerHandle] | None = None

    def set(self, due: float, target: Ringable) -> Alarm:
        """Call `target.on_alarm()` when it is `due`, by `time.perf_counter`."""
        alarm = Alarm(due, target)
        heappush(self._heap, alarm)
        if self._heap[0] is alarm:
            self._set_timer()
        return alarm

    def cancel(self, alarm: Alarm) -> None:
        """Take back an alarm that was set here. Again, or when it is over, does nothing."""
        if alarm.target is None:
            return
        alarm.target = None
        self._stale += 1
        are_many = self._stale > _MIN_STALE and self._stale > len(self._heap) // 2
        if are_many or self._stale == len(self._heap):
            self._heap = [alarm for alarm in self._heap if alarm.target is not None]
            heapify(self._heap)
            self._stale = 0
            self._set_timer()

    def _set_timer(self) -> None:
        timer = None if self._timer is None else self._timer()
        if timer is not None:
            timer.cancel()
        self._timer = None
        if self._heap:
            seconds = max(0.0, self._heap[0].due - _clock())
            self._timer = ref(asyncio.get_running_loop().call_later(seconds, self._ring))

    def _ring(self) -> None:
        self._timer = None
        now = _clock()
        while self._heap and self._heap[0].due <= now:
            alarm = heappop(self._heap)
            target, alarm.target = alarm.target, None
            if target is None:
                self._stale -= 1
            else:
                target.on_alarm()
        if self._timer is None:
            self._set_timer()


# On each loop, and gone with it: nothing in an `Alarms` without alarms refers to the loop.
_alarms: WeakKeyDictionary[asyncio.AbstractEventLoop, Alarms] = WeakKeyDictionary()


def alarms_of_this_loop() -> Alarms:
    """The alarms of the running event loop; made where there are none. In callbacks too."""
    loop = asyncio.get_running_loop()
    alarms = _alarms.get(loop)
    if alarms is None:
        alarms = _alarms[loop] = Alarms()
    return alarms
