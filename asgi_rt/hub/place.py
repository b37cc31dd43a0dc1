"""One connection of a member at a topic, from its coming to its going."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self

import anyio
import anyio.lowlevel

from asgi_rt.errors import BackplaneError, HubError
from asgi_rt.hub.hub import Hub
from asgi_rt.hub.locks import Locks
from asgi_rt.hub.subscription import Subscription

__all__ = ["Place"]

# How long a backplane may take for what is not left half done when the caller is cancelled.
_STEP_SECONDS: Final = 5.0
_logger = logging.getLogger("asgi_rt.hub")


class Place:
    """What `Presence.join` gives: one connection of a member. To be entered once.

    Entered, the member is there and the event is published. Left, on every way out, they are gone:
    neither a cancelled scope nor a cancelled task prevents it. The backplane has 5 seconds; where
    it fails that is logged, and the error that ended the block goes on.

    Entering raises BackplaneError, and HubError where the hub is closed or on another event loop;
    then, as when it is cancelled, nobody is left there, and "left" follows where "joined" may have
    been seen. Once it has begun, a backplane that does not answer delays a cancellation by those
    5 seconds, and by as many to leave.
    """

    __slots__ = (
        "_check",
        "_events",
        "_exclude",
        "_hub",
        "_is_announced",
        "_is_entered",
        "_is_in",
        "_locks",
        "connection",
        "member",
        "metadata",
        "topic",
    )

    def __init__(
        self,
        hub: Hub,
        locks: Locks,
        topic: str,
        member: str,
        metadata: Any,
        *,
        events: str,
        check: Callable[[Any], Any],
        exclude: Subscription | str | None,
    ) -> None:
        self.topic = topic
        self.member = member
        self.metadata = metadata
        """What this connection said last. A copy, to be changed by `update` alone."""
        self.connection = secrets.token_hex(8)
        """Its name among all connections, of all processes."""
        self._hub = hub
        self._locks = locks
        self._events = events
        self._check = check
        self._exclude = exclude
        self._is_entered = False
        self._is_in = False
        self._is_announced = False
        """Whether the member may have been seen to be there, so that "left" is due."""

    async def update(self, metadata: Any) -> None:
        """Give the member new metadata, and publish that as "updated". Any task may.

        Once it has begun, cancelling it leaves nothing half done. Raises ValueError and TypeError
        for metadata like `Presence.join`, HubError outside of the `async with`, and BackplaneError,
        after which the metadata may be new and no event was published: it may be repeated.
        """
        metadata = self._check(metadata)
        await anyio.lowlevel.checkpoint()
        async with self._locks.hold((self.topic, self.member)):
            if not self._is_in:
                raise HubError("metadata is updated inside of `async with presence.join(...)`")
            await self._finish(partial(self._enter, metadata))

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise HubError("a place is entered once; ask the presence for another")
        self._is_entered = True
        await anyio.lowlevel.checkpoint()
        async with self._locks.hold((self.topic, self.member)):
            try:
                await self._finish(partial(self._enter, self.metadata))
                self._is_in = True
            except BaseException:
                # Still alone: who comes next must find the place as it was.
                with self._failures_logged():
                    await self._finish(self._leave)
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_in = False
        with self._failures_logged():
            await self._finish(self._leave_alone)

    async def _enter(self, metadata: Any) -> None:
        change = await self._hub.backplane.enter(self.topic, self.member, self.connection, metadata)
        self.metadata = metadata
        was_announced = self._is_announced or change == "updated"
        self._is_announced = True
        try:
            await self._publish(change)
        except Exception:  # nobody was told; being cut off by the time says nothing of that
            self._is_announced = was_announced
            raise

    async def _leave_alone(self) -> None:
        async with self._locks.hold((self.topic, self.member)):
            await self._leave()

    async def _leave(self) -> None:
        was_last = await self._hub.backplane.leave(self.topic, self.member, self.connection)
        if was_last and self._is_announced:
            await self._publish("left")

    async def _publish(self, change: Literal["joined", "updated", "left"]) -> None:
        event = {
            "type": change,
            "topic": self.topic,
            "member": self.member,
            "metadata": self.metadata,
        }
        key = self.member  # what coalesces is the member, not the topic
        if self._hub.local is None:
            await self._hub.publish(self._events, event, key=key, exclude=self._exclude)
        else:
            self._hub.publish_nowait(self._events, event, key=key, exclude=self._exclude)

    async def _finish(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do something to its end, in bounded time, whoever is cancelled. Raises BackplaneError."""
        with anyio.CancelScope(shield=True):
            if self._hub.local is not None:
                await step()  # never waits, so nothing can come between
            else:
                await _run_apart(step)

    @contextmanager
    def _failures_logged(self) -> Generator[None, None, None]:
        try:
            yield
        except HubError:
            _logger.debug("the hub was closed before %r left %s", self.member, self.topic)
        except BackplaneError as error:
            _logger.warning("%r may still be seen at %s: %s", self.member, self.topic, error)
        except Exception:
            _logger.exception("%r may still be seen at %s", self.member, self.topic)


async def _run_apart(step: Callable[[], Awaitable[None]]) -> None:
    """Run a step in a task of its own, which the cancellation of this one does not reach.

    A shield alone would keep off cancelled scopes, but not `asyncio.Task.cancel`.
    """
    failure: Exception | None = None

    async def run() -> None:
        nonlocal failure
        with anyio.move_on_after(_STEP_SECONDS, shield=True) as scope:
            try:
                await step()
            except Exception as error:
                failure = error
        if scope.cancelled_caught:
            failure = BackplaneError(f"the backplane took more than {_STEP_SECONDS:g} seconds")

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    if failure is not None:
        try:
            raise failure
        finally:
            failure = None  # else it would hold itself, by its traceback
