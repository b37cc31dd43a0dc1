"""A subscriber that is cancelled at any wait loses nothing for others and leaves nothing behind."""

import anyio
import pytest
from hub.cancelling import cancelled_at_each_wait
from hub.lagging_backplane import LaggingBackplane
from hub.reading import read, waiting

from asgi_rt.errors import BackplaneError
from asgi_rt.hub import Hub, Overflow
from asgi_rt.hub.interests import Interests


def assert_nothing_left(hub: Hub, backplane: LaggingBackplane) -> None:
    assert hub.snapshot().subscriptions == []
    assert hub.snapshot().topics == {}
    assert hub._interests.patterns == []
    assert backplane.patterns == []


@pytest.mark.parametrize("replays", [False, True])
async def test_cancelling_a_subscriber_at_any_wait_leaves_nothing(replays):
    backplane = LaggingBackplane(waits=1)
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with Hub(backplane=backplane) as hub:
            cursor = (await hub.publish("a", 0)).id
            if replays:
                await hub.publish("a", 1)

            async def subscribe():
                options = {"after": cursor} if replays else {}
                async with hub.subscribe("a", "b.*", **options) as subscription:
                    if not replays:
                        await hub.publish("a", 1)
                    assert await read(subscription, 1) == [1]

            async def check():
                assert_nothing_left(hub, backplane)

            assert await cancelled_at_each_wait(subscribe, check) >= 10
        group.cancel_scope.cancel()


async def test_cancelling_a_subscriber_at_any_wait_loses_nothing_for_others():
    backplane = LaggingBackplane(waits=1)
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with Hub(backplane=backplane) as hub, hub.subscribe("a") as other:

            async def subscribe():
                async with hub.subscribe("a", ">", history=2) as subscription:
                    await read(subscription, 1)

            async def check():
                await hub.publish("a", "message")
                assert await read(other, 1) == ["message"]
                assert (backplane.patterns, hub.subscriber_count("a")) == (["a"], 1)

            await hub.publish("a", 0)
            assert await read(other, 1) == [0]
            await cancelled_at_each_wait(subscribe, check)
            assert waiting(other) == []
        group.cancel_scope.cancel()


async def test_cancelling_a_subscriber_in_memory_at_any_wait_leaves_nothing():
    hub = Hub()
    async with hub.subscribe("a") as other:

        async def subscribe():
            async with hub.subscribe("a", ">") as subscription:
                await anyio.lowlevel.checkpoint()
                hub.publish_nowait("a", 1)
                assert await read(subscription, 1) == [1]
                await anext(subscription)

        async def check():
            waiting(other)
            hub.publish_nowait("a", 2)
            assert waiting(other) == [2]
            assert hub.subscriber_count("a") == 1
            assert list(hub.snapshot().topics) == ["a"]

        async def end_it():
            async with anyio.create_task_group() as group:
                group.start_soon(subscribe)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()

        await cancelled_at_each_wait(end_it, check)


async def test_cancelling_a_publisher_at_any_wait_leaves_every_message_counted():
    hub = Hub()
    subscriptions = []

    async def publish():
        async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
            subscriptions.append(subscription)
            async with anyio.create_task_group() as group:
                group.start_soon(read, subscription, 4)
                for number in range(4):
                    await hub.publish("a", number)

    async def check():
        counters = subscriptions.pop().counters
        assert counters.published == counters.delivered + counters.dropped
        assert counters.pending == 0
        assert hub.snapshot().subscriptions == []

    await cancelled_at_each_wait(publish, check)
    snapshot = hub.snapshot()
    assert snapshot.published == snapshot.delivered + snapshot.dropped


async def test_cancelling_publishers_that_wait_leaves_every_message_counted():
    hub = Hub()
    for waits in range(1, 5):
        async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
            async with anyio.create_task_group() as group:
                for number in range(waits):
                    group.start_soon(hub.publish, "a", number)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
            counters = subscription.counters
            assert (counters.published, counters.dropped, counters.pending) == (waits, waits - 1, 1)
            assert not subscription._tickets


@pytest.mark.parametrize("call", ["subscribe", "cursor", "newest", "history"])
async def test_a_backplane_that_fails_while_a_subscriber_begins_leaves_nothing(call):
    backplane = LaggingBackplane()
    async with Hub(backplane=backplane) as hub:
        cursor = (await hub.publish("a", 0)).id
        backplane.failing.add(call)
        options = {"history": 3} if call == "newest" else {"after": cursor}
        with pytest.raises(BackplaneError, match=f"{call} has failed"):
            async with hub.subscribe("b", "a", **options):
                pass
        assert_nothing_left(hub, backplane)


async def test_the_second_topic_that_cannot_be_carried_has_the_first_taken_back(monkeypatch):
    backplane = LaggingBackplane()
    async with Hub(backplane=backplane) as hub:
        acquire = Interests.acquire

        async def fail_for_the_second(interests, listener, pattern):
            if pattern == "b":
                backplane.failing.add("subscribe")
            await acquire(interests, listener, pattern)

        monkeypatch.setattr(Interests, "acquire", fail_for_the_second)
        with pytest.raises(BackplaneError):
            await hub.subscribe("a", "b", "c").start()
        assert_nothing_left(hub, backplane)


async def test_cancelling_the_opening_of_a_hub_at_any_wait_leaves_nothing():
    backplane = LaggingBackplane()

    async def open_and_close():
        async with Hub(backplane=backplane):
            pass

    async def check():
        assert backplane.listeners == 0

    assert await cancelled_at_each_wait(open_and_close, check) >= 5


async def test_a_hub_that_could_not_be_opened_can_be_opened_again():
    backplane = LaggingBackplane()
    backplane.failing.add("open")
    hub = Hub(backplane=backplane)
    with pytest.raises(BackplaneError):
        await hub.__aenter__()
    backplane.failing.clear()
    async with hub:
        assert backplane.listeners == 1
    assert backplane.listeners == 0


async def test_cancelling_the_end_of_a_hub_closes_its_backplane():
    backplane = LaggingBackplane()
    with anyio.CancelScope() as scope:
        async with Hub(backplane=backplane):
            scope.cancel()
    assert backplane.listeners == 0
