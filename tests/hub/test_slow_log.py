"""What the log says of slow subscribers."""

import logging
from contextlib import AsyncExitStack

import pytest
from anyio import move_on_after
from hub.reading import waiting

from asgi_rt.hub import Hub, Overflow
from asgi_rt.hub.slow_log import SlowLog


@pytest.fixture
def lines(caplog):
    """What the log says, once it is asked for."""
    caplog.set_level(logging.WARNING, logger="asgi_rt.hub")
    return lambda: [each.getMessage() for each in caplog.records if each.name == "asgi_rt.hub"]


@pytest.mark.parametrize("policy", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
async def test_the_first_message_that_a_subscriber_loses_is_said_and_no_other(policy, lines):
    hub = Hub()
    async with hub.subscribe("a", "b.*", policy=policy, max_messages=2) as slow:
        for number in range(2):
            await hub.publish("a", number)
        assert lines() == []
        for number in range(10):
            await hub.publish("a", number)
        assert lines() == [
            f"subscriber {slow.id} to a, b.* is slow: it has lost its first message, as more waited"
            f" for it than 2 messages or 1048576 bytes (policy {policy.value})"
        ]


async def test_a_subscriber_that_is_sent_away_is_said(lines):
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.DISCONNECT, max_messages=1) as slow:
        for number in range(3):
            await hub.publish("a", number)
    [line] = lines()
    assert line.startswith(f"subscriber {slow.id} to a is slow: it was sent away, as more waited")


async def test_what_newer_messages_replace_is_not_said_and_keys_that_make_room_are(lines):
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.COALESCE, max_messages=2) as slow:
        for number in range(10):
            await hub.publish("a", number, key="12"[number % 2])
        assert slow.counters.coalesced == 8
        assert lines() == []
        await hub.publish("a", 10, key="3")
    assert len(lines()) == 1


async def test_what_a_subscriber_that_blocks_loses_is_said(lines):
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1):
        await hub.publish("a", 0)
        assert lines() == []
        hub.publish_nowait("a", 1)
    assert len(lines()) == 1


async def test_what_a_publisher_that_is_cancelled_gives_up_is_said(lines):
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as slow:
        await hub.publish("a", 0)
        with move_on_after(0):
            await hub.publish("a", 1)
        assert slow.counters.dropped == 1
        assert len(lines()) == 1


async def test_a_publisher_that_gives_up_after_its_message_was_taken_says_nothing(lines):
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as slow:
        await hub.publish("a", 0)
        ticket = slow.queue(hub._message("a", 1, None, None))
        assert waiting(slow) == [0, 1]
        slow.give_up(ticket)
    assert lines() == []


async def test_of_many_that_are_slow_ten_are_named_and_one_each_ten_seconds(lines):
    clock = iter([0.0] * 26 + [9.9, 10.1, 10.2, 1000.0]).__next__
    hub = Hub()
    log = SlowLog(clock)
    async with AsyncExitStack() as stack:
        for _ in range(29):
            log.note(await stack.enter_async_context(hub.subscribe("a")))
    told = lines()
    assert len(told) == 12
    assert [line for line in told if "not named" in line] == told[10:]
    assert told[10].endswith("; 16 before it were not named")
    assert told[11].endswith("; 1 before it were not named")


async def test_of_many_topics_three_are_named(lines):
    hub = Hub()
    async with hub.subscribe(*"abcde") as subscription:
        SlowLog().note(subscription)
    assert " to a, b, c and 2 more is slow" in lines()[0]


async def test_an_outage_that_costs_a_message_is_said(lines):
    hub = Hub()
    async with hub.subscribe("a", max_messages=1) as slow:
        await hub.publish("a", 0)
        hub.lose(["a"])
        assert slow.counters.dropped == 1
    assert len(lines()) == 1


async def test_those_who_were_not_named_are_counted_when_the_hub_is_closed(lines):
    hub = Hub()
    async with AsyncExitStack() as stack:
        for _ in range(13):
            await stack.enter_async_context(hub.subscribe("a", max_messages=1))
        for number in range(2):
            await hub.publish("a", number)
        assert len(lines()) == 10
        hub.close()
        hub.close()
    assert lines()[10:] == ["3 more subscribers were slow, and are not named"]


@pytest.mark.parametrize("filter_fails", [False, True])
async def test_a_log_handler_that_fails_costs_nobody_a_message(filter_fails):
    class Full(logging.Handler):
        def emit(self, record):
            raise RuntimeError("the disk is full")

    def fail(_):
        raise LookupError

    hub = Hub()
    handler = Full()
    logging.getLogger("asgi_rt.hub").addHandler(handler)
    try:
        async with (
            hub.subscribe("a", max_messages=1, filter=fail if filter_fails else None),
            hub.subscribe("a") as other,
        ):
            for number in range(3):
                await hub.publish("a", number)
            assert waiting(other) == [0, 1, 2]
    finally:
        logging.getLogger("asgi_rt.hub").removeHandler(handler)


async def test_bounds_that_are_no_bound_can_be_said(lines):
    hub = Hub()
    async with hub.subscribe("a", max_messages=1, max_bytes=float("inf")):
        for number in range(2):
            await hub.publish("a", number)
    assert "than 1 messages or inf bytes" in lines()[0]
