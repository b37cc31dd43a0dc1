"""Getting messages to subscribers in the order in which they are published, turn by turn."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio.lowlevel

from asgi_rt.hub.burst import Burst
from asgi_rt.hub.distribution import Distribution, Waiting
from asgi_rt.hub.message import Message
from asgi_rt.hub.routes import Audience, Crowd
from asgi_rt.hub.subscription import Subscription
from asgi_rt.hub.turn import Turn

__all__ = ["Delivery"]


class Delivery:
    """All that a hub gives out. One task at a time.

    The first message of a turn goes out at once; what follows it to the same subscribers is held
    until the turn is over. A message to very many takes several turns.
    """

    __slots__ = ("_audience", "_burst", "_finish", "_is_giving", "_next", "_turn", "_unfinished")

    def __init__(self) -> None:
        self._turn = Turn(self._end_turn)
        self._audience: Sequence[Subscription] = ()
        self._burst: Burst | None = None
        self._unfinished: Distribution | None = None
        self._is_giving = False
        # What is published by a filter or a connection while a message is being given.
        self._next: deque[tuple[Message, Audience[Subscription]]] = deque()
        # What is to be done when all of that is given.
        self._finish: Callable[[], None] | None = None

    @property
    def is_long(self) -> bool:
        """Whether this turn has lasted long, and others are to have theirs."""
        return self._turn.is_long

    def give(
        self, message: Message, audience: Audience[Subscription], waiting: Waiting | None
    ) -> Distribution | None:
        """Give a message to an audience, after whatever was published before it. Never waits.

        None where another is being given, which it comes after. What is not over then takes several
        turns: `go_on` gives it to the rest, or `finish` does. Those who block and have no room go
        to `waiting`; where that is None it is lost for them.
        """
        if self._is_giving:
            self._next.append((message, Crowd(audience.ordered)))
            return None
        self._is_giving = True
        try:
            given = self._give_in_turn(message, audience, waiting)
        finally:
            self._is_giving = False
            self._close_late()
        return given

    def _give_in_turn(
        self, message: Message, to: Audience[Subscription], waiting: Waiting | None
    ) -> Distribution:
        """Give a message behind what an interrupt has left, and before what comes meanwhile."""
        try:
            if self._next:
                try:
                    self._give_one_by_one(len(self._next))
                except BaseException:
                    self._give(message, to, waiting)
                    raise
            given = self._give(message, to, waiting)
            self._give_next()
        except BaseException:
            self._finish_last()  # nobody will go on with it
            raise
        return given

    async def go_on(self, given: Distribution) -> None:
        """Give a message that was begun to the rest, a part of them in each turn.

        To be awaited by its publisher. Where something else is published meanwhile, or this is
        cancelled, it goes into the mailboxes of all who are left.
        """
        try:
            while not given.is_over:
                await anyio.lowlevel.checkpoint()
                if not given.is_over:
                    self._turn.begin()
                    self._guarded(given.push)
        finally:
            self.finish(given)

    def finish(self, given: Distribution | None) -> None:
        """Have a message that was begun wait for the rest, if it is not over."""
        if given is None:
            return
        if self._unfinished is given:
            self._unfinished = None
        if not given.is_over:
            self._guarded(given.finish)

    def close(self, finish: Callable[[], None]) -> None:
        """Give out all there is, what has no time left into mailboxes, and then call `finish`.

        Where a message is being given, that is when it was, and what is published meanwhile too.
        """
        self._finish = finish
        if not self._is_giving:
            self._close_late()

    def end_burst(self) -> None:
        """Give out what is held."""
        if self._is_giving:
            self._end_burst()
        else:
            self._guarded(self._end_burst)

    def _end_turn(self) -> None:
        self._guarded(self._give_burst)
        self._audience = ()  # who is gone by then is not held on to

    def _guarded(self, give: Callable[[], None]) -> None:
        """Give something out, and after it what is published while that is being done."""
        self._is_giving = True
        try:
            try:
                give()
            finally:
                self._give_next()
        finally:
            self._is_giving = False
            self._close_late()

    def _close_late(self) -> None:
        finish, self._finish = self._finish, None
        if finish is None:
            return
        try:
            while self._has_to_settle():
                self._guarded(self._settle)
        except BaseException:
            with suppress(BaseException):
                self._guarded(self._settle)  # what that has left
            raise
        finally:
            finish()

    def _has_to_settle(self) -> bool:
        """Whether anybody is still to be given something."""
        return bool(self._next) or self._burst is not None or self._unfinished is not None

    def _settle(self) -> None:
        """Give all that there is, what has no time left into mailboxes, though one raises."""
        try:
            self._give_next()
        finally:
            try:
                self._end_burst()
            finally:
                self._finish_last()

    def _finish_last(self) -> None:
        """Have the message that others are still given wait for them."""
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            unfinished.finish()

    def _give_burst(self) -> None:
        """Push what is held to all for whom it is, however long that takes.

        They are not more than could be pushed to in this turn before. In their mailboxes it might
        leave no room for what is published before they have had theirs.
        """
        self._end_burst(until_over=True)

    def _end_burst(self, *, until_over: bool = False) -> None:
        """Push what is held, and have it wait for those for whom there is no time left."""
        burst, self._burst = self._burst, None
        if burst is not None:
            held = Distribution(burst.messages, burst.held, None, self._turn, None, joins=False)
            try:
                held.push()
                while until_over and not held.is_over:
                    held.push()
            finally:
                held.finish()

    def _give_next(self) -> None:
        while self._next:
            self._give_one_by_one(len(self._next))

    def _give_one_by_one(self, count: int) -> None:
        """Give so many of what is next, though one raises something: no more, to come to an end."""
        for left in range(count, 0, -1):
            try:
                self._give_one_more()
            except BaseException:
                for _ in range(left - 1):
                    # The first is raised below; a second one is not to cost others a message.
                    with suppress(BaseException):
                        self._give_one_more()
                raise

    def _give_one_more(self) -> None:
        try:
            self._give(*self._next.popleft(), None)
        finally:
            self._finish_last()

    def _give(
        self, message: Message, to: Audience[Subscription], waiting: Waiting | None
    ) -> Distribution:
        given: Distribution | None = None
        try:
            given = self._begin(message, to, waiting)
            given.push()
            if self._turn.is_first and to.ordered:
                self._turn.renew()  # for what may follow, to be held
        except BaseException:  # it is not for those who come next
            if given is None:
                with suppress(BaseException):
                    self._end_burst()  # that comes before it
                given = Distribution([message], to.ordered, None, self._turn, waiting)
            given.finish()
            raise
        if not given.is_over:
            self._unfinished = given
        return given

    def _begin(
        self, message: Message, to: Audience[Subscription], waiting: Waiting | None
    ) -> Distribution:
        """A message behind all that was published before it, for those to whom it is pushed now."""
        is_first = self._turn.begin()
        self._finish_last()
        audience = to.ordered
        follows = not is_first and audience is self._audience and Burst.pays(message, audience)
        self._audience = audience
        if not follows:
            self._end_burst()
            return Distribution([message], audience, to.seats, self._turn, waiting)
        return self._give_in_burst(message, audience, waiting)

    def _give_in_burst(
        self, message: Message, audience: Sequence[Subscription], waiting: Waiting | None
    ) -> Distribution:
        if self._burst is not None and not self._burst.has_room(message):
            self._give_burst()
        burst = self._burst
        if burst is None:
            burst = self._burst = Burst(audience, self._turn.began_at)
        burst.add(message)
        given = Distribution([message], burst.others, None, self._turn, waiting)
        given.hold(len(burst.held))
        return given
