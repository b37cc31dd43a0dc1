"""Who comes back gets what was missed and what comes now: in order, once, or one gap told."""

import random
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hub.lagging_backplane import LaggingBackplane
from hub.reading import DEADLINE, read, waiting

from asgi_rt.errors import BackplaneError
from asgi_rt.hub import Gap, History, Hub, Message, Overflow, Subscription
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.message import parse_cursor

ALL = History(max_count=None, max_bytes=None)


@asynccontextmanager
async def hub_of(kind, history=ALL):
    """A hub on memory, or on a backplane that lags."""
    if kind == "memory":
        async with Hub(history=history) as hub:
            yield hub
        return
    backplane = LaggingBackplane(history=history)
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with Hub(backplane=backplane) as hub:
            yield hub
        group.cancel_scope.cancel()
    assert backplane.listeners == 0


kinds = pytest.mark.parametrize("kind", ["memory", "lagging"])


def epoch(hub):
    backplane = hub.backplane
    return (backplane if hub.local else backplane.memory)._epoch


@kinds
async def test_what_came_after_a_cursor_is_given_and_then_what_comes_now(kind):
    async with hub_of(kind) as hub:
        ids = [(await hub.publish("a", number)).id for number in range(5)]
        async with hub.subscribe("a", after=ids[1]) as subscription:
            assert subscription.recovered is True
            assert await read(subscription, 3) == [2, 3, 4]
            await hub.publish("a", 5)
            assert await read(subscription, 1) == [5]
            assert subscription.replayed == 3


@kinds
async def test_ids_are_where_to_go_on(kind):
    async with hub_of(kind) as hub:
        for number in range(5):
            await hub.publish("a", number)
        cursor = f"{epoch(hub)}-0"
        for number in range(5):
            async with hub.subscribe("a", after=cursor) as subscription:
                with anyio.fail_after(DEADLINE):
                    message = await anext(subscription)
                assert message.data == number
                cursor = message.id


@kinds
async def test_nothing_is_replayed_without_a_cursor(kind):
    async with hub_of(kind) as hub:
        await hub.publish("a", 1)
        async with hub.subscribe("a") as subscription:
            await hub.publish("a", 2)
            assert await read(subscription, 1) == [2]
            assert (subscription.recovered, subscription.replayed) == (None, 0)


@kinds
async def test_where_a_subscription_begins_is_a_cursor_too(kind):
    async with hub_of(kind) as hub:
        await hub.publish("a", 1)
        async with hub.subscribe("a") as subscription:
            cursor = str(subscription.start_cursor)
        await hub.publish("a", 2)
        async with hub.subscribe("a", after=cursor) as subscription:
            assert await read(subscription, 1) == [2]


@kinds
async def test_the_last_messages_are_given_first_where_asked_for(kind):
    async with hub_of(kind) as hub:
        for number in range(5):
            await hub.publish("a", number)
            await hub.publish("other", number)
        async with hub.subscribe("a", history=2) as subscription:
            await hub.publish("a", 5)
            assert await read(subscription, 3) == [3, 4, 5]
            assert (subscription.recovered, subscription.replayed) == (None, 2)


@kinds
async def test_history_of_a_topic_that_has_none_is_empty(kind):
    async with hub_of(kind) as hub, hub.subscribe("a", history=10) as subscription:
        await hub.publish("a", 1)
        assert await read(subscription, 1) == [1]


@kinds
@pytest.mark.parametrize("cursor", ["", "nonsense", "-1", "a-1\n", "other-7", "x" * 500 + "-1"])
async def test_a_cursor_of_another_run_is_one_gap_and_then_what_comes_now(kind, cursor):
    async with hub_of(kind) as hub:
        await hub.publish("a", 1)
        async with hub.subscribe("a", after=cursor) as subscription:
            assert subscription.recovered is False
            await hub.publish("a", 2)
            gap, item = await read(subscription, 2)
            assert (gap.reason, gap.missed, item) == ("unknown", None, 2)
        async with hub.subscribe("a", after=gap.id) as subscription:
            assert await read(subscription, 1) == [2]


@kinds
async def test_a_cursor_that_was_never_given_is_one_gap(kind):
    async with hub_of(kind) as hub:
        await hub.publish("a", 1)
        async with hub.subscribe("a", after=f"{epoch(hub)}-99") as subscription:
            await hub.publish("a", 2)
            gap, item = await read(subscription, 2)
            assert (gap.reason, item) == ("unknown", 2)


@kinds
async def test_what_is_not_kept_any_more_is_one_gap_and_no_partial_replay(kind):
    async with hub_of(kind, History(max_count=3)) as hub:
        ids = [(await hub.publish("a", number)).id for number in range(6)]
        async with hub.subscribe("a", after=ids[0]) as subscription:
            assert subscription.recovered is False
            await hub.publish("a", 6)
            gap, item = await read(subscription, 2)
            assert (gap.reason, item) == ("expired", 6)


@kinds
async def test_without_history_a_cursor_is_unknown(kind):
    async with hub_of(kind, None) as hub:
        assert (await hub.publish("a", 1)).id is None
        async with hub.subscribe("a", after="x-1", history=5) as subscription:
            await hub.publish("a", 2)
            assert await read(subscription, 2) == [Gap("unknown", None, None), 2]
            assert subscription.start_cursor is None


@kinds
async def test_history_ten_times_the_mailbox_is_read_whatever_the_policy(kind):
    for policy in Overflow:
        async with hub_of(kind) as hub:
            first = (await hub.publish("a", 0)).id
            for number in range(1, 161):
                await hub.publish("a", number)
            async with hub.subscribe(
                "a", after=first, policy=policy, max_messages=16
            ) as subscription:
                assert await read(subscription, 160) == list(range(1, 161))
                assert subscription.counters.dropped == 0
                await hub.publish("a", 161)
                assert await read(subscription, 1) == [161]


@kinds
async def test_a_publisher_never_waits_for_who_still_reads_history(kind):
    async with hub_of(kind) as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, 200):
            await hub.publish("a", number)
        async with hub.subscribe(
            "a", after=first, policy=Overflow.BLOCK, max_messages=1
        ) as subscription:
            with anyio.fail_after(DEADLINE):
                for number in range(200, 300):
                    await hub.publish("a", number)
            assert await read(subscription, 299) == list(range(1, 300))


@kinds
@pytest.mark.parametrize("missed", [1, 30, 64, 65, 128, 200])
async def test_who_was_sent_away_and_comes_back_gets_what_it_has_missed(kind, missed):
    async with hub_of(kind) as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, missed + 1):
            await hub.publish("a", number)
        async with hub.subscribe(
            "a", after=first, policy=Overflow.DISCONNECT, max_messages=4
        ) as subscription:
            for number in range(1, missed + 1):
                await hub.publish("a", missed + number)
                assert await read(subscription, 1) == [number]
            assert await read(subscription, missed) == list(range(missed + 1, 2 * missed + 1))
            assert subscription.counters.dropped == 0
            await hub.publish("a", "now")
            assert await read(subscription, 1) == ["now"]


async def test_who_has_what_it_had_missed_can_be_sent_away():
    async with hub_of("memory") as hub:
        first = (await hub.publish("a", 0)).id
        await hub.publish("a", 1)
        async with hub.subscribe(
            "a", after=first, policy=Overflow.DISCONNECT, max_messages=2
        ) as subscription:
            for number in range(2, 12):
                told = await hub.publish("a", number)
                assert (told.queued, told.dropped, told.disconnected) == (1, 0, 0)
            counters = subscription.counters
            assert (counters.dropped, counters.pending, counters.published) == (0, 0, 0)
            assert await read(subscription, 2) == [1, 2]  # of the page that goes on to 11
            for number in range(12, 14):
                await hub.publish("a", number)
            assert not subscription.is_disconnected
            assert (await hub.publish("a", 14)).disconnected == 1
            assert subscription.is_disconnected


async def test_who_is_told_of_an_outage_before_it_has_what_it_missed_is_not_sent_away():
    async with hub_of("memory") as hub:
        first = (await hub.publish("a", 0)).id
        await hub.publish("a", 1)
        async with hub.subscribe(
            "a", after=first, policy=Overflow.DISCONNECT, max_messages=2
        ) as subscription:
            for number in range(2, 4):
                await hub.publish("a", number)
            hub.lose(["a"])
            assert await read(subscription, 3) == [1, 2, 3]
            assert waiting(subscription) == []


async def test_who_goes_back_to_what_history_has_no_more_is_told_a_gap():
    async with hub_of("memory", History(max_count=10)) as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, 6):
            await hub.publish("a", number)
        async with hub.subscribe(
            "a", after=first, policy=Overflow.DISCONNECT, max_messages=20
        ) as subscription:
            for number in range(6, 27):
                last = await hub.publish("a", number)
                assert last.disconnected == 0
            assert await read(subscription, 6) == [1, 2, 3, 4, 5, Gap("expired", None, last.id)]
            await hub.publish("a", "now")
            assert await read(subscription, 1) == ["now"]


class CountsReads(MemoryBackplane):
    """Counts how often history is read."""

    reads = 0

    def history_nowait(self, *arguments, **options):
        self.reads += 1
        return super().history_nowait(*arguments, **options)


async def test_who_publishes_does_not_read_history_for_those_who_go_back():
    async with Hub(backplane=(backplane := CountsReads())) as hub:
        first = (await hub.publish("a", 0)).id
        await hub.publish("a", 1)
        async with hub.subscribe(
            "a", after=first, policy=Overflow.DISCONNECT, max_messages=2
        ) as subscription:
            reads = backplane.reads
            for number in range(2, 6):
                await hub.publish("a", number)
            assert backplane.reads == reads
            assert await read(subscription, 5) == [1, 2, 3, 4, 5]
            assert backplane.reads > reads


async def test_the_policy_begins_when_the_last_page_is_read():
    async with hub_of("memory") as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, 4):
            await hub.publish("a", number)
        async with hub.subscribe("a", after=first, max_messages=2) as subscription:
            for number in range(4, 9):
                await hub.publish("a", number)
            assert await read(subscription, 6) == [1, 2, 3, Gap("overflow", 3, None), 7, 8]


async def test_the_policy_begins_at_once_with_the_last_messages():
    async with hub_of("memory") as hub:
        for number in range(3):
            await hub.publish("a", number)
        async with hub.subscribe("a", history=3, max_messages=2) as subscription:
            for number in range(3, 8):
                await hub.publish("a", number)
            assert await read(subscription, 6) == [0, 1, 2, Gap("overflow", 3, None), 6, 7]


@kinds
async def test_what_was_missed_and_came_meanwhile_is_given_by_a_hub_that_closes(kind):
    async with hub_of(kind) as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, 11):
            await hub.publish("a", number)
        async with hub.subscribe(
            "a", after=first, policy=Overflow.DISCONNECT, max_messages=4
        ) as subscription:
            assert await read(subscription, 1) == [1]
            for number in range(11, 31):
                await hub.publish("a", number)
            hub.close()
            with anyio.fail_after(DEADLINE):
                left = [item.data async for item in subscription]
            assert left == list(range(2, 31))


@kinds
async def test_who_reads_slower_than_history_is_dropped_gets_one_gap(kind):
    async with hub_of(kind, History(max_count=100)) as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, 101):
            await hub.publish("a", number)
        async with hub.subscribe("a", after=first) as subscription:
            assert await read(subscription, 1) == [1]
            for number in range(101, 401):
                await hub.publish("a", number)
            items = await read(subscription, 64)
            gap = items.pop()
            assert items == list(range(2, 65))
            assert gap.reason == "expired"
            await hub.publish("a", 401)
            assert await read(subscription, 1) == [401]


@kinds
async def test_patterns_are_replayed_in_the_order_of_publishing(kind):
    async with hub_of(kind) as hub:
        first = (await hub.publish("x", 0)).id
        for number in range(1, 200):
            await hub.publish(f"a.{number % 7}", number)
            await hub.publish("other", None)
        async with hub.subscribe("a.*", "a.1", "none", after=first) as subscription:
            assert await read(subscription, 199) == list(range(1, 200))


@kinds
async def test_own_messages_are_excluded_from_replay_too(kind):
    async with hub_of(kind) as hub:
        first = (await hub.publish("a", 0)).id
        await hub.publish("a", 1, exclude="ann")
        await hub.publish("a", 2)
        async with (
            hub.subscribe("a", after=first, origin="ann") as ann,
            hub.subscribe("a", after=first, origin="bob") as bob,
            hub.subscribe("a", history=3, origin="ann") as again,
        ):
            assert await read(ann, 1) == [2]
            assert await read(bob, 2) == [1, 2]
            assert await read(again, 2) == [0, 2]


@kinds
async def test_a_filter_applies_to_replay_too(kind):
    async with hub_of(kind) as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, 300):
            await hub.publish("a", number)
        async with hub.subscribe(
            "a", after=first, filter=lambda message: message.data % 50 == 0
        ) as subscription:
            await hub.publish("a", 300)
            assert await read(subscription, 6) == [50, 100, 150, 200, 250, 300]


async def test_cancelling_a_wait_for_history_loses_nothing():
    async with hub_of("lagging") as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, 200):
            await hub.publish("a", number)
        got = []
        cancelled = 0
        async with hub.subscribe("a", after=first) as subscription:
            while len(got) < 199:
                if subscription.must_load and cancelled < 10:
                    cancelled += 1
                    with anyio.CancelScope() as scope:
                        scope.cancel()
                        await anext(subscription)
                    assert scope.cancelled_caught
                got += await read(subscription, 1)
        assert got == list(range(1, 200))
        assert cancelled >= 3


def assert_in_order_once_or_gap(items: list[Message | Gap], total: int, reasons: set[str]) -> None:
    """Each number follows the one before, or gaps between them say exactly where it goes on."""
    expected = 0
    for item in items:
        if isinstance(item, Message):
            assert item.data == expected, (expected, item)
            expected += 1
            continue
        assert item.reason in reasons, item
        if item.id is not None:
            goes_on = parse_cursor(item.id)
            # Number 0 is at position 1: the first after a position has its number.
            assert goes_on is not None, item
            assert goes_on.position >= expected, (expected, item)
            expected = goes_on.position
        else:
            assert item.missed, item
            expected += item.missed
    assert expected == total


class DroppingClient:
    """Comes, reads some, and leaves, again and again; each time it goes on from its last cursor."""

    def __init__(self, hub, chance, cursor):
        self.hub = hub
        self.chance = chance
        self.cursor = cursor
        self.items: list[Message | Gap] = []
        self.visits: list[Subscription] = []

    async def come_and_go(self):
        policies = [policy for policy in Overflow if policy is not Overflow.COALESCE]
        while True:
            await self.visit(
                self.chance.randrange(1, 200),
                policy=self.chance.choice(policies),
                max_messages=self.chance.choice([1, 4, 64]),
            )
            await checkpoint()

    async def visit(self, stays, **options):
        async with self.come(**options) as subscription:
            async for item in subscription:
                self.take_in(item)
                stays -= 1
                if not stays:
                    return
                if self.chance.random() < 0.05:
                    await checkpoint()

    async def catch_up(self, last):
        async with self.come() as subscription:
            while self.cursor != last:
                self.take_in(await anext(subscription))

    @asynccontextmanager
    async def come(self, **options):
        async with self.hub.subscribe("n", after=self.cursor, **options) as subscription:
            self.visits.append(subscription)
            # It comes back to before a gap that was told last, and is given what was missing there.
            while self.items and self.items[-1].id is None:
                self.items.pop()
            yield subscription

    def take_in(self, item):
        self.items.append(item)
        self.cursor = item.id or self.cursor


@pytest.mark.slow
@kinds
@pytest.mark.parametrize("keeps_all", [True, False], ids=["all", "newest"])
@pytest.mark.parametrize("seed", range(2))
async def test_replay_while_publishing_at_full_rate_and_clients_drop_at_random(
    kind, keeps_all, seed
):
    """Some are slow, some have small mailboxes, and some make the publisher wait."""
    chance = random.Random(seed)
    total = 400
    async with hub_of(kind, ALL if keeps_all else History(max_count=200)) as hub:
        clients = [DroppingClient(hub, chance, f"{epoch(hub)}-0") for _ in range(8)]
        with anyio.fail_after(4 * DEADLINE):
            async with anyio.create_task_group() as group:
                for client in clients:
                    group.start_soon(client.come_and_go)
                for number in range(total):
                    published = await hub.publish("n", number)
                    if number % 20 == 0:
                        await checkpoint()
                group.cancel_scope.cancel()
            for client in clients:
                await client.catch_up(published.id)
        reasons = {"overflow"} if keeps_all else {"overflow", "expired"}
        for client in clients:
            assert_in_order_once_or_gap(client.items, total, reasons)
            if keeps_all:
                assert all(visit.recovered for visit in client.visits)
                assert any(visit.replayed for visit in client.visits)
        assert hub.snapshot().subscriptions == []


async def test_what_comes_late_and_was_read_in_history_is_not_given_again():
    backplane = LaggingBackplane(history=ALL)
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with Hub(backplane=backplane) as hub:
            first = (await hub.publish("a", 0)).id
            async with hub.subscribe("a") as other:  # so the topic is carried already
                backplane.hold()
                for number in range(1, 4):
                    await hub.publish("a", number)
                async with (
                    hub.subscribe("a", after=first) as replayed,
                    hub.subscribe("a", history=2) as newest,
                    hub.subscribe("a") as new,
                ):
                    assert await read(replayed, 3) == [1, 2, 3]
                    assert await read(newest, 2) == [2, 3]
                    backplane.release()
                    await hub.publish("a", 4)
                    assert await read(other, 4) == [1, 2, 3, 4]
                    assert await read(replayed, 1) == [4]
                    assert await read(newest, 1) == [4]
                    assert await read(new, 1) == [4]
        group.cancel_scope.cancel()


async def test_what_comes_while_a_subscriber_begins_is_behind_its_cursor():
    """What is published after the place where it began, and before it has begun, is given."""
    backplane = LaggingBackplane(history=ALL, waits=3)
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with Hub(backplane=backplane) as hub:

            async def publish():
                for number in range(100):
                    await hub.publish("a", number)

            async def begin():
                async with hub.subscribe("a") as subscription:
                    begins_at = subscription.start_cursor.position
                    with anyio.fail_after(DEADLINE):
                        message = await anext(subscription)
                    assert message.position == begins_at + 1

            async with anyio.create_task_group() as inner:
                inner.start_soon(publish)
                for _ in range(10):
                    inner.start_soon(begin)
                    await checkpoint()
        group.cancel_scope.cancel()


async def test_a_backplane_that_begins_anew_during_a_replay_is_not_asked_again_and_again():
    backplane = LaggingBackplane(history=ALL)
    async with Hub(backplane=backplane) as hub:
        first = (await hub.publish("a", 0)).id
        for number in range(1, 101):
            await hub.publish("a", number)
        async with hub.subscribe("a", after=first) as subscription:
            await hub.publish("a", 101)
            backplane.hand_over()
            backplane.restart()
            items = await read(subscription, 65)
            assert (items[:-1], items[-1].reason) == (list(range(1, 65)), "unknown")
            assert waiting(subscription) == []
            assert not subscription.must_load
            await hub.publish("a", "anew")
            backplane.hand_over()
            assert waiting(subscription) == ["anew"]


async def test_an_outage_is_told_in_its_place():
    backplane = LaggingBackplane()
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with (
            Hub(backplane=backplane) as hub,
            hub.subscribe("a", ">") as subscription,
            hub.subscribe("b") as other,
        ):
            await hub.publish("a", 1)
            await wait_until_pending(subscription, 1)
            backplane.hold()
            await hub.publish("a", 2)
            backplane.lose(["a", ">"])
            backplane.release()
            await hub.publish("a", 3)
            assert await read(subscription, 3) == [1, Gap("outage", None, None), 3]
            assert waiting(other) == []
        group.cancel_scope.cancel()


async def wait_until_pending(subscription, count):
    with anyio.fail_after(DEADLINE):
        while subscription.counters.pending < count:
            await checkpoint()


async def test_an_outage_while_history_is_read_loses_nothing_that_history_has():
    backplane = LaggingBackplane(history=ALL)
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with Hub(backplane=backplane) as hub:
            first = (await hub.publish("a", 0)).id
            async with hub.subscribe("a"):
                lost_once = False

                def history(*arguments, **bounds):
                    nonlocal lost_once
                    page = MemoryBackplane.history_nowait(backplane.memory, *arguments, **bounds)
                    if not lost_once:
                        lost_once = True
                        backplane.memory.publish_nowait(Message.of("a", 1))
                        backplane.lose(["a"])
                    return page

                backplane.memory.history_nowait = history
                async with hub.subscribe("a", after=first) as subscription:
                    await hub.publish("a", 2)
                    assert await read(subscription, 2) == [1, 2]
        group.cancel_scope.cancel()


async def test_an_outage_with_a_full_mailbox_goes_by_the_policy():
    told = Gap("outage", None, None)
    lost = Gap("overflow", 1, None)
    expected = {
        Overflow.BLOCK: [1, lost],
        Overflow.DROP_NEWEST: [1, lost],
        Overflow.DROP_OLDEST: [lost, told],
        Overflow.COALESCE: [lost, told],
        Overflow.DISCONNECT: [],
    }
    hub = Hub()
    for policy, items in expected.items():
        async with hub.subscribe("a", policy=policy, max_messages=1) as subscription:
            hub.publish_nowait("a", 1)
            hub.lose(["a"])
            assert subscription.is_disconnected == (policy is Overflow.DISCONNECT)
            assert waiting(subscription) == items


async def test_a_gap_of_a_backplane_goes_on_from_the_place_that_it_says():
    """What came after that place, before the subscriber was told of it, is given too."""
    backplane = LaggingBackplane(history=History(max_count=3))
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with Hub(backplane=backplane) as hub:
            ids = [(await hub.publish("a", number)).id for number in range(5)]
            async with hub.subscribe("a"):

                def history(*arguments, **bounds):
                    page = MemoryBackplane.history_nowait(backplane.memory, *arguments, **bounds)
                    if isinstance(page, Gap):
                        for number in (5, 6):
                            backplane.memory.publish_nowait(Message.of("a", number))
                        backplane.hand_over()
                    return page

                backplane.memory.history_nowait = history
                async with hub.subscribe("a", after=ids[0]) as subscription:
                    await hub.publish("a", 7)
                    gap, *items = await read(subscription, 4)
                    assert (gap.reason, items) == ("expired", [5, 6, 7])
        group.cancel_scope.cancel()


async def test_history_that_cannot_be_read_is_raised_and_may_be_read_again():
    backplane = LaggingBackplane(history=ALL)
    async with anyio.create_task_group() as group:
        await group.start(backplane.deliver)
        async with Hub(backplane=backplane) as hub:
            first = (await hub.publish("a", 0)).id
            for number in range(1, 101):
                await hub.publish("a", number)
            async with hub.subscribe("a", after=first) as subscription:
                assert await read(subscription, 64) == list(range(1, 65))
                backplane.failing.add("history")
                with pytest.raises(BackplaneError):
                    await anext(subscription)
                backplane.failing.clear()
                assert await read(subscription, 36) == list(range(65, 101))
            backplane.failing.add("history")
            with pytest.raises(BackplaneError):
                await hub.subscribe("a", after=first).start()
            assert hub.snapshot().subscriptions == []
            assert backplane.patterns == []
        group.cancel_scope.cancel()
