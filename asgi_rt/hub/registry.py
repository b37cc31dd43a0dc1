"""What a subscription, its hub and its connection know of each other."""

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.backplane.protocol import Backplane

__all__ = ["Registry", "Sink"]

S_contra = TypeVar("S_contra", contravariant=True)


class Sink(Protocol):
    """The connection that a subscription is for."""

    def wake(self) -> None:
        """Something waits in the mailbox, or the subscription is over. Does not raise."""
        ...

    def carry_on(self, step: Generator[Any, Any, Any], waits_for: Any) -> None:
        """Have a task of the connection's own run `step` to its end: the server takes no more yet.

        It is a push, run up to where it yielded `waits_for`. Until its end no other is allowed.
        """
        ...

    def fail(self, error: Exception) -> None:
        """A push has failed: end the connection. Does not raise."""
        ...


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

    def note_slow(self, subscription: S_contra) -> None:
        """Take note that it has lost its first message, or was sent away, as it is slow."""
        ...
