"""Start-up and shutdown: of the app, of its background work, and of what is mounted in it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import anyio

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.background import STATE_KEY as BACKGROUND_KEY
from asgi_rt.background import TaskGroup, plain_task_group
from asgi_rt.drain import STATE_KEY as DRAIN_KEY
from asgi_rt.drain import Drain, watch_signals
from asgi_rt.errors import LifespanError

__all__ = [
    "Lifespan",
    "Mounted",
    "MountedLifespan",
    "mounted_lifespan",
    "run_lifespan",
    "serve_lifespan",
]

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
"""Takes the app, gives an async context manager; what that yields is added to the state."""
Mounted: TypeAlias = tuple[str, ASGIApp]
"""A label for errors, and the application."""

_OWN_KEYS: Final = frozenset({BACKGROUND_KEY, DRAIN_KEY})
_LEAST_GRACE: Final = 0.5
_TELL_SECONDS: Final = 1.0
# Beyond the grace, which its own streams and background work may take.
_SHUTDOWN_SECONDS: Final = 5.0
_logger = logging.getLogger("asgi_rt.lifespan")


async def serve_lifespan(
    scope: Scope,
    receive: Receive,
    send: Send,
    run: Callable[[dict[str, Any]], AbstractAsyncContextManager[None]],
) -> None:
    """Speak the ASGI lifespan protocol, as the application, around the context manager of `run`.

    `run` gets the state that requests will see a copy of. A failure is told to the server and
    then raised, so that it stands in the server's log.
    """
    state: dict[str, Any] = scope.setdefault("state", {})
    phase = "startup"
    await receive()
    try:
        async with run(state):
            await send({"type": "lifespan.startup.complete"})
            phase = "shutdown"
            await receive()
    except BaseException as error:  # sys.exit() in a start-up, for one: servers must hear of it
        with anyio.move_on_after(_TELL_SECONDS, shield=True):
            await send({"type": f"lifespan.{phase}.failed", "message": _describe(error)})
        raise
    await send({"type": "lifespan.shutdown.complete"})


def _describe(error: BaseException) -> str:
    return f"{type(error).__qualname__}: {error}"


@asynccontextmanager
async def run_lifespan(
    app: Any,
    lifespans: Iterable[Lifespan],
    mounted: Iterable[Mounted],
    state: dict[str, Any],
    *,
    background: TaskGroup,
) -> AsyncGenerator[None, None]:
    """Everything that lives as long as the app runs, started in order and unwound in reverse.

    First the drain and the background tasks, then the app's own lifespans, then those of what is
    mounted in it. Where one fails to start, the ones before it are unwound. An app that is itself
    mounted shares the drain of the one it is mounted in.
    """
    async with AsyncExitStack() as stack:
        if DRAIN_KEY not in state:
            state[DRAIN_KEY] = await stack.enter_async_context(_draining(background.grace))
        state[BACKGROUND_KEY] = background
        await stack.enter_async_context(background.open())
        for lifespan in lifespans:
            given = await stack.enter_async_context(lifespan(app))
            if given is not None:
                # What was joined in one that is joined has a drain and tasks of its own.
                state.update({key: given[key] for key in given if key not in _OWN_KEYS})
        for label, mounted_app in mounted:
            opened = mounted_lifespan(label, mounted_app, state, grace=background.grace)
            await stack.enter_async_context(opened)
        yield
        # Before anything is unwound: background work ends while what it uses is still there. It
        # shares the grace with the streams, and has a little left where they took all of it.
        drain: Drain = state[DRAIN_KEY]
        await background.drain(max(drain.remaining(), _LEAST_GRACE))


@asynccontextmanager
async def mounted_lifespan(
    label: str, app: ASGIApp, state: dict[str, Any], *, grace: float
) -> AsyncGenerator[None, None]:
    """The lifespan of a mounted application around the block. Raises LifespanError.

    It sees the state and adds to it; its background tasks are its own.
    """
    own = {key: state[key] for key in _OWN_KEYS if key in state}
    shared = {key: value for key, value in state.items() if key != BACKGROUND_KEY}
    async with _mounted(label, app, shared, grace=grace):
        state.update({**shared, **own})
        yield


@asynccontextmanager
async def _draining(grace: float) -> AsyncGenerator[Drain, None]:
    drain = Drain(grace=grace)
    async with plain_task_group() as group:
        with watch_signals(drain):
            group.start_soon(_enforce, drain)
            try:
                yield drain
            finally:
                drain.begin()


async def _enforce(drain: Drain) -> None:
    # A task that ends cancelled would take the group along, and with it all that is unwound here;
    # all tasks are cancelled where an event loop is closed.
    with suppress(asyncio.CancelledError):
        await drain.enforce()


class MountedLifespan:
    """The server's side of the lifespan protocol, for one application."""

    def __init__(self, label: str, app: ASGIApp, state: dict[str, Any]) -> None:
        self._label = label
        self._app = app
        self._scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": state,
        }
        self._asked = 0
        self._shut_down = anyio.Event()
        self.started = anyio.Event()
        self.stopped = anyio.Event()
        self.failure: str | None = None

    async def run(self) -> None:
        try:
            await self._app(self._scope, self.receive, self._send)
        except Exception as error:
            # The specification lets an application that has no lifespan say so by raising.
            if self.failure is None and not self.started.is_set():
                level = logging.WARNING if self._asked else logging.DEBUG
                _logger.log(level, "%s has no lifespan: %s", self._label, _describe(error))
            elif self.failure is None:
                self.failure = _describe(error)
        except BaseException as error:
            if self.failure is None and not self.stopped.is_set():
                self.failure = _describe(error)
            if not isinstance(error, SystemExit):
                raise
        finally:
            self.started.set()
            self.stopped.set()

    async def receive(self) -> Message:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        await self._shut_down.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind.endswith(".failed"):
            self.failure = message.get("message") or "it gave no reason"
        if kind.startswith("lifespan.startup."):
            self.started.set()
        else:
            self.stopped.set()

    async def shut_down(self, within: float) -> None:
        """Tell the application, and wait for its answer for so many seconds."""
        self._shut_down.set()
        with anyio.move_on_after(within, shield=True) as scope:
            await self.stopped.wait()
        if scope.cancelled_caught:
            self.failure = f"it did not shut down within {within:g} s"


@asynccontextmanager
async def _mounted(
    label: str, app: ASGIApp, state: dict[str, Any], *, grace: float
) -> AsyncGenerator[None, None]:
    lifespan = MountedLifespan(label, app, state)
    async with plain_task_group() as group:
        group.start_soon(lifespan.run)
        await lifespan.started.wait()
        if lifespan.failure is None:
            try:
                yield
            finally:
                await lifespan.shut_down(grace + _SHUTDOWN_SECONDS)
    if lifespan.failure is not None:
        raise LifespanError(f"{label}: {lifespan.failure}")
