"""Streams of events: the head, the retry hint, items, sources, and how errors are told."""

import json
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from sse.wire import Outcome, datas, events, frames, run

from asgi_rt import HTTPError
from asgi_rt.sse import Event, EventStream, encode


async def silent() -> AsyncIterator[str]:
    await anyio.sleep_forever()
    yield "never"


async def given(*items: object) -> AsyncIterator[object]:
    for item in items:
        yield item


def stream(*items: object, **options) -> EventStream:
    return EventStream(given(*items), **{"retry": None, **options})


# The head


async def test_the_head_asks_everybody_on_the_way_to_pass_it_on_at_once():
    server = FakeServer()
    await run(stream("x"), server)
    assert server.status == 200
    assert server.headers["content-type"].startswith("text/event-stream")
    assert server.headers["cache-control"] == "no-cache"
    assert server.headers["x-accel-buffering"] == "no"
    assert "content-length" not in server.headers


async def test_headers_and_status_can_be_given():
    server = FakeServer()
    await run(
        stream("x", status_code=201, headers={"cache-control": "no-store", "x-a": "b"}), server
    )
    assert server.status == 201
    assert server.headers["cache-control"] == "no-store"
    assert server.headers["x-a"] == "b"


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_a_head_request_has_the_head_alone_and_closes_the_source_unbegun(sync):
    server, outcome, begun = FakeServer(method="HEAD"), Outcome(), []

    async def source():
        begun.append(True)
        yield "x"

    def sync_source():
        begun.append(True)
        yield "x"

    iterator = sync_source() if sync else source()
    await run(EventStream(iterator, background=outcome.task()), server)
    assert server.headers["content-type"].startswith("text/event-stream")
    assert server.is_complete
    assert server.body == b""
    assert not begun
    assert getattr(iterator, "ag_frame", getattr(iterator, "gi_frame", None)) is None
    assert outcome.completed == [True]


# The retry hint


async def test_the_retry_hint_comes_first_and_is_spread():
    hints = []
    for _ in range(50):
        server = FakeServer()
        await run(EventStream(given("x"), retry=1000), server)
        hint, event = frames(server)
        assert event == b"data: x"
        name, _, value = hint.partition(b": ")
        assert name == b"retry"
        hints.append(int(value))
    assert min(hints) >= 500
    assert max(hints) <= 1500
    assert len(set(hints)) > 10


async def test_there_is_a_retry_hint_by_default_and_before_a_silent_source_too():
    server = FakeServer()
    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(silent(), head_wait=0.001), server)
        await server.body_has(1)
        server.leave()
    assert frames(server)[0].startswith(b"retry: ")


async def test_without_retry_there_is_no_hint():
    server = FakeServer()
    await run(stream("x", retry=None), server)
    assert server.body == b"data: x\n\n"


async def test_a_stream_without_events_is_a_whole_response_with_its_hint():
    server, outcome = FakeServer(), Outcome()
    await run(EventStream(given(), retry=1000, background=outcome.task()), server)
    assert server.is_complete
    assert len(frames(server)) == 1
    assert outcome.completed == [True]


# Items


@pytest.mark.parametrize(
    ("item", "body"),
    [
        (Event("x", "tick", "7"), b"event: tick\nid: 7\ndata: x\n\n"),
        ("text", b"data: text\n\n"),
        ("two\r\nlines\rthree", b"data: two\ndata: lines\ndata: three\n\n"),
        ("", b"data: \n\n"),
        ({"a": [1, None]}, b'data: {"a":[1,null]}\n\n'),
        ([1, 2], b"data: [1,2]\n\n"),
        (7, b"data: 7\n\n"),
        (None, b"data: null\n\n"),
        (False, b"data: false\n\n"),
        (encode(Event("framed", id="1")), b"id: 1\ndata: framed\n\n"),
        (b"data: a\r\n\r\n", b"data: a\r\n\r\n"),
        (b"data: a\n\ndata: b\n\n", b"data: a\n\ndata: b\n\n"),
        (b"", b""),
        (memoryview(b"data: a\n\n"), b"data: a\n\n"),
        (bytearray(b"data: a\n\n"), b"data: a\n\n"),
    ],
)
async def test_an_item_is_an_event_or_the_data_of_one_or_framed(item, body):
    server = FakeServer()
    await run(stream(item), server)
    assert server.body == body


@pytest.mark.parametrize("item", [b"data: x", b"data: x\n", b"x", b"\n"])
async def test_bytes_that_are_no_whole_frame_are_refused_after_what_came_before(item):
    server = FakeServer()
    with pytest.raises(ValueError, match="blank line"):
        await run(stream("before", item), server)
    assert server.body == b"data: before\n\n"
    assert not server.is_complete


async def test_an_item_that_is_not_json_is_an_error():
    with pytest.raises(TypeError):
        await run(stream(object()), FakeServer())


# Sources


class Countdown:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.left = 3

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left


class Iterable:
    def __aiter__(self):
        return Countdown()


@pytest.mark.parametrize(
    "make",
    [
        lambda: given(2, 1, 0),
        lambda: (number for number in (2, 1, 0)),
        lambda: [2, 1, 0],
        lambda: range(2, -1, -1),
        Countdown,
        Iterable,
    ],
    ids=["async generator", "generator", "list", "range", "async iterator", "async iterable"],
)
async def test_any_iterable_is_a_source(make):
    server = FakeServer()
    await run(EventStream(make(), retry=None), server)
    assert datas(server) == ["2", "1", "0"]
    assert server.is_complete


@pytest.mark.parametrize("source", ["text", b"bytes", {"a": 1}, 7, None, Event("x")])
def test_what_is_no_source_is_refused_at_once(source):
    with pytest.raises(TypeError, match="source"):
        EventStream(source)


@pytest.mark.parametrize("ping", [0, -1, 0.0])
def test_a_ping_without_an_interval_is_refused_at_once(ping):
    with pytest.raises(ValueError, match="ping"):
        EventStream([], ping=ping)


# Errors


@pytest.mark.parametrize("error_events", [False, True])
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_an_error_before_the_head_is_raised_and_sends_nothing(sync, error_events):
    def sync_source():
        raise HTTPError(403)
        yield

    async def source():
        await anyio.lowlevel.checkpoint()
        raise HTTPError(403)
        yield

    server, outcome = FakeServer(), Outcome()
    response = EventStream(
        sync_source() if sync else source(),
        head_wait=None,
        error_events=error_events,
        background=outcome.task(),
    )
    with pytest.raises(HTTPError):
        await run(response, server)
    assert server.messages == []
    assert outcome.completed == [False]


async def test_a_silent_source_has_its_head_and_hint_after_head_wait_and_goes_on():
    server, may_give, cancelled = FakeServer(), anyio.Event(), []

    async def source():
        try:
            await may_give.wait()
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise
        yield "late"

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), head_wait=0.005), server)
        await server.body_has(1)
        assert [len(frame) > 0 for frame in frames(server)] == [True]
        may_give.set()
    assert not cancelled
    assert datas(server) == ["late"]
    assert server.is_complete


async def failing(error: Exception) -> AsyncIterator[str]:
    yield "one"
    await anyio.sleep(0.001)
    yield "two"
    yield "three"
    raise error


@pytest.mark.parametrize("error", [HTTPError(429, "slow down"), ValueError("secret")])
async def test_a_later_error_truncates_and_is_raised(error):
    server, outcome = FakeServer(), Outcome()
    with pytest.raises(type(error)) as caught:
        await run(EventStream(failing(error), retry=None, background=outcome.task()), server)
    assert caught.value is error
    assert datas(server) == ["one", "two", "three"]
    assert not server.is_complete
    assert outcome.completed == [False]


async def test_an_http_error_is_told_as_an_event_and_not_raised():
    server, outcome = FakeServer(), Outcome()
    error = HTTPError(429, "slow down", extensions={"limit": 3})
    await run(EventStream(failing(error), error_events=True, background=outcome.task()), server)
    *given_before, told = events(server)
    assert [event.data for event in given_before] == ["one", "two", "three"]
    assert told.event == "error"
    assert json.loads(told.data) == error.problem()
    assert server.is_complete
    assert outcome.completed == [False]


async def test_another_error_is_told_without_its_internals_and_then_raised():
    server, outcome = FakeServer(), Outcome()
    error = ValueError("the password is hunter2")
    with pytest.raises(ValueError, match="hunter2") as caught:
        await run(EventStream(failing(error), error_events=True, background=outcome.task()), server)
    assert caught.value is error
    *given_before, told = events(server)
    assert [event.data for event in given_before] == ["one", "two", "three"]
    assert told.event == "error"
    assert json.loads(told.data)["status"] == 500
    assert b"hunter2" not in server.body
    assert server.is_complete
    assert outcome.completed == [False]


async def test_a_sync_source_s_error_is_told_after_what_it_gave():
    def source():
        yield "one"
        yield "two"
        raise HTTPError(429)

    server = FakeServer()
    await run(EventStream(source(), error_events=True, retry=None), server)
    assert [event.event for event in events(server)] == [None, None, "error"]
    assert server.is_complete


async def test_an_error_of_a_silent_source_is_told_once_the_head_is_out():
    server = FakeServer()

    async def source():
        await server.sent(1)
        raise HTTPError(429)
        yield

    await run(EventStream(source(), head_wait=0.001, error_events=True), server)
    assert server.status == 200
    assert [event.event for event in events(server)] == ["error"]
    assert server.is_complete


async def test_an_error_is_not_told_to_a_client_that_left():
    server = FakeServer()

    async def source():
        yield "one"
        await server.body_has(1)
        server.leave()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it is the source's
        await run(EventStream(source(), error_events=True), server)
    assert b"error" not in server.body
    assert not server.is_complete
