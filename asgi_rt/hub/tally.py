"""What a hub has done, subscribers that are gone included."""

from asgi_rt.hub.subscription import Subscription

__all__ = ["Tally"]


class Tally:
    """Sums over a hub's life."""

    __slots__ = ("delivered", "disconnected", "dropped", "published")

    def __init__(self) -> None:
        self.published = 0
        """Messages that were published, whoever got them."""
        self.delivered = 0
        """Messages that were delivered to subscribers that are gone."""
        self.dropped = 0
        """Messages that were dropped for them, those in their mailboxes when they left included."""
        self.disconnected = 0
        """Subscribers that were sent away for being slow."""

    def retire(self, subscription: Subscription) -> None:
        """Count what a subscriber had, as it leaves."""
        counters = subscription.counters
        self.delivered += counters.delivered
        self.dropped += counters.dropped
        self.disconnected += subscription.is_disconnected
