"""Giving one message to all who are to get it, in the publisher's turn.

Most connections take a message at once. So the publisher awaits their `send` itself, as the naive
loop does, in a coroutine that is run by hand. Where a `send` does wait, that coroutine is left to
the connection that it waits for, and a new one goes on with the others: no publisher waits.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from asgi_rt.asgi import Message as ASGIMessage
from asgi_rt.hub.mailbox import Offer
from asgi_rt.hub.message import Message
from asgi_rt.hub.outcome import Published
from asgi_rt.hub.registry import Encode
from asgi_rt.hub.subscription import Subscription
from asgi_rt.hub.tickets import Ticket
from asgi_rt.hub.turn import Turn

__all__ = ["Distribution", "Waiting", "wait_for_room"]

Waiting: TypeAlias = list[tuple[Subscription, Ticket]]

# How long messages are pushed in one go. What is left then waits in mailboxes, each of which is
# emptied in a turn of its own, so a message to very many does not keep all others waiting.
_PUSH_SECONDS: Final = 0.01
_PUSHES_A_LOOK: Final = 64
_processor_time = time.thread_time  # not the time for which others had the processor


class Distribution:
    """One message on its way to its subscribers. `deliver` it once; never waits.

    Those who block and have no room go to `waiting`; where that is None it is lost for them.
    """

    __slots__ = (
        "_delivered",
        "_disconnected",
        "_dropped",
        "_message",
        "_push_until",
        "_queued",
        "_served",
        "_turn",
        "_waiting",
    )

    def __init__(self, message: Message, turn: Turn, waiting: Waiting | None) -> None:
        self._message = message
        self._turn = turn
        self._waiting = waiting
        self._served: Subscription | None = None
        self._push_until = 0.0
        self._delivered = 0
        self._queued = 0
        self._dropped = 0
        self._disconnected = 0

    def deliver(self, subscriptions: Sequence[Subscription]) -> Published:
        """Push the message to each who can be pushed to, and have it wait for the others."""
        if subscriptions:
            self._turn.begin()
            self._push_until = _processor_time() + _PUSH_SECONDS
            left = iter(subscriptions)
            while (waits_for := self._run(step := self._push(left))) is not step:
                subscription, self._served = self._served, None
                assert subscription is not None and subscription.lane is not None
                self._delivered += 1
                subscription.mailbox.passed += 1
                subscription.lane.carry_on(step, waits_for)
        return Published(
            self._message.id, self._delivered, self._queued, self._dropped, self._disconnected
        )

    def _run(self, step: Any) -> Any:
        """Run a coroutine up to where it waits: what it waits for; itself where it has ended."""
        try:
            return step.send(None)
        except StopIteration:
            return step

    async def _push(self, left: Iterator[Subscription]) -> None:
        # The loop that the speed of everything hangs on: of 6 us that a server takes for each
        # connection, what stands here takes 0.3. So it is long, and calls nothing that it need not.
        message = self._message
        exclude = message.exclude
        turn = self._turn.number
        sent_at = self._turn.began_at
        encode: Encode | None = None
        wire: ASGIMessage = {}
        for subscription in left:
            if (exclude is not None or subscription.is_choosy) and not subscription.wants(message):
                continue
            lane = subscription.lane
            if lane is None or lane.sending or lane.pushed_in == turn or lane.is_due:
                self._offer(subscription)
                continue
            if subscription.encode is not encode:
                try:
                    wire = message.wire(subscription.encode)
                except Exception:  # raised again where it is that connection's alone
                    self._offer(subscription)
                    continue
                encode = subscription.encode
            lane.sending = True
            lane.pushed_in = turn
            lane.sent_at = sent_at
            self._served = subscription
            try:
                await lane.send(wire.copy())
            except Exception as error:
                if self._served is not subscription:
                    raise
                lane.fail(error)
                continue
            if self._served is not subscription:  # it waited: this is not the publisher's any more
                return
            lane.sending = False
            subscription.mailbox.passed += 1
            self._delivered += 1
            if not self._delivered % _PUSHES_A_LOOK and _processor_time() >= self._push_until:
                break
        for subscription in left:
            if subscription.wants(message):
                self._offer(subscription)
        self._served = None

    def _offer(self, subscription: Subscription) -> None:
        offer = subscription.offer(self._message)
        if offer is Offer.KEPT:
            self._queued += 1
        elif offer is Offer.REPLACED or offer is Offer.MADE_ROOM:
            self._queued += 1
            self._dropped += 1
        elif offer is Offer.DROPPED:
            self._dropped += 1
        elif offer is Offer.OVERFLOWED:
            self._disconnected += 1
        elif offer is Offer.FULL:
            if self._waiting is None:
                subscription.lose()
                self._dropped += 1
            else:
                self._waiting.append((subscription, subscription.queue(self._message)))


async def wait_for_room(waiting: Waiting, published: Published) -> Published:
    """Return when a message is in the mailboxes that had no room for it, or will never be.

    Cancelled, it is dropped for those who still have none; counted.
    """
    dropped = 0
    try:
        for _, ticket in waiting:
            await ticket.settled.wait()
            dropped += ticket.is_dropped
    except BaseException:
        for subscription, ticket in waiting:
            subscription.give_up(ticket)
        raise
    return replace(
        published,
        queued=published.queued + len(waiting) - dropped,
        dropped=published.dropped + dropped,
    )
