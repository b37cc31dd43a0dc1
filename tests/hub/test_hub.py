"""A hub as a whole: entering, closing, counting, and what it tells of itself."""

import random

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from hub.lagging_backplane import LaggingBackplane
from hub.reading import DEADLINE, read, read_to_end, waiting

from asgi_rt.errors import HubError
from asgi_rt.hub import Gap, History, Hub, Overflow
from asgi_rt.hub import hub as hub_module
from asgi_rt.hub.backplane.memory import MemoryBackplane


async def test_closing_ends_every_subscription_once_it_has_had_what_there_is():
    hub = Hub()
    async with hub.subscribe("a") as first, hub.subscribe("a") as second:
        await hub.publish("a", 1)
        await hub.publish("a", 2)
        hub.close()
        assert await read_to_end(first) == [1, 2]
        assert await read_to_end(second) == [1, 2]


async def test_closing_ends_who_waits():
    hub = Hub()
    async with hub.subscribe("a") as subscription, anyio.create_task_group() as group:
        group.start_soon(read_to_end, subscription)
        await wait_all_tasks_blocked()
        hub.close()


async def test_closing_lets_who_reads_history_have_all_of_it():
    hub = Hub(history=History(max_count=None))
    first = (await hub.publish("a", 0)).id
    for number in range(1, 200):
        await hub.publish("a", number)
    async with hub.subscribe("a", after=first) as subscription:
        hub.close()
        assert await read_to_end(subscription) == list(range(1, 200))


async def test_closing_lets_publishers_that_wait_have_their_messages_read():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
        hub.publish_nowait("a", 0)
        async with anyio.create_task_group() as group:
            group.start_soon(hub.publish, "a", 1)
            await wait_all_tasks_blocked()
            hub.close()
            assert await read_to_end(subscription) == [0, 1]


async def test_what_others_publish_after_closing_does_not_come():
    """Else a slow subscriber might never come to the end."""
    hub = Hub()
    other = Hub(backplane=hub.backplane)
    async with hub.subscribe("a") as subscription:
        await other.publish("a", 1)
        hub.close()
        await other.publish("a", 2)
        assert await read_to_end(subscription) == [1]


async def test_what_others_publish_after_closing_does_not_come_to_who_reads_history():
    backplane = MemoryBackplane(history=History(max_count=None))
    hub, other = Hub(backplane=backplane), Hub(backplane=backplane)
    first = hub.publish_nowait("a", 0)
    for number in range(1, 200):
        other.publish_nowait("a", number)
    async with hub.subscribe("a", after=first.id) as subscription:
        assert await read(subscription, 100) == list(range(1, 101))
        other.publish_nowait("a", 200)
        hub.close()
        items = []
        async for item in subscription:
            items.append(item.data)
            other.publish_nowait("a", "later")
            assert len(items) <= 100
        assert items == list(range(101, 201))


async def test_a_closed_hub_refuses_to_publish_and_to_subscribe():
    hub = Hub()
    hub.close()
    hub.close()
    with pytest.raises(HubError, match="closed"):
        await hub.publish("a", 1)
    with pytest.raises(HubError, match="closed"):
        hub.publish_nowait("a", 1)
    subscription = hub.subscribe("a")
    with pytest.raises(HubError, match="closed"):
        await subscription.start()
    with pytest.raises(HubError, match="inside of `async with`"):
        await anext(subscription)
    assert hub.snapshot().subscriptions == []


async def test_a_hub_that_was_closed_can_be_held_open_again():
    hub = Hub()
    for number in range(2):
        async with hub, hub.subscribe("a") as subscription:
            await hub.publish("a", number)
            assert waiting(subscription) == [number]
        with pytest.raises(HubError, match="closed"):
            await hub.publish("a", number)


async def test_a_hub_is_held_open_once_at_a_time():
    hub = Hub()
    async with hub:
        with pytest.raises(HubError, match="held open already"):
            await hub.__aenter__()
        async with hub.subscribe("a") as subscription:
            await hub.publish("a", 1)
            assert waiting(subscription) == [1]


async def test_a_hub_is_held_open_once_while_its_backplane_opens():
    backplane = LaggingBackplane()
    hub = Hub(backplane=backplane)
    async with anyio.create_task_group() as group:

        async def enter():
            async with hub:
                await wait_all_tasks_blocked()

        group.start_soon(enter)
        while "open" not in backplane.called:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(HubError, match="held open already"):
            await hub.__aenter__()
    assert backplane.called.count("open") == 1


async def test_leaving_a_hub_closes_it():
    hub = Hub()
    async with anyio.create_task_group() as group, hub:
        subscription = hub.subscribe("a")
        await subscription.start()
        group.start_soon(read_to_end, subscription)
        await wait_all_tasks_blocked()
    await subscription.aclose()
    assert not hub.local._routes


async def test_a_subscriber_that_outlasts_a_hub_of_many_processes_leaves_nothing():
    backplane = LaggingBackplane()
    hub = Hub(backplane=backplane)
    async with hub:
        subscription = hub.subscribe("a")
        await subscription.start()
    await subscription.aclose()
    assert hub._interests.patterns == []
    assert backplane.listeners == 0


async def test_a_hub_whose_closing_is_interrupted_can_be_held_open_again(monkeypatch):
    hub = Hub()

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with hub:
            monkeypatch.setattr(hub, "close", interrupted)
    monkeypatch.undo()
    async with hub, hub.subscribe("a") as subscription:
        await hub.publish("a", 1)
        assert waiting(subscription) == [1]


async def test_a_backplane_that_does_not_close_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(hub_module, "_CLOSE_SECONDS", 0.01)
    backplane = LaggingBackplane()
    backplane.stuck.add("close")
    with anyio.fail_after(DEADLINE):
        async with Hub(backplane=backplane):
            pass
    assert "did not close within 0.01 s" in caplog.text


async def test_a_hub_of_many_processes_is_subscribed_to_inside_of_async_with():
    hub = Hub(backplane=LaggingBackplane())
    with pytest.raises(HubError, match="async with hub"):
        await hub.subscribe("a").start()
    assert hub.snapshot().subscriptions == []


async def test_subscribers_are_counted_by_topic_and_by_pattern():
    hub = Hub()
    async with hub.subscribe("a.b", "a.*"), hub.subscribe("a.*"), hub.subscribe(">"):
        counts = {topic: hub.subscriber_count(topic) for topic in ("a.b", "a.c", "x", "a.*", "b.*")}
        assert counts == {"a.b": 3, "a.c": 3, "x": 1, "a.*": 2, "b.*": 0}
    assert hub.subscriber_count("a.b") == 0


async def test_a_snapshot_tells_everything():
    hub = Hub()
    async with (
        hub.subscribe("a", "b.*", policy=Overflow.DROP_NEWEST, max_messages=2) as subscription,
        hub.subscribe("b.x"),
    ):
        for number in range(3):
            await hub.publish("a", number)
        await hub.publish("b.x", "text")
        subscription.take()
        snapshot = hub.snapshot()
        mine, _ = snapshot.subscriptions
        assert (mine.id, mine.topics, mine.policy) == (subscription.id, ("a", "b.*"), "drop_newest")
        assert (mine.published, mine.delivered, mine.dropped, mine.pending) == (4, 1, 2, 1)
        assert (snapshot.published, snapshot.delivered, snapshot.dropped) == (4, 1, 2)
        assert (snapshot.history_messages, snapshot.history_bytes) == (4, 7 + 4 * 256)
        told = {
            topic: (each.subscribers, each.published) for topic, each in snapshot.topics.items()
        }
        assert told == {"a": (1, 3), "b.*": (1, 1), "b.x": (1, 1)}


async def test_counts_of_those_who_left_stay_in_the_sums():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        await hub.publish("a", 1)
        await hub.publish("a", 2)
        subscription.take()
    snapshot = hub.snapshot()
    assert (snapshot.published, snapshot.delivered, snapshot.dropped) == (2, 1, 1)


async def test_ids_of_subscriptions_differ_between_hubs():
    ids = {Hub().subscribe("a").id for _ in range(50)}
    assert len(ids) == 50


class RandomUse:
    """Publishers, subscribers that come, read and go, at random; all is counted here too."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.hub = Hub(history=None)
        self.expected = 0
        """How many were to be given, over all subscribers."""

    async def publish(self, times):
        for number in range(times):
            with anyio.move_on_after(self.chance.choice([0, 0.01, 1])):
                await self.hub.publish("a", number, key=str(number % 3))
            if self.chance.random() < 0.3:
                self.hub.publish_nowait("a", "x" * self.chance.randrange(30))
            if self.chance.random() < 0.2:
                await anyio.lowlevel.checkpoint()

    async def subscribe(self, times):
        for _ in range(times):
            async with self.hub.subscribe(
                "a",
                policy=self.chance.choice([*Overflow]),
                max_messages=self.chance.choice([1, 2, 8]),
                max_bytes=self.chance.choice([1, 20, 1000]),
            ) as subscription:
                taken = gaps = missed = 0
                with anyio.move_on_after(self.chance.choice([0, 0.002, 0.01])):
                    async for item in subscription:
                        if isinstance(item, Gap):
                            gaps += 1
                            missed += item.missed
                        else:
                            taken += 1
                        if self.chance.random() < 0.3:
                            await anyio.lowlevel.checkpoint()
                        self.assert_adds_up(subscription)
                counters = subscription.counters
                assert counters.delivered == taken
                assert missed <= counters.dropped - counters.coalesced
            self.assert_adds_up(subscription)
            assert subscription.counters.pending == 0
            self.expected += subscription.counters.published

    def assert_adds_up(self, subscription):
        counters = subscription.counters
        assert counters.published == counters.delivered + counters.dropped + counters.pending


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_counters_add_up_whatever_happens(seed):
    use = RandomUse(seed)
    with anyio.fail_after(3 * DEADLINE):
        async with anyio.create_task_group() as publishing:
            for _ in range(3):
                publishing.start_soon(use.publish, 10_000)
            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(use.subscribe, 15)
            publishing.cancel_scope.cancel()
    snapshot = use.hub.snapshot()
    assert snapshot.subscriptions == []
    assert snapshot.delivered + snapshot.dropped == use.expected


async def test_a_hub_without_subscribers_is_still_read_by_who_comes_later():
    hub = Hub()
    cursor = (await hub.publish("a", 1)).id
    await hub.publish("a", 2)
    async with hub.subscribe("a", after=cursor) as subscription:
        assert await read(subscription, 1) == [2]
