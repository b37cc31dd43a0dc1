"""Ticks for two readers, one of whom may be slow: what becomes of either, in numbers."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import anyio

from asgi_rt import HTTPError, Hub, Overflow
from asgi_rt.demo.read_window import ReadWindow
from asgi_rt.hub import History, Subscription

__all__ = ["MAX_WAITING", "TOPIC", "TickSession", "TickSessions"]

TOPIC: Final = "ticks"
MAX_WAITING: Final = 100
"""How many ticks wait for a reader, at most."""
_MAX_SESSIONS: Final = 5
_TICKS_PER_SECOND: Final = 200
_KEYS: Final = 10
_PADDING: Final = "." * 8000
# Two seconds of ticks, so that who is sent away and comes back at once can catch up.
_HISTORY: Final = History(max_count=400, max_bytes=4 * 1024 * 1024)
_WATCH_SECONDS: Final = 0.25
_SUMS: Final = ("published", "delivered", "dropped", "coalesced", "replayed")


class TickReader:
    """One of the two: the subscription that it has now, and what became of those before."""

    def __init__(self) -> None:
        self._subscription: Subscription | None = None
        self._past: dict[str, int] = dict.fromkeys((*_SUMS, "disconnected"), 0)

    async def follow(self, subscription: Subscription) -> None:
        """Look at this subscription from now on. The one before is ended, if it is not yet."""
        await self.leave()
        self._subscription = subscription

    async def leave(self) -> None:
        """End the subscription; what it has counted stays."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()
            self._past = self._with(subscription)

    @property
    def counters(self) -> dict[str, int]:
        """Sums over all subscriptions, and what waits for the one that it has."""
        subscription = self._subscription
        if subscription is None:
            return {**self._past, "pending": 0, "pending_bytes": 0}
        now = subscription.snapshot
        waiting = {"pending": now.pending, "pending_bytes": now.pending_bytes}
        return {**self._with(subscription), **waiting}

    def _with(self, subscription: Subscription) -> dict[str, int]:
        now = subscription.snapshot
        sums = {field: self._past[field] + getattr(now, field) for field in _SUMS}
        return {**sums, "disconnected": self._past["disconnected"] + subscription.is_disconnected}


class TickSession:
    """Somebody who watches two readers, of a hub that is theirs alone.

    So a publisher that waits for the slow one holds up nobody else, and what the hub keeps goes
    with the session.
    """

    def __init__(self, policy: Overflow, *, ticks_per_second: float) -> None:
        self.token = secrets.token_hex(16)
        self.hub = Hub(history=_HISTORY)
        self.policy = policy
        """What becomes of ticks for which the slow one has no room."""
        self.slow = TickReader()
        self.healthy = TickReader()
        self.window = ReadWindow()
        """How far the slow one has read."""
        self._pause_seconds = 1 / ticks_per_second
        self._ended = anyio.Event()

    async def begin_slow(self, subscription: Subscription) -> ReadWindow:
        """Have the slow one begin, again if it has before: what it is to be sent within."""
        self.window.lift()
        self.window = ReadWindow()
        await self.slow.follow(subscription)
        return self.window

    async def publish(self) -> None:
        """Publish ticks of ten keys, of 8 KB each, for ever."""
        for number in count(1):
            key = str(number % _KEYS)
            tick = {"number": number, "key": key, "padding": _PADDING}
            await self.hub.publish(TOPIC, tick, key=key)
            await anyio.sleep(self._pause_seconds)

    async def watch(self) -> AsyncGenerator[dict[str, Any], None]:
        """The counters, four times a second, until the session ends."""
        while not self._ended.is_set():
            yield self._counters()
            with anyio.move_on_after(_WATCH_SECONDS):
                await self._ended.wait()

    def _counters(self) -> dict[str, Any]:
        return {
            "published": self.hub.snapshot().published,
            "slow": self.slow.counters,
            "healthy": self.healthy.counters,
        }

    async def end(self) -> None:
        """End everything that was opened for it."""
        self._ended.set()
        self.window.lift()
        await self.slow.leave()
        await self.healthy.leave()


class TickSessions:
    """Who is watching, `max_sessions` at once at most. All of it belongs to one event loop.

    `ticks_per_second` are published for each, where nobody blocks.
    """

    def __init__(
        self,
        *,
        max_sessions: int = _MAX_SESSIONS,
        ticks_per_second: float = _TICKS_PER_SECOND,
    ) -> None:
        self._ticks_per_second = ticks_per_second
        self._max_sessions = max_sessions
        self._sessions: dict[str, TickSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    @asynccontextmanager
    async def open(self, policy: Overflow) -> AsyncGenerator[TickSession, None]:
        """A session as long as the block lasts. Raises HTTPError 503 where there are too many."""
        if len(self) >= self._max_sessions:
            raise HTTPError(503, "too many are watching a slow reader: try again later")
        session = TickSession(policy, ticks_per_second=self._ticks_per_second)
        self._sessions[session.token] = session
        try:
            yield session
        finally:
            del self._sessions[session.token]
            with anyio.CancelScope(shield=True):
                await session.end()

    def find(self, token: str) -> TickSession:
        """Raises HTTPError 404 where there is none with this token."""
        session = self._sessions.get(token)
        if session is None:
            raise HTTPError(404, "no session with this token is open")
        return session
