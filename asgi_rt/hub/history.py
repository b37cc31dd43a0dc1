"""What was published lately: bounded for each topic and for all of them, read from a position on.

Positions are whole numbers that only grow, one for each message whatever its topic. So one number
says where a reader of many topics stands.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import merge, nlargest
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

from asgi_rt.hub.bounds import check_bound
from asgi_rt.hub.losses import Losses
from asgi_rt.hub.timeline import Entry, Timeline, position_of
from asgi_rt.hub.topics import is_pattern, matcher

__all__ = ["Expired", "History", "Page", "TopicLogs"]

T = TypeVar("T")

_MAX_SCANNED: Final = 1024
_MAX_EMPTY_LOGS: Final = 10_000


@dataclass(frozen=True, slots=True)
class History:
    """How much of each topic is kept: messages, bytes of their payloads, seconds. None is no bound.

    A topic's newest message outlasts the first two.
    """

    max_count: int | None = 100
    max_bytes: int | None = 1024 * 1024
    max_age: float | None = None

    def __post_init__(self) -> None:
        if self.max_count is not None:
            check_bound("max_count", self.max_count)
        if self.max_bytes is not None:
            check_bound("max_bytes", self.max_bytes)
        # Not `max_age < 0`: NaN is no bound either.
        if self.max_age is not None and not self.max_age >= 0:
            raise ValueError(f"max_age is at least 0 seconds, or None, not {self.max_age}")


class Page(NamedTuple, Generic[T]):
    """Some of what came after a position, in order."""

    items: list[T]
    through: int
    """The position from which to go on: everything up to it that matches is in `items`."""
    is_last: bool
    """Whether nothing is left after it."""


class Expired(NamedTuple):
    """Not all of what came after a position is kept any more."""


class _Log(Timeline[T]):
    """What is kept of one topic."""

    __slots__ = ("lost_through", "size_bytes")

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = 0
        self.lost_through = 0
        """The newest position that is not kept any more."""


class TopicLogs(Generic[T]):
    """The newest items of every topic.

    `bounds` are for each topic; `max_bytes` is for all together, where the oldest of all goes
    first, and each item counts `entry_bytes` more. Every `now` is in seconds of one clock that does
    not go back. Everything takes effect at once; not for use by several threads.
    """

    def __init__(self, bounds: History, *, max_bytes: int | None, entry_bytes: int = 0) -> None:
        self._bounds = bounds
        self._max_bytes = max_bytes
        self._logs: dict[str, _Log[T]] = {}
        self._all: Timeline[T] = Timeline()
        self._size_bytes = 0
        self._entry_bytes = entry_bytes
        self._lost_through = 0
        self._losses = Losses(self._logs)
        # Topics of which nothing is kept, in the order in which that came about.
        self._empty: OrderedDict[str, None] = OrderedDict()
        # Of topics that are forgotten: who stands before it may have lost something of them.
        self._forgotten_through = 0

    @property
    def size_bytes(self) -> int:
        """What everything that is kept adds up to."""
        return self._size_bytes

    @property
    def topics(self) -> list[str]:
        """The topics of which something is kept."""
        return [topic for topic, log in self._logs.items() if log.count]

    def __len__(self) -> int:
        """How many items are kept."""
        return self._all.count

    def append(
        self, topic: str, item: T, *, position: int, size_bytes: int, now: float
    ) -> Entry[T]:
        """Add an item at a position beyond all others, and drop what is then out of bounds.

        Takes the same time, on average, however much is kept of however many topics.
        """
        log = self._logs.get(topic)
        if log is None:
            log = self._logs[topic] = _Log()
        elif not log.count:
            del self._empty[topic]
        entry = Entry(topic, item, position, size_bytes, now)
        log.append(entry)
        log.size_bytes += size_bytes
        self._all.append(entry)
        self._size_bytes += size_bytes + self._entry_bytes
        self._drop_excess(log)
        self.drop_expired(now)
        return entry

    def after(
        self, patterns: Sequence[str], position: int, *, now: float, limit: int
    ) -> Page[T] | Expired:
        """At most `limit` items after a position that match any of the patterns.

        A page may hold fewer and not be the last. Topics by name take time in proportion to how
        many they are and to what is returned. A wildcard looks at 1,024 items a page at most,
        whatever their topics. Where any topic has lost something after the position, it also looks
        at those that did since the same patterns were last asked for: at 1,024 at most, or at every
        topic where there were more of them, or more than 255 other wildcards asked for since.

        Raises ValueError for a limit below 1.
        """
        if limit < 1:
            raise ValueError(f"limit is at least 1, not {limit}")
        self.drop_expired(now)
        if self._has_lost(patterns, position):
            return Expired()
        if any(map(is_pattern, patterns)):
            return self._scan(patterns, position, limit)
        following = [log.after(position) for log in self._matching_logs(patterns)]
        found = list(islice(merge(*following, key=position_of), limit + 1))
        is_last = len(found) <= limit
        kept = found[:limit]
        through = self._newest_position(position) if is_last else kept[-1].position
        return Page([entry.item for entry in kept], through, is_last)

    def newest(self, patterns: Sequence[str], count: int, *, now: float) -> list[T]:
        """The last `count` items that match any of the patterns, oldest first."""
        self.drop_expired(now)
        logs = [log for log in self._matching_logs(patterns) if log.count]
        # Others have nothing among the last `count`, which leaves few where topics are many.
        logs = nlargest(count, logs, key=_newest_of)
        backwards = merge(*(log.backwards() for log in logs), key=position_of, reverse=True)
        found = [entry.item for entry in islice(backwards, max(0, count))]
        found.reverse()
        return found

    def drop_expired(self, now: float) -> None:
        """Drop what is older than `max_age`. The other methods do it in passing."""
        if self._bounds.max_age is None:
            return
        oldest_kept = now - self._bounds.max_age
        while self._all.count and self._all.oldest.time < oldest_kept:
            self._drop_oldest_of_all()

    def _matching_logs(self, patterns: Sequence[str]) -> Iterable[_Log[T]]:
        if any(map(is_pattern, patterns)):
            matches = _matching(patterns)
            return (log for topic, log in self._logs.items() if matches(topic))
        found = map(self._logs.get, dict.fromkeys(patterns))
        return (log for log in found if log is not None)

    def _has_lost(self, patterns: Sequence[str], position: int) -> bool:
        if position >= self._lost_through:
            return False
        if position < self._forgotten_through:
            return True
        if any(map(is_pattern, patterns)):
            return self._losses.reach_beyond(position, patterns)
        return any(log.lost_through > position for log in self._matching_logs(patterns))

    def _scan(self, patterns: Sequence[str], position: int, limit: int) -> Page[T]:
        matches = _matching(patterns)
        newest = self._newest_position(position)
        items: list[T] = []
        for entry in islice(self._all.after(position), _MAX_SCANNED):
            position = entry.position
            if entry.is_kept and matches(entry.topic):
                items.append(entry.item)
                if len(items) == limit:
                    break
        return Page(items, position, position >= newest)

    def _newest_position(self, least: int) -> int:
        return max(least, self._all.newest.position) if self._all.count else least

    def _drop_excess(self, log: _Log[T]) -> None:
        bounds = self._bounds
        while log.count > 1 and (
            (bounds.max_count is not None and log.count > bounds.max_count)
            or (bounds.max_bytes is not None and log.size_bytes > bounds.max_bytes)
        ):
            self._drop_oldest(log)
        while (
            self._max_bytes is not None
            and self._size_bytes > self._max_bytes
            and self._all.count > 1
        ):
            self._drop_oldest_of_all()

    def _drop_oldest_of_all(self) -> None:
        topic = self._all.oldest.topic
        log = self._logs[topic]
        self._drop_oldest(log)
        if not log.count:
            self._note_empty(topic)

    def _note_empty(self, topic: str) -> None:
        """Keep what is known of a topic that has nothing left, for so many of them."""
        self._empty[topic] = None
        if len(self._empty) > _MAX_EMPTY_LOGS:
            forgotten = self._logs.pop(self._empty.popitem(last=False)[0])
            self._forgotten_through = max(self._forgotten_through, forgotten.lost_through)

    def _drop_oldest(self, log: _Log[T]) -> None:
        oldest = log.oldest
        oldest.drop()
        log.forget()
        self._all.forget()
        log.size_bytes -= oldest.size
        self._size_bytes -= oldest.size + self._entry_bytes
        log.lost_through = oldest.position
        self._lost_through = max(self._lost_through, oldest.position)
        self._losses.note(oldest.topic)


def _newest_of(log: _Log[T]) -> int:
    return log.newest.position


def _matching(patterns: Sequence[str]) -> Callable[[str], bool]:
    matchers = [matcher(pattern) for pattern in patterns]
    if len(matchers) == 1:
        return matchers[0]
    return lambda topic: any(matches(topic) for matches in matchers)
