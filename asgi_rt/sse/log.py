"""A log of server-sent events that streams follow: encoded once, sent to many, resumed by id."""

import secrets
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import anyio

from asgi_rt.replay import Gap, ReplayLog
from asgi_rt.sse.framing import Event, encode

__all__ = ["EventLog", "Follower"]


class EventLog:
    """What was published lately, and a place to wait for what is published next.

    Bounded by count, bytes on the wire and age in seconds; None is no bound. `epoch` begins every
    id and must differ from one start of the program to the next, as what None makes does: an id
    of an earlier start is then known to be one.

    May be made anywhere, outside of any event loop too; all else happens on one loop, from any of
    its tasks.
    """

    def __init__(
        self,
        *,
        max_count: int | None = 1000,
        max_bytes: int | None = 4 * 1024 * 1024,
        max_age: float | None = None,
        epoch: str | None = None,
    ) -> None:
        self._replay = ReplayLog[bytes](
            secrets.token_hex(6) if epoch is None else epoch,
            max_count=max_count,
            max_bytes=max_bytes,
            max_age=max_age,
        )
        self._audience = _Audience()

    @property
    def last_id(self) -> str:
        """The id of the newest event; before the first, the id that everything comes after."""
        return self._replay.last_id

    @property
    def followers(self) -> int:
        """How many follow, the slow ones included."""
        return len(self._audience.followers)

    def __len__(self) -> int:
        """How many events are kept."""
        return len(self._replay)

    def append(self, data: Any = None, *, event: str | None = None) -> str:
        """Publish one event and return its id. Never waits: a follower that is slow misses out.

        `data` is sent as a str as it is, anything else as JSON; None is JSON's null, for clients
        pass over an event without data. Raises what `encode` raises, and RuntimeError after
        `close`; nothing is published then.
        """
        if self._audience.dismissed:
            raise RuntimeError("the event log is closed: nothing can be appended to it")
        text = "null" if data is None else data
        frame = encode(Event(text, event, self._replay.next_id))
        id = self._replay.append(  # noqa: A001 - the field's name
            frame, size_bytes=len(frame), now=time.monotonic()
        )
        self._audience.wake()
        return id

    def follow(self, last_event_id: str | None = None) -> "Follower":
        """The frames that a client missed since `last_event_id`, then what is appended, in order.

        Without an id (or with an empty one, which the HTML standard takes for none) it begins with
        what is appended from now on, and the first frame tells the client its place by an id alone:
        a client that drops before its first event misses nothing either. Where what was missed
        cannot be given in full, one event `gap` stands for it, with the data
        `{"reason": "expired" | "unknown", "missed": int | null}`, and live events follow. That is
        so as well for a follower that is so slow that the log drops what it has not had yet.
        """
        return Follower(self._replay, self._audience, last_event_id or None)

    def close(self) -> None:
        """End every follower once it has had what there is, those to come too. May be repeated."""
        self._audience.dismissed = True
        self._audience.wake()


class Follower(AsyncIterator[bytes]):
    """What `EventLog.follow` gives: framed events. For one task at a time.

    Gives what is ready without suspending. A wait that is cancelled takes nothing with it; the
    iterator can be used on. `aclose` is for when no wait is under way, as with a generator; one
    that is left unclosed costs nothing once it is unreferenced.
    """

    def __init__(
        self, replay: ReplayLog[bytes], audience: "_Audience", last_event_id: str | None
    ) -> None:
        self._replay = replay
        self._audience = audience
        # Fixed here, not at the first step: what is appended between the two is not missed.
        self._position = replay.last_id if last_event_id is None else last_event_id
        self._knows_its_place = last_event_id is not None
        self._over = False
        audience.followers.add(self)

    async def __anext__(self) -> bytes:
        while not self._over:
            frame = self._ready_frame()
            if frame is not None:
                return frame
            if self._audience.dismissed:
                await self.aclose()
            else:
                await self._audience.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop following. May be repeated."""
        self._over = True
        self._audience.followers.discard(self)

    def _ready_frame(self) -> bytes | None:
        if not self._knows_its_place:
            self._knows_its_place = True
            return encode(Event(id=self._position))
        # One at a time: a slow follower must not hold on to what the log has let go.
        found = self._replay.after(self._position, now=time.monotonic(), limit=1)
        if isinstance(found, Gap):
            self._position = self._replay.last_id
            gap = {"reason": found.reason, "missed": found.missed}
            return encode(Event(gap, event="gap", id=self._position))
        if not found:
            return None
        self._position = found[0].id
        return found[0].item


class _Audience:
    """Who follows a log, and what wakes those who wait. Bound to no event loop if none waits."""

    def __init__(self) -> None:
        # Weak: a follower that was made and never begun is nobody's to close.
        self.followers: weakref.WeakSet[Follower] = weakref.WeakSet()
        self.dismissed = False
        self._bell: anyio.Event | None = None  # one for all; rung once, then replaced
        self._waiting = 0

    def wake(self) -> None:
        if self._bell is not None:
            self._bell.set()
            self._bell = None

    async def wait(self) -> None:
        if self._bell is None:
            self._bell = anyio.Event()
        bell = self._bell
        self._waiting += 1
        try:
            await bell.wait()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._bell = None  # the next to wait may do so on another event loop
