"""What a subscription, its hub and its connection know of each other."""

from collections.abc import Generator
from typing import Any, Final, Protocol, TypeVar

from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.backplane.protocol import Backplane

__all__ = ["ALWAYS_FREE", "Lane", "OwnLane", "Registry", "Sink"]

S_contra = TypeVar("S_contra", contravariant=True)


class Sink(Protocol):
    """The connection that a subscription is for."""

    def wake(self) -> None:
        """Something waits in the mailbox, or the subscription is over. Does not raise."""
        ...

    def carry_on(self, step: Generator[Any, Any, Any], waits_for: Any) -> None:
        """Have a task of the connection's own run `step` to its end: the server takes no more yet.

        It is a send by the lane, run up to where it yielded `waits_for`. Until its end nothing is
        to be pushed.
        """
        ...

    def fail(self, error: Exception) -> None:
        """A send by the lane has failed: end the connection. Does not raise."""
        ...


class Lane(Protocol):
    """What tells whether a connection is idle, so that whoever publishes may send to it himself.

    On asyncio, where who sends is the server itself: then a `send` can be begun in one task and
    carried on in another. The attributes are read for each message and connection, which is quicker
    than any call.
    """

    @property
    def under_way(self) -> Any:
        """True, or anything true, while a send of its own is, or one that it carries on."""
        ...

    @property
    def is_due(self) -> bool:
        """Whether the connection has something else to do."""
        ...


class OwnLane(Lane, Protocol):
    """A lane that is one connection's."""

    @property
    def server_send(self) -> Any:  # not `Send`: type checkers would take that for a method
        """The server's `send`. Awaited as a rule without a wait."""
        ...


class _AlwaysFree:
    __slots__ = ("is_due", "under_way")

    def __init__(self) -> None:
        self.is_due = False
        self.under_way = False


ALWAYS_FREE: Final[Lane] = _AlwaysFree()
"""The lane of whoever says himself when he cannot be pushed to, by taking it away."""


class Registry(Protocol[S_contra]):
    """The hub, as a subscription sees it."""

    @property
    def backplane(self) -> Backplane:
        """What carries its messages."""
        ...

    @property
    def local(self) -> MemoryBackplane | None:
        """The backplane, where it takes effect at once."""
        ...

    def admit(self, subscription: S_contra) -> None:
        """Have it offered what is published to its topics."""
        ...

    def dismiss(self, subscription: S_contra) -> None:
        """Take that back. May be repeated."""
        ...

    async def connect(self, subscription: S_contra) -> None:
        """Have the backplane bring what is published to its topics."""
        ...

    async def disconnect(self, subscription: S_contra) -> None:
        """Take that back."""
        ...
