"""Nothing stays of subscribers that are gone, and nothing of a hub that is."""

import gc
import weakref

import anyio
import pytest
from hub.lagging_backplane import LaggingBackplane
from hub.reading import read

from asgi_rt.hub import Hub, Overflow, Subscription


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def assert_empty(hub: Hub) -> None:
    snapshot = hub.snapshot()
    assert (snapshot.subscriptions, snapshot.topics) == ([], {})
    assert not hub._subscriptions
    if hub.local is not None:
        assert not hub.local._routes


@pytest.mark.slow
async def test_ten_thousand_subscribers_that_came_and_went_leave_nothing():
    hub = Hub(history=None)

    async def come_and_go(times):
        for number in range(times):
            async with hub.subscribe("a", f"b.{number}", f"c.{number}.*") as subscription:
                hub.publish_nowait("a", number)
                subscription.take()

    await come_and_go(100)
    before = objects()
    await come_and_go(10_000)
    assert objects() <= before + 50
    assert_empty(hub)


async def test_a_thousand_subscribers_at_once_leave_nothing():
    hub = Hub(history=None)

    async def come_and_go(count):
        subscriptions = [hub.subscribe("a", "b.*", max_messages=1) for _ in range(count)]
        for subscription in subscriptions:
            await subscription.start()
        await hub.publish("a", 1)
        await hub.publish("b.x", 2)
        for subscription in subscriptions:
            await subscription.aclose()
        await anyio.wait_all_tasks_blocked()  # the turn in which it was published is over

    await come_and_go(10)
    before = objects()
    await come_and_go(1000)
    assert objects() <= before + 50
    assert_empty(hub)


async def test_subscribers_of_a_backplane_that_came_and_went_leave_nothing():
    backplane = LaggingBackplane(waits=0)
    async with Hub(backplane=backplane) as hub:

        async def come_and_go(times):
            for number in range(times):
                async with hub.subscribe("a", f"b.{number}.*"):
                    pass
            backplane.called.clear()

        await come_and_go(10)
        before = objects()
        await come_and_go(300)
        assert objects() <= before + 50
        assert_empty(hub)
        assert hub._interests.patterns == []
        assert backplane.patterns == []


async def test_publishers_that_were_cancelled_again_and_again_leave_nothing():
    hub = Hub(history=None)
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:

        async def give_up(times):
            for number in range(times):
                async with anyio.create_task_group() as group:
                    group.start_soon(hub.publish, "a", number)
                    await anyio.lowlevel.checkpoint()
                    await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()

        await give_up(20)
        before = objects()
        await give_up(300)
        assert objects() <= before + 50
        assert subscription.counters.dropped >= 300


async def test_waits_that_were_cancelled_again_and_again_leave_nothing():
    hub = Hub()
    async with hub.subscribe("a") as subscription:

        async def give_up(times):
            for _ in range(times):
                with anyio.move_on_after(0):
                    await anext(subscription)

        await give_up(20)
        before = objects()
        await give_up(300)
        assert objects() <= before + 50


async def test_a_hub_and_its_subscriptions_go_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        hub = Hub()
        async with hub.subscribe("a", history=3) as subscription:
            await hub.publish("a", 1)
            await read(subscription, 1)
        await anyio.wait_all_tasks_blocked()
        gone = weakref.ref(hub)
        subscriptions = [each for each in gc.get_objects() if isinstance(each, Subscription)]
        del hub, subscription
        assert len(subscriptions) == 1
        subscriptions.clear()
        assert gone() is None
    finally:
        gc.enable()


async def test_a_hub_of_a_backplane_goes_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        hub = Hub(backplane=LaggingBackplane())
        async with hub, hub.subscribe("a", history=3) as subscription:
            await hub.publish("a", 1)
        gone = weakref.ref(hub)
        del hub, subscription
        assert gone() is None
    finally:
        gc.enable()


async def test_a_hub_that_is_dropped_with_subscribers_goes_with_the_garbage_collector():
    hub = Hub()
    subscription = hub.subscribe("a")
    await subscription.start()
    gone = weakref.ref(hub)
    del hub, subscription
    gc.collect()
    assert gone() is None
