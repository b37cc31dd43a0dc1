"""Getting messages to subscribers in the order in which they are published, turn by turn."""

from collections import deque
from collections.abc import Sequence

from asgi_rt.hub.burst import Burst
from asgi_rt.hub.distribution import Distribution, Waiting
from asgi_rt.hub.message import Message
from asgi_rt.hub.outcome import Published
from asgi_rt.hub.subscription import Subscription
from asgi_rt.hub.turn import Turn

__all__ = ["Delivery"]


class Delivery:
    """All that a hub gives out. One task at a time, and never waits.

    The first message of a turn goes out at once; what follows it to the same subscribers is held
    until the turn is over.
    """

    __slots__ = ("_audience", "_burst", "_is_giving", "_next", "_turn")

    def __init__(self) -> None:
        self._turn = Turn(self._end_turn)
        self._audience: Sequence[Subscription] = ()
        self._burst: Burst | None = None
        self._is_giving = False
        # What is published by a filter or a connection while a message is being given.
        self._next: deque[tuple[Message, Sequence[Subscription]]] = deque()

    @property
    def is_long(self) -> bool:
        """Whether this turn has lasted long, and others are to have theirs."""
        return self._turn.is_long

    def give(
        self, message: Message, audience: Sequence[Subscription], waiting: Waiting | None
    ) -> Published:
        """Give a message to all of them, after whatever was published before it.

        Those who block and have no room go to `waiting`; where that is None it is lost for them.
        """
        if self._is_giving:
            self._next.append((message, audience))
            return Published(message.id, 0, len(audience), 0, 0)
        self._is_giving = True
        try:
            published = self._give(message, audience, waiting)
            while self._next:
                self._give(*self._next.popleft(), None)
        finally:
            self._is_giving = False
        return published

    def end_burst(self) -> None:
        """Give out what is held."""
        burst, self._burst = self._burst, None
        if burst is not None:
            Distribution(burst.messages, self._turn, None).deliver(burst.held)

    def _end_turn(self) -> None:
        self.end_burst()
        self._audience = ()  # who is gone by then is not held on to

    def _give(
        self, message: Message, audience: Sequence[Subscription], waiting: Waiting | None
    ) -> Published:
        is_first = self._turn.begin()
        follows = not is_first and audience is self._audience and Burst.pays(message, audience)
        self._audience = audience
        if not follows:
            self.end_burst()
            return Distribution([message], self._turn, waiting).deliver(audience)
        burst = self._burst
        if burst is None:
            burst = self._burst = Burst(audience)
            published = Distribution([message], self._turn, waiting, burst).deliver(audience)
        else:
            published = Distribution([message], self._turn, waiting).deliver(burst.others)
        burst.add(message)
        if burst.is_full:
            self.end_burst()
        return published.with_queued(len(burst.held))
