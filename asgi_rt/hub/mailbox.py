"""What waits for one subscriber: bounded by messages and bytes, with a policy for when it is full.

No message is lost without being counted, and it is told where it is missing: what `take` gives has
a `Lost` in that place.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from enum import Enum
from typing import Generic, NamedTuple, Self, TypeVar

from asgi_rt.hub.bounds import check_bound

__all__ = ["Lost", "Mailbox", "MailboxCounters", "Offer", "Overflow", "mailbox_for"]

T = TypeVar("T")


class Overflow(Enum):
    """What becomes of a message for which a subscriber's mailbox has no room."""

    BLOCK = "block"
    """The publisher waits. Nothing is lost, and one slow subscriber holds all others up."""
    DROP_OLDEST = "drop_oldest"
    """The oldest that wait make room: who is slow gets the newest."""
    DROP_NEWEST = "drop_newest"
    """The new one is lost: who is slow gets what was first."""
    COALESCE = "coalesce"
    """A message takes the place of the one of its topic and key: the last of each is what arrives;
    where that is not enough, the keys that were updated the longest ago make room."""
    DISCONNECT = "disconnect"
    """The subscriber is sent away, to come back and catch up."""


class Offer(Enum):
    """What became of a message that was offered."""

    KEPT = "kept"
    """It waits, and nothing was lost for it."""
    REPLACED = "replaced"
    """It waits in the place of an older message with its key, and nothing else was lost for it."""
    MADE_ROOM = "made_room"
    """It waits, and older messages were dropped for it."""
    DROPPED = "dropped"
    """It was dropped."""
    FULL = "full"
    """There is no room, and it was not taken: to be offered again. Only where the policy blocks."""
    OVERFLOWED = "overflowed"
    """There was no room: it was dropped, with all that waited, and the mailbox is closed."""
    CLOSED = "closed"
    """The mailbox was closed before, and counts nothing any more."""


class Lost(NamedTuple):
    """What `take` gives in the place of messages that were dropped there."""

    missed: int
    """How many."""


class MailboxCounters(NamedTuple):
    """What has gone through a mailbox: published is delivered, dropped and pending together."""

    published: int
    """Messages that were offered, without those that were refused as `FULL` or `CLOSED`."""
    delivered: int
    """Messages that were taken, or delivered past the mailbox."""
    dropped: int
    """Messages that never will be, those that a newer one replaced included."""
    coalesced: int
    """Of those, the ones that a newer one replaced."""
    pending: int
    """Messages that wait."""
    pending_bytes: int
    """What they add up to."""


class Mailbox(Generic[T]):
    """Messages that wait for one subscriber, in order, at most `max_messages` and `max_bytes`.

    A message that is larger than `max_bytes` by itself is taken in where nothing else waits, so the
    bytes are above their bound by that one message at most. Everything takes effect at once; one
    task at a time. `mailbox_for` makes the one that a policy needs.
    """

    __slots__ = (
        "_coalesced",
        "_count",
        "_delivered",
        "_is_closed",
        "_lost_first",
        "_lost_last",
        "_offered",
        "_policy",
        "_waiting",
        "dropped",
        "max_bytes",
        "max_messages",
        "pending_bytes",
    )

    def __init__(self, policy: Overflow, *, max_messages: int, max_bytes: int) -> None:
        check_bound("max_messages", max_messages)
        check_bound("max_bytes", max_bytes)
        self._policy = policy
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        # Each with its size, and how many were lost between it and the one before. None while there
        # are none, as for most subscribers: an empty deque takes 0.7 KiB.
        self._waiting: deque[tuple[T, int, int]] | None = None
        self._count = 0
        self._lost_first = 0  # before the first that waits
        self._lost_last = 0  # behind the last that waits; where none does, all are `_lost_first`
        self._is_closed = False
        self._offered = 0
        self._delivered = 0
        self.dropped = 0
        """Messages that will never be taken, those that a newer one replaced included."""
        self._coalesced = 0
        self.pending_bytes = 0
        """What the messages that wait add up to."""

    def anew(self) -> Self:
        """An empty one, of which nothing is known yet."""
        return type(self)(self._policy, max_messages=self.max_messages, max_bytes=self.max_bytes)

    @property
    def policy(self) -> Overflow:
        """What becomes of a message for which there is no room."""
        return self._policy

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken in any more: it overflowed, or was closed."""
        return self._is_closed

    def __len__(self) -> int:
        """How many messages wait."""
        return self._count

    def __bool__(self) -> bool:
        """Whether `take` has something to give."""
        return self._count > 0 or self._lost_first > 0

    @property
    def counters(self) -> MailboxCounters:
        """What has gone through it so far."""
        return MailboxCounters(
            published=self._offered,
            delivered=self._delivered,
            dropped=self.dropped,
            coalesced=self._coalesced,
            pending=self._count,
            pending_bytes=self.pending_bytes,
        )

    def offer(self, item: T, size: int, key: Hashable = None) -> Offer:
        """Take in a message of `size` bytes, or do with it what the policy says.

        `key` is whose older message it takes the place of, where the policy coalesces.
        """
        if self._is_closed:
            return Offer.CLOSED
        if self._has_room(size):
            self._offered += 1
            self._keep(item, size, key)
            return Offer.KEPT
        policy = self._policy
        if policy is Overflow.BLOCK:
            return Offer.FULL
        self._offered += 1
        if policy is Overflow.DROP_NEWEST:
            self._lose_newest()
            return Offer.DROPPED
        if policy is Overflow.DISCONNECT:
            self.dropped += 1
            self.close()
            return Offer.OVERFLOWED
        while not self._has_room(size):
            self._pop_oldest()
            self.dropped += 1
            self._lost_first += 1
        self._keep(item, size, key)
        return Offer.MADE_ROOM

    def lose(self) -> None:
        """Count a message that was offered, was refused as `FULL`, and is given up."""
        if not self._is_closed:
            self._offered += 1
            self._lose_newest()

    def take(self) -> T | Lost | None:
        """What comes next: a message, how many were lost in this place, or None for nothing."""
        if self._lost_first:
            lost, self._lost_first = self._lost_first, 0
            return Lost(lost)
        if not self._count:
            return None
        self._delivered += 1
        return self._pop_oldest()

    def close(self) -> None:
        """Take in nothing more, and drop what waits: counted, but not told. May be repeated."""
        self._is_closed = True
        self.dropped += self._count
        self._waiting = None
        self._count = self.pending_bytes = 0
        self._lost_first = self._lost_last = 0

    def _has_room(self, size: int) -> bool:
        if not self._count:
            return True
        return self._count < self.max_messages and self.pending_bytes + size <= self.max_bytes

    def _keep(self, item: T, size: int, key: Hashable) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append((item, size, self._lost_last))
        self._lost_last = 0
        self._count += 1
        self.pending_bytes += size

    def _pop_oldest(self) -> T:
        assert self._waiting is not None
        item, size, _ = self._waiting.popleft()
        self._count -= 1
        self.pending_bytes -= size
        if self._waiting:
            self._lost_first += self._waiting[0][2]
        else:
            self._waiting = None
            self._lost_first += self._lost_last
            self._lost_last = 0
        return item

    def _lose_newest(self) -> None:
        self.dropped += 1
        if self._waiting is None:
            self._lost_first += 1
        else:
            self._lost_last += 1


class CoalescingMailbox(Mailbox[T]):
    """A mailbox where a message takes the place of an older one with its key.

    The order is that of the last updates. What was replaced counts as dropped, and as coalesced,
    but is not told as lost, as what is newer is there. What was lost is told before all that waits.
    """

    __slots__ = ("_by_key",)

    def __init__(self, policy: Overflow, *, max_messages: int, max_bytes: int) -> None:
        super().__init__(policy, max_messages=max_messages, max_bytes=max_bytes)
        self._by_key: OrderedDict[Hashable, tuple[T, int]] | None = None

    def offer(self, item: T, size: int, key: Hashable = None) -> Offer:
        has_replaced = self._by_key is not None and key in self._by_key
        if has_replaced:
            self._replace(key)
        offer = super().offer(item, size, key)
        return Offer.REPLACED if has_replaced and offer is Offer.KEPT else offer

    def close(self) -> None:
        super().close()
        self._by_key = None

    def _replace(self, key: Hashable) -> None:
        assert self._by_key is not None
        _, size = self._by_key.pop(key)
        self._count -= 1
        self.pending_bytes -= size
        self.dropped += 1
        self._coalesced += 1

    def _keep(self, item: T, size: int, key: Hashable) -> None:
        if self._by_key is None:
            self._by_key = OrderedDict()
        self._by_key[key] = (item, size)
        self._count += 1
        self.pending_bytes += size

    def _pop_oldest(self) -> T:
        assert self._by_key is not None
        _, (item, size) = self._by_key.popitem(last=False)
        self._count -= 1
        self.pending_bytes -= size
        if not self._by_key:
            self._by_key = None
        return item

    def _lose_newest(self) -> None:
        self.dropped += 1
        self._lost_first += 1


def mailbox_for(policy: Overflow, *, max_messages: int, max_bytes: int) -> Mailbox[T]:
    """An empty mailbox. Raises ValueError for a bound that is not at least 1, and TypeError."""
    if not isinstance(policy, Overflow):  # pyright: ignore[reportUnnecessaryIsInstance] - "block" would drop
        raise TypeError(f"a policy is one of Overflow, such as Overflow.BLOCK, not {policy!r}")
    if policy is Overflow.COALESCE:
        return CoalescingMailbox(policy, max_messages=max_messages, max_bytes=max_bytes)
    return Mailbox(policy, max_messages=max_messages, max_bytes=max_bytes)
