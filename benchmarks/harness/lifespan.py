"""Runs an app's lifespan as a server does: several frameworks build their routes in it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def lifespan(app: Callable[..., Any], timeout: float = 10.0) -> AsyncIterator[dict[str, Any]]:
    """Start `app`, hand out its state, and shut it down at the end.

    An app that raises before it has started has no lifespan, which is allowed. One that says it
    failed, or does not start within `timeout` seconds, raises RuntimeError. A shutdown that fails
    or takes longer is only said on stderr: what was measured until then stays good.
    """
    state: dict[str, Any] = {}
    driver = _Driver(app, state)
    task = asyncio.create_task(driver.run())
    try:
        try:
            await asyncio.wait_for(driver.started.wait(), timeout)
        except TimeoutError:
            raise RuntimeError(f"lifespan did not start within {timeout:g} s") from None
        if driver.failure is not None:
            raise RuntimeError(f"lifespan startup failed: {driver.failure}")
        yield state
        driver.leaving.set()
        await asyncio.wait([task], timeout=timeout)
        if not task.done():
            _complain(app, f"not done after {timeout:g} s")
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            _complain(app, repr(error))


def _complain(app: Callable[..., Any], what: str) -> None:
    print(f"lifespan shutdown of {type(app).__module__}: {what}", file=sys.stderr)


class _Driver:
    """The server's half of one lifespan exchange."""

    def __init__(self, app: Callable[..., Any], state: dict[str, Any]) -> None:
        self.started = asyncio.Event()
        self.leaving = asyncio.Event()
        self.failure: str | None = None
        self._app = app
        self._state = state
        self._asked = False

    async def run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except Exception:
            if self.started.is_set():
                raise
        finally:
            self.started.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self.leaving.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.startup.failed":
            self.failure = message.get("message") or "no reason given"
        if message["type"].startswith("lifespan.startup."):
            self.started.set()
