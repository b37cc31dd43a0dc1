"""A hub's topics on a WebSocket: what the client is sent, and what the handler may do meanwhile."""

import asyncio
import base64
import gc

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from feeds.attached import Room, attached, envelopes
from hub.lagging_backplane import LaggingBackplane
from websocket.fake_server import (
    KINDS,
    QUICK_BACKENDS,
    FakeServer,
    UvicornServer,
    a_round,
    connection,
    errors_logged,
)

from asgi_rt import App, Hub, Overflow, attach
from asgi_rt.errors import LifecycleError, WebSocketClosed
from asgi_rt.hub import History

kinds = pytest.mark.parametrize("kind", KINDS)


async def published(hub, *datas, topic="a"):
    return [(await hub.publish(topic, data)).id for data in datas]


# Plain


@kinds
@pytest.mark.parametrize(
    ("data", "sent"),
    [("text", "text"), ("", ""), ("é☃", "é☃"), ({"a": 1}, '{"a":1}'), (b"\x00\xff", b"\x00\xff")],
)
async def test_a_message_is_sent_as_its_payload(kind, data, sent):
    hub = Hub()
    async with attached(hub, kind=kind) as (server, _):
        await published(hub, data)
        await server.has_sent(1)
        assert server.data == [sent]


@kinds
async def test_messages_come_in_order_while_the_handler_reads(kind):
    hub = Hub()
    async with attached(hub, kind=kind) as (server, room):
        for number in range(20):
            await published(hub, number)
            server.send_text(f"in {number}")
        await server.has_sent(20)
        await wait_all_tasks_blocked()
        assert server.data == [str(number) for number in range(20)]
        assert room.received == [f"in {number}" for number in range(20)]


async def test_a_gap_is_a_text_in_its_place():
    hub = Hub(history=None)
    async with attached(hub, kind=FakeServer, max_messages=2) as (server, _):
        server.freeze()
        await published(hub, "0")
        await server.blocked()
        await published(hub, "1", "2", "3", "4")
        server.thaw()
        await server.has_sent(4)
        assert server.data == ["0", '{"type":"gap","reason":"overflow","missed":2}', "3", "4"]


@kinds
async def test_history_comes_first(kind):
    hub = Hub()
    await published(hub, "0", "1", "2")
    async with attached(hub, kind=kind, history=2) as (server, _):
        await published(hub, "3")
        await server.has_sent(3)
        assert server.data == ["1", "2", "3"]


@kinds
async def test_encode_makes_the_messages(kind):
    hub = Hub()
    async with attached(hub, kind=kind, encode=lambda message: f"<{message.data}>") as (server, _):
        await published(hub, "x")
        await server.has_sent(1)
        assert server.data == ["<x>"]


def test_there_is_one_way_to_encode():
    with pytest.raises(ValueError, match="one way"):
        attach(None, Hub(), "a", envelopes=True, encode=str)


@kinds
@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize("raised", [ValueError, asyncio.CancelledError])
async def test_an_encode_that_raises_closes_only_that_connection(kind, turns, raised):
    hub = Hub()

    def fails_at_2(message):
        if message.data == "2":
            raise raised
        return message.data

    app = App()

    @app.websocket("/failing")
    async def failing(ws):
        await ws.accept()
        async with attach(ws, hub, "a", encode=fails_at_2):
            await ws.wait_closed()

    @app.websocket("/other")
    async def other(ws):
        await ws.accept()
        async with attach(ws, hub, "a"):
            await ws.wait_closed()

    one, two = kind(path="/failing"), kind(path="/other")
    with errors_logged() as errors:
        async with anyio.create_task_group() as group:
            group.start_soon(one.run, app)
            group.start_soon(two.run, app)
            await wait_all_tasks_blocked()
            for data in ("1", "2", "3"):
                await published(hub, data)
                if turns:
                    await wait_all_tasks_blocked()
            await one.done()
            await two.has_sent(3)
            two.leave()
    assert (one.data, one.close) == (["1"], (1011, "internal error"))
    assert two.data == ["1", "2", "3"]
    assert len(errors) == 1


# Envelopes


@kinds
async def test_an_envelope_tells_topic_and_cursor(kind):
    hub = Hub()
    (begin,) = await published(hub, "before")
    async with attached(hub, ">", kind=kind, envelopes=True) as (server, _):
        (first,) = await published(hub, {"n": 1}, topic="a.b")
        (second,) = await published(hub, 'te"xt')
        (third,) = await published(hub, b"\xff")
        await server.has_sent(4)
        assert envelopes(server) == [
            {"type": "cursor", "cursor": begin, "recovered": None},
            {"type": "message", "topic": "a.b", "cursor": first, "data": {"n": 1}},
            {"type": "message", "topic": "a", "cursor": second, "data": 'te"xt'},
            {
                "type": "message",
                "topic": "a",
                "cursor": third,
                "encoding": "base64",
                "data": base64.b64encode(b"\xff").decode(),
            },
        ]


async def test_without_history_there_are_no_cursors():
    hub = Hub(history=None)
    async with attached(hub, envelopes=True) as (server, _):
        await published(hub, "1")
        await server.has_sent(2)
        assert envelopes(server) == [
            {"type": "cursor", "cursor": None, "recovered": None},
            {"type": "message", "topic": "a", "cursor": None, "data": "1"},
        ]


def resuming(cursor):
    return {"path": f"/?cursor={cursor}"}


@kinds
async def test_a_client_with_a_cursor_gets_what_it_missed(kind):
    hub = Hub()
    cursors = await published(hub, "0", "1", "2")
    async with attached(hub, kind=kind, envelopes=True, server=resuming(cursors[0])) as (server, _):
        await published(hub, "3")
        await server.has_sent(4)
        first, *rest = envelopes(server)
        assert first == {"type": "cursor", "cursor": cursors[0], "recovered": True}
        assert [each["data"] for each in rest] == ["1", "2", "3"]


@kinds
@pytest.mark.parametrize(
    ("cursor", "reason"), [(None, "expired"), ("garbage", "unknown"), ("other-3", "unknown")]
)
async def test_a_client_whose_messages_are_gone_is_told_so_once(kind, cursor, reason):
    hub = Hub(history=History(max_count=2))
    cursors = await published(hub, *map(str, range(5)))
    query = resuming(cursor or cursors[0])
    options = {"kind": kind, "envelopes": True, "server": query, "history": 20}
    async with attached(hub, **options) as (server, _):
        await published(hub, "5")
        await server.until(lambda: server.data and '"5"' in server.data[-1])
        first, second, *rest = envelopes(server)
        assert first == {"type": "cursor", "cursor": cursors[-1], "recovered": False}
        assert (second["type"], second["reason"]) == ("gap", reason)
        assert {each["type"] for each in rest} == {"message"}
        assert [each["data"] for each in rest] == ["5"]


@kinds
@pytest.mark.parametrize("topics", [("a",), ("a", "b"), ("*",)])
async def test_a_client_that_lost_its_connection_before_its_history_gets_it_with_its_cursor(
    kind, topics
):
    hub = Hub()
    places = await published(hub, "0", "00", "1")
    await published(hub, "not theirs", topic="x.y")
    await published(hub, "2")
    options = {"kind": kind, "envelopes": True, "history": 2}
    async with attached(hub, *topics, **options) as (server, _):
        await server.has_sent(3)
        begin, *rest = envelopes(server)
        assert begin == {"type": "cursor", "cursor": places[1], "recovered": None}
        assert [each["data"] for each in rest] == ["1", "2"]
    await published(hub, "3")
    options["server"] = resuming(begin["cursor"])
    async with attached(hub, *topics, **options) as (server, _):
        await published(hub, "4")
        await server.has_sent(5)
        begin, *rest = envelopes(server)
        assert begin == {"type": "cursor", "cursor": places[1], "recovered": True}
        assert [each["data"] for each in rest] == ["1", "2", "3", "4"]


async def test_history_of_all_that_is_kept_can_be_asked_for_again():
    hub = Hub(history=History(max_count=2))
    cursors = await published(hub, "0", "1", "2")
    async with attached(hub, envelopes=True, history=20) as (server, _):
        await server.has_sent(3)
        assert envelopes(server)[0]["cursor"] == cursors[0]
    async with attached(hub, envelopes=True, server=resuming(cursors[0])) as (server, _):
        await server.has_sent(3)
        begin, *rest = envelopes(server)
        assert begin["recovered"] is True
        assert [each["data"] for each in rest] == ["1", "2"]


async def test_history_that_cannot_be_given_whole_again_is_told_as_missing():
    hub = Hub(history=History(max_count=1))
    await published(hub, "kept", topic="b")
    *_, newest = await published(hub, "0", "1")
    async with attached(hub, "a", "b", envelopes=True, history=20) as (server, _):
        await server.has_sent(3)
        begin, *rest = envelopes(server)
        assert [each["data"] for each in rest] == ["kept", "1"]
    query = resuming(begin["cursor"])
    async with attached(hub, "a", "b", envelopes=True, history=20, server=query) as (server, _):
        await server.has_sent(2)
        assert envelopes(server) == [
            {"type": "cursor", "cursor": newest, "recovered": False},
            {"type": "gap", "reason": "expired", "missed": None, "cursor": newest},
        ]


async def test_where_there_is_no_history_the_newest_cursor_is_told():
    hub = Hub()
    (newest,) = await published(hub, "0", topic="other")
    async with attached(hub, envelopes=True, history=20) as (server, _):
        await published(hub, "1")
        await server.has_sent(2)
        begin, message = envelopes(server)
        assert begin == {"type": "cursor", "cursor": newest, "recovered": None}
        assert message["data"] == "1"


@kinds
async def test_of_history_that_is_filtered_the_cursor_is_that_before_the_first_given(kind):
    hub = Hub()
    cursors = await published(hub, *map(str, range(6)))
    options = {"envelopes": True, "history": 4, "filter": lambda message: message.data > "3"}
    async with attached(hub, kind=kind, **options) as (server, _):
        await server.has_sent(3)
        begin, *rest = envelopes(server)
        assert begin["cursor"] == cursors[3]
        assert [each["data"] for each in rest] == ["4", "5"]


async def test_history_on_a_backplane_that_lags_can_be_asked_for_again():
    backplane = LaggingBackplane()
    async with Hub(backplane=backplane) as hub:
        cursors = await published(hub, "0", "1", "2")
        async with attached(hub, envelopes=True, history=2) as (server, _):
            await server.has_sent(3)
            begin, *rest = envelopes(server)
            assert begin["cursor"] == cursors[0]
            assert [each["data"] for each in rest] == ["1", "2"]
        query = resuming(begin["cursor"])
        async with attached(hub, envelopes=True, history=2, server=query) as (server, _):
            await published(hub, "3")
            backplane.hand_over()
            await server.has_sent(4)
            begin, *rest = envelopes(server)
            assert begin["recovered"] is True
            assert [each["data"] for each in rest] == ["1", "2", "3"]


@kinds
@pytest.mark.parametrize("room", [1, 2, 3])
async def test_history_comes_whole_and_in_order_to_who_reads_slowly_from_the_first(kind, room):
    hub = Hub()
    await published(hub, "0", "1")
    handler = Room(hub, envelopes=True, history=20)
    async with connection(handler, kind) as server:
        server.freeze(room)  # one is taken by the answer to the handshake
        await server.blocked()
        await published(hub, "2")
        await wait_all_tasks_blocked()
        hub.close()
        server.thaw()
        await server.has_sent(4)
        assert [each["data"] for each in envelopes(server)[1:]] == ["0", "1", "2"]
        server.leave()


@kinds
async def test_who_is_sent_away_before_the_history_is_closed(kind):
    hub = Hub()
    await published(hub, "0", "1")
    options = {"policy": Overflow.DISCONNECT, "max_messages": 1}
    handler = Room(hub, envelopes=True, history=20, **options)
    async with connection(handler, kind) as server:
        server.freeze(1)
        await server.blocked()
        await published(hub, "2", "3")
        server.thaw()
        await server.done()
    assert server.close == (1013, "you read too slowly")


@kinds
async def test_a_client_that_is_gone_before_the_history_is_no_subscriber(kind):
    hub = Hub()
    await published(hub, "0")

    async def handler(ws):
        await ws.accept()
        with pytest.raises(WebSocketClosed):
            async with attach(ws, hub, "a", envelopes=True, history=20):
                raise AssertionError("the block is not entered")
        assert hub.subscriber_count("a") == 0

    async with connection(handler, kind) as server:
        server.freeze(2)
        await server.blocked()
        server.leave()


async def test_a_cursor_that_the_handler_gives_counts_for_more_than_the_query():
    hub = Hub()
    cursors = await published(hub, "0", "1", "2")
    options = {"envelopes": True, "after": cursors[1], "server": resuming(cursors[0])}
    async with attached(hub, **options) as (server, _):
        await server.has_sent(2)
        assert [each["data"] for each in envelopes(server)[1:]] == ["2"]


async def test_without_envelopes_the_query_is_not_looked_at():
    hub = Hub()
    cursors = await published(hub, "0", "1")
    async with attached(hub, server=resuming(cursors[0])) as (server, _):
        await published(hub, "2")
        await server.has_sent(1)
        assert server.data == ["2"]


# What it needs, and how it ends


async def test_it_needs_a_connection_that_was_accepted():
    hub = Hub()

    async def handler(ws):
        with pytest.raises(LifecycleError, match="accept"):
            async with attach(ws, hub, "a"):
                pass
        assert hub.subscriber_count("a") == 0
        await ws.accept()

    async with connection(handler) as server:
        await server.accepted()


async def test_it_needs_a_connection_that_is_not_over():
    hub = Hub()

    async def handler(ws):
        await ws.accept()
        await ws.close()
        with pytest.raises(WebSocketClosed):
            async with attach(ws, hub, "a", envelopes=True):
                pass
        assert hub.subscriber_count("a") == 0

    async with connection(handler) as server:
        await server.done()


@pytest.mark.parametrize("code", [999, 1005, 1006, 2000, 5000])
def test_a_close_code_that_may_not_be_sent_is_refused_at_once(code):
    with pytest.raises(ValueError, match=str(code)):
        attach(None, Hub(), "a", close_code=code)


@kinds
async def test_nothing_is_sent_once_the_block_was_left(kind):
    hub = Hub()
    async with attached(hub, kind=kind) as (server, room):
        await published(hub, "1")
        await server.has_sent(1)
        server.send_text("leave")
        await room.left.wait()
        assert hub.subscriber_count("a") == 0
        await published(hub, "2")
        await room.ws.send_text("own")
        assert server.data == ["1", "own"]


@kinds
@pytest.mark.parametrize("code", [1013, 4321])
async def test_who_is_too_slow_is_closed_as_the_policy_says(kind, code):
    hub = Hub()
    options = {"policy": Overflow.DISCONNECT, "max_messages": 1, "close_code": code}
    async with attached(hub, kind=kind, leaves=False, **options) as (server, room):
        server.freeze()
        for number in range(4):
            await published(hub, number)
            await wait_all_tasks_blocked()
        assert hub.subscriber_count("a") == 0
        server.thaw()
        await server.done()
    assert server.close == (code, "you read too slowly")
    assert room.subscription.is_disconnected


@kinds
async def test_a_client_that_leaves_is_no_subscriber_any_more(kind):
    hub = Hub()
    async with attached(hub, kind=kind) as (server, _):
        await published(hub, "1")
        await server.has_sent(1)
        assert hub.subscriber_count("a") == 1
    assert hub.subscriber_count("a") == 0


@kinds
async def test_a_hub_that_is_closed_sends_what_waits(kind):
    hub = Hub()
    async with attached(hub, kind=kind) as (server, room):
        server.freeze()
        await published(hub, "1", "2")
        hub.close()
        server.thaw()
        await server.has_sent(2)
        assert server.data == ["1", "2"]
        assert room.ws.is_open


async def test_a_subscription_is_entered_once():
    hub = Hub()

    async def handler(ws):
        await ws.accept()
        attachment = attach(ws, hub, "a")
        async with attachment as subscription:
            assert subscription.topics == ("a",)
        with pytest.raises(RuntimeError, match="once"):
            async with attachment:
                pass

    async with connection(handler, UvicornServer) as server:
        await server.done()


# Leaks


CYCLES = 10_000
SLACK = 150


@pytest.mark.parametrize("anyio_backend", QUICK_BACKENDS[:2])
@kinds
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_connections_that_come_and_go_leave_nothing(kind):
    hub = Hub()
    app = App()

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        async with attach(ws, hub, "a", envelopes=True):
            async for _ in ws.iter_text():
                pass

    async def cycle(number):
        server = kind()
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, app)
            await server.has_sent(1)
            if number % 3:
                if number % 3 == 2:
                    server.freeze()
                await hub.publish("a", "x")
            server.leave()
            await server.done()
        assert server.faults == []

    for number in range(200):
        await cycle(number)
    await a_round()
    gc.collect()
    before = len(gc.get_objects())
    for number in range(CYCLES):
        await cycle(number)
    await a_round()
    gc.collect()
    assert len(gc.get_objects()) - before < SLACK
    assert hub.snapshot().subscriptions == []
