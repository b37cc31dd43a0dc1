"""Waiting for one ASGI message to be sent, with a bound on how long the client may take.

A send that the server takes at once, which is nearly every one, does not come here: only one that
has to wait does.
"""

import asyncio
from typing import Any

from asgi_rt.errors import SendTimeout
from asgi_rt.http.pull import SteppablePull, unwind

__all__ = ["Delivery"]


class Delivery:
    """A `send` that was run up to its first wait, while a source is pulled in the same task.

    `step` is the iterator of the awaitable and `waits_for` what it yielded.
    """

    __slots__ = ("_pull", "_step", "_waits_for")

    def __init__(self, step: Any, waits_for: Any, pull: SteppablePull) -> None:
        self._step = step
        self._waits_for = waits_for
        self._pull = pull

    async def wait(self, timeout: float | None, ended: asyncio.Future[None]) -> bool:
        """Carry it on. False when `ended` was done before: then the send is cancelled.

        Raises what the send raises, and SendTimeout after `timeout` seconds. It is the send's
        readiness that is waited for: a cancellation that comes may be a timeout that the source
        has set on this task at a wait of its own. Were the send awaited, it would be the one to be
        cancelled, and a chunk would be lost for good.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            waits_for = self._waits_for
            try:
                await _until_ready(waits_for, deadline, ended)
            except asyncio.CancelledError as error:
                if await self._pull.absorbs(error):
                    continue
                await unwind(self._step, waits_for)
                raise
            if not ended.done() if waits_for is None else waits_for.done():
                try:
                    self._waits_for = next(self._step)
                except StopIteration:
                    return True
                continue
            await unwind(self._step, waits_for)
            if ended.done():
                return False
            assert timeout is not None
            raise SendTimeout(timeout)


async def _until_ready(waits_for: Any, deadline: float | None, ended: asyncio.Future[None]) -> None:
    """Wait until what an awaitable yielded to asyncio is done, or `ended` is, or it is too late."""
    if waits_for is None:  # a bare yield: one turn of the loop
        await asyncio.sleep(0)
        return
    # What asyncio's task does when it takes a future: the mark says that somebody waits for it.
    waits_for._asyncio_future_blocking = False
    remaining = None
    if deadline is not None:
        remaining = max(0.0, deadline - asyncio.get_running_loop().time())
    futures = (waits_for, ended)
    await asyncio.wait(futures, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
