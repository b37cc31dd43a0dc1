"""The backplane of one process: hubs that share one share their messages."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

from asgi_rt.hub.backplane.places import Places
from asgi_rt.hub.backplane.protocol import Health, Listener, Member
from asgi_rt.hub.history import Expired, History, Page, TopicLogs
from asgi_rt.hub.home import Home
from asgi_rt.hub.message import Cursor, Gap, Message, parse_cursor
from asgi_rt.hub.recent import Recent
from asgi_rt.hub.topics import PatternTree
from asgi_rt.hub.turn import call_soon

__all__ = ["MemoryBackplane"]

MAX_HISTORY_BYTES = 64 * 1024 * 1024
# What a message takes beside its payload; short ones are to be bounded as well.
_KEPT_BYTES: Final = 256
# What was made of a message to send it is not in the bounds of history, and outlasts the sending so
# that many who are slow, or come back at once, have it made once: with the newest of what is kept,
# as many as several mailboxes hold, and so many bytes of them and of what was made.
_RECENT_COUNT: Final = 4096
_RECENT_BYTES: Final = 32 * 1024 * 1024


class MemoryBackplane:
    """Messages, history and presence in the memory of one process.

    `history` bounds each topic, None keeps nothing, and cursors are not given then.
    `max_history_bytes` bounds all topics together. `epoch` begins every cursor, and must differ
    from one start of the program to the next, as what None makes does.

    Unlike other backplanes it takes effect at once, by the methods whose names end in `_nowait`.
    May be made outside of any event loop; all else happens on one, from any of its tasks. Raises
    HubError where listeners are on another.
    """

    def __init__(
        self,
        *,
        history: History | None = History(),  # noqa: B008 - it cannot be changed
        max_history_bytes: int | None = MAX_HISTORY_BYTES,
        epoch: str | None = None,
    ) -> None:
        if history is not None and not isinstance(history, History):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise TypeError(f"history is a History(max_count=...), or None, not {history!r}")
        if max_history_bytes is not None and not max_history_bytes >= 1:
            raise ValueError(f"max_history_bytes is at least 1, or None, not {max_history_bytes}")
        self._logs: TopicLogs[Message] | None = None
        if history is not None:
            self._logs = TopicLogs(history, max_bytes=max_history_bytes, entry_bytes=_KEPT_BYTES)
        self._recent = Recent(Message.strip, max_count=_RECENT_COUNT, max_bytes=_RECENT_BYTES)
        if epoch is not None and parse_cursor(f"{epoch}-0") is None:
            raise ValueError(f"an epoch is 1 to 64 visible ASCII characters, not {epoch!r}")
        self._epoch = secrets.token_hex(6) if epoch is None else epoch
        self._position = 0
        self._routes: dict[Listener, PatternTree[bool]] = {}
        # What is to be done for the messages that are numbered, one after the other. There are more
        # than those of one message where something is published while it is being given.
        self._steps: deque[Callable[[], None]] = deque()
        self._is_giving = False
        self._home = Home()
        self._places = Places()
        self._last_message_at: float | None = None

    @property
    def history_messages(self) -> int:
        """How many messages are kept."""
        return 0 if self._logs is None else len(self._logs)

    @property
    def history_bytes(self) -> int:
        """What their payloads add up to, and 256 bytes more for each."""
        return 0 if self._logs is None else self._logs.size_bytes

    # At once

    def close_nowait(self, listener: Listener) -> None:
        """See `close`."""
        self._routes.pop(listener, None)

    def publish_nowait(self, message: Message) -> None:
        """Number a message, keep it, and give it to all that listen, in the order of numbers."""
        if self.number_nowait(message, None):
            self.give_nowait(message, None)

    def number_nowait(self, message: Message, by: Listener | None) -> bool:
        """Number a message and keep it; whether it must be given by `give_nowait`.

        Else nobody listens but the hub that it comes `by`.
        """
        others_listen = bool(self._routes) and (len(self._routes) > 1 or by not in self._routes)
        if others_listen:
            self._home.enter(is_held=True)
        self._position += 1
        message.position = self._position
        if self._logs is not None:
            message.epoch = self._epoch
            entry = self._logs.append(
                message.topic,
                message,
                position=self._position,
                size_bytes=len(message.payload),
                now=time.monotonic(),
            )
            message.account = self._recent.add(entry)
        self._last_message_at = time.time()
        return others_listen or self._is_giving or bool(self._steps)

    @property
    def is_giving(self) -> bool:
        """Whether a message is on its way to several hubs, and what is published comes later."""
        return self._is_giving

    def give_nowait(
        self, message: Message, by: Listener | None, give_own: Callable[[], None] | None = None
    ) -> None:
        """Give a message to all that listen, to who it comes `by` through `give_own`, and first.

        That is after the message that is being given, if one is.
        """
        if give_own is not None:
            self._steps.append(give_own)
        for listener, routes in self._routes.items():
            if listener is not by and routes.match(message.topic):
                self._steps.append(partial(listener.receive, message))
        self._go_on()

    def do_in_turn(self, step: Callable[[], None]) -> None:
        """Do something when all that was published before is given."""
        self._steps.append(step)
        self._go_on()

    def _go_on(self) -> None:
        if self._is_giving:
            return
        try:
            self._is_giving = True
            self._take_steps()
        finally:
            self._is_giving = False
            if self._steps:  # after an error: not to wait for who publishes next
                call_soon(self._go_on)

    def _take_steps(self) -> None:
        """Take all; where one raises only those that are there then, to come to an end."""
        while self._steps:
            try:
                self._steps.popleft()()
            except BaseException:
                for _ in range(len(self._steps)):
                    # The first error is raised below; a second one is not to cost others a message.
                    with suppress(BaseException):
                        self._steps.popleft()()
                raise

    def subscribe_nowait(self, listener: Listener, pattern: str) -> None:
        """See `subscribe`."""
        self._home.enter(is_held=bool(self._routes))
        self._routes.setdefault(listener, PatternTree()).set(pattern, True)

    def unsubscribe_nowait(self, listener: Listener, pattern: str) -> None:
        """See `unsubscribe`."""
        routes = self._routes.get(listener)
        if routes is not None:
            routes.remove(pattern)
            if not len(routes):
                del self._routes[listener]

    def cursor_nowait(self) -> Cursor | None:
        """See `cursor`."""
        return None if self._logs is None else Cursor(self._epoch, self._position)

    def history_nowait(
        self, patterns: Sequence[str], after: Cursor, *, limit: int
    ) -> Page[Message] | Gap:
        """See `history`."""
        if self._logs is None:
            return Gap("unknown", None, None)
        now_at = str(Cursor(self._epoch, self._position))
        if after.epoch != self._epoch or after.position > self._position:
            return Gap("unknown", None, now_at)
        page = self._logs.after(patterns, after.position, now=time.monotonic(), limit=limit)
        return Gap("expired", None, now_at) if isinstance(page, Expired) else page

    def newest_nowait(self, patterns: Sequence[str], count: int) -> list[Message]:
        """See `newest`."""
        if self._logs is None:
            return []
        return self._logs.newest(patterns, count, now=time.monotonic())

    def health(self) -> Health:
        return Health(connected=True, last_message_at=self._last_message_at)

    # As every backplane does it

    async def open(self, listener: Listener) -> None:
        pass  # it carries messages for whoever is subscribed

    async def close(self, listener: Listener) -> None:
        self.close_nowait(listener)

    async def publish(self, message: Message) -> Cursor | None:
        self.publish_nowait(message)
        return None if self._logs is None else Cursor(self._epoch, message.position)

    async def subscribe(self, listener: Listener, pattern: str) -> None:
        self.subscribe_nowait(listener, pattern)

    async def unsubscribe(self, listener: Listener, pattern: str) -> None:
        self.unsubscribe_nowait(listener, pattern)

    async def cursor(self) -> Cursor | None:
        return self.cursor_nowait()

    async def history(
        self, patterns: Sequence[str], after: Cursor, *, limit: int
    ) -> Page[Message] | Gap:
        return self.history_nowait(patterns, after, limit=limit)

    async def newest(self, patterns: Sequence[str], count: int) -> list[Message]:
        return self.newest_nowait(patterns, count)

    async def enter(
        self, topic: str, member: str, connection: str, metadata: Any
    ) -> Literal["joined", "updated"]:
        return self._places.enter(topic, member, connection, metadata, now=time.time())

    async def leave(self, topic: str, member: str, connection: str) -> bool:
        return self._places.leave(topic, member, connection)

    async def members(self, topic: str) -> list[Member]:
        return self._places.members(topic)

    async def member_count(self, topic: str) -> int:
        return self._places.count(topic)
