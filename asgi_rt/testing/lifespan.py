"""The lifespan protocol, spoken to an app the way a server does."""

from enum import Enum, auto
from typing import Any, Final, Never

import anyio

from asgi_rt.asgi import ASGIApp, Message
from asgi_rt.errors import LifespanError
from asgi_rt.testing.condition import Condition
from asgi_rt.testing.errors import MessageError
from asgi_rt.testing.task import PlainTask, shielded

__all__ = ["Lifespan"]


class _Stage(Enum):
    OFFERED = auto()
    STARTING = auto()
    UP = auto()
    STOPPING = auto()
    DOWN = auto()
    FAILED = auto()


# An app may answer before it has called `receive`, as some do. A missing key is the error.
_ANSWERS: Final[dict[tuple[_Stage, str], _Stage]] = {
    (_Stage.OFFERED, "lifespan.startup.complete"): _Stage.UP,
    (_Stage.OFFERED, "lifespan.startup.failed"): _Stage.FAILED,
    (_Stage.STARTING, "lifespan.startup.complete"): _Stage.UP,
    (_Stage.STARTING, "lifespan.startup.failed"): _Stage.FAILED,
    (_Stage.STOPPING, "lifespan.shutdown.complete"): _Stage.DOWN,
    (_Stage.STOPPING, "lifespan.shutdown.failed"): _Stage.FAILED,
}


# Seconds for an app that has failed to end by itself, which brings its own error along.
_FAILURE_GRACE: Final = 1.0
_HOW: Final = "the app's lifespan; pass lifespan=False for an app that has none"


class Lifespan:
    """One app's lifespan, in one plain task from `startup` to `shutdown`.

    The two may be called from different tasks of one event loop. `timeout` bounds each, in
    seconds; None is for ever.

    Specification: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """

    def __init__(self, app: ASGIApp, *, timeout: float | None, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._timeout = timeout
        self._stage = _Stage.OFFERED
        self._complaint = ""
        self._is_foreign = False
        self._asks_in_vain = False
        self._changed = Condition()
        self._task: PlainTask | None = None

    async def startup(self) -> None:
        """Start the app up. An app without lifespan support is left alone.

        Raises `LifespanError` when the app says that it failed or says nothing in time, and what
        the app raised when it had taken `lifespan.startup` before. Cancelling ends the app's task.
        """
        task = PlainTask(self._run, name="lifespan", on_done=self._changed.notify_all)
        self._task = task
        try:
            with anyio.fail_after(self._timeout):
                await self._changed.wait_until(lambda: self._is_started(task))
        except BaseException as error:
            task.cancel()
            await task.end(self._timeout)
            if isinstance(error, TimeoutError):
                self._raise_timeout("startup", task)
            raise
        if self._stage is _Stage.FAILED:
            await self._fail("startup", task)
        if task.is_done and self._is_supported() and task.error is not None:
            task.error.add_note(f"raised at {_HOW}")
            raise task.error

    async def shutdown(self) -> None:
        """Shut the app down and wait for the end of its task. Does nothing the second time.

        Raises `LifespanError` as `startup` does, and whatever the app raised since. The caller's
        cancellation is held off until the timeout.
        """
        task, self._task = self._task, None
        if task is None or (task.is_done and not self._is_supported()):
            return
        if self._stage is _Stage.UP:
            self._stage = _Stage.STOPPING
            self._changed.notify_all()
        try:
            with shielded(self._timeout):
                await self._changed.wait_until(lambda: self._is_stopped(task))
        except BaseException:
            task.cancel()
            raise
        if self._stage is _Stage.FAILED:
            await self._fail("shutdown", task)
        if not task.is_done:
            task.cancel()
            await task.end(self._timeout)
            if not self._asks_in_vain:
                self._raise_timeout("shutdown", task)
        elif task.error is not None:
            raise task.error

    def _is_started(self, task: PlainTask) -> bool:
        return task.is_done or self._stage not in {_Stage.OFFERED, _Stage.STARTING}

    def _is_stopped(self, task: PlainTask) -> bool:
        return task.is_done or self._asks_in_vain or self._stage is _Stage.FAILED

    def _is_supported(self) -> bool:
        """Whether an app that has ended spoke the protocol at all: else its error means nothing."""
        return self._stage is not _Stage.OFFERED and not self._is_foreign

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
        }
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._stage is _Stage.OFFERED:
            self._stage = _Stage.STARTING
            return {"type": "lifespan.startup"}
        if self._stage in {_Stage.DOWN, _Stage.FAILED}:
            # Nothing follows, so the app, which should have returned, would never end.
            self._asks_in_vain = True
            self._changed.notify_all()
        await self._changed.wait_until(lambda: self._stage is _Stage.STOPPING)
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message.get("type")
        answer = _ANSWERS.get((self._stage, str(kind)))
        if answer is None:
            self._is_foreign = not str(kind).startswith("lifespan.")
            raise MessageError(
                f"lifespan: the app sent {kind!r} when its lifespan was {self._stage.name.lower()}"
            )
        self._complaint = str(message.get("message", ""))
        self._stage = answer
        self._changed.notify_all()

    async def _fail(self, phase: str, task: PlainTask) -> Never:
        await task.end(_FAILURE_GRACE)
        raise LifespanError(f"{phase} failed: {self._complaint or 'no reason given'}") from (
            task.error
        )

    def _raise_timeout(self, phase: str, task: PlainTask) -> Never:
        raise LifespanError(
            f"{phase}: the app did not end it within {self._timeout} seconds, at {_HOW}"
        ) from task.error
