"""Messages that are sent in their publisher's turn, over WebSockets."""

import asyncio
import gc
import weakref
from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked
from feeds.attached import attached
from sse.wire import on_asyncio_only
from websocket.fake_server import FakeServer, UvicornServer, connection, errors_logged

from asgi_rt import App, Hub, Overflow, attach
from asgi_rt.feeds import Attachment
from asgi_rt.feeds.wire import plain

pytestmark = on_asyncio_only


def numbers(count):
    return [str(number) for number in range(count)]


async def test_a_message_is_sent_before_publish_returns_and_takes_no_task():
    hub = Hub()
    async with attached(hub) as (server, _):
        tasks = asyncio.all_tasks()
        published = hub.publish_nowait("a", "hello")
        assert server.data == ["hello"]
        assert (published.delivered, published.queued) == (1, 0)
        assert asyncio.all_tasks() == tasks


async def test_behind_somebody_elses_send_a_task_sends_it():
    hub = Hub()
    async with attached(hub, kind=FakeServer) as (server, _):
        published = hub.publish_nowait("a", "hello")
        assert (published.delivered, published.queued) == (0, 1)
        await server.has_sent(1)
        assert server.data == ["hello"]


async def test_what_is_published_in_one_turn_comes_in_order():
    hub = Hub()
    async with attached(hub) as (server, _):
        for number in range(50):
            hub.publish_nowait("a", str(number))
        await server.has_sent(50)
        assert server.data == numbers(50)
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "more").delivered == 1


async def test_a_send_that_waits_is_carried_on_and_the_order_is_kept():
    hub = Hub()
    async with attached(hub) as (server, _):
        server.freeze()
        for number in range(5):
            hub.publish_nowait("a", str(number))
            await anyio.lowlevel.checkpoint()
        assert server.data == []
        server.thaw()
        await server.has_sent(5)
        assert server.data == numbers(5)
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "more").delivered == 1


async def test_a_message_comes_behind_a_send_that_waits_for_another():
    hub = Hub()
    async with attached(hub) as (server, room):
        server.freeze()

        async def send_and_tell():
            await room.ws.send_text("own 1")
            assert hub.publish_nowait("a", "pushed").queued == 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_and_tell)
            await server.blocked()
            tasks.start_soon(room.ws.send_text, "own 2")
            await wait_all_tasks_blocked()
            server.thaw()
        await server.has_sent(3)
        assert server.data == ["own 1", "own 2", "pushed"]
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "more").delivered == 1


async def test_a_handler_may_send_to_a_slow_client_that_much_is_published_to():
    hub = Hub()
    async with attached(hub) as (server, room):
        server.freeze()

        async def publish():
            for number in numbers(40):
                hub.publish_nowait("a", number)
                await server.until(lambda: number in server.data)  # noqa: B023 - not after it

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publish)
            await server.blocked()
            tasks.start_soon(room.ws.send_text, "own")
            while len(server.data) < 41:
                await server.until(lambda: server.is_blocked or len(server.data) == 41)
                await wait_all_tasks_blocked()
                server.thaw(1)
        assert server.data.index("own") <= 2


async def test_what_is_published_while_a_message_is_encoded_is_not_sent_along_with_it():
    outer, inner = Hub(), Hub()

    def telling(message):
        inner.publish_nowait("b", "told")
        return message.data

    async def handler(ws):
        await ws.accept()
        async with attach(ws, outer, "a", encode=telling), attach(ws, inner, "b"):
            async for _ in ws.iter_text():
                pass

    async with connection(handler, UvicornServer) as server:
        await server.accepted()
        await wait_all_tasks_blocked()
        server.freeze()
        outer.publish_nowait("a", "message")
        await wait_all_tasks_blocked()
        server.thaw()
        await server.has_sent(2)
        assert server.data == ["told", "message"]
        server.leave()


@pytest.mark.parametrize("frozen", [[0], [1], [2], [0, 1], [0, 1, 2]])
async def test_those_who_can_take_it_are_not_held_up(frozen):
    hub = Hub()
    async with AsyncExitStack() as stack:
        servers = [(await stack.enter_async_context(attached(hub)))[0] for _ in range(3)]
        for index in frozen:
            servers[index].freeze()
        assert hub.publish_nowait("a", "hello").delivered == 3
        assert [len(server.data) for server in servers] == [
            0 if index in frozen else 1 for index in range(3)
        ]
        for server in servers:
            server.thaw()
            await server.has_sent(1)


async def test_the_counters_of_a_frozen_client_add_up():
    hub = Hub()
    async with attached(hub, max_messages=3) as (server, _):
        server.freeze()
        for number in range(10):
            hub.publish_nowait("a", str(number))
        await wait_all_tasks_blocked()
        (counted,) = hub.snapshot().subscriptions
        assert counted.published == 10
        assert (counted.delivered, counted.dropped, counted.pending) == (1, 6, 3)
        server.thaw()
        await server.has_sent(5)
        gap = '{"type":"gap","reason":"overflow","missed":6}'
        assert server.data == ["0", gap, "7", "8", "9"]


async def test_a_handlers_own_messages_keep_their_order_among_those_that_are_pushed():
    hub = Hub()
    async with attached(hub) as (server, room):

        async def send():
            for number in range(100):
                await room.ws.send_text(f"own {number}")

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            for number in range(100):
                hub.publish_nowait("a", str(number))
                if number % 3 == 0:
                    await anyio.lowlevel.checkpoint()
                if number % 20 == 5:
                    server.freeze()
                if number % 20 == 15:
                    server.thaw()
            server.thaw()
        await server.has_sent(200)
        own = [each for each in server.data if each.startswith("own")]
        assert own == [f"own {number}" for number in range(100)]
        assert [each for each in server.data if not each.startswith("own")] == numbers(100)


async def test_nothing_is_pushed_while_the_handler_sends():
    hub = Hub()
    async with attached(hub) as (server, room):
        server.freeze()
        async with anyio.create_task_group() as group:
            group.start_soon(room.ws.send_text, "own")
            await server.blocked()
            assert hub.publish_nowait("a", "0").queued == 1
            await wait_all_tasks_blocked()
            server.thaw()
        await server.has_sent(2)
        assert server.data == ["own", "0"]


# Endings


async def test_who_takes_nothing_is_given_up_and_is_no_subscriber_any_more():
    hub = Hub()
    async with attached(hub, send_timeout=0.05, leaves=False) as (server, room):
        server.freeze()
        hub.publish_nowait("a", "hello")
        await server.until(lambda: server.is_done)
    assert hub.subscriber_count("a") == 0
    assert room.ws.closed.code == 1008


async def test_a_publisher_that_blocks_goes_on_when_the_client_is_given_up():
    hub = Hub()
    options = {"policy": Overflow.BLOCK, "max_messages": 1, "send_timeout": 0.05}
    async with attached(hub, leaves=False, **options) as (server, _):
        server.freeze()
        for number in range(3):
            published = await hub.publish("a", str(number))
        assert published.dropped == 1
    snapshot = hub.snapshot()
    assert (snapshot.published, snapshot.delivered, snapshot.dropped) == (3, 1, 2)


@pytest.mark.parametrize("is_carried_on", [False, True])
async def test_a_client_may_leave_while_a_send_waits(is_carried_on):
    hub = Hub()
    async with attached(hub) as (server, _):
        server.freeze()
        hub.publish_nowait("a", "hello")
        if is_carried_on:
            await wait_all_tasks_blocked()
    assert hub.subscriber_count("a") == 0


@pytest.mark.parametrize("raises", [False, True])
async def test_a_client_that_vanished_is_no_subscriber_any_more(raises):
    hub = Hub()
    options = {"raises": raises}
    async with attached(hub, server=options, leaves=False) as (server, _):
        server.vanish()
        hub.publish_nowait("a", "hello")
        await wait_all_tasks_blocked()
        server.lose()
    assert hub.subscriber_count("a") == 0


async def test_a_send_that_fails_does_not_concern_the_publisher_or_others():
    hub = Hub()
    async with attached(hub, leaves=False) as (failing, room), attached(hub) as (other, _):
        failing.vanish()
        assert hub.publish_nowait("a", "hello").delivered == 1
        assert other.data == ["hello"]
        await failing.done()
        assert room.ws.closed.code == 1006


class Broken(UvicornServer):
    __module__ = UvicornServer.__module__

    async def send(self, message):
        if message.get("text") == "hello":
            raise ValueError("a bug")
        await super().send(message)


async def test_a_send_that_crashes_closes_the_connection_and_is_logged():
    hub = Hub()
    app = App()

    @app.websocket("/")
    async def room(ws):
        await ws.accept()
        async with attach(ws, hub, "a"):
            async for _ in ws.iter_text():
                pass

    failing, other = Broken(), UvicornServer()
    with errors_logged() as errors:
        async with anyio.create_task_group() as group:
            group.start_soon(failing.run, app)
            group.start_soon(other.run, app)
            await wait_all_tasks_blocked()
            hub.publish_nowait("a", "hello")
            assert other.data == ["hello"]
            await failing.done()
            other.leave()
    assert failing.close == (1011, "internal error")
    assert len(errors) == 1
    assert "a bug" in errors[0]


async def test_leaving_the_block_while_a_send_waits_lets_that_message_go_whole():
    hub = Hub()
    async with attached(hub) as (server, room):
        server.freeze()
        hub.publish_nowait("a", "1")
        await wait_all_tasks_blocked()
        hub.publish_nowait("a", "2")
        server.send_text("leave")
        await room.left.wait()
        assert hub.subscriber_count("a") == 0
        server.thaw()
        await room.ws.send_text("own")
        assert server.data == ["1", "own"]


async def test_leaving_the_block_in_the_turn_of_a_send_that_waits():
    hub = Hub()
    async with attached(hub) as (server, room):
        server.freeze()
        server.send_text("leave")
        hub.publish_nowait("a", "1")
        await room.left.wait()
        server.thaw()
        await room.ws.send_text("own")
        assert server.data == ["1", "own"]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_connection_may_be_lost_in_the_turn_of_a_send_that_waits(is_gone):
    """What was begun for it has not even got its task's first step when all is over."""
    hub = Hub()
    async with attached(hub, leaves=False) as (server, _):
        server.freeze()
        if is_gone:
            server.lose()
        else:
            server._tell({"type": "websocket.disconnect", "code": 1006})
        hub.publish_nowait("a", "1")  # before the handler has learnt of it
        await server.done()
        assert not server.is_blocked
    assert hub.subscriber_count("a") == 0


async def test_the_handler_may_end_while_a_send_waits():
    hub = Hub()
    entered = anyio.Event()

    async def handler(ws):
        await ws.accept()
        async with attach(ws, hub, "a"):
            entered.set()
            await ws.receive_text()

    async with connection(handler, UvicornServer) as server:
        await entered.wait()
        await wait_all_tasks_blocked()
        server.freeze()
        hub.publish_nowait("a", "1")
        server.send_text("go")
        await wait_all_tasks_blocked()
        server.thaw()
    assert server.data == ["1"]
    assert server.close == (1000, "")


async def test_the_task_of_a_handler_may_be_cancelled_while_a_send_waits():
    hub = Hub()
    app = App()

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        async with attach(ws, hub, "a"):
            await anyio.sleep_forever()

    server = UvicornServer()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, app)
            await wait_all_tasks_blocked()
            server.freeze()
            hub.publish_nowait("a", "1")
            await wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert hub.subscriber_count("a") == 0
    assert server.faults == []


@pytest.mark.parametrize("code", [1013, 4008, 3001])
async def test_who_is_sent_away_is_closed_with_the_code_of_the_policy(code):
    hub = Hub()
    options = {"policy": Overflow.DISCONNECT, "max_messages": 2, "close_code": code}
    async with attached(hub, leaves=False, **options) as (server, room):
        server.freeze()
        disconnected = [hub.publish_nowait("a", str(n)).disconnected for n in range(5)]
        assert disconnected == [0, 0, 0, 1, 0]
        assert hub.subscriber_count("a") == 0
        await wait_all_tasks_blocked()
        server.thaw()
    assert server.close == (code, "you read too slowly")
    assert room.ws.closed.code == code
    assert hub.snapshot().disconnected == 1


async def test_two_attachments_on_one_socket_do_not_disturb_each_other():
    hub, other_hub = Hub(), Hub()
    entered = anyio.Event()

    async def handler(ws):
        await ws.accept()
        async with attach(ws, hub, "a"), attach(ws, hub, "b"), attach(ws, other_hub, "c"):
            entered.set()
            async for _ in ws.iter_text():
                pass

    async with connection(handler, UvicornServer) as server:
        await entered.wait()
        await wait_all_tasks_blocked()
        for number in range(60):
            which = (hub, hub, other_hub)[number % 3]
            which.publish_nowait("abc"[number % 3], str(number))
            if number in (10, 30, 50):
                server.freeze()
            if number in (20, 40):
                server.thaw()
            if number % 7 == 0:
                await anyio.lowlevel.checkpoint()
        server.thaw()
        await server.has_sent(60)
        for index in range(3):
            mine = [int(each) for each in server.data if int(each) % 3 == index]
            assert mine == sorted(mine)
        server.leave()


class WatchedAttachment(Attachment):
    __slots__ = ("__weakref__",)


async def test_what_outlasts_its_hub_gets_nothing_that_is_published_when_it_is_open_again():
    hub = Hub()
    async with attached(hub) as (server, room):
        async with hub:
            await hub.publish("a", "0")
        async with hub:
            for number in range(1, 3):
                assert (await hub.publish("a", str(number))).delivered == 0
                for _ in range(70):  # more than are sent without a look at who may send
                    await room.ws.send_text("own")
        assert [data for data in server.data if data != "own"] == ["0"]


async def test_an_attachment_leaves_no_cycle():
    hub = Hub()
    left = []

    async def handler(ws):
        await ws.accept()
        attachment = WatchedAttachment(ws, hub.subscribe("a"), plain)
        async with attachment:
            await ws.receive_text()
        reference = weakref.ref(attachment)
        del attachment
        left.append(reference())

    gc.collect()
    gc.disable()
    try:
        async with connection(handler, UvicornServer) as server:
            await server.accepted()
            await wait_all_tasks_blocked()
            hub.publish_nowait("a", "1")
            server.send_text("go")
    finally:
        gc.enable()
    assert left == [None]
