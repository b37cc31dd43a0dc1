"""Who waits for room: against a list that is looked through, whatever the order of giving up."""

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.hub.mailbox import Lost, Offer, Overflow, mailbox_for
from asgi_rt.hub.message import Message
from asgi_rt.hub.tickets import Tickets

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.just(0)),
        st.tuples(st.just("give up"), st.integers(0, 30)),
        st.tuples(st.just("lose"), st.just(0)),
        st.tuples(st.just("take"), st.just(0)),
    ),
    max_size=60,
)


class Waiting:
    """A mailbox and those who wait for it, and the list that they must be like."""

    def __init__(self):
        self.mailbox = mailbox_for(Overflow.BLOCK, max_messages=2, max_bytes=10_000)
        self.tickets = Tickets()
        self.published = 0
        # What is to come: a number, or "-" for one that is lost there.
        self.expected = []
        self.live = []

    def publish(self):
        number = self.published
        self.published += 1
        self.expected.append(number)
        message = Message.of("a", str(number))
        if not self.tickets:
            offer = self.mailbox.offer(message, len(message.payload))
            if offer is not Offer.FULL:
                return
        self.live.append((number, self.tickets.add(message)))

    def give_up(self, index):
        self.live = [each for each in self.live if not each[1].settled.is_set()]
        if self.live:
            number, ticket = self.live.pop(index % len(self.live))
            self.expected[self.expected.index(number)] = "-"
            self.tickets.discard(ticket, self.mailbox)
            assert ticket.is_dropped

    def lose(self):
        self.published += 1
        self.expected.append("-")
        (self.tickets or self.mailbox).lose()

    def take(self):
        if not self.mailbox:
            return []
        item = self.mailbox.take()
        self.tickets.admit(self.mailbox)
        return ["-"] * item.missed if isinstance(item, Lost) else [int(item.payload)]


def drained(waiting):
    found = []
    while waiting.mailbox:
        found += waiting.take()
    return found


@given(MOVES)
def test_everything_comes_in_its_order_and_what_was_given_up_is_told_in_its_place(moves):
    waiting = Waiting()
    found = []
    for move, index in moves:
        match move:
            case "publish":
                waiting.publish()
            case "give up":
                waiting.give_up(index)
            case "lose":
                waiting.lose()
            case _:
                found += waiting.take()
    found += drained(waiting)
    assert found == waiting.expected
    assert not waiting.tickets


def seconds_to_give_up(count):
    """All that wait, in no order."""
    mailbox = mailbox_for(Overflow.BLOCK, max_messages=1, max_bytes=10_000)
    mailbox.offer(Message.of("a", "first"), 5)
    tickets = Tickets()
    waiting = [tickets.add(Message.of("a", "x")) for _ in range(count)]
    random.Random(count).shuffle(waiting)
    began_at = time.perf_counter()
    for ticket in waiting:
        tickets.discard(ticket, mailbox)
    taken = time.perf_counter() - began_at
    assert mailbox.counters.dropped == count
    assert not tickets
    return taken


def test_eight_times_as_many_who_are_cancelled_take_no_more_than_their_share_of_time():
    few, many = (min(seconds_to_give_up(count) for _ in range(3)) for count in (2_000, 16_000))
    assert many < 24 * few
