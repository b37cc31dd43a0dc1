"""Waiting for a state of things: a condition variable for the tasks of one event loop."""

from collections.abc import Callable

import anyio
import anyio.lowlevel

__all__ = ["Condition"]


class Condition:
    """Lets tasks wait until something holds; whoever changes the state calls `notify_all`.

    There is no lock: within one event loop nothing changes between two awaits. All methods belong
    to the thread of that loop. A cancelled wait takes nothing with it.
    """

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed: anyio.Event | None = None

    def notify_all(self) -> None:
        """Have every waiting task look again."""
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds()` is true; at once, without yielding, if it is true already."""
        while not holds():
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()
            if not holds():
                # anyio cancels no asyncio task that is about to wake up, and what changes at every
                # turn of the loop has this one about to wake up at every turn.
                await anyio.lowlevel.checkpoint_if_cancelled()
