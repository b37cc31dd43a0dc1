"""What a backplane is asked for of what was published before."""

from collections.abc import Sequence

from asgi_rt.hub.backplane.protocol import Backplane
from asgi_rt.hub.message import Cursor, Gap, Message
from asgi_rt.testing.backplane_pair import BackplanePairs

__all__ = ["HistoryTests"]


class HistoryTests(BackplanePairs):
    """Places in all that was published, and what came after them."""

    async def test_a_cursor_is_behind_what_was_published_before(self) -> None:
        async with self._pair() as pair:
            published = await pair.publish("a", 1)
            cursor = await pair.first.cursor()
            if not self.has_history:
                assert published is None
                assert cursor is None
                return
            assert cursor is not None
            assert published == cursor
            # Nobody knows a place of their own: it is behind what others have published, too.
            assert await pair.second.cursor() == published
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
            messages = await self._read_all(pair.second, ["a", "*", "b.c", ">"], begin)
            assert [message.data for message in messages] == list(range(1, 40)), "each once"
            messages = await self._read_all(pair.second, ["a"], begin)
            assert [message.data for message in messages] == list(range(1, 40, 2))

    async def test_history_has_what_has_come(self) -> None:
        """Whoever has got a message finds it in history, with the same id."""
        async with self._pair() as pair:
            begin = await pair.first.cursor()
            await pair.second.subscribe(pair.far, "a")
            published = await pair.publish("a", {"x": 1}, key="kéy", exclude="mé")
            await pair.far_has({"x": 1})
            if begin is None:
                assert not self.has_history
                return
            (kept,) = await self._read_all(pair.second, ["a"], begin)
            came = pair.far.messages[0]
            assert came.id == str(published), "its id is the place that its publisher was told"
            assert _whole(kept) == _whole(came)
            (newest,) = await pair.second.newest(["a"], 1)
            assert _whole(newest) == _whole(came)

    async def test_large_messages_and_topics_of_any_script_are_kept(self) -> None:
        async with self._pair() as pair:
            begin = await pair.publish("é.日本", 0)
            if begin is None:
                assert not self.has_history
                return
            data = bytes(range(256)) * 800  # 200 KB
            await pair.publish("é.日本", data)
            for patterns in (["é.日本"], ["é.*"]):
                (kept,) = await self._read_all(pair.second, patterns, begin)
                assert (kept.topic, kept.payload == data) == ("é.日本", True)

    async def test_reading_goes_on_where_a_page_has_ended(self) -> None:
        """Nothing is left out between the last page and what is published next, or given twice."""
        async with self._pair() as pair:
            begin = await pair.publish("a", 0)
            if begin is None:
                assert not self.has_history
                return
            for number in range(1, 8):
                await pair.publish("a", number)
                await pair.publish("b", "not this")
            for pattern in ("a", "a.>", "*"):
                last = (await self._pages(pair.second, [pattern], begin))[-1]
                published = await pair.publish("a", pattern)
                await pair.publish("a.b", pattern)
                after = Cursor(begin.epoch, last.through)
                messages = await self._read_all(pair.second, ["a", "a.b"], after)
                assert [message.data for message in messages] == [pattern, pattern]
                assert messages[0].id == str(published)

    async def test_more_than_is_kept_is_a_gap(self) -> None:
        """And never the rest of it, which would look whole."""
        async with self._pair() as pair:
            begin = await pair.publish("a.b", 0)
            if begin is None or self.history_count is None:
                assert self.has_history == (begin is not None)
                return
            for number in range(self.history_count + 1):
                await pair.publish("a.b", number)
            for patterns in (["a.b"], ["a.*"], ["none", "a.b"]):
                await self._assert_gap(pair.second, patterns, begin, "expired")

    async def test_what_one_topic_has_lost_is_no_gap_for_another(self) -> None:
        async with self._pair() as pair:
            begin = await pair.publish("a.b", 0)
            if begin is None or self.history_count is None:
                assert self.has_history == (begin is not None)
                return
            await pair.publish("a.c", "kept")
            for number in range(self.history_count + 1):
                await pair.publish("a.b", number)
            messages = await self._read_all(pair.second, ["a.c"], begin)
            assert [message.data for message in messages] == ["kept"]

    async def test_a_place_of_another_run_is_a_gap(self) -> None:
        async with self._pair() as pair:
            await pair.publish("a", 1)
            another = Cursor("another.run", 1)
            await self._assert_gap(pair.first, ["a"], another, "unknown")

    async def test_a_place_of_an_earlier_run_is_a_gap(self) -> None:
        """Though there is a message in the same position now, which is another one."""
        async with self._pair() as pair:
            earlier = await pair.publish("a", 1)
        if earlier is None:
            assert not self.has_history
            return
        async with self._pair() as pair:
            for number in range(3):
                await pair.publish("a", number)
            await self._assert_gap(pair.second, ["a"], earlier, "unknown")

    async def test_a_place_that_was_not_reached_yet_is_a_gap(self) -> None:
        async with self._pair() as pair:
            cursor = await pair.publish("a", 1)
            if cursor is None:
                assert not self.has_history
                return
            beyond = Cursor(cursor.epoch, cursor.position + 1000)
            await self._assert_gap(pair.first, ["a"], beyond, "unknown")

    async def test_the_newest_are_the_last_that_match(self) -> None:
        async with self._pair() as pair:
            for number in range(10):
                await pair.publish(f"a.{number % 2}", number)
            newest = await pair.second.newest(["a.1", "a.*"], 3)
            expected = [7, 8, 9] if self.has_history else []
            assert [message.data for message in newest] == expected
            assert await pair.second.newest(["none"], 3) == []

    async def _assert_gap(
        self, backplane: Backplane, patterns: Sequence[str], after: Cursor, reason: str
    ) -> None:
        gap = await backplane.history(patterns, after, limit=5)
        assert isinstance(gap, Gap), f"history after {after} is {gap}"
        cursor = await backplane.cursor()
        goes_on = None if cursor is None else str(cursor)
        assert (gap.reason, gap.id) == (reason, goes_on), f"{gap}, and the newest is {goes_on}"


def _whole(message: Message) -> tuple[object, ...]:
    """Everything there is of a message, to be compared."""
    return (
        message.id,
        message.topic,
        message.kind,
        message.payload,
        message.key,
        message.exclude,
    )
