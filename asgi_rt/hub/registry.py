"""What a subscription, its hub and its connection know of each other."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from asgi_rt.asgi import Message as ASGIMessage
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.backplane.protocol import Backplane
from asgi_rt.hub.message import Message

if TYPE_CHECKING:
    from asgi_rt.hub.subscription import Subscription

__all__ = ["Encode", "Lane", "Registry", "Sink"]

Encode = Callable[[Message], ASGIMessage]
"""What makes the ASGI message that a connection sends for a message."""


class Sink(Protocol):
    """The connection that a subscription is for."""

    def wake(self) -> None:
        """Something waits in the mailbox, or the subscription is over. Does not raise."""
        ...


class Lane(Protocol):
    """A connection that is idle, so that a message can be sent in its publisher's turn.

    On asyncio, where who sends is the server itself: then a `send` can be begun in one task and
    carried on in another. The attributes are read and written for each message and connection,
    which is quicker than any call.
    """

    send: Callable[[ASGIMessage], Awaitable[None]]
    """What sends. Awaited as a rule without a wait."""
    sending: bool
    """Whether a send is under way; set while a message is pushed."""
    pushed_in: int
    """The number of the turn in which a message was pushed last."""
    sent_at: float
    """When that was, by `time.perf_counter`."""

    @property
    def is_due(self) -> bool:
        """Whether the connection has something else to do."""
        ...

    def carry_on(self, step: Coroutine[Any, Any, None], waits_for: Any) -> None:
        """Have the connection's own task run `step` to its end: the server is not ready for more.

        It was run up to where it yielded `waits_for`. Until its end `sending` stays True.
        """
        ...

    def fail(self, error: Exception) -> None:
        """The send has failed: end the connection. Does not raise. `sending` stays True."""
        ...


class Registry(Protocol):
    """The hub, as a subscription sees it."""

    @property
    def backplane(self) -> Backplane:
        """What carries its messages."""
        ...

    @property
    def local(self) -> MemoryBackplane | None:
        """The backplane, where it takes effect at once."""
        ...

    def admit(self, subscription: "Subscription") -> None:
        """Have it offered what is published to its topics."""
        ...

    def dismiss(self, subscription: "Subscription") -> None:
        """Take that back. May be repeated."""
        ...

    async def connect(self, subscription: "Subscription") -> None:
        """Have the backplane bring what is published to its topics."""
        ...

    async def disconnect(self, subscription: "Subscription") -> None:
        """Take that back."""
        ...
