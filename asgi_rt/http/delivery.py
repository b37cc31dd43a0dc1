"""Sending one ASGI message, with a bound on how long the client may keep it waiting.

A send that the server takes at once, which is nearly every one, costs no timer: only one that has
to wait gets it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio

from asgi_rt.asgi import Message, Send
from asgi_rt.errors import ClientDisconnected, SendTimeout
from asgi_rt.http.pull import Pull, on_asyncio, unwind

__all__ = ["Delivery"]


class Delivery:
    """Sends the messages of one stream while a source is pulled in the same task.

    `before_wait` is called when a send is about to wait: that is when a disconnect could go unseen.
    Raises ClientDisconnected where the server says so by OSError (ASGI spec_version 2.4), and
    SendTimeout when the client took nothing for `timeout` seconds (None is no limit).
    """

    def __init__(
        self, send: Send, pull: Pull, *, timeout: float | None, before_wait: Callable[[], None]
    ) -> None:
        self._send = send
        self._pull = pull
        self._timeout = timeout
        self._before_wait = before_wait
        self._can_step = on_asyncio()

    async def __call__(self, message: Message) -> None:
        """Send it, or raise. Cancelled, the message may have been sent or not."""
        try:
            if self._can_step:
                step: Any = self._send(message).__await__()
                try:
                    waits_for = next(step)
                except StopIteration:
                    return
                self._before_wait()
                await self._carry_on(step, waits_for)
            else:
                self._before_wait()
                await self._send_plain(message)
        except OSError as error:
            raise ClientDisconnected from error

    async def _send_plain(self, message: Message) -> None:
        if self._timeout is None:
            await self._send(message)
            return
        with anyio.move_on_after(self._timeout) as scope:
            await self._send(message)
        if scope.cancelled_caught:
            raise SendTimeout(self._timeout)

    async def _carry_on(self, step: Any, waits_for: Any) -> None:
        """Wait for the send to be ready, not in it: a cancellation may be the source's.

        The source may be at a wait of its own, under a timeout that cancels this task. Were the
        send awaited, it would be the one to be cancelled, and a chunk would be lost for good.
        """
        loop = asyncio.get_running_loop()
        deadline = None if self._timeout is None else loop.time() + self._timeout
        while True:
            try:
                is_ready = await _ready(waits_for, deadline)
            except asyncio.CancelledError as error:
                if await self._pull.absorbs(error):
                    continue
                await unwind(step, waits_for)
                raise
            if not is_ready:
                assert self._timeout is not None
                await unwind(step, waits_for)
                raise SendTimeout(self._timeout)
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
