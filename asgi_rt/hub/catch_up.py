"""Reading what a subscriber has missed, until it can go on with what is published now.

History is read page by page, and not put into the mailbox, which is for what is published later and
may be smaller than what was missed. Who reads slowly reads old pages; what is published meanwhile
is found in a later page. Only when nothing is left to read does the subscriber go live, while the
last page is given. Who would be sent away before it was given what it had missed goes back.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.backplane.protocol import Backplane
from asgi_rt.hub.history import Page
from asgi_rt.hub.message import Cursor, Gap, Message, parse_cursor

__all__ = ["CatchUp"]

_PAGE: Final = 64


class CatchUp:
    """One subscriber's way through history. One task at a time."""

    __slots__ = (
        "_ahead",
        "_is_ending",
        "_last",
        "_missed_through",
        "_must_repeat",
        "_place",
        "_seen",
        "_topics",
        "_wants",
        "recovered",
        "replayed",
        "through",
    )

    def __init__(self, topics: tuple[str, ...], wants: Callable[[Message], bool]) -> None:
        self._topics = topics
        self._wants = wants
        self._ahead: deque[Message | Gap] = deque()
        # Where to read on; None when nothing is left to read.
        self._place: Cursor | None = None
        self._must_repeat = False
        # Up to where it had missed something when it began; None where it did not say what it had.
        self._missed_through: Cursor | None = None
        self._is_ending = False
        # What comes after this is not read; None while it is not ending, or does not know.
        self._last: Cursor | None = None
        self.through: Cursor | None = None
        """Everything up to here is given by this, so it is not to be given again."""
        # Where the newest message is that was published meanwhile.
        self._seen: Cursor | None = None
        self.recovered: bool | None = None
        """Whether all that was missed can be given, as far as it is known."""
        self.replayed = 0

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left that was published before the subscriber went live."""
        return self._place is None and not self._ahead

    @property
    def is_live(self) -> bool:
        """Whether what is published now need not be read here."""
        return self._place is None

    @property
    def must_read(self) -> bool:
        """Whether what comes next must be read first."""
        return self._place is not None and not self._ahead

    def begin_nowait(
        self, backplane: MemoryBackplane, place: Cursor | None, after: str | None, history: int
    ) -> None:
        """Begin behind the cursor `after`, or with so many of the last messages.

        `place` is where everybody else is.
        """
        if after is not None:
            self._begin_behind(after, place)
            self.read_nowait(backplane)
        else:
            self._begin_with(backplane.newest_nowait(self._topics, history), place)

    async def begin(
        self, backplane: Backplane, place: Cursor | None, after: str | None, history: int
    ) -> None:
        """See `begin_nowait`. What is published meanwhile, as `note` tells, is read as well."""
        if after is not None:
            self._begin_behind(after, place)
        else:
            newest = await backplane.newest(self._topics, history) if history else []
            self._begin_with(newest, place)
        await self.read(backplane)

    def end(self, place: Cursor | None) -> None:
        """Read what has been published by now, and nothing that comes later.

        `place` is where everybody else is; None to ask the backplane for it when reading on.
        """
        if not self._is_ending:
            self._is_ending = True
            self._last = place

    def note(self, message: Message) -> None:
        """Take note that a message was published: it is to be read as well."""
        seen, epoch = self._seen, message.epoch
        if epoch is not None and not (
            seen and epoch == seen.epoch and message.position < seen.position
        ):
            self._seen = Cursor(epoch, message.position)

    def lose(self) -> None:
        """Messages may have been lost that were not read yet: what is being read may lack them."""
        self._must_repeat = True

    def take(self, local: MemoryBackplane | None) -> Message | Gap | None:
        """What comes next, if it has been read, or is read without a wait."""
        while not self._ahead:
            if self._place is None or local is None:
                return None
            self.read_nowait(local)
        item = self._ahead.popleft()
        self.replayed += isinstance(item, Message)
        return item

    def go_back(self) -> bool:
        """Read what came since the subscriber went live; whether that is to be done.

        It is while there is still something to give that it had missed when it began, so once at
        most. Nothing is read here, in the turn of who publishes: whether history has all of it is
        told where it is read.
        """
        place = self.through
        if place is None or not self._is_missed_next():
            return False
        self._place = place
        return True

    def _is_missed_next(self) -> bool:
        """Whether what comes next had been missed when it began."""
        item = self._ahead[0] if self._ahead else None
        last = self._missed_through
        if last is None or not isinstance(item, Message):
            return False
        return item.epoch == last.epoch and item.position <= last.position

    def read_nowait(self, backplane: MemoryBackplane) -> None:
        """Read on, where that takes no wait."""
        if self._place is not None and not self._is_through(self._place):
            self._must_repeat = False
            seen = self._seen
            page = backplane.history_nowait(self._topics, self._place, limit=_PAGE)
            self._take_in(self._place, page, seen)

    async def read(self, backplane: Backplane) -> None:
        """Read on. Cancelling it loses nothing."""
        place = self._place
        if place is None:
            return
        if self._is_ending and self._last is None:
            self._last = await backplane.cursor()
        if not self._is_through(place):
            self._must_repeat = False
            was_ending, seen = self._is_ending, self._seen
            page = await backplane.history(self._topics, place, limit=_PAGE)
            if was_ending is not self._is_ending:  # what came after the page belongs to it
                self._must_repeat = True
            if self._place is place:
                self._take_in(place, page, seen)

    def _is_through(self, place: Cursor) -> bool:
        """Whether all is read up to where it is to end; then nothing is left."""
        if not self._ends_at(place):
            return False
        self.through, self._place = place, None
        return True

    def _ends_at(self, place: Cursor) -> bool:
        last = self._last
        return last is not None and last.epoch == place.epoch and last.position <= place.position

    def _begin_behind(self, after: str, newest: Cursor | None) -> None:
        self._place = parse_cursor(after)
        self._missed_through = newest
        if self._place is None:
            self.recovered = False
            self._ahead.append(Gap("unknown", None, None if newest is None else str(newest)))
            self._go_on_behind(newest)

    def _begin_with(self, newest: list[Message], place: Cursor | None) -> None:
        """Begin with these messages, and read on behind a place, and behind the last of them."""
        self._ahead.extend([message for message in newest if self._wants(message)])
        if place is not None and newest:
            place = Cursor(place.epoch, max(place.position, newest[-1].position))
        self._go_on_behind(place)

    def _take_in(self, place: Cursor, page: Page[Message] | Gap, seen: Cursor | None) -> None:
        """Take in what was read behind a place; `seen` is what had been noted before."""
        if self.recovered is None:
            self.recovered = not isinstance(page, Gap)
        if isinstance(page, Gap):
            self._ahead.append(page)
            now_at = None if page.id is None else parse_cursor(page.id)
            self._forget(seen, now_at)
            self._go_on_behind(now_at)
            return
        self._forget(seen, place)
        items = [message for message in page.items if self._wants(message)]
        last = self._last  # a filter may just have closed the hub
        if last is not None and last.epoch == place.epoch:
            items = [message for message in items if message.position <= last.position]
        self._ahead.extend(items)
        self.through = through = Cursor(place.epoch, page.through)
        is_last = page.is_last and not self._has_seen_behind(through) and not self._must_repeat
        self._place = None if is_last or self._ends_at(through) else through

    def _go_on_behind(self, place: Cursor | None) -> None:
        """Read on behind a place, if something came after it meanwhile."""
        self.through = place
        is_behind = place is not None and (self._has_seen_behind(place) or self._must_repeat)
        self._place = place if is_behind else None

    def _has_seen_behind(self, place: Cursor) -> bool:
        seen = self._seen
        return seen is not None and (seen.epoch != place.epoch or seen.position > place.position)

    def _forget(self, seen: Cursor | None, now_at: Cursor | None) -> None:
        """Forget what had been noted before a later epoch was read in."""
        if seen is self._seen and seen is not None and now_at is not None:
            self._seen = seen if seen.epoch == now_at.epoch else None
