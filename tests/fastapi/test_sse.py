"""Server-sent events as FastAPI and sse-starlette write them, on this project's streams."""

import json
import re
from typing import Any

import anyio
import anyio.lowlevel
import fastapi.sse as real
import pytest
import sse_starlette as real_starlette
from fakes import FakeServer
from pydantic import BaseModel, ValidationError

from asgi_rt import Event
from asgi_rt.fastapi import FastAPI, sse, sse_starlette
from asgi_rt.fastapi.responses import EventSourceResponse
from asgi_rt.fastapi.testclient import TestClient

ENDS_WITHIN = 10  # seconds; guards only against hanging
FIELDS: list[dict[str, Any]] = [
    {},
    {"data_str": "a"},
    {"data_str": "a\nb\r\nc\rd\n"},
    {"data_str": "", "event": "e"},
    {"comment": "one\ntwo", "data_str": "x", "id": "7", "retry": 0},
    {"comment": "", "retry": 1500},
    {"id": "", "data_str": "\u2028"},
]
EVENTS: list[dict[str, Any]] = [
    {},
    {"data": "text"},
    {"data": {"a": [1, None]}},
    {"data": 0, "event": "e", "id": "1", "retry": 3, "comment": "c"},
    {"raw_data": "a\nb"},
    {"data": float("nan")},
    {"data": "ä"},
]
REFUSED: list[dict[str, Any]] = [
    {"data": 1, "raw_data": "x"},
    {"event": "a\nb"},
    {"id": "a\rb"},
    {"id": "\0"},
    {"retry": -1},
    {"retry": "x"},
    {"event": 1},
]


class Priced(BaseModel):
    price: float = 1.5


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_the_bytes_of_an_event(fields):
    assert sse.format_sse_event(**fields) == real.format_sse_event(**fields)


@pytest.mark.parametrize("fields", EVENTS, ids=str)
def test_an_event_goes_as_it_does_in_fastapi(fields):
    event = real.ServerSentEvent(**fields)
    data = event.raw_data
    if event.data is not None:
        data = json.dumps(None if event.data != event.data else event.data)
    expected = real.format_sse_event(
        data_str=data, event=event.event, id=event.id, retry=event.retry, comment=event.comment
    )
    assert sse.ServerSentEvent(**fields).encode() == expected


def test_a_model_is_written_by_itself():
    assert sse.ServerSentEvent(data=Priced()).encode() == b'data: {"price":1.5}\n\n'


@pytest.mark.parametrize("fields", REFUSED, ids=str)
def test_what_no_event_can_hold(fields):
    with pytest.raises(ValidationError) as ours:
        sse.ServerSentEvent(**fields)
    with pytest.raises(ValidationError) as theirs:
        real.ServerSentEvent(**fields)
    told = {"include_context": False, "include_url": False}
    assert ours.value.errors(**told) == theirs.value.errors(**told)


def test_the_names_that_programs_import():
    assert sse.KEEPALIVE_COMMENT == real.KEEPALIVE_COMMENT
    assert sse.EventSourceResponse is EventSourceResponse
    assert EventSourceResponse.media_type == real.EventSourceResponse.media_type


async def sent(response: Any, server: FakeServer | None = None) -> FakeServer:
    server = server or FakeServer()
    with anyio.fail_after(ENDS_WITHIN):
        await response(server.scope, server.receive, server.send)
    return server


async def items():
    yield {"a": "ä"}
    yield "text"
    yield sse.ServerSentEvent(raw_data="raw", id="1")


@pytest.mark.anyio
async def test_a_stream_of_items():
    server = await sent(sse.ItemEventStream(items(), headers={"x-own": "1"}))
    assert server.body == b'data: {"a": "\\u00e4"}\n\ndata: "text"\n\ndata: raw\nid: 1\n\n'
    assert list(server.messages[0]["headers"]) == [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        (b"x-own", b"1"),
    ]


@pytest.mark.anyio
async def test_items_are_encoded_as_it_is_told():
    stream = sse.ItemEventStream(items(), lambda item: b"<%b>" % str(item).encode())
    assert (await sent(stream)).body.startswith("data: <{'a': 'ä'}>\n\n".encode())


@pytest.mark.anyio
async def test_a_silent_source_is_pinged():
    async def silent():
        await anyio.sleep(0.05)
        yield 1

    server = await sent(sse.ItemEventStream(silent(), ping=0.01, head_wait=0))
    assert server.body.startswith(sse.KEEPALIVE_COMMENT)
    assert server.body.endswith(b"data: 1\n\n")


STARLETTE_ITEMS: list[Any] = [
    "text",
    "a\nb\r\nc",
    b"data: raw\n\n",
    {"data": "x"},
    {"data": {"a": 1}, "event": "e\nf", "id": "1\r2", "retry": 5, "comment": "c\nd"},
    {"event": "only"},
    5,
    None,
    ["list"],
]


@pytest.mark.parametrize("sep", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("item", STARLETTE_ITEMS, ids=repr)
def test_the_bytes_of_what_sse_starlette_takes(item, sep):
    from sse_starlette.event import ensure_bytes

    assert sse_starlette.ensure_bytes(item, sep) == ensure_bytes(item, sep)


@pytest.mark.parametrize("kind", ["ServerSentEvent", "JSONServerSentEvent"])
@pytest.mark.parametrize("data", [None, "x", "a\nb", 1], ids=repr)
def test_the_events_of_sse_starlette(kind, data):
    ours, theirs = getattr(sse_starlette, kind), getattr(real_starlette, kind)
    assert ours(data, event="e").encode() == theirs(data, event="e").encode()
    more = {"sep": "\n", "comment": "c"}
    assert ours(data, **more).encode() == theirs(data, **more).encode()


def test_a_retry_is_a_number():
    with pytest.raises(TypeError, match="retry"):
        sse_starlette.ServerSentEvent("x", retry="5").encode()
    with pytest.raises(ValueError, match="sep"):
        sse_starlette.EventSourceResponse([], sep="x")


async def starlette_items():
    for item in STARLETTE_ITEMS:
        yield item


OPTIONS: list[dict[str, Any]] = [
    {},
    {"headers": {"X-Own": "1", "Cache-Control": "max-age=5"}, "status_code": 202},
    {"sep": "\n", "ping": 5},
    {"headers": {"Connection": "close", "X-Accel-Buffering": "yes"}},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.anyio
async def test_a_response_of_sse_starlette(options):
    server = await sent(sse_starlette.EventSourceResponse(starlette_items(), **options))
    expected = real_starlette.EventSourceResponse(starlette_items(), **options)
    assert sorted(server.messages[0]["headers"]) == sorted(expected.raw_headers)
    assert server.messages[0]["status"] == expected.status_code
    sep = options.get("sep", "\r\n")
    frames = [sse_starlette.ensure_bytes(each, sep) for each in STARLETTE_ITEMS]
    assert server.body == b"".join(frames)


@pytest.mark.anyio
async def test_the_pings_of_sse_starlette():
    async def silent():
        await anyio.sleep(0.05)
        yield "x"

    server = await sent(sse_starlette.EventSourceResponse(silent(), ping=0.01, head_wait=0))
    assert re.match(rb": ping - \d{4}-\d\d-\d\d \d\d:\d\d:\d\d.*\+00:00\r\n\r\n", server.body)
    made = {"ping_message_factory": lambda: sse_starlette.ServerSentEvent(comment="here", sep="\n")}
    server = await sent(sse_starlette.EventSourceResponse(silent(), ping=0.01, head_wait=0, **made))
    assert server.body.startswith(b": here\n\n")


@pytest.mark.anyio
async def test_what_is_sent_from_beside():
    producer, consumer = anyio.create_memory_object_stream[str](0)

    async def produce() -> None:
        async with producer:
            await producer.send("one")
            await producer.send("two")

    response = sse_starlette.EventSourceResponse(consumer, data_sender_callable=produce)
    assert (await sent(response)).body == b"data: one\r\n\r\ndata: two\r\n\r\n"
    await consumer.aclose()


@pytest.mark.anyio
async def test_what_runs_afterwards_runs_before_sending_returns():
    ran: list[Any] = []

    async def background() -> None:
        ran.append("background")

    async def left(message: Any) -> None:
        ran.append(message["type"])

    response = sse_starlette.EventSourceResponse(
        starlette_items(), background=background, client_close_handler_callable=left
    )
    await sent(response)
    assert ran == ["background"]


@pytest.mark.anyio
async def test_who_left_is_told_of():
    server, told = FakeServer(), []

    async def endless():
        while True:
            yield "x"
            server.leave()
            await anyio.lowlevel.checkpoint()

    async def left(message: Any) -> None:
        told.append(message["type"])

    await sent(
        sse_starlette.EventSourceResponse(endless(), client_close_handler_callable=left), server
    )
    assert told == ["http.disconnect"]


@pytest.mark.anyio
async def test_the_end_of_the_server_sets_the_event():
    going_down = anyio.Event()
    response = sse_starlette.EventSourceResponse(
        starlette_items(), shutdown_event=going_down, shutdown_grace_period=5
    )
    assert response.finish_in_drain
    assert b"going down" in response.encode_farewell()
    assert going_down.is_set()
    await sent(response)


def test_a_handler_may_yield_the_events_of_the_framework_as_well():
    app = FastAPI()

    @app.get("/", response_class=EventSourceResponse)
    async def events():
        yield Event({"n": 1}, event="tick", id="7")
        yield {"n": 2}

    with TestClient(app) as client:
        assert client.get("/").text == 'event: tick\nid: 7\ndata: {"n":1}\n\ndata: {"n": 2}\n\n'
