"""What a backplane is asked for of presence."""

import time
from functools import partial
from typing import Any

import anyio

from asgi_rt.hub.backplane.protocol import Backplane, Member
from asgi_rt.testing.backplane_pair import BackplanePairs, Pair, cancelled_after

__all__ = ["PresenceTests"]

_MAX_CLOCK_SKEW = 60.0
_POLL_SECONDS = 0.01


class PresenceTests(BackplanePairs):
    """Who is in a place: what one connection says becomes true for the other, sooner or later."""

    async def test_a_member_is_there_from_the_first_connection_to_the_last(self) -> None:
        async with self._pair() as pair:
            assert await pair.first.enter("room", "ann", "1", {"n": 1}) == "joined"
            await self._there(pair, "room", ("ann", {"n": 1}, 1))
            assert await pair.second.enter("room", "ann", "2", {"n": 2}) == "updated"
            await self._there(pair, "room", ("ann", {"n": 2}, 2))
            assert not await pair.first.leave("room", "ann", "1")
            await self._there(pair, "room", ("ann", {"n": 2}, 1))
            assert await pair.second.leave("room", "ann", "2")
            await self._there(pair, "room")

    async def test_everybody_is_there_for_themselves(self) -> None:
        async with self._pair() as pair:
            assert await pair.first.enter("room", "änn", "1", {"é": [1, None]}) == "joined"
            await self._clock_goes_on()
            assert await pair.first.enter("room", "bob", "2", None) == "joined"
            await self._there(pair, "room", ("änn", {"é": [1, None]}, 1), ("bob", None, 1))
            assert await pair.first.leave("room", "änn", "1")
            await self._there(pair, "room", ("bob", None, 1))

    async def test_leaving_again_is_not_leaving(self) -> None:
        async with self._pair() as pair:
            await pair.first.enter("room", "ann", "1", None)
            assert await pair.first.leave("room", "ann", "1")
            assert not await pair.first.leave("room", "ann", "1")
            assert not await pair.first.leave("nowhere", "ann", "1")
            await self._there(pair, "room")

    async def test_each_of_many_connections_can_leave(self) -> None:
        async with self._pair() as pair:
            for connection in "1234":
                await pair.first.enter("room", "ann", connection, None)
            left = 4
            for connection in "214":
                assert not await pair.first.leave("room", "ann", connection)
                left -= 1
                await self._there(pair, "room", ("ann", None, left))
            assert await pair.first.leave("room", "ann", "3")
            await self._there(pair, "room")

    async def test_who_leaves_with_another_name_does_not_leave(self) -> None:
        async with self._pair() as pair:
            await pair.first.enter("room", "ann", "1", None)
            await self._clock_goes_on()
            await pair.first.enter("room", "bob", "2", None)
            assert not await pair.first.leave("room", "bob", "1")
            assert not await pair.first.leave("room", "eve", "1")
            assert not await pair.first.leave("room", "ann", "2")
            await self._clock_goes_on()
            # Whoever sees this one sees what was done before.
            await pair.first.enter("room", "witness", "3", None)
            await self._there(pair, "room", *((who, None, 1) for who in ("ann", "bob", "witness")))

    async def test_each_topic_is_a_place_of_its_own(self) -> None:
        async with self._pair() as pair:
            assert await pair.first.enter("a.1", "ann", "1", "here") == "joined"
            assert await pair.first.enter("a.2", "ann", "2", "there") == "joined"
            assert await pair.first.enter("a", "bob", "3", None) == "joined"
            await self._there(pair, "a.1", ("ann", "here", 1))
            await self._there(pair, "a.2", ("ann", "there", 1))
            await self._there(pair, "a", ("bob", None, 1))
            assert not await pair.first.leave("a.1", "ann", "2")
            assert await pair.first.leave("a.1", "ann", "1")
            await self._clock_goes_on()
            await pair.first.enter("a.2", "witness", "4", None)
            await self._there(pair, "a.1")
            await self._there(pair, "a.2", ("ann", "there", 1), ("witness", None, 1))
            await self._there(pair, "a", ("bob", None, 1))

    async def test_metadata_can_be_renewed(self) -> None:
        async with self._pair() as pair:
            await pair.first.enter("room", "ann", "1", "old")
            assert await pair.first.enter("room", "ann", "1", "new") == "updated"
            await self._there(pair, "room", ("ann", "new", 1))

    async def test_metadata_is_what_was_said_last_of_a_connection_that_is_open(self) -> None:
        async with self._pair() as pair:
            for connection, metadata in (("1", "one"), ("2", "two"), ("3", "three"), ("2", "new")):
                await pair.first.enter("room", "ann", connection, metadata)
                await self._clock_goes_on()
            await self._there(pair, "room", ("ann", "new", 3))
            await pair.first.leave("room", "ann", "2")
            await self._there(pair, "room", ("ann", "three", 2))
            await pair.first.leave("room", "ann", "1")
            await self._there(pair, "room", ("ann", "three", 1))

    async def test_the_longest_there_stand_first(self) -> None:
        async with self._pair() as pair:
            for connection, member in enumerate(("zed", "ann", "mia")):
                await pair.first.enter("room", member, str(connection), None)
                await self._clock_goes_on()
            before = await self._there(
                pair, "room", *((it, None, 1) for it in ("zed", "ann", "mia"))
            )
            times = [each.since for each in before]
            assert times == sorted(times), times
            assert abs(times[0] - time.time()) < _MAX_CLOCK_SKEW, f"{times} is not the time"
            await pair.first.enter("room", "zed", "another", None)
            expected = (("zed", None, 2), ("ann", None, 1), ("mia", None, 1))
            after = await self._there(pair, "room", *expected)
            assert [each.since for each in after] == times

    async def test_a_cancelled_enter_leaves_nothing_that_stays(self) -> None:
        async with self._pair() as pair:
            for turns in range(8):
                name = str(turns)
                await cancelled_after(turns, partial(pair.first.enter, "room", "ann", name, None))
                await pair.first.leave("room", "ann", name)
                await self._there(pair, "room")
                assert await pair.first.enter("room", "ann", name, None) == "joined"
                await self._there(pair, "room", ("ann", None, 1))
                assert await pair.first.leave("room", "ann", name)

    async def test_a_cancelled_leave_can_be_repeated(self) -> None:
        async with self._pair() as pair:
            for turns in range(8):
                name = str(turns)
                assert await pair.first.enter("room", "ann", name, None) == "joined"
                await cancelled_after(turns, partial(pair.first.leave, "room", "ann", name))
                await pair.first.leave("room", "ann", name)
                await self._there(pair, "room")

    async def _there(self, pair: Pair, topic: str, *expected: tuple[str, Any, int]) -> list[Member]:
        """Assert that both come to see these, each with metadata and connections, in this order."""
        await self._seen(pair.first, topic, list(expected))
        return await self._seen(pair.second, topic, list(expected))

    async def _seen(
        self, backplane: Backplane, topic: str, expected: list[tuple[str, Any, int]]
    ) -> list[Member]:
        seen: list[tuple[str, Any, int]] = []
        count = -1
        with anyio.move_on_after(self.deadline):
            while True:
                members = await backplane.members(topic)
                count = await backplane.member_count(topic)
                seen = [(each.member, each.metadata, each.connections) for each in members]
                if seen == expected and count == len(expected):
                    return members
                await anyio.sleep(_POLL_SECONDS)  # nothing tells when presence changes
        raise AssertionError(f"{seen}, {count} in number, are in {topic}, not {expected}")

    async def _clock_goes_on(self) -> None:
        """Let who comes next come later, by clocks that tell milliseconds too."""
        await anyio.sleep(0.005)
