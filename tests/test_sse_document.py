"""What docs/sse.md says of its examples is so."""

import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from asgi_rt import App, Event
from asgi_rt.drain import STATE_KEY
from asgi_rt.errors import HTTPError
from asgi_rt.sse import EventLog, EventStream
from asgi_rt.sse.client import EventSource
from asgi_rt.testing import AsyncTestClient

DOCUMENT = (Path(__file__).parent.parent / "docs" / "sse.md").read_text()
_SECTION = re.compile(r"^###? (.+)\n((?:(?!^###? ).*\n)*)", re.MULTILINE)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = dict(_SECTION.findall(DOCUMENT))


def example(section: str) -> dict[str, Any]:
    """What the one Python block of a section defines."""
    (code,) = _BLOCK.findall(SECTIONS[section])
    namespace: dict[str, Any] = {"__name__": "document"}
    exec(compile(code, section, "exec"), namespace)
    return namespace


def without_retry(frames: list[bytes]) -> list[bytes]:
    assert re.fullmatch(rb"retry: \d+\n\n", frames[0])
    return frames[1:]


# A first stream


async def test_the_first_stream_is_on_the_wire_what_the_text_shows():
    async with AsyncTestClient(example("A first stream")["app"]) as client:
        async with client.events("/ticks") as events:
            await events.next_event()
        assert without_retry(events.frames) == [b'data: {"number":0}\n\n']
        (retry,) = re.findall(rb"\d+", events.frames[0])
        assert 1000 <= int(retry) <= 3000
        assert (await client.head("/ticks")).status_code == 200


def test_the_options_and_their_defaults_are_those_of_the_table():
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*?) \|", SECTIONS["A first stream"], re.M)
    named = {name: default for names, default in rows for name in re.findall(r"\w+", names)}
    actual = EventStream.__init__.__kwdefaults__
    assert named.keys() == actual.keys()
    for name, default in named.items():
        if number := re.match(r"[\d.]+", default):
            assert float(number[0]) == actual[name]
        else:
            assert actual[name] in (None, False)


# What may be yielded


async def test_each_kind_of_item_is_what_its_comment_says():
    app = example("What may be yielded")["app"]
    async with AsyncTestClient(app) as client, client.events("/kinds") as events:
        received = [event async for event in events]
    assert without_retry(events.frames) == [
        b"data: text\n\n",
        b'data: {"price":9.5}\n\n',
        b"data: null\n\n",
        b"event: note\nid: 7\ndata: two\ndata: lines\n\n",
        b"id: 8\n\n",
        b": clients pass over this\n\n",
        b"event: notice\ndata: closing at ten\n\n",
    ]
    assert received[3] == Event("two\nlines", event="note", id="7")
    assert events.last_event_id == "8"
    assert len(received) == 5


@pytest.mark.parametrize(
    "fields",
    [{"event": "a\nb"}, {"id": "a\rb"}, {"id": "a\0"}, {"retry": -1}],
    ids=str,
)
def test_what_would_break_the_framing_is_refused_where_the_event_is_made(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Event("data", **fields)


# EventLog


async def test_a_client_of_the_log_misses_nothing_from_the_state_on():
    async with AsyncTestClient(example("EventLog: in memory")["app"]) as client:
        await client.post("/news", json={"title": "in the state"})
        state = (await client.get("/state")).json()
        assert state["titles"] == ["in the state"]
        await client.post("/news", json={"title": "before it connects"})
        params = {"last_event_id": state["last_event_id"]}
        async with client.events("/news", params=params, reconnect=True) as events:
            event = await events.next_event()
            assert (event.event, event.data) == ("news", '{"title":"before it connects"}')
            events.drop()
            published = await client.post("/news", json={"title": "while it is away"})
            event = await events.next_event()
            assert event.data == '{"title":"while it is away"}'
            assert event.id == published.json()["id"] == events.last_event_id
            assert len(events.frames) == 4  # a retry and an event for each connection


async def test_a_client_without_an_id_is_told_its_place_by_an_id_alone():
    namespace = example("EventLog: in memory")
    app, log = namespace["app"], namespace["log"]
    async with AsyncTestClient(app) as client, client.events("/news", reconnect=True) as events:
        await events.next_frame()
        assert await events.next_frame() == f"id: {log.last_id}\n\n".encode()
        events.drop()
        await client.post("/news", json={"title": "before its first event"})
        assert (await events.next_event()).data == '{"title":"before its first event"}'


async def test_a_gap_looks_as_it_is_shown():
    log = EventLog(max_count=1, epoch="epoch")
    first = log.append("kept no longer")
    for number in range(3):
        log.append(number)
    follower = log.follow(first)
    frame = await anext(follower)
    shown = re.search(r"```text\n(event: gap\n.*?)```", DOCUMENT, re.DOTALL)
    assert shown is not None
    as_shown = re.sub(r"id: \w+-\d+", "id: epoch-4", shown[1]).replace("1200", "3")
    assert frame.decode() == as_shown + "\n"
    await follower.aclose()


async def test_an_id_of_another_log_is_unknown():
    follower = EventLog().follow("5f2b9c01d3aa-4711")
    assert b'data: {"reason":"unknown","missed":null}\n' in await anext(follower)
    await follower.aclose()


# A source that keeps its own ids


async def test_rows_of_a_table_are_resumed_by_their_numbers():
    app = example("A source that keeps its own ids")["app"]
    async with AsyncTestClient(app) as client:
        await client.post("/orders", json={"item": "before"})
        async with client.events("/orders", reconnect=True) as events:
            await events.next_frame()
            assert await events.next_frame() == b"id: 1\n\n"
            await client.post("/orders", json={"item": "tea"})
            assert await events.next_event() == Event('{"item":"tea"}', "order", "2")
            events.drop()
            for item in ("milk", "sugar"):
                await client.post("/orders", json={"item": item})
            assert await events.next_event() == Event('{"item":"milk"}', "order", "3")
            assert await events.next_event() == Event('{"item":"sugar"}', "order", "4")
            await client.post("/orders", json={"item": "live"})
            assert (await events.next_event()).id == "5"


# In the browser


def test_the_page_listens_for_the_events_that_the_log_sends():
    listened = set(re.findall(r'addEventListener\("(\w+)"', SECTIONS["In the browser"]))
    assert listened == {"news", "gap", "error"}
    assert 'event="news"' in SECTIONS["EventLog: in memory"]


async def test_a_handler_that_returns_none_stops_the_client():
    app = App()

    @app.sse("/over")
    async def over(request):
        return None

    async with AsyncTestClient(app) as client:
        async with client.events("/over", reconnect=True) as events:
            assert [event async for event in events] == []
        assert events.response is not None
        assert events.response.status_code == 204
        assert events.waits == []


async def test_the_headers_for_another_origin_are_an_option_of_the_route():
    app = App()

    @app.sse("/events", headers={"access-control-allow-origin": "https://app.example"})
    async def events(request):
        yield "x"

    async with AsyncTestClient(app) as client:
        for _ in range(2):
            headers = (await client.get("/events")).headers
            assert headers.get_list("access-control-allow-origin") == ["https://app.example"]


# POST streams


async def test_an_answer_to_a_post_ends_with_an_event_that_says_so():
    async with AsyncTestClient(example("POST streams")["app"]) as client:
        request = {"method": "POST", "json": {"prompt": "to be"}}
        async with client.events("/chat", **request) as events:
            received = [(event.event, event.data) async for event in events]
    assert received == [
        (None, '{"token":"to"}'),
        (None, '{"token":"be"}'),
        ("done", '{"reason":"stop"}'),
    ]


async def test_a_check_before_the_source_has_a_status_of_its_own_however_little_the_head_waits():
    checks_first = example("POST streams")["chat"]

    async def yields(request):
        async for token in await checks_first(request):
            yield token

    app = App()
    app.sse("/returns", methods=["POST"], head_wait=0)(checks_first)
    app.sse("/yields", methods=["POST"], head_wait=0)(yields)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        refused = await client.post("/returns", json={})
        assert refused.status_code == 422
        assert refused.json()["detail"] == "a prompt is needed"
        async with client.stream("POST", "/yields", json={}) as too_late:
            assert too_late.status_code == 200


async def test_an_answer_that_is_under_way_is_finished_in_the_grace():
    namespace = example("POST streams")
    may_go_on = anyio.Event()

    async def answer(prompt):
        yield prompt
        await may_go_on.wait()
        yield "the rest"

    namespace["answer"] = answer
    async with AsyncTestClient(namespace["app"]) as client:
        request = {"method": "POST", "json": {"prompt": "hello"}}
        async with client.events("/chat", **request) as events:
            assert (await events.next_event()).data == "hello"
            client.state[STATE_KEY].begin()
            assert (await events.next_frame()).startswith(b": ")
            may_go_on.set()
            assert (await events.next_event()).data == "the rest"


# Errors


async def test_an_error_before_the_head_is_an_error_response():
    async with AsyncTestClient(example("Errors")["app"]) as client:
        assert (await client.get("/private")).status_code == 401
        welcome = await client.get("/private", headers={"cookie": "token=x"})
        assert welcome.status_code == 200


async def test_an_error_event_holds_the_problem_and_follows_what_was_given():
    app = example("Errors")["app"]
    async with AsyncTestClient(app) as client, client.events("/fragile") as events:
        assert (await events.next_event()).data == "first"
        problem = await events.next_event()
        assert problem.event == "error"
        assert '"status":502' in problem.data
        assert '"detail":"the feed is down"' in problem.data
        assert [event async for event in events] == []


# The client and testing


async def test_the_example_of_the_client_prints_name_data_and_place_until_it_is_told_to_stop(
    capsys,
):
    asked: list[str | None] = []
    app = App()

    @app.sse("/news")
    async def news(request):
        asked.append(request.last_event_id)
        events = [Event("x", event="news", id="1"), Event("y", retry=0)]
        return events if len(asked) == 1 else None

    async with AsyncTestClient(app) as client:
        await example("The client")["follow"]("/news", client)
    assert capsys.readouterr().out.splitlines() == ["news x 1", "message y 1"]
    assert asked == [None, "1"]


def test_the_defaults_of_the_client_are_those_of_the_text():
    defaults = EventSource.__init__.__kwdefaults__
    assert (defaults["retry"], defaults["max_retry"]) == (3, 60)
    assert defaults["max_event_bytes"] == 16 * 1024 * 1024
    assert defaults["read_timeout"] is None
    assert defaults["max_attempts"] is None


# In FastAPI and Starlette


async def test_a_route_of_fastapi_streams_and_says_farewell():
    namespace = example("In FastAPI and Starlette")
    log = namespace["log"]
    async with AsyncTestClient(namespace["app"]) as client:
        async with client.events("/news", last_event_id=log.last_id) as events:
            log.append("one")
            assert (await events.next_event()).data == "one"
            client.state[STATE_KEY].begin()
            assert (await events.next_frame()).startswith(b"retry: ")
            assert (await events.next_frame()).startswith(b": ")
            assert [event async for event in events] == []
        refused = await client.get("/news")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "2"


async def test_a_route_of_fastapi_cannot_return_a_stream_as_it_is():
    api = FastAPI()

    @api.get("/events")
    async def events():
        return EventStream(["x"])

    async with AsyncTestClient(api, raise_server_exceptions=False) as client:
        assert "data: x" not in (await client.get("/events")).text


async def test_an_endpoint_of_starlette_may_return_a_stream():
    async def endpoint(request):
        return EventStream(["x"], retry=None)

    inner = App()

    @inner.sse("/events", retry=None)
    async def events(request):
        yield "x"

    routes = [Route("/events", endpoint), Mount("/rt", inner)]
    async with AsyncTestClient(Starlette(routes=routes)) as client:
        assert (await client.get("/events")).text == "data: x\n\n"
        assert (await client.get("/rt/events")).text == "data: x\n\n"


async def test_an_error_before_the_first_event_is_answered_or_the_handlers():
    namespace = example("In FastAPI and Starlette")

    async def fails():
        raise HTTPError(403)
        yield

    async def teapot(request, error):
        return PlainTextResponse("teapot", 418)

    statuses = []
    for handlers in ({}, {HTTPError: teapot}):
        api = FastAPI(exception_handlers=handlers)

        @api.get("/events")
        async def events():
            return namespace["EventSourceResponse"](fails())

        async with AsyncTestClient(api) as client:
            statuses.append((await client.get("/events")).status_code)
    assert statuses == [403, 418]
