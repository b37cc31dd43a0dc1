"""Messages that follow one another in one turn, to the same subscribers: on their way as one.

Whoever got the first of them in that turn, and has nothing else to wait for, gets the others joined
when the turn is over, or when so much has come together. What that takes is taken once for all of
them and not for each message and subscriber.
"""

from collections.abc import Sequence
from typing import Final

from asgi_rt.hub.message import Message
from asgi_rt.hub.subscription import Subscription

__all__ = ["Burst"]

_JOIN_BYTES: Final = 16 * 1024
"""Where a larger write no longer pays."""


class Burst:
    """What has come so far, and who is to get it. One task at a time."""

    __slots__ = ("_room", "_room_bytes", "audience", "held", "messages", "others", "size_bytes")

    def __init__(self, audience: Sequence[Subscription], turn_began_at: float) -> None:
        self.audience = audience
        """The subscribers of all the messages."""
        self.messages: list[Message] = []
        self.size_bytes = 0
        self.held: list[Subscription] = []
        """Those who get the messages joined."""
        self.others: list[Subscription] = []
        """Those who get each message when it is published."""
        # Nothing is held back that would not have had room in the mailbox of each.
        self._room = 1 << 30
        self._room_bytes = _JOIN_BYTES
        for subscription in audience:
            if _can_be_held(subscription, turn_began_at):
                self.held.append(subscription)
                self._room = min(self._room, subscription.mailbox.max_messages)
                self._room_bytes = min(self._room_bytes, subscription.mailbox.max_bytes)
            else:
                self.others.append(subscription)

    def has_room(self, message: Message) -> bool:
        """Whether a message can be held with those that are; one always can."""
        if not self.messages:
            return True
        size_bytes = self.size_bytes + len(message.payload)
        return len(self.messages) < self._room and size_bytes <= self._room_bytes

    def add(self, message: Message) -> None:
        """Have a message held for those who are."""
        self.messages.append(message)
        self.size_bytes += len(message.payload)

    @staticmethod
    def pays(message: Message, audience: Sequence[Subscription]) -> bool:
        """Whether such a message is worth holding."""
        return message.exclude is None and bool(audience)


def _can_be_held(subscription: Subscription, turn_began_at: float) -> bool:
    """Whether a subscriber gets all that is to come in this turn, and has been sent the first."""
    encode = subscription.encode
    if not subscription.is_pushable or subscription.is_choosy:
        return False
    if encode is None or not encode.joins:
        return False
    return subscription.pushed_last_at == turn_began_at
