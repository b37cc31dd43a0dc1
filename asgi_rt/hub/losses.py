"""Whether topics that match a wildcard have lost something, asked for each page of a replay."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final, NamedTuple, Protocol

from asgi_rt.hub.topics import matcher

__all__ = ["Losing", "Losses"]

_MAX_RECENT: Final = 1024
_MAX_KNOWN: Final = 256


class Losing(Protocol):
    """What is kept of a topic."""

    @property
    def lost_through(self) -> int:
        """The newest position that is not kept any more; 0 where everything is."""
        ...


class _Known(NamedTuple):
    """What is known of some patterns."""

    lost_through: int
    """The newest position that was lost of a topic that matches."""
    drops: int
    """How many drops there had been when that was found."""


_NOTHING: Final = _Known(0, 0)


class Losses:
    """The newest position that was lost of the topics of each wildcard.

    It is remembered, for 256 sequences of patterns, and only topics that lost something since are
    looked at: so long as those are 1,024 at most, otherwise all. What was found of a topic is still
    remembered when the topic leaves `logs`.
    """

    __slots__ = ("_drops", "_known", "_logs", "_recent", "_recent_since")

    def __init__(self, logs: Mapping[str, Losing]) -> None:
        self._logs = logs
        self._drops = 0
        # The topics that lost something last, and how many drops there had been then.
        self._recent: OrderedDict[str, int] = OrderedDict()
        # How many there had been when a topic left those last, which all are known of since.
        self._recent_since = 0
        # The patterns asked for last stand last.
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()

    def note(self, topic: str) -> None:
        """Take note that a topic lost its oldest item. Its log tells by now up to where."""
        self._drops += 1
        recent = self._recent
        recent[topic] = self._drops
        recent.move_to_end(topic)
        if len(recent) > _MAX_RECENT:
            _, self._recent_since = recent.popitem(last=False)

    def reach_beyond(self, position: int, patterns: Sequence[str]) -> bool:
        """Whether a topic that matches any of the patterns has lost something after a position."""
        asked = tuple(patterns)
        known = self._known.pop(asked, _NOTHING)
        # What is lost stays lost, so there is nothing to look for where this says so already.
        if known.lost_through <= position and known.drops < self._drops:
            known = self._look(asked, known)
        self._known[asked] = known
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return known.lost_through > position

    def _look(self, patterns: Sequence[str], known: _Known) -> _Known:
        matchers = [matcher(pattern) for pattern in patterns]
        lost_through = known.lost_through
        for topic in self._topics_since(known.drops):
            log = self._logs.get(topic)
            # Matching takes the most time, so it comes last.
            if (
                log is not None
                and log.lost_through > lost_through
                and any(matches(topic) for matches in matchers)
            ):
                lost_through = log.lost_through
        return _Known(lost_through, self._drops)

    def _topics_since(self, drops: int) -> Iterable[str]:
        """Those that lost something since there had been so many drops, and maybe others."""
        if drops < self._recent_since:
            return self._logs
        newest_first = reversed(self._recent.items())
        return [topic for topic, _ in takewhile(lambda item: item[1] > drops, newest_first)]
