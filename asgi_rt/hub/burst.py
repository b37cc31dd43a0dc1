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
_LEAST_SUBSCRIBERS: Final = 2


class Burst:
    """What has come so far, and who is to get it. One task at a time."""

    __slots__ = ("_room", "_room_bytes", "audience", "held", "messages", "others", "size_bytes")

    def __init__(self, audience: Sequence[Subscription]) -> None:
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

    @property
    def is_full(self) -> bool:
        """Whether it is to be given out before anything else is held."""
        return len(self.messages) >= self._room or self.size_bytes >= self._room_bytes

    def add(self, message: Message) -> None:
        """Have a message held for those who are."""
        self.messages.append(message)
        self.size_bytes += len(message.payload)

    def hold(self, subscription: Subscription) -> bool:
        """Have a subscriber among those for whom messages are held, if that is possible."""
        lane, encode = subscription.lane, subscription.encode
        if lane is None or lane.sending or lane.is_due or encode is None or not encode.joins:
            self.others.append(subscription)
            return False
        mailbox = subscription.mailbox
        self._room = min(self._room, mailbox.max_messages)
        self._room_bytes = min(self._room_bytes, mailbox.max_bytes)
        self.held.append(subscription)
        return True

    @staticmethod
    def pays(message: Message, audience: Sequence[Subscription]) -> bool:
        """Whether such a message is worth holding."""
        return message.exclude is None and len(audience) >= _LEAST_SUBSCRIBERS
