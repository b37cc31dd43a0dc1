"""What a backplane is asked for of messages that it carries."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from asgi_rt.hub.backplane.protocol import Backplane
from asgi_rt.hub.message import Message
from asgi_rt.testing.backplane_pair import (
    BackplanePairs,
    Pair,
    RecordingListener,
    cancelled_after,
    opened,
)

__all__ = ["CarryingTests"]


class CarryingTests(BackplanePairs):
    """Each message comes once, whole and in order, to those who want it and to nobody else."""

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
                await pair.publish("a.b", data, key="kéy", exclude="mé")
            await pair.far_has("text", "", "é", b"\x00\xff", {"a": [1, None]}, None)
            message = pair.far.messages[0]
            assert (message.topic, message.kind) == ("a.b", "text")
            assert (message.key, message.exclude) == ("kéy", "mé")
            assert pair.far.messages[3].kind == "bytes"
            assert pair.far.messages[4].kind == "json"

    async def test_a_message_without_a_key_and_exclusion_comes_without_them(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            await pair.publish("a", 1)
            await pair.far_has(1)
            message = pair.far.messages[0]
            assert (message.key, message.exclude) == (None, None)

    async def test_messages_come_in_order_with_positions_that_grow(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a.*")
            for number in range(50):
                await pair.publish(f"a.{number % 3}", number)
            await pair.far_has(*range(50))
            self._assert_positions_grow(pair.far)

    async def test_a_large_message_comes_whole(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            data = bytes(range(256)) * 800  # 200 KB
            await pair.publish("a", data)
            await pair.far_has(data)

    async def test_topics_are_in_any_script(self) -> None:
        async with self._pair() as pair:
            await pair.first.subscribe(pair.near, "é.日本")
            await pair.second.subscribe(pair.far, "é.*")
            await pair.publish("e.日本", "not this")
            await pair.publish("é.日本", 1)
            await pair.near_has(1)
            await pair.far_has(1)
            assert pair.far.messages[0].topic == "é.日本"

    async def test_nothing_comes_twice_while_publishing_goes_on(self) -> None:
        """Also not a while later, when others have come."""
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            published = 0
            ends_at = anyio.current_time() + self.lasting
            while anyio.current_time() < ends_at:
                backplane = (pair.first, pair.second)[published % 2]
                await backplane.publish(Message.of("a", published))
                published += 1
                await pair.far_has(*range(published))
                await anyio.sleep(0.005)  # so that there are not thousands

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

    async def test_who_was_closed_can_come_back(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            await pair.second.subscribe(pair.far, "b")
            await pair.second.close(pair.far)
            await pair.second.open(pair.far)
            await pair.second.subscribe(pair.far, "a")
            await pair.publish("b", "not this")
            await pair.publish("a", 1)
            await pair.far_has(1)

    async def test_each_listener_gets_what_it_has_subscribed_to(self) -> None:
        other = RecordingListener()
        async with self._pair() as pair, opened(pair.second, other):
            for listener, topic in ((pair.far, "a"), (other, "b"), (pair.far, "c"), (other, "c")):
                await pair.second.subscribe(listener, topic)
            for topic in ("a", "b", "a", "c"):
                await pair.publish(topic, topic)
            await pair.far_has("a", "a", "c")
            await pair.has(other, "b", "c")

    async def test_who_unsubscribes_takes_nothing_from_others(self) -> None:
        async with self._three() as (pair, other):
            await pair.second.unsubscribe(other, "a")
            await pair.publish("a", 1)
            await pair.near_has(1)
            await pair.far_has(1)
            await self._assert_nothing_comes(pair, "a", to=other)

    async def test_who_closes_takes_nothing_from_others(self) -> None:
        async with self._three() as (pair, other):
            await pair.second.close(other)
            await pair.publish("a", 1)
            await pair.near_has(1)
            await pair.far_has(1)
            await self._assert_nothing_comes(pair, "a", to=other)

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
            await pair.publish("a", "end")
            await pair.far_gets("end")
            assert len(pair.far.messages) == 161
            self._assert_positions_grow(pair.far)
            for name in "abcdABCD":
                assert [n for who, n in pair.far.data[:-1] if who == name] == list(range(20)), name

    async def test_a_cancelled_publish_is_done_as_a_whole_or_not_at_all(self) -> None:
        """What is in history has come, and the other way round."""
        async with self._pair() as pair:
            begin = await pair.first.cursor()
            await pair.second.subscribe(pair.far, "a")
            for turns in range(10):
                await cancelled_after(turns, partial(pair.publish, "a", turns))
            await pair.publish("a", "end")
            await pair.far_gets("end")
            *came, _ = pair.far.data
            assert came == sorted(set(came), key=str), f"{came} came"
            if begin is not None:
                kept = await self._read_all(pair.second, ["a"], begin)
                ids = [message.id for message in kept]
                came = [message.id for message in pair.far.messages]
                assert ids[: len(came)] == came, f"{came} came, and kept are {ids}"

    async def test_it_is_healthy_while_it_is_open(self) -> None:
        async with self._pair() as pair:
            health = pair.first.health()
            assert health.connected, health.detail
            assert health.outages == 0

    async def test_health_tells_when_a_message_came_last(self) -> None:
        async with self._pair() as pair:
            await pair.second.subscribe(pair.far, "a")
            before = time.time()
            await pair.publish("a", 1)
            await pair.far_has(1)
            came_at = pair.second.health().last_message_at
            assert came_at is not None, "it does not say when"
            assert before - 1 <= came_at <= time.time() + 1, f"{came_at} is not the time"

    @asynccontextmanager
    async def _three(self) -> AsyncGenerator[tuple[Pair, RecordingListener], None]:
        """All subscribed to the same, the third by the connection of the far one."""
        other = RecordingListener()
        async with self._pair() as pair, opened(pair.second, other):
            await pair.first.subscribe(pair.near, "a")
            for listener in (pair.far, other):
                await pair.second.subscribe(listener, "a")
            yield pair, other

    def _assert_positions_grow(self, listener: RecordingListener) -> None:
        positions = [message.position for message in listener.messages]
        assert not self.has_history or positions == sorted(set(positions)), positions

    async def _assert_nothing_comes(
        self, pair: Pair, topic: str, *, to: RecordingListener | None = None
    ) -> None:
        """What is published is seen by another who listens, and not by the far one, or `to`."""
        listener = pair.far if to is None else to
        before = listener.data
        witness = RecordingListener()
        async with opened(pair.second, witness):
            await pair.second.subscribe(witness, topic)
            await pair.publish(topic, "not this")
            await witness.until(lambda it: bool(it.messages), within=self.deadline)
        assert listener.data == before, f"{listener.data[len(before) :]} came"
