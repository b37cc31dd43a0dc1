"""What waits for one subscriber: each policy by itself, and all of them against a list."""

import gc
import sys
import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgi_rt.hub.mailbox import Lost, MailboxCounters, Offer, Overflow, mailbox_for

LOSSY = [Overflow.BLOCK, Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.COALESCE]


def mailbox(policy, max_messages=3, max_bytes=100):
    return mailbox_for(policy, max_messages=max_messages, max_bytes=max_bytes)


def offer_all(box, *messages, size=1):
    """What became of each; a message is its own key."""
    return [box.offer(message, size, message) for message in messages]


def take_all(box):
    """Everything that it has to give; a `Lost` as its number."""
    taken = []
    while (item := box.take()) is not None:
        taken.append(item.missed if isinstance(item, Lost) else item)
    return taken


# Every policy


@pytest.mark.parametrize("policy", Overflow)
def test_messages_are_taken_in_order(policy):
    box = mailbox(policy)
    assert offer_all(box, "a", "b", "c") == [Offer.KEPT] * 3
    assert take_all(box) == ["a", "b", "c"]
    assert box.counters == MailboxCounters(3, 3, 0, 0, 0, 0)


@pytest.mark.parametrize("policy", Overflow)
def test_an_empty_mailbox_has_nothing_to_give(policy):
    box = mailbox(policy)
    assert (box.take(), len(box), bool(box), box.is_closed) == (None, 0, False, False)
    assert box.policy is policy
    assert box.counters == MailboxCounters(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("policy", Overflow)
def test_what_waits_is_counted_in_messages_and_bytes(policy):
    box = mailbox(policy)
    box.offer("a", 10, "a")
    box.offer("b", 7, "b")
    assert (len(box), bool(box), box.pending_bytes) == (2, True, 17)
    assert box.counters == MailboxCounters(2, 0, 0, 0, 2, 17)
    assert box.take() == "a"
    assert box.counters == MailboxCounters(2, 1, 0, 0, 1, 7)


@pytest.mark.parametrize("policy", Overflow)
def test_a_message_that_is_too_large_is_taken_in_alone(policy):
    box = mailbox(policy, max_bytes=10)
    assert box.offer("huge", 1000, "huge") is Offer.KEPT
    assert box.pending_bytes == 1000
    assert box.take() == "huge"
    assert box.pending_bytes == 0


@pytest.mark.parametrize("policy", Overflow)
def test_a_message_of_no_bytes_needs_a_place_all_the_same(policy):
    box = mailbox(policy, max_messages=2)
    assert offer_all(box, "a", "b", size=0) == [Offer.KEPT, Offer.KEPT]
    assert box.offer("c", 0, "c") is not Offer.KEPT


@pytest.mark.parametrize("policy", Overflow)
def test_a_closed_mailbox_takes_in_and_counts_nothing(policy):
    box = mailbox(policy)
    offer_all(box, "a", "b")
    box.close()
    box.close()
    assert box.is_closed
    before = box.counters
    assert before == MailboxCounters(2, 0, 2, 0, 0, 0)
    assert box.offer("c", 1, "a") is Offer.CLOSED
    box.lose()
    assert box.counters == before
    assert (box.take(), len(box), bool(box)) == (None, 0, False)


@pytest.mark.parametrize("policy", LOSSY)
def test_what_was_lost_is_not_told_once_it_is_closed(policy):
    box = mailbox(policy, max_messages=1)
    offer_all(box, "a", "b")
    box.lose()
    assert box
    box.close()
    assert (bool(box), box.take()) == (False, None)


@pytest.mark.parametrize("policy", LOSSY)
def test_a_message_that_is_given_up_is_counted_and_told(policy):
    box = mailbox(policy)
    box.lose()
    assert (bool(box), len(box)) == (True, 0)
    assert box.counters == MailboxCounters(1, 0, 1, 0, 0, 0)
    assert take_all(box) == [1]
    assert not box


@pytest.mark.parametrize("bound", ["max_messages", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
@pytest.mark.parametrize("policy", Overflow)
def test_a_bound_that_makes_no_sense_is_refused(policy, bound, value):
    bounds = {"max_messages": 1, "max_bytes": 1, bound: value}
    with pytest.raises(ValueError, match=f"{bound} is at least 1, not {value}"):
        mailbox_for(policy, **bounds)


@pytest.mark.parametrize("policy", Overflow)
def test_the_least_bounds_let_one_message_wait(policy):
    box = mailbox(policy, max_messages=1, max_bytes=1)
    assert box.offer("a", 1, "a") is Offer.KEPT
    assert box.offer("b", 1, "b") is not Offer.KEPT


@pytest.mark.parametrize("policy", Overflow)
@pytest.mark.parametrize("sizes", [(50, 50), (1, 99)])
def test_what_fits_exactly_fits(policy, sizes):
    box = mailbox(policy, max_messages=2, max_bytes=100)
    assert [box.offer(number, size, number) for number, size in enumerate(sizes)] == [
        Offer.KEPT,
        Offer.KEPT,
    ]


# Block


def test_block_refuses_and_counts_nothing():
    box = mailbox(Overflow.BLOCK, max_messages=2)
    assert offer_all(box, "a", "b", "c") == [Offer.KEPT, Offer.KEPT, Offer.FULL]
    assert box.counters == MailboxCounters(2, 0, 0, 0, 2, 2)
    assert box.take() == "a"
    assert box.offer("c", 1) is Offer.KEPT
    assert take_all(box) == ["b", "c"]


def test_block_tells_what_was_given_up_where_it_is_missing():
    box = mailbox(Overflow.BLOCK, max_messages=1)
    box.offer("a", 1)
    box.lose()
    box.lose()
    assert box.take() == "a"
    assert box.offer("d", 1) is Offer.KEPT
    assert take_all(box) == [2, "d"]


# Drop oldest


def test_drop_oldest_keeps_the_newest():
    box = mailbox(Overflow.DROP_OLDEST, max_messages=2)
    assert offer_all(box, "a", "b", "c", "d") == [Offer.KEPT] * 2 + [Offer.MADE_ROOM] * 2
    assert box.counters == MailboxCounters(4, 0, 2, 0, 2, 2)
    assert take_all(box) == [2, "c", "d"]


def test_drop_oldest_drops_as_many_as_the_bytes_need():
    box = mailbox(Overflow.DROP_OLDEST, max_messages=9, max_bytes=10)
    offer_all(box, "a", "b", "c", size=3)
    assert box.offer("d", 5, None) is Offer.MADE_ROOM
    assert box.pending_bytes == 8
    assert take_all(box) == [2, "c", "d"]


def test_drop_oldest_drops_all_for_one_that_is_too_large():
    box = mailbox(Overflow.DROP_OLDEST, max_bytes=10)
    offer_all(box, "a", "b")
    assert box.offer("huge", 99) is Offer.MADE_ROOM
    assert (len(box), box.pending_bytes) == (1, 99)
    assert take_all(box) == [2, "huge"]


def test_losses_with_nothing_between_them_are_told_as_one():
    box = mailbox(Overflow.DROP_OLDEST, max_messages=1)
    box.offer("a", 1)
    box.lose()
    assert box.offer("c", 1) is Offer.MADE_ROOM
    assert take_all(box) == [2, "c"]


# Drop newest


def test_drop_newest_keeps_what_was_first_and_tells_the_loss_in_its_place():
    box = mailbox(Overflow.DROP_NEWEST, max_messages=2)
    assert offer_all(box, "a", "b", "c", "d") == [Offer.KEPT] * 2 + [Offer.DROPPED] * 2
    assert box.take() == "a"
    assert box.offer("e", 1) is Offer.KEPT
    assert box.counters == MailboxCounters(5, 1, 2, 0, 2, 2)
    assert take_all(box) == ["b", 2, "e"]


def test_each_loss_is_told_in_its_own_place():
    box = mailbox(Overflow.DROP_NEWEST, max_messages=2)
    offer_all(box, "a", "b", "lost")
    box.take()
    offer_all(box, "c", "lost", "lost")
    assert box.take() == "b"
    offer_all(box, "d", "lost")
    assert take_all(box) == [1, "c", 2, "d", 1]


def test_a_loss_is_told_when_the_last_that_waited_was_taken():
    box = mailbox(Overflow.DROP_NEWEST, max_messages=1)
    offer_all(box, "a", "b")
    assert box.take() == "a"
    assert box
    assert box.take() == Lost(1)
    assert not box


# Coalesce


def test_a_message_takes_the_place_of_the_one_with_its_key():
    box = mailbox(Overflow.COALESCE)
    assert box.offer("a1", 10, "a") is Offer.KEPT
    assert box.offer("a2", 4, "a") is Offer.REPLACED
    assert box.counters == MailboxCounters(2, 0, 1, 1, 1, 4)
    assert take_all(box) == ["a2"]
    assert box.counters == MailboxCounters(2, 1, 1, 1, 0, 0)


def test_the_order_is_that_of_the_last_updates():
    box = mailbox(Overflow.COALESCE)
    for message in ("a1", "b1", "c1", "a2", "b2"):
        box.offer(message, 1, message[0])
    assert take_all(box) == ["c1", "a2", "b2"]


def test_too_many_keys_make_the_one_updated_the_longest_ago_make_room():
    box = mailbox(Overflow.COALESCE, max_messages=2)
    assert [box.offer(each, 1, each[0]) for each in ("a1", "b1", "a2", "c1")] == [
        Offer.KEPT,
        Offer.KEPT,
        Offer.REPLACED,
        Offer.MADE_ROOM,
    ]
    assert box.counters == MailboxCounters(4, 0, 2, 1, 2, 2)
    assert take_all(box) == [1, "a2", "c1"]


def test_a_full_mailbox_has_room_for_a_key_that_waits():
    box = mailbox(Overflow.COALESCE, max_messages=2, max_bytes=10)
    box.offer("a1", 5, "a")
    box.offer("b1", 5, "b")
    assert box.offer("b2", 5, "b") is Offer.REPLACED
    assert take_all(box) == ["a1", "b2"]


def test_a_replacement_that_is_larger_makes_others_make_room():
    box = mailbox(Overflow.COALESCE, max_bytes=10)
    box.offer("a1", 5, "a")
    box.offer("b1", 5, "b")
    assert box.offer("b2", 6, "b") is Offer.MADE_ROOM
    assert box.counters == MailboxCounters(3, 0, 2, 1, 1, 6)
    assert take_all(box) == [1, "b2"]


def test_a_key_that_was_taken_is_no_replacement():
    box = mailbox(Overflow.COALESCE)
    box.offer("a1", 1, "a")
    box.take()
    assert box.offer("a2", 1, "a") is Offer.KEPT
    assert box.counters.coalesced == 0


def test_without_keys_only_the_last_waits():
    box = mailbox(Overflow.COALESCE)
    assert [box.offer(number, 1) for number in range(3)] == [Offer.KEPT] + [Offer.REPLACED] * 2
    assert take_all(box) == [2]


def test_a_loss_is_told_before_all_that_waits_where_messages_coalesce():
    box = mailbox(Overflow.COALESCE)
    box.offer("a", 1, "a")
    box.lose()
    assert box.counters == MailboxCounters(2, 0, 1, 0, 1, 1)
    assert take_all(box) == [1, "a"]


def test_a_key_that_cannot_be_one_changes_nothing():
    box = mailbox(Overflow.COALESCE)
    box.offer("a", 1, "a")
    with pytest.raises(TypeError, match="unhashable"):
        box.offer("b", 1, [])
    assert take_all(box) == ["a"]
    assert box.counters == MailboxCounters(1, 1, 0, 0, 0, 0)


# Disconnect


def test_disconnect_drops_all_and_closes():
    box = mailbox(Overflow.DISCONNECT, max_messages=2)
    results = offer_all(box, "a", "b", "c", "d")
    assert results == [Offer.KEPT, Offer.KEPT, Offer.OVERFLOWED, Offer.CLOSED]
    assert box.is_closed
    assert box.counters == MailboxCounters(3, 0, 3, 0, 0, 0)
    assert take_all(box) == []


def test_disconnect_strikes_for_bytes_too():
    box = mailbox(Overflow.DISCONNECT, max_bytes=10)
    assert box.offer("a", 6) is Offer.KEPT
    assert box.offer("b", 5) is Offer.OVERFLOWED


# Memory


class Letter:
    """A message of which the end can be watched."""


WAYS = {
    "taken": lambda box: box.take(),
    "closed": lambda box: box.close(),
    "dropped": lambda box: box.offer("newer", 1, "other"),
    "replaced": lambda box: box.offer("newer", 1, "key"),
}
ENDS = [
    *((policy, way) for policy in Overflow for way in ("taken", "closed")),
    (Overflow.DROP_OLDEST, "dropped"),
    (Overflow.COALESCE, "dropped"),
    (Overflow.DISCONNECT, "dropped"),
    (Overflow.COALESCE, "replaced"),
]


@pytest.mark.parametrize(("policy", "way"), ENDS, ids=lambda value: getattr(value, "name", value))
def test_a_message_is_let_go_of(policy, way):
    box = mailbox(policy, max_messages=1)
    letter = Letter()
    watched = weakref.ref(letter)
    box.offer(letter, 1, "key")
    del letter
    assert watched() is not None
    WAYS[way](box)
    gc.collect()
    assert watched() is None


@pytest.mark.parametrize("policy", Overflow)
def test_what_nothing_waits_in_holds_no_container(policy):
    def held(box):
        return sum(
            sys.getsizeof(each)
            for each in gc.get_referents(box)
            if not isinstance(each, type | Overflow)
        )

    box = mailbox(policy)
    least = held(box)
    for _ in range(3):
        box.offer("a", 1, "a")
        assert held(box) > least
        box.take()
    assert held(box) <= least + 100  # numbers that are not 0 any more


# Against a list


class Published:
    """A message as the model keeps it: what it is, and whether it still waits."""

    def __init__(self, number, size, key):
        self.number = number
        self.size = size
        self.key = key
        self.is_lost = False


class AgainstAList(RuleBasedStateMachine):
    """The model is the list of all that was published and not yet taken or told, in order.

    It knows neither counters nor gaps: it marks what is lost, and looks at the marks.
    """

    def __init__(self):
        super().__init__()
        self.line = []
        self.published = self.delivered = self.coalesced = self.dropped = 0
        self.told = 0
        self.is_closed = False

    @initialize(
        policy=st.sampled_from(Overflow),
        max_messages=st.integers(1, 4),
        max_bytes=st.integers(1, 20),
    )
    def make(self, policy, max_messages, max_bytes):
        self.policy = policy
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.box = mailbox_for(policy, max_messages=max_messages, max_bytes=max_bytes)

    @property
    def waiting(self):
        return [each for each in self.line if not each.is_lost]

    def fits(self, size):
        waiting = self.waiting
        return not waiting or (
            len(waiting) < self.max_messages
            and sum(each.size for each in waiting) + size <= self.max_bytes
        )

    def publish(self, size, key, *, is_lost=False):
        self.published += 1
        message = Published(self.published, size, key)
        message.is_lost = is_lost
        if is_lost:
            self.dropped += 1
        if is_lost and self.policy is Overflow.COALESCE:
            self.line.insert(0, message)
        else:
            self.line.append(message)
        return message.number

    def expected_of_offer(self, size, key):
        """What must come of an offer, and the message's number where it was published."""
        number = self.published + 1
        if self.is_closed:
            return Offer.CLOSED
        same = [each for each in self.waiting if each.key == key]
        if self.policy is Overflow.COALESCE and same:
            self.line.remove(same[0])
            self.dropped += 1
            self.coalesced += 1
        if self.fits(size):
            assert self.publish(size, key) == number
            return Offer.REPLACED if self.policy is Overflow.COALESCE and same else Offer.KEPT
        if self.policy is Overflow.BLOCK:
            return Offer.FULL
        if self.policy is Overflow.DROP_NEWEST:
            self.publish(size, key, is_lost=True)
            return Offer.DROPPED
        if self.policy is Overflow.DISCONNECT:
            self.publish(size, key, is_lost=True)
            self.forget_all()
            return Offer.OVERFLOWED
        while not self.fits(size):
            self.waiting[0].is_lost = True
            self.dropped += 1
        self.publish(size, key)
        return Offer.MADE_ROOM

    def forget_all(self):
        self.dropped += len(self.waiting)
        self.line = []
        self.is_closed = True

    def expected_of_take(self):
        lost = 0
        while self.line and self.line[0].is_lost:
            self.line.pop(0)
            lost += 1
        if lost:
            self.told += lost
            return Lost(lost)
        if not self.line:
            return None
        self.delivered += 1
        return self.line.pop(0).number

    @rule(size=st.integers(0, 8) | st.integers(0, 30), key=st.sampled_from("abc"))
    def offer(self, size, key):
        number = self.published + 1
        expected = self.expected_of_offer(size, key)
        assert self.box.offer(number, size, key) is expected

    @rule()
    def take(self):
        assert self.box.take() == self.expected_of_take()

    @rule()
    def take_all(self):
        while self.line:
            self.take()
        self.take()

    @rule()
    def lose(self):
        if not self.is_closed:
            self.publish(0, None, is_lost=True)
        self.box.lose()

    @precondition(lambda self: self.published > 6)
    @rule()
    def close(self):
        self.forget_all()
        self.box.close()

    @invariant()
    def what_it_says_of_itself_is_so(self):
        waiting = self.waiting
        pending_bytes = sum(each.size for each in waiting)
        counters = self.box.counters
        assert counters == MailboxCounters(
            self.published,
            self.delivered,
            self.dropped,
            self.coalesced,
            len(waiting),
            pending_bytes,
        )
        assert self.box.pending_bytes == pending_bytes
        assert len(self.box) == len(waiting)
        assert bool(self.box) is bool(self.line)
        assert self.box.is_closed is self.is_closed

    @invariant()
    def nothing_is_published_that_is_not_delivered_dropped_or_pending(self):
        counters = self.box.counters
        assert counters.published == counters.delivered + counters.dropped + counters.pending

    @invariant()
    def everything_dropped_is_told_or_was_replaced(self):
        if not self.is_closed:
            untold = sum(each.is_lost for each in self.line)
            assert self.box.counters.dropped == self.told + untold + self.coalesced

    @invariant()
    def the_bounds_hold(self):
        assert len(self.box) <= self.max_messages
        assert self.box.pending_bytes <= self.max_bytes or len(self.box) == 1

    def teardown(self):
        if hasattr(self, "box"):
            self.take_all()
            self.what_it_says_of_itself_is_so()
            assert not self.box


TestAgainstAList = pytest.mark.slow(AgainstAList.TestCase)
TestAgainstAList.settings = settings(deadline=None, max_examples=200, stateful_step_count=40)
