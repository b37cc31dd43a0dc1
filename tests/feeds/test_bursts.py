"""Messages that follow one another in one turn: everybody gets theirs, in order, joined or not."""

import random
from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked
from feeds.pushed import PushedServer, WokenServer, streamed
from sse.wire import on_asyncio_only

from asgi_rt import Hub, Overflow, sse_feed
from asgi_rt.hub import turn

pytestmark = on_asyncio_only


async def opened(stack, hub, *topics, server=None, **options):
    return await stack.enter_async_context(streamed(sse_feed(hub, *topics, **options), server))


async def test_two_streams_each_get_a_burst_in_two_sends():
    hub = Hub()
    async with AsyncExitStack() as stack:
        servers = [await opened(stack, hub, "a") for _ in range(2)]
        await wait_all_tasks_blocked()
        before = [server.sends for server in servers]
        for number in range(50):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        for server, sends in zip(servers, before, strict=True):
            assert server.datas == [str(number) for number in range(50)]
            assert server.sends - sends == 2


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_burst_wakes_no_task_however_few_follow(count):
    hub = Hub()
    async with AsyncExitStack() as stack:
        servers = [await opened(stack, hub, "a") for _ in range(2)]
        await wait_all_tasks_blocked()
        before = [server.steps.count for server in servers]
        for number in range(count):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        assert [server.steps.count for server in servers] == before
        assert [server.datas for server in servers] == [[str(n) for n in range(count)]] * 2


@pytest.mark.parametrize("size", [1, 130], ids=["one cohort", "two cohorts"])
async def test_a_burst_is_joined_though_each_message_takes_a_long_turn(monkeypatch, size):
    seconds = 0.0

    class SlowKernel(PushedServer):
        __module__ = "uvicorn.fake"

        async def send(self, message):
            nonlocal seconds
            seconds += turn.TURN_SECONDS / (size - 1 or 0.9)
            await super().send(message)

    monkeypatch.setattr(turn, "_processor_time", lambda: seconds)
    hub = Hub()
    async with AsyncExitStack() as stack:
        servers = [await opened(stack, hub, "a", server=SlowKernel()) for _ in range(size)]
        await wait_all_tasks_blocked()
        before = [server.sends for server in servers]
        for number in range(20):
            await hub.publish("a", str(number))
        await wait_all_tasks_blocked()
        for server, sends in zip(servers, before, strict=True):
            assert server.datas == [str(number) for number in range(20)]
            assert server.sends - sends == 2


@pytest.mark.parametrize(
    "time", [turn.TURN_SECONDS / 1_000, turn.TURN_SECONDS], ids=["fast", "slow"]
)
@pytest.mark.parametrize("count", [64, 65, 200])
async def test_a_burst_after_another_leaves_nothing_in_the_mailboxes_of_who_reads(
    monkeypatch, count, time
):
    seconds = 0.0

    class Kernel(PushedServer):
        __module__ = "uvicorn.fake"

        async def send(self, message):
            nonlocal seconds
            seconds += time / 65  # the first message is pushed to each within the turn's time
            await super().send(message)

    monkeypatch.setattr(turn, "_processor_time", lambda: seconds)
    hub = Hub()
    words = {"policy": Overflow.DISCONNECT, "max_messages": count}
    async with AsyncExitStack() as stack:
        servers = [await opened(stack, hub, "a", server=Kernel(), **words) for _ in range(65)]
        await wait_all_tasks_blocked()
        before = [server.steps.count for server in servers]
        for start in range(0, 4 * count, count):
            for number in range(start, start + count):
                hub.publish_nowait("a", str(number))
            await anyio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert hub.snapshot().disconnected == 0
        assert [server.datas for server in servers] == [[str(n) for n in range(4 * count)]] * 65
        assert [server.steps.count for server in servers] == before


def is_even(message):
    return int(message.data) % 2 == 0


def is_odd(message):
    return int(message.data) % 2 == 1


async def test_in_a_burst_a_filter_is_asked_for_each_message():
    hub = Hub()
    async with AsyncExitStack() as stack:
        even = await opened(stack, hub, "a", filter=is_even)
        odd = await opened(stack, hub, "a", filter=is_odd)
        all_of_them = await opened(stack, hub, "a")
        await wait_all_tasks_blocked()
        for number in range(10):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        assert all_of_them.datas == [str(number) for number in range(10)]
        assert even.datas == [str(number) for number in range(0, 10, 2)]
        assert odd.datas == [str(number) for number in range(1, 10, 2)]


async def test_who_got_no_message_in_this_turn_yet_gets_all_of_a_burst():
    hub = Hub()
    async with AsyncExitStack() as stack:
        mine = await opened(stack, hub, "a", origin="me")
        other = await opened(stack, hub, "a")
        await wait_all_tasks_blocked()
        hub.publish_nowait("a", "0", exclude="me")
        for number in range(1, 5):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        assert mine.datas == ["1", "2", "3", "4"]
        assert other.datas == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("kind", [PushedServer, WokenServer])
async def test_a_frozen_one_gets_all_of_a_burst_later(kind):
    hub = Hub()
    async with AsyncExitStack() as stack:
        frozen = await opened(stack, hub, "a", server=kind())
        others = [await opened(stack, hub, "a") for _ in range(3)]
        await wait_all_tasks_blocked()
        frozen.freeze()
        for number in range(10):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        expected = [str(number) for number in range(10)]
        assert [server.datas for server in others] == [expected] * 3
        assert frozen.datas == []
        frozen.thaw()
        await frozen.has(b"data: 9")
        assert frozen.datas == expected


async def test_a_burst_may_end_at_one_who_cannot_take_it():
    hub = Hub()

    class FreezesAtTheFirst(PushedServer):
        __module__ = PushedServer.__module__

        async def send(self, message):
            await super().send(message)
            if b"data: 0" in message.get("body", b""):
                self.freeze()

    async with AsyncExitStack() as stack:
        frozen = await opened(stack, hub, "a", server=FreezesAtTheFirst())
        others = [await opened(stack, hub, "a") for _ in range(3)]
        await wait_all_tasks_blocked()
        for number in range(10):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        expected = [str(number) for number in range(10)]
        assert [server.datas for server in others] == [expected] * 3
        assert frozen.datas == ["0"]
        frozen.thaw()
        await frozen.has(b"data: 9")
        assert frozen.datas == expected


async def test_the_outcomes_of_a_burst_add_up():
    hub = Hub()
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await opened(stack, hub, "a")
        await wait_all_tasks_blocked()
        outcomes = [hub.publish_nowait("a", str(number)) for number in range(10)]
        assert {each.delivered + each.queued for each in outcomes} == {3}
        await wait_all_tasks_blocked()
        snapshot = hub.snapshot()
        assert (snapshot.delivered, snapshot.dropped) == (30, 0)
        for each in snapshot.subscriptions:
            assert (each.published, each.delivered, each.pending) == (10, 10, 0)


async def test_who_leaves_during_a_burst_does_not_hold_others_up():
    hub = Hub()
    async with AsyncExitStack() as stack:
        leaving = await opened(stack, hub, "a")
        others = [await opened(stack, hub, "a") for _ in range(2)]
        await wait_all_tasks_blocked()
        for number in range(5):
            hub.publish_nowait("a", str(number))
        leaving.leave()
        await wait_all_tasks_blocked()
        for number in range(5, 10):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        assert [each.datas for each in others] == [[str(number) for number in range(10)]] * 2


async def test_a_subscriber_who_comes_during_a_burst_gets_what_follows():
    hub = Hub()
    async with AsyncExitStack() as stack:
        servers = [await opened(stack, hub, "a") for _ in range(2)]
        await wait_all_tasks_blocked()
        for number in range(3):
            hub.publish_nowait("a", str(number))
        subscription = hub.subscribe("a")
        subscription.start_nowait()
        for number in range(3, 6):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        assert [each.datas for each in servers] == [[str(number) for number in range(6)]] * 2
        got = []
        while (item := subscription.take()) is not None:
            got.append(item.data)
        assert got == ["3", "4", "5"]
        await subscription.aclose()


@pytest.mark.parametrize("policy", Overflow)
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_each_gets_what_is_for_it_in_order(policy, seed):
    """Clients that freeze and thaw, filters, excludes, several topics, bursts of any size."""
    chance = random.Random(seed)
    hub = Hub()
    filters = [None, None, None, is_even, is_odd]
    async with AsyncExitStack() as stack:
        opened_as = []
        for _ in range(6):
            topics = chance.choice([("a",), ("a", "b"), (">",), ("b",)])
            chosen = chance.choice(filters)
            origin = chance.choice([None, "me"])
            server = chance.choice([PushedServer, PushedServer, WokenServer])()
            options = {"policy": policy, "filter": chosen, "origin": origin}
            await opened(stack, hub, *topics, server=server, max_messages=10_000, **options)
            opened_as.append((server, topics, chosen, origin))
        await wait_all_tasks_blocked()
        expected = [[] for _ in opened_as]
        for number in range(300):
            topic = chance.choice("aaaab")
            exclude = chance.choice([None] * 5 + ["me"])
            hub.publish_nowait(topic, str(number), key=str(number), exclude=exclude)
            for got, (_, topics, chosen, origin) in zip(expected, opened_as, strict=True):
                is_for_it = topic in topics or topics == (">",)
                is_for_it = is_for_it and not (exclude is not None and origin == exclude)
                if is_for_it and (chosen is None or (number % 2 == 0) is (chosen is is_even)):
                    got.append(str(number))
            server = chance.choice(opened_as)[0]
            happens = chance.random()
            if happens < 0.05:
                server.freeze()
            elif happens < 0.15:
                server.thaw()
            elif happens < 0.3:
                await anyio.lowlevel.checkpoint()
            elif happens < 0.35:
                await wait_all_tasks_blocked()
        for server, *_ in opened_as:
            server.thaw()
        await wait_all_tasks_blocked()
        assert [server.datas for server, *_ in opened_as] == expected
        snapshot = hub.snapshot()
        for each in snapshot.subscriptions:
            assert each.published == each.delivered + each.dropped + each.pending
        counts = sorted(each.published for each in snapshot.subscriptions)
        assert counts == sorted(len(got) for got in expected)
