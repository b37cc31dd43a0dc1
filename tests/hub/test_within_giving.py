"""What filters and encoders do to the hub while it gives a message is done when that is given."""

from contextlib import AsyncExitStack

import pytest
from anyio import wait_all_tasks_blocked
from feeds.pushed import streamed
from hub.reading import read_to_end
from sse.wire import on_asyncio_only

from asgi_rt import Hub, sse_feed
from asgi_rt.errors import HubError


async def test_a_hub_that_a_filter_closes_ends_behind_the_message():
    hub = Hub()

    def close(_):
        hub.close()
        with pytest.raises(HubError, match="closed"):
            hub.publish_nowait("a", 2)
        return True

    filters = [None, close, None]
    async with AsyncExitStack() as stack:
        subscriptions = [
            await stack.enter_async_context(hub.subscribe("a", filter=each)) for each in filters
        ]
        published = await hub.publish("a", 1)
        assert published.subscribers == 3
        for subscription in subscriptions:
            assert await read_to_end(subscription) == [1]
            assert subscription.filter_errors == 0


async def test_a_hub_that_a_filter_closes_ends_behind_what_was_published_meanwhile():
    hub = Hub()

    def close(message):
        if message.data == 1:
            hub.publish_nowait("a", 2)
            hub.close()
        return True

    async with hub.subscribe("a", filter=close) as one, hub.subscribe("a") as two:
        await hub.publish("a", 1)
        assert await read_to_end(one) == await read_to_end(two) == [1, 2]


@on_asyncio_only
@pytest.mark.parametrize("last", [1, 2], ids=["in the first of a turn", "in a burst"])
async def test_a_hub_that_an_encoder_closes_ends_behind_the_message(last):
    hub = Hub()

    def encode(message):
        if message.data == str(last):
            hub.close()
        return message.data

    async with AsyncExitStack() as stack:
        feeds = [sse_feed(hub, "a", encode=encode) for _ in range(4)]
        streams = [await stack.enter_async_context(streamed(each, ends=True)) for each in feeds]
        await wait_all_tasks_blocked()
        for number in range(1, last + 1):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        expected = [str(number) for number in range(1, last + 1)]
        assert [stream.datas for stream in streams] == [expected] * 4


@on_asyncio_only
@pytest.mark.parametrize(
    "look", [Hub.snapshot, lambda hub: hub.lose(["x"])], ids=["snapshot", "lose"]
)
async def test_what_an_encoder_publishes_comes_behind_a_burst_that_is_given_early(look):
    hub = Hub()

    def encode(message):
        if message.data == "2":
            hub.publish_nowait("b", "4")
        return message.data

    async with AsyncExitStack() as stack:
        feeds = [sse_feed(hub, *topics, encode=encode) for topics in ("ab", "ab", "b")]
        streams = [await stack.enter_async_context(streamed(each)) for each in feeds]
        await wait_all_tasks_blocked()
        for number in "123":
            hub.publish_nowait("a", number)
        look(hub)
        await wait_all_tasks_blocked()
        assert [stream.datas for stream in streams] == [["1", "2", "3", "4"]] * 2 + [["4"]]
