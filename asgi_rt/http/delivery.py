"""Waiting for one ASGI message to be sent while the stream's source stands in a wait of its own.

A send that the server takes at once, which is nearly every one, does not come here.
"""

import asyncio
from typing import Any

from asgi_rt.errors import SendTimeout
from asgi_rt.http.pull import SteppablePull, unwind

__all__ = ["deliver"]


async def deliver(step: Any, waits_for: Any, pull: SteppablePull, timeout: float | None) -> None:
    """Carry on a `send` that was run up to its first wait: `waits_for` is what `step` gave.

    Raises what the send raises, and SendTimeout after `timeout` seconds. It is the send's readiness
    that is waited for: a cancellation that comes may be a timeout that the source has set on this
    task. Were the send awaited, it would be the one to be cancelled, and a chunk would be lost for
    good.
    """
    loop = asyncio.get_running_loop()
    deadline = None if timeout is None else loop.time() + timeout
    while True:
        try:
            is_ready = await _ready(waits_for, deadline)
        except asyncio.CancelledError as error:
            if await pull.absorbs(error):
                continue
            await unwind(step, waits_for)
            raise
        if not is_ready:
            assert timeout is not None
            await unwind(step, waits_for)
            raise SendTimeout(timeout)
        try:
            waits_for = next(step)
        except StopIteration:
            return


async def _ready(waits_for: Any, deadline: float | None) -> bool:
    """Wait until what an awaitable yielded to asyncio is done; False when the deadline is over."""
    if waits_for is None:  # a bare yield: one turn of the loop
        await asyncio.sleep(0)
        return True
    # What asyncio's task does when it takes a future: the mark says that somebody waits for it.
    waits_for._asyncio_future_blocking = False
    remaining = None
    if deadline is not None:
        remaining = max(0.0, deadline - asyncio.get_running_loop().time())
    done, _ = await asyncio.wait((waits_for,), timeout=remaining)
    return bool(done)
