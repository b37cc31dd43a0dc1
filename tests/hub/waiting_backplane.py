"""A backplane that waits in each of its calls, as those of many processes do."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel

from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.backplane.protocol import Health


class WaitingBackplane:
    """That of memory, behind a wait before and a wait after all that it does.

    `calls` are the names of those that have taken effect. `failures` are errors to be raised, by
    name, before anything takes effect. What is named in `stuck` waits for `goes_on`. `before` is
    called with each name before it takes effect, `on_wait` before each wait.
    """

    def __init__(self, inner: MemoryBackplane | None = None) -> None:
        self.inner = MemoryBackplane() if inner is None else inner
        self.calls: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.stuck: set[str] = set()
        self.waits = anyio.Event()
        """Set when a call is stuck."""
        self.goes_on = anyio.Event()
        self.before: Callable[[str], Any] = lambda name: None
        self.on_wait: Callable[[], Any] = lambda: None

    def health(self) -> Health:
        return self.inner.health()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.on_wait()
            await anyio.lowlevel.checkpoint()
            if name in self.stuck:
                self.waits.set()
                await self.goes_on.wait()
            if self.failures.get(name):
                raise self.failures[name].pop(0)
            self.before(name)
            result = await method(*args, **kwargs)
            self.calls.append(name)
            self.on_wait()
            await anyio.lowlevel.checkpoint()
            return result

        return call
