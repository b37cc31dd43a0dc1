"""Who is subscribed to what: found for each message in the time of those that are to get it."""

from collections.abc import Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from asgi_rt.hub.cohort import Seats
from asgi_rt.hub.topics import PatternTree, is_pattern

__all__ = ["Audience", "Crowd", "Group", "Routes"]

S = TypeVar("S")


class Audience(Protocol[S]):
    """Who is to get a message, each once."""

    @property
    def ordered(self) -> Sequence[S]:
        """All of them, in the order in which they came; the same object until they change."""
        ...

    @property
    def seats(self) -> Seats[S] | None:
        """All of them, as those who can be sent to without a look, and others; None: not known."""
        ...


class Crowd(Generic[S]):
    """Some subscribers, of whom more is not known."""

    __slots__ = ("ordered", "seats")

    def __init__(self, ordered: Sequence[S]) -> None:
        self.ordered = ordered
        self.seats: Seats[S] | None = None


_NOBODY: Final[Crowd[Any]] = Crowd(())


class Group(Generic[S]):
    """The subscribers to one topic or pattern."""

    __slots__ = ("_ordered", "members", "published", "seats")

    def __init__(self) -> None:
        self.members: dict[S, None] = {}
        self.published = 0
        """Messages since somebody was here."""
        self._ordered: tuple[S, ...] | None = None
        self.seats: Seats[S] = Seats()

    @property
    def ordered(self) -> tuple[S, ...]:
        """The subscribers, in the order in which they came; made anew only when they change."""
        if self._ordered is None:
            self._ordered = tuple(self.members)
        return self._ordered

    def add(self, subscriber: S) -> None:
        if subscriber not in self.members:
            self.seats.add(subscriber)
        self.members[subscriber] = None
        self._ordered = None

    def remove(self, subscriber: S) -> None:
        self.members.pop(subscriber, None)
        self.seats.remove(subscriber)
        self._ordered = None


class Routes(Generic[S]):
    """Subscribers by topic and pattern. One task at a time."""

    def __init__(self) -> None:
        self._named: dict[str, Group[S]] = {}
        self._wild: PatternTree[Group[S]] = PatternTree()
        self._wild_patterns: dict[str, Group[S]] = {}

    @property
    def groups(self) -> dict[str, Group[S]]:
        """Every topic and pattern that somebody is subscribed to."""
        return {**self._named, **self._wild_patterns}

    def add(self, pattern: str, subscriber: S) -> Seats[S]:
        """Have a subscriber found for a topic or a pattern; where he sits or stands."""
        groups = self._wild_patterns if is_pattern(pattern) else self._named
        group = groups.get(pattern)
        if group is None:
            group = groups[pattern] = Group()
            if groups is self._wild_patterns:
                self._wild.set(pattern, group)
        group.add(subscriber)
        return group.seats

    def remove(self, pattern: str, subscriber: S) -> None:
        """Take that back, and with the last subscriber all that is kept of the pattern."""
        groups = self._wild_patterns if is_pattern(pattern) else self._named
        group = groups.get(pattern)
        if group is None:
            return
        group.remove(subscriber)
        if not group.members:
            del groups[pattern]
            if groups is self._wild_patterns:
                self._wild.remove(pattern)

    def has(self, pattern: str) -> bool:
        """Whether anybody is subscribed to just this topic or pattern."""
        return pattern in self._named or pattern in self._wild_patterns

    def holders(self, pattern: str) -> Sequence[S]:
        """Who is subscribed to just this topic or pattern."""
        groups = self._wild_patterns if is_pattern(pattern) else self._named
        group = groups.get(pattern)
        return () if group is None else group.ordered

    def match(self, topic: str) -> Audience[S]:
        """Who is to get a message. Counts it."""
        named = self._named.get(topic)
        wild = self._wild.match(topic) if self._wild_patterns else ()
        if not wild:
            if named is None:
                return _NOBODY
            named.published += 1
            return named
        groups = wild if named is None else [named, *wild]
        for group in groups:
            group.published += 1
        if len(groups) == 1:
            return groups[0]
        return Crowd(tuple(dict.fromkeys(each for group in groups for each in group.members)))

    def count(self, topic: str) -> int:
        """How many would get a message to a topic; of a pattern, how many have subscribed to it."""
        if is_pattern(topic):
            group = self._wild_patterns.get(topic)
            return 0 if group is None else len(group.members)
        groups = self._wild.match(topic)
        if (named := self._named.get(topic)) is not None:
            groups.append(named)
        if len(groups) == 1:
            return len(groups[0].members)
        return len({each for group in groups for each in group.members})
