"""The lifespan of an app that another framework mounts, and does not run: begun by a request.

Starlette and FastAPI run only their own lifespan (starlette#649).
"""

import asyncio
import logging
from contextvars import Context
from typing import Any

from asgi_rt.asgi import ASGIApp, Message, Scope
from asgi_rt.background import STATE_KEY as BACKGROUND_KEY
from asgi_rt.background import TaskGroup
from asgi_rt.drain import STATE_KEY as DRAIN_KEY
from asgi_rt.drain import Drain, drain_of
from asgi_rt.errors import LifespanError
from asgi_rt.http.pull import on_asyncio
from asgi_rt.lifespan import MountedLifespan

__all__ = ["LateLifespan"]

_JOIN = (
    "Join it to the lifespan of the app that it is mounted in:"
    " lifespan=join_lifespans(realtime), from asgi_rt.embed"
)
_logger = logging.getLogger("asgi_rt.lifespan")


class LateLifespan:
    """Runs the lifespan of an app from the first request on, until the event loop ends.

    Once in each loop that serves requests. asyncio only: on trio no task could hold it.
    """

    def __init__(self, label: str, app: ASGIApp) -> None:
        self._label = label
        self._app = app
        self._runs: dict[asyncio.AbstractEventLoop, _Run] = {}

    def holds(self, background: TaskGroup) -> bool:
        """Whether these background tasks are of a run that was begun here, in whichever loop."""
        return any(run.state.get(BACKGROUND_KEY) is background for run in self._runs.values())

    async def state(self, scope: Scope) -> dict[str, Any]:
        """What the lifespan gave, once it has started; the first call in a loop starts it.

        It shares the drain of the app around it, where that has one. Any number of tasks may call
        it. Raises LifespanError where it could not be started.
        """
        if not on_asyncio():
            raise LifespanError(f"{self._label} was never started. {_JOIN}")
        loop = asyncio.get_running_loop()
        run = self._runs.get(loop)
        if run is None or (run.task.done() and run.failure is None):
            run = self._begin(loop, drain_of(scope))
        await run.started.wait()
        if run.failure is not None:
            raise LifespanError(f"{self._label}: {run.failure}")
        return run.state

    def _begin(self, loop: asyncio.AbstractEventLoop, drain: Drain | None) -> "_Run":
        state: dict[str, Any] = {} if drain is None else {DRAIN_KEY: drain}
        run = _Run(self._label, self._app, state, loop)
        # A new one, as other loops run in other threads.
        others = {each: run for each, run in self._runs.items() if not each.is_closed()}
        self._runs = {**others, loop: run}
        _logger.warning(
            "the lifespan of %s was not run: it begins with this request, and ends with the event"
            " loop. %s",
            self._label,
            _JOIN,
        )
        return run


class _Run(MountedLifespan):
    """One run of the lifespan, in a task of its own."""

    def __init__(
        self, label: str, app: ASGIApp, state: dict[str, Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(label, app, state)
        self.state = state
        # Not in the context of the request that happens to come first.
        self.task = loop.create_task(self.run(), context=Context())

    async def receive(self) -> Message:
        try:
            return await super().receive()
        except asyncio.CancelledError:
            # The loop ends, which cancels its tasks: time to shut down, as a server would say.
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            return {"type": "lifespan.shutdown"}
