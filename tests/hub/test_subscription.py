"""What one subscriber gets, policy by policy, and what becomes of it when it is slow."""

import logging

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint
from hub.reading import DEADLINE, read, read_to_end, waiting

from asgi_rt.errors import HubError
from asgi_rt.hub import Gap, History, Hub, Message, Overflow


def overflow(missed: int) -> Gap:
    return Gap("overflow", missed, None)


async def test_messages_come_in_order():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        for number in range(5):
            await hub.publish("a", number)
        assert await read(subscription, 5) == [0, 1, 2, 3, 4]


async def test_who_waits_is_woken_by_a_message():
    hub = Hub()
    got = []

    async def consume(*, task_status=anyio.TASK_STATUS_IGNORED):
        async with hub.subscribe("a") as subscription:
            task_status.started()
            got.extend(await read(subscription, 2))

    async with anyio.create_task_group() as group:
        await group.start(consume)
        await wait_all_tasks_blocked()
        await hub.publish("a", 1)
        await wait_all_tasks_blocked()
        await hub.publish("a", 2)
    assert got == [1, 2]


async def test_a_subscription_to_many_topics_gets_a_message_once():
    hub = Hub()
    async with hub.subscribe("a.b", "a.*", ">", "a.b", "other") as subscription:
        await hub.publish("a.b", 1)
        assert waiting(subscription) == [1]
        assert subscription.topics == ("a.b", "a.*", ">", "other")


async def test_what_is_slow_with_drop_oldest_sees_the_newest_and_a_gap_before():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.DROP_OLDEST, max_messages=3) as subscription:
        dropped = [(await hub.publish("a", number)).dropped for number in range(5)]
        assert dropped == [0, 0, 0, 1, 1]
        assert waiting(subscription) == [overflow(2), 2, 3, 4]


async def test_what_is_slow_with_drop_newest_sees_the_first_and_a_gap_behind():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.DROP_NEWEST, max_messages=3) as subscription:
        for number in range(5):
            await hub.publish("a", number)
        assert waiting(subscription) == [0, 1, 2, overflow(2)]
        assert subscription.counters.dropped == 2


async def test_what_coalesces_sees_the_last_of_each_key():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.COALESCE) as subscription:
        await hub.publish("a", "eur 1", key="eur")
        await hub.publish("a", "usd 1", key="usd")
        published = await hub.publish("a", "eur 2", key="eur")
        assert (published.queued, published.dropped) == (1, 1)
        assert waiting(subscription) == ["usd 1", "eur 2"]
        assert subscription.counters.coalesced == 1


async def test_what_coalesces_goes_by_topic_where_there_is_no_key():
    hub = Hub()
    async with hub.subscribe("a.*", policy=Overflow.COALESCE) as subscription:
        await hub.publish("a.x", "x 1")
        await hub.publish("a.y", "y 1")
        await hub.publish("a.x", "x 2")
        assert waiting(subscription) == ["y 1", "x 2"]


async def test_what_coalesces_keeps_equal_keys_of_different_topics_apart():
    hub = Hub()
    async with hub.subscribe("a.*", policy=Overflow.COALESCE) as subscription:
        await hub.publish("a.x", "x 1", key="bid")
        await hub.publish("a.y", "y 1", key="bid")
        await hub.publish("a.z", "z 1")
        await hub.publish("a.x", "of the key a.z", key="a.z")
        await hub.publish("a.x", "x 2", key="bid")
        assert waiting(subscription) == ["y 1", "z 1", "of the key a.z", "x 2"]


async def test_what_is_slow_with_disconnect_is_sent_away_and_its_iteration_ends():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.DISCONNECT, max_messages=2) as subscription:
        outcomes = [(await hub.publish("a", number)).disconnected for number in range(4)]
        assert outcomes == [0, 0, 1, 0]
        assert subscription.is_disconnected
        assert hub.subscriber_count("a") == 0
        assert await read_to_end(subscription) == []
    snapshot = hub.snapshot()
    assert (snapshot.disconnected, snapshot.dropped, snapshot.subscriptions) == (1, 3, [])


async def test_who_waits_is_woken_when_it_is_sent_away():
    """One big message at a time: the second overflows, before the first was taken."""
    hub = Hub()
    async with (
        hub.subscribe("a", policy=Overflow.DISCONNECT, max_messages=1) as subscription,
        anyio.create_task_group() as group,
    ):
        got = []

        async def consume():
            got.extend(await read_to_end(subscription))

        group.start_soon(consume)
        await wait_all_tasks_blocked()
        hub.publish_nowait("a", 1)
        hub.publish_nowait("a", 2)
    assert got == []


async def test_a_message_larger_than_the_mailbox_is_taken_where_nothing_else_waits():
    hub = Hub()
    async with hub.subscribe("a", max_bytes=10, policy=Overflow.DROP_NEWEST) as subscription:
        await hub.publish("a", "x" * 100)
        await hub.publish("a", "y")
        assert waiting(subscription) == ["x" * 100, overflow(1)]


async def test_with_block_the_publisher_waits_until_there_is_room():
    hub = Hub()
    outcomes = []
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=2) as subscription:

        async def publish():
            outcomes.extend([await hub.publish("a", number) for number in range(5)])

        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            assert await read(subscription, 5) == [0, 1, 2, 3, 4]
    assert [each.queued for each in outcomes] == [1] * 5
    assert [each.dropped for each in outcomes] == [0] * 5


async def test_publishers_that_wait_get_room_in_the_order_in_which_they_came():
    hub = Hub()
    async with (
        hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription,
        anyio.create_task_group() as group,
    ):
        for number in range(10):
            group.start_soon(hub.publish, "a", number)
            await wait_all_tasks_blocked()
        assert await read(subscription, 10) == list(range(10))


async def test_a_cancelled_publishers_message_is_counted_and_told_in_its_place():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
        hub.publish_nowait("a", 0)
        async with anyio.create_task_group() as group:
            group.start_soon(hub.publish, "a", 1)
            await wait_all_tasks_blocked()
            async with anyio.create_task_group() as given_up:
                given_up.start_soon(hub.publish, "a", 2)
                await wait_all_tasks_blocked()
                group.start_soon(hub.publish, "a", 3)
                await wait_all_tasks_blocked()
                given_up.cancel_scope.cancel()
            assert await read(subscription, 4) == [0, 1, overflow(1), 3]
        counters = subscription.counters
        assert (counters.published, counters.delivered, counters.dropped) == (4, 3, 1)


async def test_the_last_publisher_that_waited_and_was_cancelled_is_told_behind_all_others():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
        hub.publish_nowait("a", 0)
        async with anyio.create_task_group() as group:
            group.start_soon(hub.publish, "a", 1)
            await wait_all_tasks_blocked()
            with anyio.move_on_after(0):
                await hub.publish("a", 2)
            assert await read(subscription, 3) == [0, 1, overflow(1)]


async def give_up(scope, function):
    """Cancel what waits already, once another waits behind it."""
    async with anyio.create_task_group() as group:
        await wait_all_tasks_blocked()
        group.start_soon(function)
        await wait_all_tasks_blocked()
        scope.cancel()


async def test_giving_up_a_large_message_lets_in_the_small_one_behind_it():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_bytes=10) as subscription:
        hub.publish_nowait("a", "x" * 5)
        outcomes = []

        async def publish_small():
            outcomes.append(await hub.publish("a", "z"))

        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as given_up:
                group.start_soon(give_up, given_up, publish_small)
                await hub.publish("a", "y" * 9)
        assert [each.queued for each in outcomes] == [1]
        assert waiting(subscription) == ["x" * 5, overflow(1), "z"]


async def test_a_subscriber_that_leaves_frees_the_publishers_that_wait_for_it():
    hub = Hub()
    outcomes = []
    async with anyio.create_task_group() as group:
        async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1):
            hub.publish_nowait("a", 0)

            async def publish(number):
                outcomes.append(await hub.publish("a", number))

            for number in range(3):
                group.start_soon(publish, number)
            await wait_all_tasks_blocked()
        with anyio.fail_after(DEADLINE):
            while len(outcomes) < 3:
                await checkpoint()
    assert [(each.queued, each.dropped) for each in outcomes] == [(0, 1)] * 3
    snapshot = hub.snapshot()
    assert (snapshot.published, snapshot.delivered, snapshot.dropped) == (4, 0, 4)


async def test_publish_nowait_loses_what_there_is_no_room_for_and_counts_it():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
        assert hub.publish_nowait("a", 1).queued == 1
        assert hub.publish_nowait("a", 2).dropped == 1
        assert waiting(subscription) == [1, overflow(1)]


async def test_what_publish_nowait_loses_is_told_behind_publishers_that_wait():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
        hub.publish_nowait("a", 0)
        async with anyio.create_task_group() as group:
            group.start_soon(hub.publish, "a", 1)
            await wait_all_tasks_blocked()
            assert hub.publish_nowait("a", 2).dropped == 1
            assert await read(subscription, 3) == [0, 1, overflow(1)]


async def test_one_slow_subscriber_that_blocks_has_others_served_meanwhile():
    hub = Hub()
    async with (
        hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as slow,
        hub.subscribe("a") as quick,
    ):
        hub.publish_nowait("a", 0)
        async with anyio.create_task_group() as group:
            group.start_soon(hub.publish, "a", 1)
            assert await read(quick, 2) == [0, 1]
            assert await read(slow, 2) == [0, 1]


async def test_a_filter_decides_which_messages_come():
    hub = Hub()
    async with hub.subscribe("a", filter=lambda message: message.data % 2 == 0) as subscription:
        outcomes = [await hub.publish("a", number) for number in range(4)]
        assert [each.queued for each in outcomes] == [1, 0, 1, 0]
        assert waiting(subscription) == [0, 2]


async def test_a_filter_that_fails_is_logged_once_and_counted(caplog):
    hub = Hub()

    def fail(message: Message) -> bool:
        raise LookupError("no such user")

    async with hub.subscribe("a", filter=fail) as failing, hub.subscribe("a") as other:
        for number in range(3):
            await hub.publish("a", number)
        assert waiting(failing) == []
        assert waiting(other) == [0, 1, 2]
        assert failing.filter_errors == 3
    records = [record for record in caplog.records if record.name == "asgi_rt.hub"]
    assert [record.levelno for record in records] == [logging.ERROR]


async def test_what_a_filter_publishes_comes_behind_the_message_it_was_asked_about():
    hub = Hub()

    def echo(message: Message) -> bool:
        if message.data == "ping":
            assert hub.publish_nowait("a", "pong").subscribers == 2
        return True

    async with hub.subscribe("a", filter=echo) as first, hub.subscribe("a") as second:
        await hub.publish("a", "ping")
        assert waiting(first) == ["ping", "pong"]
        assert waiting(second) == ["ping", "pong"]


async def test_a_filter_may_end_other_subscriptions_and_its_own():
    hub = Hub()
    others = []

    def end_all(message: Message) -> bool:
        for each in others:
            each.end()
        return True

    async with (
        hub.subscribe("a") as before,
        hub.subscribe("a", filter=end_all) as ending,
        hub.subscribe("a") as after,
    ):
        others.extend([before, ending, after])
        published = await hub.publish("a", 1)
        assert (published.queued, hub.subscriber_count("a")) == (1, 0)
        for each in others:
            assert await read_to_end(each) == []


async def test_a_subscriber_that_comes_while_a_message_is_given_does_not_get_it():
    hub = Hub()
    late = hub.subscribe("a")

    def subscribe(message: Message) -> bool:
        if message.data == 1:
            late.start_nowait()
        return True

    async with hub.subscribe("a", filter=subscribe):
        await hub.publish("a", 1)
        await hub.publish("a", 2)
        assert waiting(late) == [2]
        await late.aclose()


async def test_who_is_excluded_by_subscription_does_not_get_it():
    hub = Hub()
    async with hub.subscribe("a") as mine, hub.subscribe("a") as other:
        assert (await hub.publish("a", 1, exclude=mine)).subscribers == 1
        assert (waiting(mine), waiting(other)) == ([], [1])


async def test_who_is_excluded_by_origin_does_not_get_it_in_any_subscription():
    hub = Hub()
    async with (
        hub.subscribe("a", origin="ann") as first,
        hub.subscribe("a", origin="ann") as second,
        hub.subscribe("a", origin="bob") as other,
    ):
        assert (await hub.publish("a", 1, exclude="ann")).subscribers == 1
        assert [waiting(each) for each in (first, second, other)] == [[], [], [1]]


async def test_a_subscription_is_entered_once_and_a_second_time_ends_nothing():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        with pytest.raises(HubError, match="entered once"):
            await subscription.__aenter__()
        await hub.publish("a", 1)
        assert waiting(subscription) == [1]


async def test_a_subscription_that_was_left_is_not_entered_again():
    hub = Hub()
    subscription = hub.subscribe("a")
    async with subscription:
        pass
    with pytest.raises(HubError, match="entered once"):
        await subscription.start()
    assert hub.subscriber_count("a") == 0


async def test_iterating_what_was_not_entered_is_refused():
    with pytest.raises(HubError, match="inside of `async with`"):
        await anext(Hub().subscribe("a"))


async def test_iterating_what_was_left_ends():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        await hub.publish("a", 1)
    assert await read_to_end(subscription) == []


async def test_who_waits_in_another_task_ends_when_the_subscription_is_closed():
    hub = Hub()
    async with hub.subscribe("a") as subscription, anyio.create_task_group() as group:
        group.start_soon(read_to_end, subscription)
        await wait_all_tasks_blocked()
        await subscription.aclose()


async def test_a_subscription_may_be_closed_again():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        await hub.publish("a", 1)
        await subscription.aclose()
        await subscription.aclose()
    snapshot = hub.snapshot()
    assert (snapshot.published, snapshot.delivered, snapshot.dropped) == (1, 0, 1)


async def test_a_wait_that_is_cancelled_loses_nothing():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        with anyio.move_on_after(0):
            await anext(subscription)
        await hub.publish("a", 1)
        assert await read(subscription, 1) == [1]


async def test_who_reads_what_is_there_lets_others_have_their_turn():
    hub = Hub(history=None)
    ticks = 0
    async with hub.subscribe("a", max_messages=10_000) as subscription:
        for number in range(1000):
            hub.publish_nowait("a", number)

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            assert await read(subscription, 1000) == list(range(1000))
            group.cancel_scope.cancel()
    assert ticks >= 10


async def test_a_counted_message_is_delivered_dropped_or_pending():
    hub = Hub(history=History(max_count=1))
    async with hub.subscribe("a", max_messages=4, max_bytes=1000) as subscription:
        for number in range(10):
            hub.publish_nowait("a", number)
        subscription.take()  # the gap
        subscription.take()
        counters = subscription.counters
        assert (counters.published, counters.delivered, counters.dropped) == (10, 1, 6)
        assert (counters.pending, counters.pending_bytes) == (3, 3)
        assert hub.snapshot().subscriptions[0].pending == 3


@pytest.mark.parametrize(
    "arguments", [(), ("",), ("a..b",), ("a b",), ("a.>.b",), ("x" * 256,), ("*a",)]
)
def test_topics_that_are_none_are_refused(arguments):
    with pytest.raises(ValueError, match="topic"):
        Hub().subscribe(*arguments)


@pytest.mark.parametrize("policy", ["block", None, 1])
def test_a_policy_that_is_none_is_refused(policy):
    with pytest.raises(TypeError, match=r"Overflow\.BLOCK"):
        Hub().subscribe("a", policy=policy)


@pytest.mark.parametrize("bounds", [{"max_messages": 0}, {"max_bytes": 0}, {"max_bytes": -1}])
def test_bounds_that_are_none_are_refused(bounds):
    with pytest.raises(ValueError, match="at least 1"):
        Hub().subscribe("a", **bounds)
