"""`EventSource` over many connections: when it comes back, with which id, and when it gives up."""

import logging
import time
from email.utils import formatdate

import anyio
import httpx2
import pytest
from sse.raw_server import events_of, serving

from asgi_rt.sse import Event
from asgi_rt.sse.client import EventSourceError


def ending(*chunks):
    async def script(connection):
        await connection.stream(*chunks)
        await connection.end()

    return script


def cutting(*chunks):
    """Breaks off in the middle of the chunks."""

    async def script(connection):
        await connection.stream(*chunks)

    return script


def resetting(*chunks, read):
    """Resets the connection when the client has `read` what was sent."""

    async def script(connection):
        await connection.stream(*chunks)
        await read.wait()
        await connection.reset()

    return script


def open_after(*chunks):
    async def script(connection):
        await connection.stream(*chunks)
        await connection.gone()

    return script


def answering(status, *lines):
    async def script(connection):
        await connection.answer(status, *lines, body=b"not now")

    return script


GONE = answering(204)


async def data_of(events):
    return [event.data async for event in events]


async def test_it_comes_back_after_the_end_and_after_a_cut():
    async with (
        serving(
            ending(b"data: 1\n\n"), cutting(b"data: 2\n\n"), ending(b"data: 3\n\n"), GONE
        ) as server,
        events_of(server) as events,
    ):
        assert await data_of(events) == ["1", "2", "3"]
        assert events.sleeps == [3, 3, 3]


async def test_it_comes_back_after_a_reset():
    read = anyio.Event()
    async with (
        serving(resetting(b"data: 1\n\n", read=read), ending(b"data: 2\n\n"), GONE) as server,
        events_of(server) as events,
    ):
        assert await anext(events) == Event("1")
        read.set()
        assert await data_of(events) == ["2"]


async def test_an_unfinished_block_is_discarded_and_its_id_does_not_count():
    async with serving(
        cutting(b"data: 1\nid: 1\n\n", b"id: 2\ndata: unfinished\n"),
        ending(b"data: 2\nid: 2\n\n"),
        GONE,
    ) as server:
        async with events_of(server) as events:
            assert await data_of(events) == ["1", "2"]
        assert server.headers(b"last-event-id") == [None, b"1", b"2"]


async def test_a_cut_inside_a_character_leaves_no_trace():
    async with serving(
        cutting("id: €\ndata: 1\n\ndata: €".encode()[:-1]), ending(b"data: 2\n\n"), GONE
    ) as server:
        async with events_of(server) as events:
            assert await data_of(events) == ["1", "2"]
        assert server.headers(b"last-event-id") == [None, "€".encode(), "€".encode()]


async def test_an_id_outlasts_connections_that_name_none_and_is_taken_away_by_an_empty_one():
    async with serving(
        ending(b"id: 1\ndata: 1\n\n"), ending(b"data: 2\n\n"), ending(b"id\n\n"), GONE
    ) as server:
        async with events_of(server) as events:
            assert await data_of(events) == ["1", "2"]
            assert events.last_event_id == ""
        assert server.headers(b"last-event-id") == [None, b"1", b"1", None]


async def test_events_read_before_the_loss_are_handed_out_before_it_comes_back():
    async with serving(
        cutting(b"data: 1\nid: 1\n\ndata: 2\nid: 2\n\n"), ending(b"data: 3\n\n"), GONE
    ) as server:
        async with events_of(server) as events:
            assert await anext(events) == Event("1", id="1")
            assert events.last_event_id == "1"
            assert await data_of(events) == ["2", "3"]
        assert server.headers(b"last-event-id") == [None, b"2", b"2"]


@pytest.mark.parametrize(
    ("stream", "seconds"),
    [
        (b"retry: 250\n\n", 0.25),
        (b"retry: 250\ndata: 1\n\nretry: soon\n\n", 0.25),
        (b"retry: 0\n\n", 0),
        (b"retry: 250\n", 0.25),
        (b"retry: 100000000000000000\n\n", 86_400),
        (b"retry: 1000000000000000000000000000\n\n", 3),
        (b"data: 1\n\n", 3),
    ],
)
async def test_the_server_says_how_long_to_wait(stream, seconds):
    async with serving(ending(stream), GONE) as server, events_of(server) as events:
        await data_of(events)
        assert events.sleeps == [seconds]


async def test_what_the_server_said_outlasts_the_connection():
    async with (
        serving(ending(b"retry: 250\n\n"), ending(b"data: 1\n\n"), GONE) as server,
        events_of(server) as events,
    ):
        await data_of(events)
        assert events.sleeps == [0.25, 0.25]


async def test_chance_adds_to_the_wait():
    async with (
        serving(ending(b"data: 1\n\n"), GONE) as server,
        events_of(server, retry=2, chance=0.5) as events,
    ):
        await data_of(events)
        assert events.sleeps == [2.5]


async def test_attempts_that_bring_nothing_wait_longer_until_one_brings_a_byte():
    nothing = ending()
    async with (
        serving(
            nothing, answering(503), nothing, ending(b":\n"), answering(500), nothing, GONE
        ) as server,
        events_of(server, retry=1) as events,
    ):
        assert await data_of(events) == []
        assert events.sleeps == [1, 2, 4, 1, 1, 2]


async def test_it_waits_for_a_server_that_is_not_there_yet(free_port):
    url = f"http://127.0.0.1:{free_port}/"
    events = events_of(url, retry=1, max_retry=5, max_attempts=5)
    with pytest.raises(EventSourceError, match="the connection failed") as caught:
        async with events:
            raise AssertionError
    assert events.sleeps == [1, 2, 4, 5]
    assert caught.value.status is None
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as taken:  # bound and not listening: refused, and nobody else's
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_the_last_of_max_attempts_is_raised():
    async with serving(ending(b"data: 1\n\n"), answering(503), answering(500)) as server:
        async with events_of(server, max_attempts=2) as events:
            assert await anext(events) == Event("1")
            with pytest.raises(EventSourceError, match="500") as caught:
                await anext(events)
            assert caught.value.body == "not now"
            with pytest.raises(StopAsyncIteration):
                await anext(events)
        assert len(server.connections) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_what_is_temporary_is_tried_again_after_retry_after(status):
    async with (
        serving(answering(status, "Retry-After: 20"), ending(b"data: 1\n\n"), GONE) as server,
        events_of(server) as events,
    ):
        assert await data_of(events) == ["1"]
        assert events.sleeps == [20, 3]


async def test_retry_after_may_be_a_date():
    date = formatdate(time.time() + 1000, usegmt=True)
    async with (
        serving(answering(503, f"Retry-After: {date}"), GONE) as server,
        events_of(server) as events,
    ):
        assert 900 < events.sleeps[0] <= 1000


@pytest.mark.parametrize("status", [400, 401, 404, 410, 501])
async def test_what_is_not_temporary_is_raised_then_too(status):
    async with (
        serving(ending(b"data: 1\n\n"), answering(status)) as server,
        events_of(server) as events,
    ):
        assert await anext(events) == Event("1")
        with pytest.raises(EventSourceError, match=str(status)):
            await anext(events)


async def test_silence_beyond_read_timeout_is_a_loss():
    async with (
        serving(open_after(b"data: 1\n\n"), open_after(), GONE) as server,
        events_of(server, read_timeout=0.05) as events,
    ):
        assert await data_of(events) == ["1"]
        assert events.sleeps == [3, 3]


async def test_silence_before_the_head_is_a_failure():
    async def silent(connection):
        await connection.gone()

    async with serving(silent, GONE) as server, events_of(server, read_timeout=0.05) as events:
        assert events.sleeps == [3]


async def test_a_post_is_not_repeated():
    async with serving(ending(b"data: 1\n\n")) as server:
        async with events_of(server, method="POST", content=b"pay") as events:
            assert await data_of(events) == ["1"]
        assert len(server.connections) == 1


async def test_a_post_that_breaks_off_is_told_and_not_repeated():
    async with serving(cutting(b"data: 1\n\n")) as server:
        async with events_of(server, method="POST", content=b"pay") as events:
            assert await anext(events) == Event("1")
            with pytest.raises(EventSourceError, match="the connection was lost") as caught:
                await anext(events)
        assert isinstance(caught.value.__cause__, httpx2.RemoteProtocolError)
        assert len(server.connections) == 1


async def test_a_post_that_is_refused_is_told_and_not_repeated():
    async with serving(answering(503, "Retry-After: 0")) as server:
        with pytest.raises(EventSourceError, match="503"):
            async with events_of(server, method="POST"):
                raise AssertionError
        assert len(server.connections) == 1


async def test_a_post_is_repeated_with_its_body_when_asked_to():
    async with serving(
        cutting(b"data: 1\nid: 1\n\n"), ending(b"data: 2\nid: 2\n\n"), GONE
    ) as server:
        options = {"method": "POST", "json": {"a": 1}, "reconnect": True}
        async with events_of(server, **options) as events:
            assert await data_of(events) == ["1", "2"]
        assert [each.body for each in server.connections] == [b'{"a":1}'] * 3
        assert server.headers(b"last-event-id") == [None, b"1", b"2"]


async def test_a_cancelled_read_comes_back_at_once_with_the_id():
    script = open_after(b"data: 1\nid: 1\n\n", b"data: unfin")
    async with serving(script, ending(b"data: 2\nid: 2\n\n"), GONE) as server:
        async with events_of(server) as events:
            assert await anext(events) == Event("1", id="1")
            with anyio.move_on_after(0.01):
                await anext(events)
            await server.all_closed()
            assert await data_of(events) == ["2"]
            assert events.sleeps == [3]
        assert server.headers(b"last-event-id") == [None, b"1", b"2"]


async def test_a_cancelled_read_that_cannot_be_made_good_is_told():
    async with (
        serving(open_after(b"data: 1\n\n")) as server,
        events_of(server, reconnect=False) as events,
    ):
        assert await anext(events) == Event("1")
        with anyio.move_on_after(0.01):
            await anext(events)
        with pytest.raises(EventSourceError, match="cancelled"):
            await anext(events)


async def test_a_cancelled_wait_goes_on_and_does_not_begin_anew():
    clock = [100.0]
    sleeps = []

    async def sleep(seconds):
        sleeps.append(seconds)
        clock[0] += 2
        if len(sleeps) == 1:
            await anyio.sleep_forever()

    async with serving(ending(b"data: 1\n\n"), GONE) as server, events_of(server) as events:
        events._reconnection.replace_clock(sleep=sleep, now=lambda: clock[0], chance=lambda: 0.0)
        assert await anext(events) == Event("1")
        with anyio.move_on_after(0.01):
            await anext(events)
        assert await data_of(events) == []
        assert sleeps == [3, 1]


async def test_aclose_ends_the_wait():
    sleeping = anyio.Event()

    async def sleep(seconds):
        sleeping.set()
        await anyio.sleep_forever()

    async with serving(answering(503)) as server, anyio.create_task_group() as tasks:
        events = events_of(server)
        events._reconnection.replace_clock(sleep=sleep)
        tasks.start_soon(events.__aenter__)
        await sleeping.wait()
        await events.aclose()
    assert len(server.connections) == 1


async def test_failures_are_logged(caplog):
    caplog.set_level(logging.INFO, logger="asgi_rt.sse")
    async with (
        serving(ending(b"data: 1\n\n"), answering(503), GONE) as server,
        events_of(server) as events,
    ):
        await data_of(events)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("INFO", f"{server.url}: the server ended the stream; the next attempt is in 3.0 seconds"),
        (
            "WARNING",
            f"{server.url}: the server answered 503 Something: 'not now'; "
            "the next attempt is in 3.0 seconds",
        ),
    ]


class CancelledAt:
    """Runs a coroutine, cancelling the scope when it is about to wait for the `number`th time."""

    def __init__(self, coroutine, number, scope):
        self._coroutine = coroutine
        self._number = number
        self._scope = scope
        self.waits = 0

    def __await__(self):
        steps = self._coroutine.__await__()
        value = error = None
        while True:
            try:
                waited = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            self.waits += 1
            if self.waits == self._number:
                self._scope.cancel()
            value = error = None
            try:
                value = yield waited
            except BaseException as caught:
                error = caught


TOTAL = 5


async def counting(connection):
    """Two of the events after the last id, in three awkward pieces, and then a cut."""
    begin = int(connection.header(b"last-event-id") or 0)
    if begin == TOTAL:
        await connection.answer(204, body=b"")
        return
    numbers = range(begin + 1, min(begin + 3, TOTAL + 1))
    stream = "".join(f"id: {each}\ndata: €{each}\n\n" for each in numbers).encode()
    await connection.stream(stream[:13], stream[13:20], stream[20:], b"id: 99\ndata: unfinished\n")


async def read_all(server, client, number):
    """Iterate to the end, with one cancellation on the way; whether it took place."""
    seen = []
    events = events_of(server, client=client)

    async def iterate():
        if not events._is_entered:
            await events.__aenter__()
        async for event in events:
            seen.append((event.data, events.last_event_id))  # noqa: PERF401 - seen as they come

    with anyio.CancelScope() as scope:
        await CancelledAt(iterate(), number, scope)
    was_entering = events._is_over and scope.cancelled_caught
    if scope.cancelled_caught and not was_entering:
        await iterate()
    await events.aclose()
    if was_entering:
        assert seen == []
    else:
        assert seen == [(f"€{each}", str(each)) for each in range(1, TOTAL + 1)]
    return scope.cancel_called


@pytest.mark.slow
async def test_a_cancellation_at_any_wait_loses_and_repeats_nothing():
    async with serving(counting) as server, httpx2.AsyncClient() as client:
        number = 1
        while await read_all(server, client, number):
            number += 1
        assert number > 20


@pytest.mark.slow
async def test_a_cancellation_at_any_wait_closes_everything():
    async def read_two(server):
        async with events_of(server) as events:
            assert [(await anext(events)).data for _ in range(2)] == ["1", "2"]

    async with serving(open_after(b"data: 1\n\n", b"data: 2\n\nda")) as server:
        number = 0
        is_cancelled = True
        while is_cancelled:
            number += 1
            with anyio.CancelScope() as scope:
                await CancelledAt(read_two(server), number, scope)
            is_cancelled = scope.cancel_called
        assert number > 5
        await server.all_closed()
