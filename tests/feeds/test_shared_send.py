"""A WebSocket's own sends beside those of who publishes: one at a time, each in its order."""

from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked
from feeds.attached import attached
from sse.wire import on_asyncio_only
from websocket.fake_server import UvicornServer, connection

from asgi_rt import Hub, attach
from asgi_rt.hub import cohort

pytestmark = on_asyncio_only


@asynccontextmanager
async def attached_twice(hub):
    """One connection with two subscriptions."""
    begun = anyio.Event()
    found = {}

    async def handler(ws):
        await ws.accept()
        async with attach(ws, hub, "a") as first, attach(ws, hub, "a") as second:
            found.update(ws=ws, first=first, second=second)
            begun.set()
            async for _ in ws.iter_text():
                pass

    async with connection(handler, UvicornServer) as server:
        await begun.wait()
        await wait_all_tasks_blocked()
        yield server, found
        server.leave()


async def test_an_own_send_that_waits_stops_all_who_share_and_lets_them_on_when_it_is_over():
    hub = Hub()
    async with attached_twice(hub) as (server, found):
        subscriptions = (found["first"], found["second"])
        assert all(each.is_pushable for each in subscriptions)
        server.freeze()
        async with anyio.create_task_group() as group:
            group.start_soon(found["ws"].send_text, "own")
            await server.blocked()
            assert not any(each.is_pushable for each in subscriptions)
            assert hub.publish_nowait("a", "0").queued == 2
            await wait_all_tasks_blocked()
            server.thaw()
        await server.has_sent(3)
        await wait_all_tasks_blocked()
        assert server.data == ["own", "0", "0"]
        assert all(each.is_pushable for each in subscriptions)
        assert hub.publish_nowait("a", "1").delivered == 2
        assert server.data[3:] == ["1", "1"]


async def test_a_push_that_waits_stops_the_other_subscription_of_its_connection():
    hub = Hub()
    async with attached_twice(hub) as (server, found):
        server.freeze()
        published = hub.publish_nowait("a", "0")
        assert (published.delivered, published.queued) == (1, 1)
        assert hub.publish_nowait("a", "1").queued == 2
        server.thaw()
        await server.has_sent(4)
        await wait_all_tasks_blocked()
        assert sorted(server.data) == ["0", "0", "1", "1"]
        for each in (found["first"], found["second"]):
            counters = each.counters
            assert (counters.published, counters.delivered) == (2, 2)
            assert each.is_pushable


@pytest.mark.parametrize("others", [0, cohort._MOST - 1], ids=["encodings", "sizes"])
async def test_a_push_that_waits_loses_nothing_of_who_sits_in_another_cohort(others):
    hub = Hub()
    # The second has another form, or no room in the cohort of the first.
    options = {} if others else {"encode": lambda message: f"second {message.data}"}
    attachments = anyio.Event()
    found = []

    async def handler(ws):
        await ws.accept()
        async with attach(ws, hub, "a") as first, attach(ws, hub, "a", **options) as second:
            found[:] = [first, second]
            attachments.set()
            async for _ in ws.iter_text():
                pass

    async with AsyncExitStack() as stack:
        servers = [(await stack.enter_async_context(attached(hub)))[0] for _ in range(others)]
        async with connection(handler, UvicornServer) as server:
            await attachments.wait()
            await wait_all_tasks_blocked()
            assert len(hub._routes.match("a").seats.cohorts) == 2
            server.freeze()
            published = hub.publish_nowait("a", "0")
            assert (published.delivered, published.queued) == (others + 1, 1)
            server.thaw()
            await server.has_sent(2)
            assert sorted(server.data) == sorted(["0", "0" if others else "second 0"])
            assert [each.counters.published for each in found] == [1, 1]
            assert [each.counters.delivered for each in found] == [1, 1]
            assert all(other.data == ["0"] for other in servers)
            server.leave()


async def test_coming_and_going_gives_nobody_more_to_send_at_once():
    hub = Hub()
    turns = 0
    found = []

    async def handler(ws):
        await ws.accept()
        found.append(ws)
        async for _ in ws.iter_text():
            pass

    async def count():
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with connection(handler, UvicornServer) as server:
        await wait_all_tasks_blocked()
        (ws,) = found
        async with anyio.create_task_group() as group:
            group.start_soon(count)
            for _ in range(640):
                async with attach(ws, hub, "a"):
                    await ws.send_text("x")
            group.cancel_scope.cancel()
        assert turns >= 9
        assert ws.link.outgoing._shared_credit == 0
        server.leave()


async def test_who_attaches_while_a_send_waits_is_pushed_to_after_it_and_not_beside_the_next():
    hub = Hub()
    may_attach, is_attached = anyio.Event(), anyio.Event()
    found = {}

    async def handler(ws):
        await ws.accept()
        found["ws"] = ws
        await may_attach.wait()
        async with attach(ws, hub, "a"):
            is_attached.set()
            async for _ in ws.iter_text():
                pass

    async with connection(handler, UvicornServer) as server, anyio.create_task_group() as group:
        await wait_all_tasks_blocked()
        server.freeze()
        group.start_soon(found["ws"].send_text, "before")
        await server.blocked()
        may_attach.set()
        await is_attached.wait()
        await wait_all_tasks_blocked()
        server.thaw()
        await server.has_sent(1)
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "0").delivered == 1
        assert server.data == ["before", "0"]
        # What it had left to send at once before it shared is not left to it.
        server.freeze()
        group.start_soon(found["ws"].send_text, "own")
        await server.blocked()
        assert hub.publish_nowait("a", "1").queued == 1
        await wait_all_tasks_blocked()
        server.thaw()
        await server.has_sent(4)
        assert server.data[2:] == ["own", "1"]
        server.leave()


async def test_who_detaches_sends_as_before():
    hub = Hub()
    may_leave, has_left = anyio.Event(), anyio.Event()
    found = {}

    async def handler(ws):
        await ws.accept()
        found["ws"] = ws
        async with attach(ws, hub, "a"):
            await ws.send_text("0")
            assert ws.link.outgoing.credit == 0
            await may_leave.wait()
        has_left.set()
        await ws.send_text("1")
        async for _ in ws.iter_text():
            pass

    async with connection(handler, UvicornServer) as server:
        may_leave.set()
        await has_left.wait()
        await server.has_sent(2)
        assert server.data == ["0", "1"]
        assert found["ws"].link.outgoing.credit > 0
        server.leave()


async def test_one_of_two_that_detaches_leaves_the_other_pushed_to():
    hub = Hub()
    async with attached(hub) as (server, room):
        async with attach(room.ws, hub, "b") as other:
            await wait_all_tasks_blocked()
            assert other.is_pushable
        assert hub.publish_nowait("b", "0").delivered == 0
        server.freeze()
        async with anyio.create_task_group() as group:
            group.start_soon(room.ws.send_text, "own")
            await server.blocked()
            assert hub.publish_nowait("a", "1").queued == 1
            server.thaw()
        await server.has_sent(2)
        assert server.data == ["own", "1"]


@pytest.mark.parametrize("size", [1, 5000])
async def test_who_is_attached_and_sends_without_a_pause_lets_others_run(size):
    hub = Hub()
    async with attached(hub) as (server, room):
        turns = 0

        async def count():
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with anyio.create_task_group() as group:
            group.start_soon(count)
            for _ in range(640):
                await room.ws.send_text("x" * size)
            group.cancel_scope.cancel()
        assert turns >= 9
        assert len(server.data) == 640


async def test_a_server_that_refuses_an_own_send_ends_the_connection_for_those_who_share():
    hub = Hub()
    async with attached(hub, leaves=False) as (server, room):
        server.leave()
        await server.until(lambda: server.is_done)
        assert hub.publish_nowait("a", "0").delivered == 0
    assert hub.subscriber_count("a") == 0
    assert room.ws.link.outgoing._sharer is None
