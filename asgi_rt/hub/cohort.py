"""Those of a topic's subscribers to whom the same can be sent, one after another, without a look.

500 connections, and what the kernel does for each, are more than a processor's cache holds. So a
message is given out as fast as little is looked at for each of them: of those who are idle, want
everything, and get it in the same form, only what sends to them. What all of a cohort were given is
counted once, and whoever leaves it takes the sum along.
"""

from typing import Any, Final, Generic, TypeVar

from asgi_rt.hub.message import Encoding

__all__ = ["Cohort", "Seats"]

S = TypeVar("S")

_MOST: Final = 128
"""How many one cohort has: they are given a message without a turn for others between them."""


class Cohort(Generic[S]):
    """Some subscribers to whom the same is sent."""

    __slots__ = ("encode", "given", "given_at", "sends")

    def __init__(self, encode: Encoding) -> None:
        self.encode = encode
        """What makes the ASGI message that each is sent."""
        self.sends: dict[S, Any] = {}
        """What sends to each."""
        self.given = 0
        """Messages that were given to all who were in it then."""
        self.given_at = 0.0
        """When the turn began in which the last of them was, by `time.perf_counter`."""


class Seats(Generic[S]):
    """The subscribers of one topic or pattern: in cohorts, or standing. One task at a time."""

    __slots__ = ("_roomy", "changes", "cohorts", "risen", "standing")

    def __init__(self) -> None:
        self.standing: dict[S, None] = {}
        """Those who must be looked at for each message."""
        self.cohorts: dict[Cohort[S], None] = {}
        """Those who need not, in the order in which the cohorts came about."""
        self.changes = 0
        """How often somebody came, went, sat down or rose."""
        self.risen: list[tuple[S, Cohort[S]]] | None = None
        """For who gives out a message: those who rise meanwhile, and where they sat."""
        self._roomy: dict[Encoding, dict[Cohort[S], None]] = {}

    def add(self, subscriber: S) -> None:
        """A subscriber has come, and stands."""
        self.changes += 1
        self.standing[subscriber] = None

    def remove(self, subscriber: S) -> None:
        """A subscriber that stands is gone."""
        self.changes += 1
        self.standing.pop(subscriber, None)

    def seat(self, subscriber: S, encode: Encoding, send: Any) -> Cohort[S]:
        """Have one who stands be in a cohort; in which."""
        self.changes += 1
        roomy = self._roomy.setdefault(encode, {})
        if not roomy:
            cohort = Cohort[S](encode)
            self.cohorts[cohort] = roomy[cohort] = None
        cohort = next(iter(roomy))
        cohort.sends[subscriber] = send
        if len(cohort.sends) == _MOST:
            del roomy[cohort]
        del self.standing[subscriber]
        if not self.standing:
            self.standing = {}  # it may have been large, and keeps its size
        return cohort

    def unseat(self, subscriber: S, cohort: Cohort[S]) -> None:
        """Have one who is in a cohort stand."""
        self.changes += 1
        if self.risen is not None:
            self.risen.append((subscriber, cohort))
        del cohort.sends[subscriber]
        self.standing[subscriber] = None
        roomy = self._roomy.setdefault(cohort.encode, {})
        roomy[cohort] = None
        if not cohort.sends:
            del self.cohorts[cohort], roomy[cohort]
        if not roomy:
            del self._roomy[cohort.encode]
