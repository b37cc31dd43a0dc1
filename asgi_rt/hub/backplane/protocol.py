"""The contract between hubs and what carries messages between them.

A backplane numbers messages, keeps the newest, tells who is where, and gives each message to every
hub that has subscribed to its topic, the publisher's own included, in the order of their numbers.
`asgi_rt.testing.backplane` has the tests that each must pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from asgi_rt.hub.history import Page
from asgi_rt.hub.message import Cursor, Gap, Message

__all__ = ["Backplane", "Health", "Listener", "Member"]


@dataclass(frozen=True, slots=True)
class Health:
    """How a backplane fares. Whoever balances load may ask."""

    connected: bool
    """Whether what is published now reaches everybody."""
    detail: str = ""
    """What is wrong, in words, where something is."""
    last_message_at: float | None = None
    """When a message came last, in seconds of `time.time`."""
    outages: int = 0
    """How often messages may have been lost since it was opened."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is in a place."""

    member: str
    """Who: once in each place, however many connections they have."""
    metadata: Any
    """What was said last for one of those of their connections that are open; JSON."""
    since: float
    """Since when they have been there without a break, in seconds of `time.time`."""
    connections: int
    """How many are open."""


class Listener(Protocol):
    """A hub, as a backplane sees it. To be called on the hub's own event loop."""

    def receive(self, message: Message) -> None:
        """A message has come, with its position and epoch. Must not wait, and does not raise."""
        ...

    def lose(self, patterns: Sequence[str]) -> None:
        """Messages to these patterns may have been lost, and will not come."""
        ...


class Backplane(Protocol):
    """What carries messages. All of it is called from one event loop, by any task.

    Cancelling a call leaves it undone or done as a whole. Raises `BackplaneError` where it cannot
    be reached; nothing has been published then, unless it says that this is not known.
    """

    async def open(self, listener: Listener) -> None:
        """Begin to carry messages for a hub. Raises BackplaneError where it cannot be reached."""
        ...

    async def close(self, listener: Listener) -> None:
        """End what was begun for a hub, and for no other, on every way out. May be repeated."""
        ...

    async def publish(self, message: Message) -> Cursor | None:
        """Give a message its position and pass it on; the position, None without history.

        Returns when the message cannot be lost any more by this process alone.
        """
        ...

    async def subscribe(self, listener: Listener, pattern: str) -> None:
        """Have a listener get what is published to a topic or pattern from now on.

        What is published after this returned is certain to come, each message once, however many
        patterns stand for its topic. A pattern that is carried already stays so.
        """
        ...

    async def unsubscribe(self, listener: Listener, pattern: str) -> None:
        """Take that back: nothing comes once this was called, even where it raises.

        What other listeners have subscribed to stays. A pattern that is not carried is no error,
        and neither is a listener that was closed.
        """
        ...

    async def cursor(self) -> Cursor | None:
        """The place after the newest message; None without history."""
        ...

    async def history(
        self, patterns: Sequence[str], after: Cursor, *, limit: int
    ) -> Page[Message] | Gap:
        """At most `limit` messages after a place, in order, or why they cannot all be given.

        They are as they came when they were published, their ids too. A gap goes on at `cursor`.
        """
        ...

    async def newest(self, patterns: Sequence[str], count: int) -> list[Message]:
        """The last messages that match any of the patterns, oldest first."""
        ...

    async def enter(
        self, topic: str, member: str, connection: str, metadata: Any
    ) -> Literal["joined", "updated"]:
        """Have a connection of somebody counted in a place, or its metadata renewed.

        "joined" where it is the first of theirs there. `connection` is unique, and stands until it
        leaves, or until nothing was heard of its process for as long as the backplane says.
        """
        ...

    async def leave(self, topic: str, member: str, connection: str) -> bool:
        """Take a connection out; whether it was there as this member's, and was their last."""
        ...

    async def members(self, topic: str) -> list[Member]:
        """Who is there, the longest there first."""
        ...

    async def member_count(self, topic: str) -> int:
        """How many are there, without listing them."""
        ...

    def health(self) -> Health:
        """How it fares just now."""
        ...
