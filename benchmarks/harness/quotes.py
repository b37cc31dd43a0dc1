"""The events that every peer must send alike, and how their source waits.

Event number `n` of a stream is the JSON object `quote(n)`. One event in `STAMP_EVERY` says when it
was made: enough for latencies and for finding events that are lost or out of order, too few to be
what is measured. The clock is the system's, so another process may subtract from it.
"""

import asyncio
from time import perf_counter_ns
from typing import Any

PRICE = 101.25
STAMP_EVERY = 32
CHECKED = 200
"""How many events of a stream are all parsed before a peer is measured."""


def quote(n: int) -> dict[str, Any]:
    """The event number `n`, counted from 0; nanoseconds in `at` for one in `STAMP_EVERY`."""
    if n % STAMP_EVERY:
        return {"n": n, "price": PRICE}
    return {"n": n, "price": PRICE, "at": perf_counter_ns()}


async def turn() -> None:
    """Return in a later turn of the event loop: a source's wait for its next event.

    What it awaits is a future that something else resolves, as with a queue or a socket. Sleeping
    for no time would suspend as well, but the loop treats a bare yield as a special case.
    """
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    loop.call_soon(_wake, woken)
    await woken


async def forever() -> None:
    """Never return: a source that has no more events, but may have."""
    await asyncio.get_running_loop().create_future()


def _wake(future: "asyncio.Future[None]") -> None:
    # The stream may have been cancelled in the meantime.
    if not future.done():
        future.set_result(None)
