"""What of a subscriber is looked at to push to it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asgi_rt.hub.cohort import Cohort, Seats
    from asgi_rt.hub.message import Encoding

__all__ = ["Pushed"]


class Pushed:
    """A subscriber that can be pushed to, past its mailbox, while its connection allows it.

    On asyncio, where who sends is the server itself: then a `send` can be begun in one task and
    carried on in another.

    While that is so without conditions it has a seat in a cohort, and is not looked at. Its slots
    are those of a class of their own so that they stand together: of 500 subscribers, few are in
    the processor's cache when a message is given to them.
    """

    __slots__ = (
        "_cohort",
        "_given_before",
        "encode",
        "is_choosy",
        "is_pushable",
        "pushed",
        "pushed_at",
        "seats",
        "server_send",
    )

    def __init__(self, *, is_choosy: bool) -> None:
        self.is_choosy = is_choosy
        """Whether there are messages that it does not want, those with `exclude` apart."""
        self.is_pushable = False
        """Whether the connection is idle, and nothing waits."""
        self.server_send: Any = None  # not `Send`: type checkers would take that for a method
        """The server's `send`, which is awaited as a rule without a wait; None: never pushed to."""
        self.encode: Encoding | None = None
        """What makes the ASGI message that is pushed."""
        self.pushed = 0
        """Messages that were pushed, without those of its cohort."""
        self.pushed_at = 0.0
        """When the turn began in which the last of them was, by `time.perf_counter`."""
        self.seats: Seats[Any] | None = None
        """Where it can have a seat: it is subscribed to one topic or pattern."""
        self._cohort: Cohort[Any] | None = None
        self._given_before = 0  # to its cohort, before it was there

    @property
    def pushed_in_all(self) -> int:
        """Messages that were pushed."""
        return self.pushed + self._given_in_cohort

    @property
    def pushed_last_at(self) -> float:
        """When the turn began in which the last of them was, by `time.perf_counter`."""
        if self._cohort is None or not self._given_in_cohort:
            return self.pushed_at
        return max(self.pushed_at, self._cohort.given_at)

    @property
    def _given_in_cohort(self) -> int:
        return 0 if self._cohort is None else self._cohort.given - self._given_before

    def allow_pushes(self) -> None:
        """Push to it from now on, where it has a `server_send`. May be repeated."""
        self.is_pushable = self.server_send is not None
        self.take_seat()

    def stop_pushes(self) -> None:
        """Do not. May be repeated."""
        self.is_pushable = False
        if self._cohort is None or self.seats is None:
            return
        self.pushed_at = self.pushed_last_at
        self.pushed = self.pushed_in_all
        cohort, self._cohort = self._cohort, None
        self.seats.unseat(self, cohort)

    def take_seat(self) -> None:
        """Be one of those who need not be looked at for each message, if it can be."""
        encode, seats = self.encode, self.seats
        if not self.is_pushable or encode is None or seats is None:
            return
        if self.is_choosy or self._cohort is not None:
            return
        self._cohort = seats.seat(self, encode, self.server_send)
        self._given_before = self._cohort.given
