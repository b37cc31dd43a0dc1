"""Messages that are sent in their publisher's turn, over streams of server-sent events."""

import time
from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked
from feeds.pushed import DEADLINE, PushedServer, WokenServer, streamed
from sse.wire import on_asyncio_only

from asgi_rt import Hub, Overflow, sse_feed
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.errors import SendTimeout
from asgi_rt.hub import cohort, distribution, turn

pytestmark = on_asyncio_only


async def test_a_message_is_sent_before_publish_returns():
    hub = Hub()
    async with streamed(sse_feed(hub, "a")) as server:
        await wait_all_tasks_blocked()
        published = hub.publish_nowait("a", "hello")
        assert server.datas == ["hello"]
        assert (published.delivered, published.queued) == (1, 0)


async def test_the_task_of_the_stream_is_not_woken_for_it():
    hub = Hub()
    async with streamed(sse_feed(hub, "a")) as server:
        await wait_all_tasks_blocked()
        steps = server.steps.count
        for number in range(5):
            hub.publish_nowait("a", str(number))
            await anyio.lowlevel.checkpoint()
        assert server.datas == ["0", "1", "2", "3", "4"]
        assert server.steps.count == steps


async def test_a_stream_whose_send_is_somebody_elses_is_woken():
    hub = Hub()
    async with streamed(sse_feed(hub, "a"), WokenServer()) as server:
        await wait_all_tasks_blocked()
        published = hub.publish_nowait("a", "hello")
        assert (published.delivered, published.queued) == (0, 1)
        await server.has(b"data: hello")


async def test_what_is_published_in_one_turn_is_sent_as_the_first_and_the_rest_as_one():
    hub = Hub()
    async with streamed(sse_feed(hub, "a")) as server:
        await wait_all_tasks_blocked()
        sends = server.sends
        outcomes = [hub.publish_nowait("a", str(number)) for number in range(50)]
        await server.has(b"data: 49")
        assert server.datas == [str(number) for number in range(50)]
        assert server.sends - sends == 2
        assert sum(each.delivered for each in outcomes) == 1


async def test_a_stream_is_pushed_to_again_when_what_waited_is_sent():
    hub = Hub()
    async with streamed(sse_feed(hub, "a")) as server:
        await wait_all_tasks_blocked()
        for _ in range(3):
            outcomes = [hub.publish_nowait("a", "x").delivered for _ in range(3)]
            assert outcomes == [1, 0, 0]
            await wait_all_tasks_blocked()
        assert server.datas == ["x"] * 9


# A send that waits


async def test_a_send_that_waits_is_carried_on_by_the_stream_and_the_order_is_kept():
    hub = Hub()
    async with streamed(sse_feed(hub, "a")) as server:
        await wait_all_tasks_blocked()
        server.freeze()
        for number in range(5):
            hub.publish_nowait("a", str(number))
            await anyio.lowlevel.checkpoint()
        assert server.datas == []
        server.thaw()
        await server.has(b"data: 4")
        assert server.datas == ["0", "1", "2", "3", "4"]
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "5").delivered == 1


@pytest.mark.parametrize("frozen", [[0], [2], [4], [0, 1, 2], [1, 3], [0, 1, 2, 3, 4]])
async def test_those_who_can_take_it_are_not_held_up_by_those_who_cannot(frozen):
    hub = Hub()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(streamed(sse_feed(hub, "a"))) for _ in range(5)]
        await wait_all_tasks_blocked()
        for index in frozen:
            servers[index].freeze()
        assert hub.publish_nowait("a", "hello").delivered == 5
        got = [server.datas for server in servers]
        assert got == [[] if index in frozen else ["hello"] for index in range(5)]
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "again").delivered == 5 - len(frozen)
        for server in servers:
            server.thaw()
            await server.has(b"data: again")
            assert server.datas == ["hello", "again"]


async def test_the_counters_of_a_frozen_client_add_up():
    hub = Hub()
    async with streamed(sse_feed(hub, "a", max_messages=3)) as server:
        await wait_all_tasks_blocked()
        server.freeze()
        for number in range(10):
            hub.publish_nowait("a", str(number))
            await wait_all_tasks_blocked()
        (counted,) = hub.snapshot().subscriptions
        assert counted.published == 10
        assert (counted.delivered, counted.dropped, counted.pending) == (1, 6, 3)
        server.thaw()
        await server.has(b"data: 9")
        assert server.datas == ["0", '{"reason":"overflow","missed":6}', "7", "8", "9"]


async def test_who_takes_nothing_is_given_up_and_is_no_subscriber_any_more():
    hub = Hub()
    stream = sse_feed(hub, "a", send_timeout=0.05)
    async with streamed(stream, ends=True) as server:
        await wait_all_tasks_blocked()
        server.freeze()
        hub.publish_nowait("a", "hello")
    assert isinstance(server.error, SendTimeout)
    assert hub.subscriber_count("a") == 0
    assert server.cancelled == 1


async def test_a_publisher_that_blocks_goes_on_when_the_client_is_given_up():
    hub = Hub()
    stream = sse_feed(hub, "a", policy=Overflow.BLOCK, max_messages=1, send_timeout=0.05)
    async with streamed(stream, ends=True) as server:
        await wait_all_tasks_blocked()
        server.freeze()
        for number in range(3):
            published = await hub.publish("a", str(number))
        assert published.dropped == 1
    assert isinstance(server.error, SendTimeout)
    snapshot = hub.snapshot()
    assert (snapshot.published, snapshot.delivered, snapshot.dropped) == (3, 1, 2)


async def test_a_send_that_waits_does_not_belong_to_its_publisher():
    hub = Hub()
    stream = sse_feed(hub, "a", policy=Overflow.BLOCK, max_messages=1)
    async with streamed(stream) as server:
        await wait_all_tasks_blocked()
        server.freeze()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def publish():
                    for number in range(3):
                        await hub.publish("a", str(number))

                group.start_soon(publish)
                await wait_all_tasks_blocked()
                scope.cancel()
        assert server.cancelled == 0
        server.thaw()
        await server.has(b"data: 1")
        await server.has(b"event: gap")
        assert server.datas[:2] == ["0", "1"]


# Endings


@pytest.mark.parametrize("error", [OSError("gone"), ConnectionResetError()])
async def test_a_send_that_fails_ends_that_stream_quietly(error):
    hub = Hub()
    async with (
        streamed(sse_feed(hub, "a"), ends=True) as failing,
        streamed(sse_feed(hub, "a")) as other,
    ):
        await wait_all_tasks_blocked()
        failing.raises = error
        published = hub.publish_nowait("a", "hello")
        assert published.delivered == 1
        assert other.datas == ["hello"]
    assert failing.error is None
    assert hub.subscriber_count("a") == 0


async def test_a_send_that_crashes_is_raised_by_that_stream():
    hub = Hub()
    async with (
        streamed(sse_feed(hub, "a"), ends=True) as failing,
        streamed(sse_feed(hub, "a")) as other,
    ):
        await wait_all_tasks_blocked()
        failing.raises = ValueError("a bug")
        hub.publish_nowait("a", "hello")
        assert other.datas == ["hello"]
    assert failing.error is failing.raises


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("a bug")])
async def test_a_send_that_fails_after_it_has_waited_ends_that_stream(error):
    hub = Hub()

    class Failing(PushedServer):
        __module__ = PushedServer.__module__

        async def send(self, message):
            await super().send(message)
            if b"hello" in message.get("body", b""):
                raise error

    async with streamed(sse_feed(hub, "a"), Failing(), ends=True) as server:
        await wait_all_tasks_blocked()
        server.freeze()
        hub.publish_nowait("a", "hello")
        await wait_all_tasks_blocked()
        server.thaw()
    assert server.error is (None if isinstance(error, OSError) else error)
    assert hub.subscriber_count("a") == 0


@pytest.mark.parametrize("is_woken", [False, True])
async def test_a_client_may_leave_while_a_send_waits(is_woken):
    hub = Hub()
    async with streamed(sse_feed(hub, "a"), ends=True) as server:
        await wait_all_tasks_blocked()
        server.freeze()
        hub.publish_nowait("a", "hello")
        if is_woken:
            await wait_all_tasks_blocked()
        server.leave()
    assert server.error is None
    assert hub.subscriber_count("a") == 0


@pytest.mark.parametrize("is_woken", [False, True])
async def test_a_stream_may_be_cancelled_while_a_send_waits(is_woken):
    hub = Hub()
    server = PushedServer()
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, sse_feed(hub, "a"))
            await wait_all_tasks_blocked()
            server.freeze()
            hub.publish_nowait("a", "hello")
            if is_woken:
                await wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert server.cancelled == 1
    assert server.faults == []
    assert hub.subscriber_count("a") == 0


async def test_a_stream_may_be_cancelled_twice_while_a_send_is_slow_to_end():
    hub = Hub()
    entered = anyio.Event()

    class Slow(PushedServer):
        __module__ = PushedServer.__module__

        async def send(self, message):
            try:
                await super().send(message)
            except BaseException:
                entered.set()
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.05)
                raise

    server = Slow()
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, sse_feed(hub, "a", ping=0.01))
            await wait_all_tasks_blocked()
            server.freeze()
            hub.publish_nowait("a", "hello")
            group.cancel_scope.cancel()
    assert entered.is_set()
    assert hub.subscriber_count("a") == 0


@pytest.mark.parametrize("waits", [False, True])
async def test_a_hub_that_is_closed_ends_its_streams_when_all_is_sent(waits):
    hub = Hub()
    async with streamed(sse_feed(hub, "a"), ends=True) as server:
        await wait_all_tasks_blocked()
        if waits:
            server.freeze()
        hub.publish_nowait("a", "1")
        hub.publish_nowait("a", "2")
        hub.close()
        await wait_all_tasks_blocked()
        server.thaw()
    assert server.datas == ["1", "2"]
    assert server.is_complete
    assert server.error is None


async def test_who_is_sent_away_sees_the_stream_end():
    hub = Hub()
    stream = sse_feed(hub, "a", policy=Overflow.DISCONNECT, max_messages=1)
    async with streamed(stream, ends=True) as server:
        await wait_all_tasks_blocked()
        server.freeze()
        outcomes = []
        for number in range(4):
            outcomes.append(hub.publish_nowait("a", str(number)).disconnected)
            await anyio.lowlevel.checkpoint()
        assert hub.subscriber_count("a") == 0
        server.thaw()
    assert sum(outcomes) == 1
    assert stream.subscription.is_disconnected
    assert server.is_complete
    assert server.datas[0] == "0"


@pytest.mark.parametrize("waits", [False, True])
async def test_the_farewell_of_a_drain_stands_behind_what_was_pushed(waits):
    hub = Hub()
    drain = Drain(grace=5)
    server = PushedServer(state={STATE_KEY: drain})
    async with streamed(sse_feed(hub, "a"), server, ends=True):
        await wait_all_tasks_blocked()
        if waits:
            server.freeze()
        hub.publish_nowait("a", "hello")
        drain.begin()
        await wait_all_tasks_blocked()
        server.thaw()
    assert server.body.index(b"data: hello") < server.body.index(b": the server is going down")
    assert server.is_complete
    assert server.error is None


# Pings


class Clock:
    """The time, as the test says it is; so late that no alarm goes off by itself."""

    def __init__(self, monkeypatch):
        self.now = time.perf_counter() + 10_000
        for name in ("hub.turn", "http.watch", "http.stepped_sender"):
            monkeypatch.setattr(f"asgi_rt.{name}._clock", lambda: self.now)


async def test_a_message_that_is_pushed_puts_the_ping_off(monkeypatch):
    clock = Clock(monkeypatch)
    hub = Hub()
    stream = sse_feed(hub, "a", ping=15)
    async with streamed(stream) as server:
        await wait_all_tasks_blocked()
        sender = stream._source._sender
        clock.now += 14
        hub.publish_nowait("a", "hello")
        clock.now += 14
        sender.on_alarm()
        await wait_all_tasks_blocked()
        assert b": ping" not in server.body
        clock.now += 1
        sender.on_alarm()
        await server.has(b": ping")
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "again").delivered == 1


async def test_no_ping_is_sent_while_a_pushed_send_waits(monkeypatch):
    clock = Clock(monkeypatch)
    hub = Hub()
    stream = sse_feed(hub, "a", ping=15, send_timeout=None)
    async with streamed(stream) as server:
        await wait_all_tasks_blocked()
        sender = stream._source._sender
        server.freeze()
        hub.publish_nowait("a", "hello")
        clock.now += 100
        sender.on_alarm()
        await wait_all_tasks_blocked()
        clock.now += 100
        sender.on_alarm()
        await wait_all_tasks_blocked()
        server.thaw()
        await server.has(b"data: hello")
        assert b": ping" not in server.body


async def test_what_is_published_while_a_ping_waits_comes_behind_it(monkeypatch):
    clock = Clock(monkeypatch)
    hub = Hub()
    stream = sse_feed(hub, "a", ping=15, send_timeout=None)
    async with streamed(stream) as server:
        await wait_all_tasks_blocked()
        sender = stream._source._sender
        server.freeze()
        clock.now += 16
        sender.on_alarm()
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "1").delivered == 0
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "2").delivered == 0
        server.thaw()
        await server.has(b"data: 2")
        assert server.body.index(b": ping") < server.body.index(b"data: 1")
        assert server.datas == ["1", "2"]


# The budget


async def test_who_is_beyond_the_budget_of_a_push_gets_everything_in_order(monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0)
    monkeypatch.setattr(cohort, "_MOST", 2)
    hub = Hub()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(streamed(sse_feed(hub, "a"))) for _ in range(5)]
        await wait_all_tasks_blocked()
        published = hub.publish_nowait("a", "0")
        assert (published.delivered, published.queued) == (2, 3)
        for number in range(1, 20):
            hub.publish_nowait("a", str(number))
            if number % 3:
                await anyio.lowlevel.checkpoint()
        for server in servers:
            await server.has(b"data: 19")
            assert server.datas == [str(number) for number in range(20)]


async def test_who_is_beyond_the_budget_does_not_get_what_is_not_for_it(monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0)
    monkeypatch.setattr(distribution, "_PUSHES_A_LOOK", 1)
    monkeypatch.setattr(cohort, "_MOST", 1)
    hub = Hub()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(streamed(sse_feed(hub, "a")))
        mine = await enter(streamed(sse_feed(hub, "a", origin="me")))
        await wait_all_tasks_blocked()
        hub.publish_nowait("a", "1", exclude="me")
        hub.publish_nowait("a", "2")
        await mine.has(b"data: 2")
        assert mine.datas == ["2"]
