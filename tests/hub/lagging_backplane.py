"""A backplane as those of many processes are: every call waits, and messages come a while later."""

from collections.abc import Sequence
from typing import Any, Literal

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from asgi_rt.errors import BackplaneError
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.backplane.protocol import Health, Listener, Member
from asgi_rt.hub.history import History, Page
from asgi_rt.hub.message import Cursor, Gap, Message


class _Relay:
    """What memory gives at once, kept for a listener until it is to come."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.kept: list[Message] = []
        self.patterns: set[str] = set()
        self.came = anyio.Event()

    def receive(self, message: Message) -> None:
        self.kept.append(message)
        self.came.set()

    def lose(self, patterns: Sequence[str]) -> None:
        raise NotImplementedError


class LaggingBackplane:
    """Each call takes `waits` waits before it takes effect and as many after.

    `deliver` runs in a task of the test, and hands over one message after as many. While `held` it
    hands over none. A call whose name is in `failing` raises, and one in `stuck` does not return.
    """

    def __init__(self, *, waits: int = 2, history: History | None = History()) -> None:  # noqa: B008
        self.memory = MemoryBackplane(history=history)
        self.waits = waits
        self.held = False
        self.released = anyio.Event()
        self.failing: set[str] = set()
        self.stuck: set[str] = set()
        self._unstuck = anyio.Event()
        self.called: list[str] = []
        self._relays: dict[Listener, _Relay] = {}

    @property
    def patterns(self) -> list[str]:
        """All that is carried for anybody."""
        return sorted(each for relay in self._relays.values() for each in relay.patterns)

    @property
    def listeners(self) -> int:
        return len(self._relays)

    def unstick(self) -> None:
        """Have the calls that are stuck go on."""
        self.stuck.clear()
        self._unstuck.set()

    def hold(self) -> None:
        self.held = True
        self.released = anyio.Event()

    def release(self) -> None:
        self.held = False
        self.released.set()

    async def deliver(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hand messages over, for ever."""
        task_status.started()
        while True:
            for relay in tuple(self._relays.values()):
                if relay.kept and not self.held:
                    await self._wait()
                    if relay.listener in self._relays and not self.held:
                        relay.listener.receive(relay.kept.pop(0))
            if self.held:
                await self.released.wait()
            await anyio.lowlevel.checkpoint()

    def hand_over(self) -> None:
        """Hand everything over now."""
        for relay in self._relays.values():
            while relay.kept:
                relay.listener.receive(relay.kept.pop(0))

    def lose(self, patterns: Sequence[str]) -> None:
        """The connection was away: what was under way is lost."""
        for relay in self._relays.values():
            relay.kept.clear()
            relay.listener.lose(patterns)

    def restart(self) -> None:
        """Nothing is known any more of what was published, and all go on listening."""
        self.memory = MemoryBackplane()
        for relay in self._relays.values():
            for pattern in relay.patterns:
                self.memory.subscribe_nowait(relay, pattern)

    def health(self) -> Health:
        return self.memory.health()

    async def open(self, listener: Listener) -> None:
        await self._begin("open")
        self._relays[listener] = _Relay(listener)
        await self._wait()

    async def close(self, listener: Listener) -> None:
        await self._begin("close")
        relay = self._relays.pop(listener, None)
        if relay is not None:
            self.memory.close_nowait(relay)
        await self._wait()

    async def publish(self, message: Message) -> Cursor | None:
        await self._begin("publish")
        cursor = await self.memory.publish(message)
        await self._wait()
        return cursor

    async def subscribe(self, listener: Listener, pattern: str) -> None:
        await self._begin("subscribe")
        if (relay := self._relays.get(listener)) is not None:
            relay.patterns.add(pattern)
            self.memory.subscribe_nowait(relay, pattern)
        await self._wait()

    async def unsubscribe(self, listener: Listener, pattern: str) -> None:
        await self._begin("unsubscribe")
        if (relay := self._relays.get(listener)) is not None:
            relay.patterns.discard(pattern)
            self.memory.unsubscribe_nowait(relay, pattern)
        await self._wait()

    async def cursor(self) -> Cursor | None:
        await self._begin("cursor")
        cursor = self.memory.cursor_nowait()
        await self._wait()
        return cursor

    async def history(
        self, patterns: Sequence[str], after: Cursor, *, limit: int
    ) -> Page[Message] | Gap:
        await self._begin("history")
        page = self.memory.history_nowait(patterns, after, limit=limit)
        await self._wait()
        return page

    async def newest(self, patterns: Sequence[str], count: int) -> list[Message]:
        await self._begin("newest")
        newest = self.memory.newest_nowait(patterns, count)
        await self._wait()
        return newest

    async def enter(
        self, topic: str, member: str, connection: str, metadata: Any
    ) -> Literal["joined", "updated"]:
        await self._begin("enter")
        return await self.memory.enter(topic, member, connection, metadata)

    async def leave(self, topic: str, member: str, connection: str) -> bool:
        await self._begin("leave")
        return await self.memory.leave(topic, member, connection)

    async def members(self, topic: str) -> list[Member]:
        await self._begin("members")
        return await self.memory.members(topic)

    async def member_count(self, topic: str) -> int:
        await self._begin("member_count")
        return await self.memory.member_count(topic)

    async def _begin(self, name: str) -> None:
        await self._wait()
        self.called.append(name)
        if name in self.stuck:
            await self._unstuck.wait()
        if name in self.failing:
            raise BackplaneError(f"{name} has failed")

    async def _wait(self) -> None:
        for _ in range(self.waits):
            await anyio.lowlevel.checkpoint()
