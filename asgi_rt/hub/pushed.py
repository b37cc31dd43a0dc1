"""What of a subscriber is looked at to push to it."""

from typing import TYPE_CHECKING, Any

from asgi_rt.hub.registry import ALWAYS_FREE, Lane

if TYPE_CHECKING:
    from asgi_rt.hub.cohort import Cohort, Seats
    from asgi_rt.hub.message import Encoding

__all__ = ["Pushed"]


class Pushed:
    """A subscriber that can be pushed to, past its mailbox, while it has a lane.

    While that is so without conditions it has a seat in a cohort, and is not looked at. Its slots
    are those of a class of their own so that they stand together: of 500 subscribers, few are in
    the processor's cache when a message is given to them.
    """

    __slots__ = (
        "_cohort",
        "_given_before",
        "encode",
        "is_choosy",
        "lane",
        "pushed",
        "pushed_at",
        "seats",
        "server_send",
    )

    def __init__(self, *, is_choosy: bool) -> None:
        self.is_choosy = is_choosy
        """Whether there are messages that it does not want, those with `exclude` apart."""
        self.lane: Lane | None = None
        """What tells whether the connection can be pushed to; None while something waits."""
        self.server_send: Any = None  # not `Send`: type checkers would take that for a method
        """The server's `send`, where there is a lane. Awaited as a rule without a wait."""
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

    def open_lane(self, lane: Lane) -> None:
        """It can be pushed to from now on: by `server_send`, what `encode` makes."""
        self.lane = lane
        self.take_seat()

    def close_lane(self) -> None:
        """It cannot. May be repeated."""
        self.lane = None
        if self._cohort is None or self.seats is None:
            return
        self.pushed_at = self.pushed_last_at
        self.pushed = self.pushed_in_all
        cohort, self._cohort = self._cohort, None
        self.seats.unseat(self, cohort)

    def take_seat(self) -> None:
        """Be one of those who need not be looked at for each message, if it can be."""
        lane, encode, seats = self.lane, self.encode, self.seats
        if lane is None or encode is None or seats is None:
            return
        if self.is_choosy or self._cohort is not None:
            return
        needs_look = lane is not ALWAYS_FREE
        sends_by = lane if needs_look else self.server_send
        self._cohort = seats.seat(self, encode, sends_by, needs_look=needs_look)
        self._given_before = self._cohort.given
