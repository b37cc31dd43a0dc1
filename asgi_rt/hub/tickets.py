"""Publishers that wait for room in a mailbox, in the order in which they came."""

from collections import deque

import anyio

from asgi_rt.hub.mailbox import Mailbox, Offer
from asgi_rt.hub.message import Gap, Message

__all__ = ["Ticket", "Tickets"]


class Ticket:
    """A message that waits for room, and its publisher with it."""

    __slots__ = ("is_dropped", "lost_before", "message", "settled")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.settled = anyio.Event()
        """Set when the message is in the mailbox, or dropped."""
        self.is_dropped = False
        self.lost_before = 0
        """Messages that were given up between the one before and this."""


class Tickets:
    """Those who wait for one mailbox. One task at a time."""

    __slots__ = ("_dropped", "_lost_last", "_waiting")

    def __init__(self) -> None:
        self._lost_last = 0
        # Those that were given up stay in their places until they are the first, or half of all: to
        # look for each would take thousands that are cancelled together quadratic time.
        self._waiting: deque[Ticket] = deque()
        self._dropped = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, message: Message) -> Ticket:
        """Have a message wait behind those that do."""
        ticket = Ticket(message)
        ticket.lost_before, self._lost_last = self._lost_last, 0
        self._waiting.append(ticket)
        return ticket

    def discard(self, ticket: Ticket, mailbox: Mailbox[Message | Gap]) -> None:
        """Give up a message that still waits. Counted when its turn comes, and told there."""
        _drop(ticket)
        self._dropped += 1
        if 2 * self._dropped > len(self._waiting):
            self._sweep()
        self.admit(mailbox)

    def _sweep(self) -> None:
        lost = 0
        waiting: deque[Ticket] = deque()
        for ticket in self._waiting:
            lost += ticket.lost_before
            if ticket.is_dropped:
                lost += 1
            else:
                ticket.lost_before, lost = lost, 0
                waiting.append(ticket)
        self._lost_last += lost
        self._waiting = waiting
        self._dropped = 0

    def lose(self) -> None:
        """Give up a message behind all that wait."""
        self._lost_last += 1

    def admit(self, mailbox: Mailbox[Message | Gap]) -> None:
        """Put as many into the mailbox as there is room for."""
        while self._waiting:
            ticket = self._waiting[0]
            _lose(mailbox, ticket.lost_before)
            ticket.lost_before = 0
            message = ticket.message
            if ticket.is_dropped:
                mailbox.lose()
                self._dropped -= 1
            elif mailbox.offer(message, len(message.payload)) is Offer.FULL:
                return
            self._waiting.popleft().settled.set()
        _lose(mailbox, self._lost_last)
        self._lost_last = 0

    def drop_all(self, mailbox: Mailbox[Message | Gap]) -> None:
        """Let everybody go: there will be no room. Counted, before the mailbox is closed."""
        while self._waiting:
            ticket = self._waiting.popleft()
            _lose(mailbox, ticket.lost_before + 1)
            _drop(ticket)
        self._dropped = 0
        _lose(mailbox, self._lost_last)
        self._lost_last = 0


def _lose(mailbox: Mailbox[Message | Gap], count: int) -> None:
    for _ in range(count):
        mailbox.lose()


def _drop(ticket: Ticket) -> None:
    ticket.is_dropped = True
    ticket.settled.set()
