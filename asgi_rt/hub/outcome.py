"""What a publisher and an observer are told of a hub."""

from dataclasses import dataclass

__all__ = ["HubSnapshot", "Published", "SubscriptionSnapshot", "TopicSnapshot"]


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a message, over the subscribers of this process."""

    id: str | None
    """The message's cursor; None where no history is kept."""
    delivered: int
    """Subscribers whose connection took it at once."""
    queued: int
    """Subscribers for which it waits, or who had to be waited for."""
    dropped: int
    """Messages that were lost or replaced for it: this one, or older ones that made room."""
    disconnected: int
    """Subscribers that were sent away for it."""

    @property
    def subscribers(self) -> int:
        """How many are to get it."""
        return self.delivered + self.queued


@dataclass(frozen=True, slots=True)
class TopicSnapshot:
    """One topic, or pattern, that somebody is subscribed to."""

    subscribers: int
    published: int
    """Messages since somebody was there."""


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """One subscriber."""

    id: str
    topics: tuple[str, ...]
    policy: str
    published: int
    delivered: int
    dropped: int
    coalesced: int
    replayed: int
    pending: int
    pending_bytes: int


@dataclass(frozen=True, slots=True)
class HubSnapshot:
    """Everything there is to know of a hub at one moment."""

    published: int
    delivered: int
    dropped: int
    disconnected: int
    """Subscribers that were sent away for being slow."""
    history_messages: int
    history_bytes: int
    topics: dict[str, TopicSnapshot]
    subscriptions: list[SubscriptionSnapshot]
