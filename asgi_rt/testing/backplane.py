"""The tests that every backplane must pass, for the authors of backplanes.

Derive a class and say how two connections to the same messages are made, as two processes have:

```python
class TestMyBackplane(BackplaneConformance):
    @asynccontextmanager
    async def connections(self):
        name = secrets.token_hex(4)             # so that each test begins with nothing
        yield MyBackplane(URL, name), MyBackplane(URL, name)
```

pytest finds the tests in it. They are coroutine functions: run them by anyio's plugin, with
`pytestmark = pytest.mark.anyio` or `anyio_mode = "auto"`. Each bounds its waits by `deadline`
seconds. A backplane without history sets `has_history = False`.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio

from asgi_rt.hub.backplane.protocol import Backplane, Listener
from asgi_rt.hub.history import Page
from asgi_rt.hub.message import Cursor, Gap, Message

__all__ = ["BackplaneConformance", "RecordingListener"]


class RecordingListener:
    """A listener that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lost: list[str] = []
        """The patterns of which it was told that messages may be missing."""
        self._changed = anyio.Event()

    def receive(self, message: Message) -> None:
        self.messages.append(message)
        self._ring()

    def lose(self, patterns: Sequence[str]) -> None:
        self.lost.extend(patterns)
        self._ring()

    @property
    def data(self) -> list[Any]:
        """The data of all messages that came."""
        return [message.data for message in self.messages]

    async def until(self, holds: Callable[["RecordingListener"], bool], *, within: float) -> None:
        """Return when something holds of it. Raises TimeoutError after `within` seconds."""
        with anyio.fail_after(within):
            while not holds(self):
                await self._changed.wait()

    def _ring(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class _Pair:
    """Two connections, each opened for a listener."""

    def __init__(self, first: Backplane, second: Backplane, deadline: float) -> None:
        self.first = first
        self.second = second
        self.near = RecordingListener()
        """Who listens to the first."""
        self.far = RecordingListener()
        """Who listens to the second."""
        self._deadline = deadline

    async def publish(self, topic: str, data: Any, **more: Any) -> Cursor | None:
        return await self.first.publish(Message.of(topic, data, **more))

    async def far_has(self, *data: Any) -> None:
        """Assert that exactly these have come to the far listener, in this order."""
        await self._has(self.far, list(data))

    async def near_has(self, *data: Any) -> None:
        await self._has(self.near, list(data))

    async def _has(self, listener: RecordingListener, data: list[Any]) -> None:
        try:
            await listener.until(lambda it: len(it.messages) >= len(data), within=self._deadline)
        except TimeoutError:
            raise AssertionError(f"only {listener.data} of {data} came") from None
        assert listener.data == data, f"{listener.data} came, not {data}"


class BackplaneConformance:
    """What is asked of a backplane. Derive from it, and define `connections`."""

    deadline: float = 10.0
    """Seconds that a message may take, at most."""
    has_history: bool = True
    """Whether it gives cursors and keeps messages, at least the 100 newest of a topic."""

    def connections(self) -> AbstractAsyncContextManager[tuple[Backplane, Backplane]]:
        """Two that carry each other's messages, not opened yet; they may be one and the same.

        Nothing of what other tests have published or left is to be seen in them.
        """
        raise NotImplementedError("say how your backplane is connected to, twice")

    @asynccontextmanager
    async def _pair(self) -> AsyncGenerator[_Pair, None]:
        async with self.connections() as (first, second):
            pair = _Pair(first, second, self.deadline)
            async with _opened(first, pair.near), _opened(second, pair.far):
                yield pair

    async def _read_all(
        self, backplane: Backplane, patterns: Sequence[str], after: Cursor
    ) -> list[Message]:
        """All pages of history after a place."""
        messages: list[Message] = []
        with anyio.fail_after(self.deadline):
            while True:
                page = await backplane.history(patterns, after, limit=7)
                assert isinstance(page, Page), f"history after {after} is {page}"
                assert len(page.items) <= 7, "a page has more messages than were asked for"
                messages += page.items
                if page.is_last:
                    return messages
                assert page.through > after.position, "a page that is not the last goes nowhere"
                after = Cursor(after.epoch, page.through)

    # Carrying messages

    async def test_what_one_publishes_comes_to_all_who_subscribed(self) -> None:
        async with self._pair() as pair:
            await pair.first.subscribe(pair.near, "a")
            await pair.second.subscribe(pair.far, "a")
            await pair.publish("a", 1)
            await pair.near_has(1)
            await pair.far_has(1)

    async def test_everything_of_a_message_comes(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, ">")
            for data in ("text", "", "é", b"\x00\xff", {"a": [1, None]}, None):
                await pair.publish("a.b", data, key="key", exclude="me")
            await pair.far_has("text", "", "é", b"\x00\xff", {"a": [1, None]}, None)
            message = pair.far.messages[0]
            assert (message.topic, message.kind) == ("a.b", "text")
            assert (message.key, message.exclude) == ("key", "me")
            assert pair.far.messages[3].kind == "bytes"
            assert pair.far.messages[4].kind == "json"

    async def test_messages_come_in_order_with_positions_that_grow(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a.*")
            for number in range(50):
                await pair.publish(f"a.{number % 3}", number)
            await pair.far_has(*range(50))
            positions = [message.position for message in pair.far.messages]
            assert not self.has_history or positions == sorted(set(positions)), positions

    async def test_only_what_is_subscribed_to_comes(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a.*.c")
            await pair.second.subscribe(pair.far, "x.>")
            for topic in ("a", "a.b", "a.b.d", "a.b.c.d", "x", "xx.y"):
                await pair.publish(topic, "not this")
            await pair.publish("a.b.c", 1)
            await pair.publish("x.y", 2)
            await pair.publish("x.y.z", 3)
            await pair.far_has(1, 2, 3)

    async def test_a_message_that_many_patterns_stand_for_comes_once(self) -> None:
        async with self._pair() as pair:
            for pattern in ("a.b", "a.*", "a.>", ">"):
                await pair.second.subscribe(pair.far, pattern)
            await pair.publish("a.b", 1)
            await pair.publish("a.b", 2)
            await pair.far_has(1, 2)

    async def test_subscribing_again_changes_nothing(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            await pair.second.subscribe(pair.far, "a")
            await pair.publish("a", 1)
            await pair.publish("a", 2)
            await pair.far_has(1, 2)
            await pair.second.unsubscribe(pair.far, "a")
            await self._assert_nothing_comes(pair, "a")

    async def test_nothing_comes_after_unsubscribing(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            await pair.second.unsubscribe(pair.far, "a")
            await self._assert_nothing_comes(pair, "a")

    async def test_unsubscribing_from_one_pattern_keeps_the_others(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a.b")
            await pair.second.subscribe(pair.far, "a.*")
            await pair.second.unsubscribe(pair.far, "a.*")
            await pair.publish("a.c", "not this")
            await pair.publish("a.b", 1)
            await pair.far_has(1)

    async def test_unsubscribing_from_what_is_not_carried_is_no_error(self) -> None:
        async with self._pair() as pair:
            await pair.second.unsubscribe(pair.far, "a")

    async def test_nothing_comes_after_closing(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            await pair.second.close(pair.far)
            await self._assert_nothing_comes(pair, "a")
            await pair.second.unsubscribe(pair.far, "a")
            await pair.second.close(pair.far)

    async def test_coming_and_going_quickly_ends_with_what_is_wanted(self) -> None:
        async with self._pair() as pair:
            for _ in range(20):
                await pair.second.subscribe(pair.far, "a")
                await pair.second.unsubscribe(pair.far, "a")
            await pair.second.subscribe(pair.far, "a")
            await pair.publish("a", 1)
            await pair.far_has(1)

    async def test_cancelled_calls_leave_others_as_they_were(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            for call in (
                lambda: pair.second.subscribe(pair.far, "b"),
                lambda: pair.second.newest(["a"], 5),
                lambda: pair.second.members("a"),
            ):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await call()
            await pair.second.unsubscribe(pair.far, "b")
            await pair.publish("b", "not this")
            await pair.publish("a", 1)
            await pair.far_has(1)

    async def test_what_many_publish_at_once_comes_whole_and_each_in_its_order(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")

            async def publish(backplane: Backplane, name: str) -> None:
                for number in range(20):
                    await backplane.publish(Message.of("a", [name, number]))

            async with anyio.create_task_group() as group:
                for name in "abcd":
                    group.start_soon(publish, pair.first, name)
                    group.start_soon(publish, pair.second, name.upper())
            await pair.far.until(lambda it: len(it.messages) >= 160, within=self.deadline)
            for name in "abcdABCD":
                assert [n for who, n in pair.far.data if who == name] == list(range(20)), name

    async def test_it_is_healthy_while_it_is_open(self) -> None:
        async with self._pair() as pair:
            health = pair.first.health()
            assert health.connected, health.detail

    # History

    async def test_a_cursor_is_behind_what_was_published_before(self) -> None:
        async with self._pair() as pair:
            published = await pair.publish("a", 1)
            cursor = await pair.first.cursor()
            if not self.has_history:
                assert published is None
                assert cursor is None
                return
            assert published == cursor
            assert cursor is not None
            assert await self._read_all(pair.second, ["a"], cursor) == []

    async def test_history_gives_what_came_after_a_place(self) -> None:
        async with self._pair() as pair:
            begin = await pair.publish("a", 0)
            if begin is None:
                assert not self.has_history
                return
            for number in range(1, 40):
                await pair.publish("a" if number % 2 else "b.c", number)
            messages = await self._read_all(pair.second, ["a", "b.*"], begin)
            assert [message.data for message in messages] == list(range(1, 40))
            messages = await self._read_all(pair.second, ["a"], begin)
            assert [message.data for message in messages] == list(range(1, 40, 2))

    async def test_history_has_what_has_come(self) -> None:
        """Whoever has got a message finds it in history, with the same id."""
        async with self._pair() as pair:
            begin = await pair.first.cursor()
            await pair.second.subscribe(pair.far, "a")
            await pair.publish("a", {"x": 1}, key="key", exclude="me")
            await pair.far_has({"x": 1})
            if begin is None:
                assert not self.has_history
                return
            (kept,) = await self._read_all(pair.second, ["a"], begin)
            came = pair.far.messages[0]
            assert kept.id == came.id is not None
            assert (kept.data, kept.kind, kept.key) == (came.data, came.kind, came.key)
            assert kept.exclude == came.exclude

    async def test_a_place_of_another_run_is_a_gap(self) -> None:
        async with self._pair() as pair:
            await pair.publish("a", 1)
            gap = await pair.first.history(["a"], Cursor("another.run", 1), limit=5)
            assert isinstance(gap, Gap), gap
            assert gap.reason == "unknown"
            cursor = await pair.first.cursor()
            assert gap.id == (None if cursor is None else str(cursor))

    async def test_a_place_that_was_not_reached_yet_is_a_gap(self) -> None:
        async with self._pair() as pair:
            cursor = await pair.publish("a", 1)
            if cursor is None:
                assert not self.has_history
                return
            beyond = Cursor(cursor.epoch, cursor.position + 1000)
            gap = await pair.first.history(["a"], beyond, limit=5)
            assert isinstance(gap, Gap), gap
            assert gap.reason == "unknown"

    async def test_the_newest_are_the_last_that_match(self) -> None:
        async with self._pair() as pair:
            for number in range(10):
                await pair.publish(f"a.{number % 2}", number)
            newest = await pair.second.newest(["a.1", "a.*"], 3)
            expected = [7, 8, 9] if self.has_history else []
            assert [message.data for message in newest] == expected
            assert await pair.second.newest(["none"], 3) == []

    # Presence

    async def test_a_member_is_there_from_the_first_connection_to_the_last(self) -> None:
        async with self._pair() as pair:
            assert await pair.first.enter("room", "ann", "1", {"n": 1}) == "joined"
            assert await pair.second.enter("room", "ann", "2", {"n": 2}) == "updated"
            assert await pair.first.enter("room", "bob", "3", None) == "joined"
            ann, bob = await pair.second.members("room")
            assert (ann.member, ann.metadata, ann.connections) == ("ann", {"n": 2}, 2)
            assert (bob.member, bob.metadata, bob.connections) == ("bob", None, 1)
            assert ann.since <= bob.since
            assert await pair.second.member_count("room") == 2
            assert not await pair.first.leave("room", "ann", "1")
            assert await pair.second.leave("room", "ann", "2")
            assert [each.member for each in await pair.first.members("room")] == ["bob"]

    async def test_leaving_again_is_not_leaving(self) -> None:
        async with self._pair() as pair:
            await pair.first.enter("room", "ann", "1", None)
            assert await pair.first.leave("room", "ann", "1")
            assert not await pair.first.leave("room", "ann", "1")
            assert not await pair.first.leave("nowhere", "ann", "1")
            assert await pair.first.member_count("room") == 0
            assert await pair.first.members("room") == []

    async def test_metadata_can_be_renewed(self) -> None:
        async with self._pair() as pair:
            await pair.first.enter("room", "ann", "1", "old")
            assert await pair.first.enter("room", "ann", "1", "new") == "updated"
            (ann,) = await pair.second.members("room")
            assert (ann.metadata, ann.connections) == ("new", 1)

    async def _assert_nothing_comes(self, pair: _Pair, topic: str) -> None:
        """What is published is seen by another who listens, and not by the far one."""
        before = pair.far.data
        witness = RecordingListener()
        async with _opened(pair.second, witness):
            await pair.second.subscribe(witness, topic)
            await pair.publish(topic, "not this")
            await witness.until(lambda it: bool(it.messages), within=self.deadline)
        assert pair.far.data == before, f"{pair.far.data[len(before) :]} came"


@asynccontextmanager
async def _opened(backplane: Backplane, listener: Listener) -> AsyncGenerator[None, None]:
    await backplane.open(listener)
    try:
        yield
    finally:
        with anyio.move_on_after(10, shield=True):
            await backplane.close(listener)
