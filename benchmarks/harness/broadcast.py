"""The messages that every peer must broadcast alike, and when each is published.

Message number `n` of a run is a line of text of a given size, whose last character occurs in it
nowhere else, nor in what any peer puts around it; so whole messages can be counted in what comes
over the wire without being parsed. One in some says when it was published. The clock is the
system's, so another process may subtract from it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns

TOPIC = "quotes"
EVENTS = "/events"
SOCKETS = "/ws"
END = b"|"
"""Ends every message."""
STAMP = b"^"
"""Begins a message that carries a time."""
STAMPED_BYTES = 29
"""Length of the part with the number and the time."""
TIMER_NS = 2_000_000
"""Event loops round their timers to milliseconds: what is less late than this is not late."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """`count` messages of `size` bytes; one in `stamp_every` carries the time.

    The loop turns once after every `burst` of them. They are published as fast as that goes, or
    `rate` a second.
    """

    count: int
    size: int = 64
    burst: int = 1
    stamp_every: int = 32
    rate: float = 0.0

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> "Publishing":
        return cls(
            count=int(query["count"]),
            size=int(query["size"]),
            burst=int(query["burst"]),
            stamp_every=int(query["stamp_every"]),
            rate=float(query["rate"]),
        )

    def message(self, number: int, published: int) -> str:
        """The message of this number, published at `published` nanoseconds."""
        text = f"{number:08d} "
        if number % self.stamp_every == 0:
            text = f"^{text}{published:019d} "
        return text.ljust(self.size - 1, ".") + "|"


Publish = Callable[[str], Awaitable[object]]
"""Sends one text to every subscriber, in the peer's own way."""


class Publisher:
    """Publishes from within a server, as requests order it; one order at a time."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._task: asyncio.Task[None] | None = None

    def start(self, query: Mapping[str, str]) -> None:
        """Begin, and return at once: the order of `query`, instead of what was under way.

        Raises KeyError and ValueError for what is not an order.
        """
        order = Publishing.of_query(query)
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(publish_all(order, self._publish))


async def publish_all(order: Publishing, publish: Publish) -> None:
    """Publish every message of the order, one after another."""
    began = perf_counter_ns()
    interval = round(1e9 / order.rate) if order.rate else 0
    for first in range(0, order.count, order.burst):
        due = began + first * interval
        if interval and (early := due - perf_counter_ns()) > 0:
            await asyncio.sleep(early / 1e9)
        for number in range(first, min(first + order.burst, order.count)):
            now = perf_counter_ns()
            # Where publishing itself falls behind, a message counts from when it was due.
            late = interval and now - due > TIMER_NS
            await publish(order.message(number, due if late else now))
        await asyncio.sleep(0)
