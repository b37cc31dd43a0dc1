"""Giving one message to all who are to get it, in the publisher's turn.

Most connections take a message at once. So the publisher awaits their `send` itself, as the naive
loop does, in a coroutine that is run by hand. Where a `send` does wait, that coroutine is left to
the connection that it waits for, and a new one goes on with the others: no publisher waits.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any, Final, TypeAlias

from asgi_rt.errors import HubError
from asgi_rt.hub.cohort import Cohort, Seats
from asgi_rt.hub.filtering import FAILURES
from asgi_rt.hub.mailbox import Offer
from asgi_rt.hub.message import MAX_WIRES, Encoding, Message
from asgi_rt.hub.outcome import Published
from asgi_rt.hub.subscription import Subscription
from asgi_rt.hub.tickets import Ticket
from asgi_rt.hub.turn import Turn

__all__ = ["Distribution", "Waiting", "give_up", "wait_for_room"]

Waiting: TypeAlias = list[tuple[Subscription, Ticket]]

# When a turn is spent others have theirs, before a message to very many goes on to the rest of
# them. So many are pushed before each look.
_PUSHES_A_LOOK: Final = 64
_TAKEN: Final = frozenset({Offer.KEPT, Offer.REPLACED, Offer.MADE_ROOM})


class Distribution:
    """One message on its way to its subscribers, or several as one; `push` it until it is over.

    Those who block and have no room go to `waiting`; where that is None it is lost for them. Where
    it `joins`, it waits for those who were pushed to in this turn, and have it with what follows.
    Never waits. One task at a time.
    """

    __slots__ = (
        "_audience_size",
        "_disconnected",
        "_dropped",
        "_interrupt",
        "_joins",
        "_left",
        "_messages",
        "_not_pushed",
        "_queued",
        "_seats",
        "_served",
        "_turn",
        "_waiting",
        "_wires",
        "is_over",
    )

    def __init__(
        self,
        messages: Sequence[Message],
        audience: Sequence[Subscription],
        seats: Seats[Subscription] | None,
        turn: Turn,
        waiting: Waiting | None,
        *,
        joins: bool = True,
    ) -> None:
        self._messages = messages
        self._joins = joins and len(messages) == 1
        self._left = iter(audience)
        # Those of the audience who need not be looked at, unless the message is not for everybody.
        self._seats = seats if messages[0].exclude is None else None
        self._audience_size = len(audience)
        self._turn = turn
        self._waiting = waiting
        # Not kept with the message, which may outlast this by hours.
        self._wires: dict[Encoding, dict[str, Any]] = {}
        self._served: Subscription | None = None
        # What was raised for the publisher while others were still to be given it.
        self._interrupt: BaseException | None = None
        # Those who are, are not counted one by one: that would be a tenth of what they take here.
        self._not_pushed = 0
        self._queued = 0
        self._dropped = 0
        self._disconnected = 0
        self.is_over = not audience
        """Whether everybody was given it."""

    @property
    def published(self) -> Published:
        """What has become of it, once it is over."""
        id = self._messages[-1].id  # noqa: A001 - the field's name
        delivered = self._audience_size - self._not_pushed
        return Published(id, delivered, self._queued, self._dropped, self._disconnected)

    def push(self) -> None:
        """Push to each who can be pushed to, have it wait for others, until the turn is spent."""
        if self.is_over:
            return
        seats, self._seats = self._seats, None
        if seats is not None and seats.cohorts:
            is_begun = self._push_to_cohorts(seats)
            if is_begun and (self.is_over or self._turn.is_spent):
                return
        while (waits_for := self._run(step := self._push().__await__())) is not step:
            subscription, self._served = self._served, None
            assert subscription is not None
            assert subscription.sink is not None
            subscription.pushed += len(self._messages)
            subscription.sink.carry_on(step, waits_for)

    def _push_to_cohorts(self, seats: Seats[Subscription]) -> bool:
        """Push to those who are seated, as far as that is possible, and leave the rest.

        False where everybody is left.
        """
        encodings = {cohort.encode for cohort in seats.cohorts}
        if len(encodings) > MAX_WIRES:
            return False
        changes = seats.changes
        for encode in encodings:
            self._try_wire(encode)
        if seats.changes != changes:  # what makes them is the app's: it may have ended somebody
            return False
        seats.risen = []
        try:
            left = self._serve(seats)
        finally:
            seats.risen = None
        self._left = iter(left)
        self.is_over = not left
        self._raise_interrupt()
        return len(left) < self._audience_size

    def _raise_interrupt(self) -> None:
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            try:
                raise interrupt
            finally:
                del interrupt  # its traceback knows this frame

    def _serve(self, seats: Seats[Subscription]) -> list[Subscription]:
        """Push to one cohort after another; who is left."""
        assert seats.risen is not None
        left = list(seats.standing)
        cohorts = list(seats.cohorts)
        for number, cohort in enumerate(cohorts):
            # In another turn they may have changed places, so nobody is left seated.
            if number and self._turn.is_spent:
                left += chain.from_iterable(late.sends for late in cohorts[number:])
                break
            wire = self._wires.get(cohort.encode)
            joins = cohort.encode.joins and cohort.given_at == self._turn.began_at
            if wire is None or joins:
                left += cohort.sends
            else:
                self._push_to(cohort, wire)
            if seats.risen:
                # A push that waits stops all who share its connection, wherever they sit.
                later = frozenset(cohorts[number + 1 :])
                left += (member for member, place in seats.risen if place in later)
                seats.risen.clear()
        return left

    def _try_wire(self, encode: Encoding) -> None:
        """Make what those are sent who have this encoding; else each must be looked at."""
        with suppress(Exception):  # raised again where it is one connection's alone
            self._wire(encode)

    def _push_to(self, cohort: Cohort[Subscription], wire: dict[str, Any]) -> None:
        """Push to all of a cohort. Nothing of the app's runs meanwhile, nor any other task."""
        count = len(self._messages)
        cohort.given += count
        cohort.given_at = self._turn.began_at
        members: Sequence[Subscription] = ()
        left = iter(list(cohort.sends.values()))
        while True:
            step = _send_to_each(left, wire).__await__()
            waits_for: Any = None
            error: Exception | None = None
            try:
                waits_for = next(step)
            except StopIteration:
                return
            except BaseException as raised:
                error = _failure(raised)
                if not isinstance(raised, FAILURES):
                    self._interrupt = raised
            members = members or tuple(cohort.sends)
            rest = list(left)  # and what was begun will not go on with them
            members = members[len(members) - len(rest) - 1 :]
            subscription, members = members[0], members[1:]
            assert subscription.sink is not None
            if error is None:
                subscription.sink.carry_on(step, waits_for)
            else:
                subscription.pushed -= count
                self._count_failed(subscription)
                subscription.sink.fail(error)
            members = self._who_sits_on(members, cohort)
            left = iter([cohort.sends[member] for member in members])

    def _who_sits_on(
        self, members: Sequence[Subscription], cohort: Cohort[Subscription]
    ) -> Sequence[Subscription]:
        """Those who can be pushed to still; for others, who share a connection, it waits."""
        if all(member in cohort.sends for member in members):
            return members
        for member in members:
            if member not in cohort.sends:
                member.pushed -= len(self._messages)
                self._offer(member)
        return [member for member in members if member in cohort.sends]

    def finish(self) -> None:
        """Have it wait for all who are left: what comes next is to come after it.

        That is so whatever their filters raise, of which the first is raised here.
        """
        try:
            self._finish()
        except BaseException:
            while not self.is_over:
                with suppress(BaseException):
                    self._finish()
            raise

    def _finish(self) -> None:
        message = self._messages[0]
        for subscription in self._left:
            if subscription.wants(message):
                self._offer(subscription)
            else:
                self._not_pushed += 1
        self.is_over = True

    def hold(self, count: int) -> None:
        """So many more get it, and it is held for them."""
        self._queued += count

    def _run(self, step: Any) -> Any:
        """Run an awaitable up to where it waits: what it waits for; itself where it has ended."""
        try:
            return next(step)
        except StopIteration:
            return step

    async def _push(self) -> None:
        # What takes its time here is taken for each message and subscriber, so it calls nothing
        # that it need not, and reads little else than what stands together in a subscription.
        message = self._messages[0]
        count = len(self._messages)
        exclude = message.exclude
        now = self._turn.began_at
        may_join = self._joins and not self._turn.is_first
        pushes_left = _PUSHES_A_LOOK
        encode: Encoding | None = None
        wire: dict[str, Any] = {}
        for subscription in self._left:
            if (exclude is not None or subscription.is_choosy) and not subscription.wants(message):
                self._not_pushed += 1
                continue
            if not subscription.is_pushable:
                self._offer(subscription)
                continue
            if may_join and _joins(subscription, now):
                self._offer(subscription)  # it gets all that is to come in this turn as one
                continue
            if subscription.encode is not encode:
                try:
                    wire = self._wire(subscription.encode)
                except BaseException as error:  # raised again where it is that connection's alone
                    self._offer(subscription)
                    if isinstance(error, FAILURES):
                        continue
                    raise
                encode = subscription.encode
                # What makes it may have sent something, or ended the connection.
                if not subscription.is_pushable:
                    self._offer(subscription)
                    continue
            subscription.pushed_at = now
            self._served = subscription
            try:
                await subscription.server_send(wire)
            except BaseException as error:
                if self._served is not subscription:
                    raise
                self._count_failed(subscription)
                assert subscription.sink is not None
                subscription.sink.fail(_failure(error))
                if isinstance(error, FAILURES):
                    continue
                raise
            if self._served is not subscription:  # it waited: this is not the publisher's any more
                return
            subscription.pushed += count
            pushes_left -= 1
            if not pushes_left:
                if self._turn.is_spent:
                    break
                pushes_left = _PUSHES_A_LOOK
        else:
            self.is_over = True
        self._served = None

    def _wire(self, encode: Encoding | None) -> dict[str, Any]:
        assert encode is not None
        wire = self._wires.get(encode)
        if wire is None:
            messages = self._messages
            wire = encode.join(messages) if len(messages) > 1 else encode(messages[0])
            if len(self._wires) < MAX_WIRES:
                self._wires[encode] = wire
        return wire

    def _count_failed(self, subscription: Subscription) -> None:
        self._not_pushed += 1
        for _ in self._messages:
            subscription.mailbox.lose()
        self._dropped += len(self._messages)

    def _offer(self, subscription: Subscription) -> None:
        self._not_pushed += 1
        for message in self._messages:
            self._offer_one(subscription, message)

    def _offer_one(self, subscription: Subscription, message: Message) -> None:
        mailbox = subscription.mailbox
        dropped_before = mailbox.dropped
        offer = subscription.offer(message)
        if offer in _TAKEN:
            self._queued += 1
        elif offer is Offer.OVERFLOWED:
            self._disconnected += 1
        elif offer is Offer.FULL:
            if self._waiting is not None:
                self._waiting.append((subscription, subscription.queue(message)))
                return
            subscription.lose()
            self._dropped += 1  # the mailbox counts it behind publishers that wait
            return
        if subscription.mailbox is mailbox:  # else it went back to history, and lost nothing
            self._dropped += mailbox.dropped - dropped_before


async def _send_to_each(sends: Iterator[Any], wire: dict[str, Any]) -> None:
    # The naive loop, in other words: what the speed of everything hangs on.
    for send in sends:
        await send(wire)


def _joins(subscription: Subscription, turn_began_at: float) -> bool:
    """Whether it was pushed to in this turn, and gets what follows as one."""
    if subscription.pushed_last_at != turn_began_at:
        return False
    return subscription.encode is not None and subscription.encode.joins


def _failure(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    return HubError(f"a send raised {type(error).__name__} by itself")


def give_up(waiting: Waiting) -> None:
    """Drop a message for those who have no room for it; counted."""
    for subscription, ticket in waiting:
        subscription.give_up(ticket)


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
        give_up(waiting)
        raise
    return replace(
        published,
        queued=published.queued + len(waiting) - dropped,
        dropped=published.dropped + dropped,
    )
