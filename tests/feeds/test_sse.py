"""A hub's topics as server-sent events: what stands on the wire, and how a client resumes."""

import base64
import gc
import json
import weakref
from contextlib import asynccontextmanager

import pytest
from anyio import wait_all_tasks_blocked
from fakes import FakeServer
from feeds.pushed import PushedServer, WokenServer, streamed
from sse.wire import on_asyncio_only
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from websocket.fake_server import QUICK_BACKENDS

from asgi_rt import App, Hub, Overflow, sse_feed
from asgi_rt.hub import History
from asgi_rt.middleware.dispatch import DispatchMiddleware
from asgi_rt.sse import Event

KINDS = [PushedServer, WokenServer]
kinds = pytest.mark.parametrize("kind", KINDS, ids=["pushed", "woken"])


@asynccontextmanager
async def feed(hub, *topics, server=None, ends=False, **options):
    """A stream that is open and idle, without `retry`."""
    stream = sse_feed(hub, *(topics or ("a",)), retry=None, **options)
    async with streamed(stream, server or WokenServer(), ends=ends) as server:
        await wait_all_tasks_blocked()
        yield server


async def published(hub, *datas, topic="a"):
    return [(await hub.publish(topic, data)).id for data in datas]


def gap(reason, missed, id=None):  # noqa: A002 - the field's name
    return Event(json.dumps({"reason": reason, "missed": missed}, separators=(",", ":")), "gap", id)


# What stands on the wire


@kinds
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ("two\nlines\n", "two\nlines\n"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("éß☃", "éß☃"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (None, "null"),
        (b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
        (b"", ""),
    ],
)
async def test_the_data_of_an_event_is_the_payload(kind, data, text):
    hub = Hub()
    async with feed(hub, server=kind()) as server:
        (cursor,) = await published(hub, data)
        await server.has(b"data: ")
        assert server.events[-1] == Event(text, id=cursor)


@kinds
async def test_an_event_has_the_name_that_was_asked_for(kind):
    hub = Hub()
    async with feed(hub, event="price", server=kind()) as server:
        (cursor,) = await published(hub, "1")
        await server.has(b"data: ")
        assert server.events == [Event("1", "price", cursor)]


def test_a_name_that_cannot_be_sent_is_refused_at_once():
    with pytest.raises(ValueError, match="single line"):
        sse_feed(Hub(), "a", event="two\nlines")


async def test_a_client_learns_where_it_begins_before_anything_is_published():
    hub = Hub()
    (cursor,) = await published(hub, "before")
    async with feed(hub) as server:
        assert server.body == f"id: {cursor}\n\n".encode()


async def test_a_hub_without_history_sends_its_head_at_once_and_no_ids():
    hub = Hub(history=None)
    async with feed(hub) as server:
        assert server.status == 200
        assert server.body == b": open\n\n"
        await published(hub, "1")
        await server.has(b"data: ")
        assert server.body == b": open\n\ndata: 1\n\n"


async def test_a_hub_without_history_says_so_to_a_client_that_wants_to_resume():
    hub = Hub(history=None)
    server = WokenServer(headers=[(b"last-event-id", b"abc-1")])
    async with feed(hub, server=server):
        assert server.events == [gap("unknown", None)]


# `encode`


@kinds
async def test_encode_makes_the_events(kind):
    hub = Hub()
    encoded = []

    def encode(message):
        encoded.append(message.data)
        return Event({"n": message.data}, "number", comment="hi")

    async with feed(hub, encode=encode, server=kind()) as one, feed(hub, encode=encode) as other:
        (cursor,) = await published(hub, 1)
        for server in (one, other):
            await server.has(b"data: ")
            assert server.events == [Event('{"n":1}', "number", cursor)]
            assert b": hi\n" in server.body
        assert encoded == [1]


@pytest.mark.parametrize("history", [None, History()])
async def test_encode_may_give_the_data_of_an_event(history):
    hub = Hub(history=history)
    async with feed(hub, encode=lambda message: message.data * 2) as server:
        (cursor,) = await published(hub, 21)
        await server.has(b"data: ")
        assert server.events[-1] == Event("42", id=cursor)


async def test_an_id_of_encode_s_own_stays():
    hub = Hub()
    async with feed(hub, encode=lambda message: Event(message.data, id="mine")) as server:
        await published(hub, "1")
        await server.has(b"data: ")
        assert server.events[-1].id == "mine"


def fails_at_2(message):
    if message.data == "2":
        raise ValueError("no 2")
    return message.data


@kinds
@pytest.mark.parametrize("turns", [False, True])
async def test_an_encode_that_raises_ends_only_its_own_stream(kind, turns):
    hub = Hub()
    async with feed(hub) as other:
        async with feed(hub, encode=fails_at_2, server=kind(), ends=True) as failing:
            for data in ("1", "2", "3"):
                await published(hub, data)
                if turns:
                    await wait_all_tasks_blocked()
        assert str(failing.error) == "no 2"
        await other.has(b"data: 3")
        assert other.datas == ["1", "2", "3"]
    assert hub.subscriber_count("a") == 0


# Resuming


def by_header(cursor):
    return {"headers": [(b"last-event-id", cursor.encode())]}


def by_query(cursor):
    return {"path": f"/?last_event_id={cursor}"}


@pytest.mark.parametrize("by", [by_header, by_query])
@kinds
async def test_a_client_that_comes_back_gets_what_it_missed_once_and_then_goes_on(kind, by):
    hub = Hub()
    cursors = await published(hub, "0", "1", "2")
    async with feed(hub, server=kind(**by(cursors[0]))) as server:
        await published(hub, "3")
        await server.has(b"data: 3")
        assert server.datas == ["1", "2", "3"]
        assert [event.id for event in server.events[:2]] == cursors[1:]


@kinds
async def test_a_client_that_missed_nothing_gets_nothing_twice(kind):
    hub = Hub()
    cursors = await published(hub, "0", "1")
    async with feed(hub, server=kind(**by_header(cursors[-1]))) as server:
        assert server.body == b": open\n\n"
        await published(hub, "2")
        await server.has(b"data: 2")
        assert server.datas == ["2"]


async def test_an_empty_id_is_none():
    hub = Hub()
    await published(hub, "0")
    async with feed(hub, server=WokenServer(**by_header(""))) as server:
        assert server.datas == []


async def test_a_client_whose_messages_are_not_kept_any_more_is_told_so_once():
    hub = Hub(history=History(max_count=2))
    cursors = await published(hub, "0", "1", "2", "3", "4")
    async with feed(hub, server=WokenServer(**by_header(cursors[0]))) as server:
        (cursor,) = await published(hub, "5")
        await server.has(b"data: 5")
        assert server.events == [gap("expired", None, cursors[-1]), Event("5", id=cursor)]


@pytest.mark.parametrize("cursor", ["other-7", "garbage", "\xff", "a-1-2-x"])
async def test_a_cursor_that_nobody_knows_is_one_gap(cursor):
    hub = Hub()
    await published(hub, "0")
    headers = {"headers": [(b"last-event-id", cursor.encode("latin-1"))]}
    async with feed(hub, server=WokenServer(**headers)) as server:
        (cursor,) = await published(hub, "1")
        await server.has(b"data: 1")
        gaps = [event for event in server.events if event.event == "gap"]
        assert [json.loads(each.data)["reason"] for each in gaps] == ["unknown"]
        assert server.datas[1:] == ["1"]


async def test_a_client_that_reads_too_slowly_sees_one_gap_in_its_place():
    hub = Hub()
    async with feed(hub, policy=Overflow.DROP_NEWEST, max_messages=2) as server:
        await published(hub, "0", "1", "2", "3")
        await server.has(b"event: gap")
        assert server.events[:2] == [Event("0", id=server.events[0].id), server.events[1]]
        assert server.datas == ["0", "1", '{"reason":"overflow","missed":2}']


@kinds
@pytest.mark.parametrize(("history", "datas"), [(0, []), (2, ["1", "2"]), (9, ["0", "1", "2"])])
async def test_a_new_client_gets_as_much_history_as_was_asked_for(kind, history, datas):
    hub = Hub()
    await published(hub, "0", "1", "2")
    async with feed(hub, history=history, server=kind()) as server:
        assert server.datas == datas
        await published(hub, "3")
        await server.has(b"data: 3")
        assert server.datas == [*datas, "3"]


async def test_more_history_than_a_mailbox_holds_is_not_lost():
    hub = Hub(history=History(max_count=1000))
    cursors = await published(hub, *map(str, range(500)))
    async with feed(hub, max_messages=1, server=PushedServer(**by_header(cursors[0]))) as server:
        await server.has(b"data: 499")
        assert server.datas == [str(number) for number in range(1, 500)]


@kinds
async def test_who_is_sent_away_sees_a_whole_stream_and_may_come_back(kind):
    hub = Hub()
    options = {"policy": Overflow.DISCONNECT, "max_messages": 2}
    async with feed(hub, server=kind(), ends=True, **options) as server:
        server.freeze()
        for number in range(6):
            await published(hub, str(number))
        server.thaw()
    assert server.is_complete
    last = server.events[-1].id if server.events else server.body.split()[1].decode()
    async with feed(hub, server=kind(**by_header(last)), **options) as again:
        assert server.datas + again.datas == [str(number) for number in range(6)]


# Where nothing is subscribed to


@kinds
async def test_a_request_for_the_head_alone_subscribes_to_nothing(kind, monkeypatch):
    hub = Hub()
    admitted = []
    monkeypatch.setattr(hub, "admit", admitted.append)
    async with feed(hub, server=kind(method="HEAD"), ends=True) as server:
        pass
    assert server.status == 200
    assert server.headers["content-type"].startswith("text/event-stream")
    assert admitted == []


async def test_a_stream_that_is_sent_twice_is_refused():
    stream = sse_feed(Hub(), "a")
    async with streamed(stream):
        await wait_all_tasks_blocked()
        other = FakeServer()
        with pytest.raises(RuntimeError, match="sent before"):
            await stream(other.scope, other.receive, other.send)


# In other surroundings


def asgi_rt_app(hub):
    app = App()

    @app.get("/")
    async def handler(request):
        return sse_feed(hub, "a")

    return app


def starlette_app(hub, *middleware):
    async def handler(request):
        return sse_feed(hub, "a")

    return Starlette(routes=[Route("/", handler)], middleware=list(middleware))


def dispatched_app(hub):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers["x-seen"] = "1"
        return response

    return DispatchMiddleware(asgi_rt_app(hub), dispatch)


SURROUNDINGS = {
    "an app": asgi_rt_app,
    "dispatch": dispatched_app,
    "starlette": starlette_app,
    "starlette with gzip": lambda hub: starlette_app(hub, Middleware(GZipMiddleware)),
}


@kinds
@pytest.mark.parametrize("make", SURROUNDINGS.values(), ids=SURROUNDINGS)
async def test_a_feed_works_in_other_surroundings(kind, make):
    hub = Hub()
    cursors = await published(hub, "0", "1")
    async with streamed(make(hub), kind(**by_header(cursors[0]))) as server:
        await server.has(b"data: 1")
        await wait_all_tasks_blocked()
        for number in range(2, 6):
            await published(hub, str(number))
            if number % 2:
                await wait_all_tasks_blocked()
        await server.has(b"data: 5")
        assert server.datas == ["1", "2", "3", "4", "5"]
        assert server.error is None
    assert hub.subscriber_count("a") == 0


# Leaks


CYCLES = 10_000
SLACK = 150
"""How many more objects there may be: some alarms that were taken back are kept for a while."""


@pytest.mark.parametrize("anyio_backend", QUICK_BACKENDS[:2])
@kinds
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_streams_that_come_and_go_leave_nothing(kind):
    hub = Hub()

    async def cycle(number):
        async with streamed(sse_feed(hub, "a"), kind()) as server:
            await server.has(b"id: ")
            if number % 3 == 1:
                hub.publish_nowait("a", "x")
            elif number % 3 == 2:
                server.freeze()
                hub.publish_nowait("a", "x")

    for number in range(200):
        await cycle(number)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(CYCLES):
        await cycle(number)
    gc.collect()
    assert len(gc.get_objects()) - before < SLACK
    assert hub.snapshot().subscriptions == []


@on_asyncio_only
@kinds
async def test_a_stream_leaves_no_cycle(kind):
    hub = Hub()
    async with streamed(sse_feed(hub, "a"), kind()):
        pass
    gc.collect()
    gc.disable()
    try:

        def everything(message):
            return True

        held = weakref.ref(everything)
        stream = sse_feed(hub, "a", filter=everything)
        async with streamed(stream, kind()) as server:
            await server.has(b"id: ")
            hub.publish_nowait("a", "x")
            await server.has(b"data: x")
        del stream, server, everything
        assert held() is None
    finally:
        gc.enable()
