"""What filters, encoders and connections raise, interrupts too, costs nobody else a message."""

import asyncio
from contextlib import AsyncExitStack, nullcontext, suppress

import pytest
from anyio import wait_all_tasks_blocked
from feeds.pushed import PushedServer, streamed
from garbage import garbage_of
from hub.reading import read, read_to_end, waiting
from sse.wire import on_asyncio_only

from asgi_rt import Hub, sse_feed
from asgi_rt.hub import turn

RAISED = [KeyboardInterrupt, SystemExit, asyncio.CancelledError, ValueError]
# Who publishes learns of those that are not one subscriber's alone.
INTERRUPTS = {KeyboardInterrupt, SystemExit}


def publish(hub, data, raised):
    with pytest.raises(raised) if raised in INTERRUPTS else nullcontext():
        hub.publish_nowait("a", data)


class Failing(PushedServer):
    """A server whose send of the message "first" raises."""

    __module__ = "uvicorn.fake"

    def __init__(self, raised):
        super().__init__()
        self._raised = raised

    async def send(self, message):
        if b"first" in message.get("body", b""):
            raise self._raised
        await super().send(message)


def counted(subscription):
    counters = subscription.counters
    return counters.published, counters.delivered, counters.dropped


@pytest.mark.parametrize("raised", RAISED)
async def test_what_a_filter_raises_is_not_for_those_who_come_next(raised):
    hub = Hub()

    def fail(message):
        if message.data == 1:
            raise raised
        return True

    async with AsyncExitStack() as stack:
        subscriptions = [
            await stack.enter_async_context(hub.subscribe("a", filter=choose))
            for choose in (None, fail, None, fail, None)
        ]
        publish(hub, 1, raised)
        hub.publish_nowait("a", 2)
        expected = [[1, 2], [2], [1, 2], [2], [1, 2]]
        assert [waiting(each) for each in subscriptions] == expected
        assert [counted(each) for each in subscriptions] == [
            (len(items), len(items), 0) for items in expected
        ]


@pytest.mark.parametrize("made", ["coroutine", "generator", "async generator"])
async def test_a_filter_that_gives_something_to_wait_for_lets_nothing_through(made, caplog):
    async def coroutine():
        return True

    async def generated():
        yield True

    answers = {
        "coroutine": coroutine,
        "generator": lambda: (each for each in [True]),
        "async generator": generated,
    }
    hub = Hub()
    async with hub.subscribe("a", filter=lambda message: answers[made]()) as subscription:
        await hub.publish("a", 1)
        assert waiting(subscription) == []
        assert subscription.filter_errors == 1
        assert "returns a bool at once" in caplog.text


@pytest.mark.parametrize(("said", "items"), [(1, [1]), ("", []), (None, []), ([0], [1])])
async def test_what_a_filter_gives_is_taken_for_a_bool(said, items):
    hub = Hub()
    async with hub.subscribe("a", filter=lambda message: said) as subscription:
        await hub.publish("a", 1)
        assert waiting(subscription) == items


@on_asyncio_only
@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("is_choosy", [False, True], ids=["in a cohort", "one by one"])
async def test_what_a_send_raises_ends_its_connection_and_no_other(raised, is_choosy):
    hub = Hub()
    choose = (lambda message: True) if is_choosy else None
    servers = [PushedServer(), Failing(raised), PushedServer(), PushedServer()]
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                streamed(
                    sse_feed(hub, "a", filter=choose), server, ends=isinstance(server, Failing)
                )
            )
            for server in servers
        ]
        await wait_all_tasks_blocked()
        subscriptions = list(hub._subscriptions.values())
        publish(hub, "first", raised)
        await wait_all_tasks_blocked()
        hub.publish_nowait("a", "second")
        await wait_all_tasks_blocked()
        both = ["first", "second"]
        assert [stream.datas for stream in streams] == [both, [], both, both]
        assert [counted(each) for each in subscriptions] == [
            (2, 2, 0),
            (1, 0, 1),
            (2, 2, 0),
            (2, 2, 0),
        ]


@on_asyncio_only
@pytest.mark.parametrize("raised", RAISED)
async def test_what_an_encoder_raises_once_costs_nobody_a_message(raised):
    hub = Hub()
    left = [raised]

    def encode(message):
        if message.data == "first" and left:
            raise left.pop()
        return message.data

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(streamed(sse_feed(hub, "a", encode=encode)))
            for _ in range(3)
        ]
        await wait_all_tasks_blocked()
        publish(hub, "first", raised)
        await wait_all_tasks_blocked()
        hub.publish_nowait("a", "second")
        await wait_all_tasks_blocked()
        assert [stream.datas for stream in streams] == [["first", "second"]] * 3


@on_asyncio_only
@pytest.mark.parametrize("raised", [asyncio.CancelledError, ValueError])
async def test_what_an_encoder_raises_once_in_a_burst_costs_nobody_a_message(raised):
    hub = Hub()
    left = [raised]

    def encode(message):
        if message.data == 3 and left:
            raise left.pop()
        return message.data

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(streamed(sse_feed(hub, "a", encode=encode)))
            for _ in range(3)
        ]
        await wait_all_tasks_blocked()
        for number in range(1, 5):
            hub.publish_nowait("a", number)
        await wait_all_tasks_blocked()
        assert [stream.datas for stream in streams] == [["1", "2", "3", "4"]] * 3


@on_asyncio_only
async def test_an_interrupt_in_a_message_of_several_turns_leaves_none_without_it(monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
    hub = Hub()

    def fail(message):
        raise KeyboardInterrupt

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(streamed(sse_feed(hub, "a"))) for _ in range(200)
        ]
        await stack.enter_async_context(hub.subscribe("a", filter=fail))
        last = await stack.enter_async_context(hub.subscribe("a"))
        await wait_all_tasks_blocked()
        with pytest.raises(KeyboardInterrupt):
            await hub.publish("a", 1)
        await wait_all_tasks_blocked()
        assert [stream.datas for stream in streams] == [["1"]] * 200
        assert waiting(last) == [1]


@on_asyncio_only
async def test_a_hub_whose_closing_is_interrupted_ends_all_and_loses_nothing():
    hub = Hub()
    left = [KeyboardInterrupt]

    def encode(message):
        if message.data == 2 and left:
            raise left.pop()
        return message.data

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(streamed(sse_feed(hub, "a", encode=encode), ends=True))
            for _ in range(3)
        ]
        plain = await stack.enter_async_context(hub.subscribe("a"))
        await wait_all_tasks_blocked()
        hub.publish_nowait("a", 1)
        hub.publish_nowait("a", 2)
        with pytest.raises(KeyboardInterrupt):
            hub.close()
        assert await read_to_end(plain) == [1, 2]
        await wait_all_tasks_blocked()
        assert [stream.datas for stream in streams] == [["1", "2"]] * 3


async def test_an_interrupt_while_history_is_read_repeats_nothing():
    hub = Hub()
    left = [KeyboardInterrupt]

    def fail(message):
        if message.data == 70 and left:
            raise left.pop()
        return True

    first = hub.publish_nowait("a", 0)
    for number in range(1, 100):
        hub.publish_nowait("a", number)
    async with hub.subscribe("a", after=first.id, filter=fail, max_messages=1) as subscription:
        found = []
        while len(found) < 99:
            with suppress(KeyboardInterrupt):
                found += await read(subscription, 1)
        assert found == list(range(1, 100))


async def test_what_was_published_before_an_interrupt_costs_no_later_message_when_it_is_given():
    hub = Hub()

    def fail(message):
        if message.data == 1:
            hub.publish_nowait("a", 2)
        if message.data < 3:
            raise KeyboardInterrupt
        return True

    async with hub.subscribe("a", filter=fail), hub.subscribe("a") as subscription:
        for data in (1, 3):
            with pytest.raises(KeyboardInterrupt):  # that of 2 comes with the message 3
                hub.publish_nowait("a", data)
        assert waiting(subscription) == [1, 2, 3]


@on_asyncio_only
async def test_what_an_encoder_publishes_before_an_interrupt_in_a_burst_is_given():
    class Interrupt(BaseException):
        """Not one that ends the event loop."""

    hub = Hub()
    left = [Interrupt]
    errors = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: errors.append(type(context["exception"]))
    )

    def encode(message):
        if message.data == 2 and left:
            hub.publish_nowait("a", 3)
            raise left.pop()
        return message.data

    async with (
        streamed(sse_feed(hub, "a", encode=encode)) as stream,
        hub.subscribe("a") as subscription,
    ):
        await wait_all_tasks_blocked()
        hub.publish_nowait("a", 1)
        hub.publish_nowait("a", 2)
        assert await read(subscription, 3) == [1, 2, 3]
        await wait_all_tasks_blocked()
        assert stream.datas == ["1", "2", "3"]
    assert errors == [Interrupt]


async def test_what_an_interrupt_leaves_comes_in_the_order_of_ids_with_what_it_causes():
    hub = Hub()

    def fail(message):
        if message.data == 1:
            hub.publish_nowait("a", 2)
            raise KeyboardInterrupt
        if message.data == 2:
            hub.publish_nowait("a", 4)
        return True

    async with hub.subscribe("a", filter=fail), hub.subscribe("a") as subscription:
        with pytest.raises(KeyboardInterrupt):
            hub.publish_nowait("a", 1)
        hub.publish_nowait("a", 3)
        assert waiting(subscription) == [1, 2, 3, 4]


@on_asyncio_only
async def test_an_interrupt_in_the_rest_of_one_message_lets_the_next_overtake_nothing(monkeypatch):
    hub = Hub()

    def fail(message):
        if message.data == 2:
            raise KeyboardInterrupt
        return True

    async def publish_two():
        hub.publish_nowait("a", 1)
        monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
        hub._delivery._turn._long_at = 0.0
        await hub.publish("a", 2)

    async with AsyncExitStack() as stack:
        held = await stack.enter_async_context(streamed(sse_feed(hub, "a")))
        for _ in range(70):  # so many are pushed to, one by one, before a look at the time
            feed = sse_feed(hub, "a", filter=lambda message: message.data != 1)
            await stack.enter_async_context(streamed(feed))
        await wait_all_tasks_blocked()
        await stack.enter_async_context(hub.subscribe("a", filter=fail))
        last = await stack.enter_async_context(hub.subscribe("a"))
        publishing = asyncio.create_task(publish_two())
        await asyncio.sleep(0)
        with pytest.raises(KeyboardInterrupt):
            hub.publish_nowait("a", 3)
        await publishing
        await wait_all_tasks_blocked()
        assert held.datas == ["1", "2", "3"]
        assert waiting(last) == [1, 2, 3]


@on_asyncio_only
async def test_what_is_published_before_a_hub_is_closed_and_interrupted_is_given():
    hub = Hub()

    def fail(message):
        if message.data == 2:
            hub.publish_nowait("a", 3)
            hub.close()
            raise KeyboardInterrupt
        return True

    async with AsyncExitStack() as stack:
        stream = await stack.enter_async_context(streamed(sse_feed(hub, "a"), ends=True))
        await wait_all_tasks_blocked()
        await stack.enter_async_context(hub.subscribe("a", filter=fail))
        plain = await stack.enter_async_context(hub.subscribe("a"))
        hub.publish_nowait("a", 1)
        with pytest.raises(KeyboardInterrupt):
            hub.publish_nowait("a", 2)
        assert await read_to_end(plain) == [1, 2, 3]
        await wait_all_tasks_blocked()
        assert stream.datas == ["1", "2", "3"]


@on_asyncio_only
@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("is_choosy", [False, True], ids=["in a cohort", "one by one"])
async def test_a_connection_whose_send_raises_leaves_no_cycle(raised, is_choosy):
    choose = (lambda message: True) if is_choosy else None
    hub = Hub()

    async def once():
        server = Failing(raised)
        async with streamed(sse_feed(hub, "a", filter=choose), server, ends=True):
            await wait_all_tasks_blocked()
            publish(hub, "first", raised)
        assert server.error is not None
        server.error = None

    assert await garbage_of(once) == 0
