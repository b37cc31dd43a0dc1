"""What a backplane is asked for by two hubs, as two processes have them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.lowlevel

from asgi_rt.hub import Gap, Hub, Message, Subscription
from asgi_rt.testing.backplane_pair import BackplanePairs

__all__ = ["HubTests"]

# Both together publish no more than every backplane keeps.
_EACH = 40


class HubTests(BackplanePairs):
    """A subscriber gets everything once and in order, from history and as it is published."""

    async def test_who_is_subscribed_gets_what_both_publish(self) -> None:
        async with (
            self._hubs() as (here, there),
            there.subscribe("a.*", "a.here", max_messages=1000) as subscription,
        ):
            await _publish_from_both(here, there)
            items = await self._read(subscription)
        _assert_all_once(items, has_ids=self.has_history)

    async def test_who_comes_back_while_both_publish_gets_each_message_once(self) -> None:
        for turns in (1, 5, 20):
            await self._come_back(turns)

    async def _come_back(self, turns: int) -> None:
        """To get some from history and some as they are published."""
        items: list[Message | Gap] = []
        async with self._hubs() as (here, there), anyio.create_task_group() as group:
            begin = await here.publish("a.here", "begin")
            if begin.id is None:
                assert not self.has_history
                return
            group.start_soon(_publish_from_both, here, there)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            subscribe = partial(there.subscribe, max_messages=1000)
            async with subscribe("a.*", "a.here", after=begin.id) as subscription:
                items = await self._read(subscription)
        _assert_all_once(items, has_ids=True)

    async def _read(self, subscription: Subscription) -> list[Message | Gap]:
        """What comes up to the last of all, or until the time is over."""
        items: list[Message | Gap] = []
        with anyio.move_on_after(self.deadline):
            async for item in subscription:
                items.append(item)
                if isinstance(item, Message) and item.data == "end":
                    break
        return items

    @asynccontextmanager
    async def _hubs(self) -> AsyncGenerator[tuple[Hub, Hub], None]:
        async with (
            self.connections() as (first, second),
            Hub(backplane=first) as here,
            Hub(backplane=second) as there,
        ):
            yield here, there


async def _publish_from_both(here: Hub, there: Hub) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_publish, here, "here")
        group.start_soon(_publish, there, "there")
    await here.publish("a.here", "end")


async def _publish(hub: Hub, name: str) -> None:
    for number in range(_EACH):
        await hub.publish(f"a.{name}", [name, number])
        await anyio.lowlevel.checkpoint()  # in memory, it would not let others have their turn


def _assert_all_once(items: list[Message | Gap], *, has_ids: bool) -> None:
    messages = [item for item in items if isinstance(item, Message)]
    gaps = [item for item in items if isinstance(item, Gap)]
    assert not gaps, f"nothing is missing, but it was told of {gaps}"
    data = [message.data for message in messages]
    assert data, "nothing has come"
    for name in ("here", "there"):
        numbers = [each[1] for each in data if each[0] == name]
        assert numbers == list(range(_EACH)), f"of {name}, {numbers} came"
    assert data[-1] == "end", "the last has not come"
    if has_ids:
        positions = [message.position for message in messages]
        assert positions == sorted(set(positions)), positions
        assert None not in [message.id for message in messages]
