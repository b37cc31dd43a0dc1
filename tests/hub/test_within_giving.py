"""What filters and encoders do to the hub while it gives a message is done when that is given."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from anyio import wait_all_tasks_blocked
from feeds.pushed import PushedServer, streamed
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


async def test_a_close_that_is_put_off_ends_those_who_were_there_then():
    hub = Hub()
    later = []

    def reopen(_):
        hub.close()
        later.append(hub.subscribe("b"))
        # What a filter cannot await does not wait here.
        with pytest.raises(StopIteration):
            hub.__aenter__().send(None)
        later[0].start_nowait()
        return True

    async with hub.subscribe("a", filter=reopen) as first:
        await hub.publish("a", 1)
        assert await read_to_end(first) == [1]
        assert not later[0].is_over
        await hub.publish("b", 2)
        assert (await anext(later[0])).data == 2
        await later[0].aclose()
        await hub.__aexit__(None, None, None)


@on_asyncio_only
async def test_a_send_that_is_cancelled_by_itself_ends_its_connection_and_no_other():
    class Cancelled(PushedServer):
        __module__ = "uvicorn.fake"

        async def send(self, message):
            if b"message" in message.get("body", b""):
                raise asyncio.CancelledError
            await super().send(message)

    hub = Hub()
    failing = Cancelled()
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                streamed(sse_feed(hub, "a"), server, ends=server is failing)
            )
            for server in (PushedServer(), failing, PushedServer())
        ]
        await wait_all_tasks_blocked()
        published = await hub.publish("a", "message")
        assert (published.delivered, published.dropped) == (2, 1)
        await wait_all_tasks_blocked()
        assert [stream.datas for stream in streams] == [["message"], [], ["message"]]
        assert failing.is_done
    assert isinstance(failing.error, HubError)
