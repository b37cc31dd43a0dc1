"""Streaming beside the matrix: the head, joining, timeouts, fairness, lines, and cancellation."""

import asyncio
import contextvars
import json
import threading
import time

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from fakes import FakeServer

from asgi_rt import (
    BackgroundTask,
    CSVResponse,
    HTTPError,
    NDJSONResponse,
    SendTimeout,
    StreamingResponse,
)
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.http.pull import on_asyncio
from asgi_rt.http.streaming import YieldResponse

on_asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)


async def run(response: StreamingResponse, server: FakeServer) -> None:
    with anyio.fail_after(10):
        await response(server.scope, server.receive, server.send)


def bodies(server: FakeServer) -> list[bytes]:
    return [message["body"] for message in server.messages[1:]]


# The head


async def test_the_head_waits_for_the_first_item():
    server = FakeServer()
    asked, may_give = anyio.Event(), anyio.Event()

    async def source():
        asked.set()
        await may_give.wait()
        yield b"first"

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source(), head_wait=None), server)
        await asked.wait()
        await anyio.wait_all_tasks_blocked()
        assert server.messages == []
        may_give.set()
    assert server.body == b"first"


async def test_a_source_that_is_slow_to_start_does_not_hold_the_head_back():
    server = FakeServer()
    may_give = anyio.Event()

    async def source():
        await may_give.wait()
        yield b"first"

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source(), head_wait=0.01), server)
        await server.sent(1)
        assert server.status == 200
        may_give.set()
    assert server.body == b"first"


async def test_a_head_wait_of_zero_sends_the_head_before_the_source_is_asked():
    server = FakeServer()
    heads_at_start = []

    async def source():
        heads_at_start.append(len(server.messages))
        yield b"x"

    await run(StreamingResponse(source(), head_wait=0), server)
    assert heads_at_start == [1]


async def test_the_head_that_is_being_sent_is_waited_for_by_the_first_item():
    server = FakeServer()
    server.freeze()
    may_give = anyio.Event()

    async def source():
        await may_give.wait()
        yield b"first"

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source(), head_wait=0.01), server)
        await server.blocked.wait()
        may_give.set()
        await anyio.wait_all_tasks_blocked()
        assert len(server.messages) == 1
        server.thaw()
    assert [message["type"] for message in server.messages][:2] == [
        "http.response.start",
        "http.response.body",
    ]
    assert server.body == b"first"


async def test_an_error_after_a_head_that_went_first_truncates():
    server = FakeServer()

    async def source():
        await server.sent(1)
        raise LookupError
        yield

    with pytest.raises(LookupError):
        await run(StreamingResponse(source(), head_wait=0.01), server)
    assert server.status == 200
    assert not server.is_complete


# Joining


@on_asyncio_only
async def test_what_is_ready_is_joined_and_sent_before_a_wait():
    server = FakeServer()

    async def source():
        yield b"a"
        yield b"b"
        await server.body_has(2)
        yield b"c"

    await run(StreamingResponse(source()), server)
    assert bodies(server) == [b"ab", b"c"]


async def test_nothing_that_was_given_waits_for_what_comes_later():
    server = FakeServer()

    async def source():
        for number in range(1, 6):
            yield b"x"
            await server.body_has(number)

    await run(StreamingResponse(source()), server)
    assert server.body == b"xxxxx"


def test_nothing_that_a_sync_source_gave_waits_for_it_to_go_on():
    async def main() -> None:
        server = FakeServer()
        went_on = threading.Event()
        token = anyio.lowlevel.current_token()

        def source():
            yield b"x"
            anyio.from_thread.run(server.body_has, 1, token=token)
            went_on.set()
            yield b"y"

        await run(StreamingResponse(source()), server)
        assert went_on.is_set()
        assert server.body == b"xy"

    anyio.run(main)
    anyio.run(main, backend="trio")


@on_asyncio_only
async def test_joined_sends_are_bounded_in_size():
    server = FakeServer()

    async def source():
        for _ in range(10_000):
            yield b"x" * 100

    await run(StreamingResponse(source()), server)
    assert max(map(len, bodies(server))) < 17_000
    assert len(server.body) == 1_000_000


async def test_empty_items_are_left_out():
    server = FakeServer()
    await run(StreamingResponse(iter([b"", "", b"x", memoryview(b"")])), server)
    assert [body for body in bodies(server) if body] == [b"x"]


async def test_bytes_str_and_memoryviews_are_sent_as_they_are():
    server = FakeServer()
    await run(StreamingResponse([b"a", "ü", memoryview(b"c"), bytearray(b"d")]), server)
    assert server.body == "aücd".encode()


async def test_another_kind_of_item_is_an_error_that_says_what_to_use():
    with pytest.raises(TypeError, match="NDJSONResponse"):
        await run(StreamingResponse([1]), FakeServer())


def test_another_kind_of_source_is_refused_at_once():
    with pytest.raises(TypeError, match="async or sync iterable"):
        StreamingResponse(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="for one chunk use Response"):
        StreamingResponse(b"abc")


async def test_a_response_can_be_sent_once():
    response = StreamingResponse([b"x"])
    await run(response, FakeServer())
    with pytest.raises(RuntimeError, match="sent before"):
        await run(response, FakeServer())


# Clients that do not read


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_a_frozen_client_is_given_up_after_the_send_timeout(spec):
    server = FakeServer(spec_version=spec, stuck=True)
    closed, completed = [], []

    async def source():
        try:
            while True:
                yield b"x" * 20_000
                if len(server.messages) == 3:
                    server.freeze()
        finally:
            closed.append(True)

    task = BackgroundTask(lambda completed_: completed.append(completed_), False)
    with pytest.raises(SendTimeout):
        await run(StreamingResponse(source(), send_timeout=0.02, background=task), server)
    assert closed == [True]
    assert not server.is_complete


async def test_a_slow_client_is_not_given_up_while_it_reads_now_and_then():
    server = FakeServer()

    async def send(message):
        await server.send(message)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(10):
        response = StreamingResponse((b"x" for _ in range(50)), send_timeout=5)
        await response(server.scope, server.receive, send)
    assert server.is_complete


async def test_a_stream_ends_when_its_lifetime_is_over():
    server = FakeServer()
    closed = []

    async def source():
        try:
            while True:
                yield b"x"
                await anyio.sleep(0.001)
        finally:
            closed.append(True)

    await run(StreamingResponse(source(), max_lifetime=0.05), server)
    assert closed == [True]
    assert not server.is_complete


async def test_a_lifetime_that_ends_before_the_first_item_is_a_503():
    async def source():
        await anyio.sleep_forever()
        yield

    with pytest.raises(HTTPError, match="may last") as caught:
        await run(StreamingResponse(source(), max_lifetime=0.01), FakeServer())
    assert caught.value.status_code == 503


async def test_an_awaitable_of_somebody_s_own_can_be_a_source_s():
    class Await:
        def __await__(self):
            return iter([None] if on_asyncio() else [])

    class Source:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self):
            return self

        def __anext__(self):
            self.left -= 1
            return self._item() if self.left else self._end()

        async def _item(self):
            await Await()
            return b"x"

        async def _end(self):
            raise StopAsyncIteration

    server = FakeServer()
    await run(StreamingResponse(Source()), server)
    assert server.body == b"xx"


# The source's own cancellations


@on_asyncio_only
async def test_a_timeout_of_the_source_s_own_never_cancels_a_send():
    """The source waits under a timeout; it goes off while a chunk waits for a slow client."""
    server = FakeServer()
    timeouts = []

    async def source():
        yield b"one,"
        server.freeze()
        for _ in range(3):
            try:
                async with asyncio.timeout(0.01):
                    await anyio.sleep_forever()
            except TimeoutError:
                timeouts.append(len(server.messages))
        server.thaw()
        yield b"two,"
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        yield b"three"

    await run(StreamingResponse(source(), head_wait=0), server)
    assert len(timeouts) == 3
    assert server.body == b"one,two,three"
    assert server.is_complete


@on_asyncio_only
async def test_an_error_that_the_source_makes_of_its_timeout_is_raised():
    server = FakeServer()

    async def source():
        yield b"one"
        server.freeze()
        try:
            async with asyncio.timeout(0.01):
                await anyio.sleep_forever()
        finally:
            server.thaw()

    with pytest.raises(TimeoutError):
        await run(StreamingResponse(source(), head_wait=0), server)
    assert server.body == b"one"


async def test_a_source_that_swallows_its_cancellation_still_ends():
    server = FakeServer()
    waiting = anyio.Event()

    async def source():
        yield b"x"
        try:
            waiting.set()
            await anyio.sleep_forever()
        except BaseException:  # what users write; on trio it must be raised again
            if not hasattr(asyncio, "current_task") or not _is_asyncio():
                raise

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source()), server)
        await waiting.wait()
        server.leave()
    assert not server.is_complete


def _is_asyncio() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


async def test_a_source_may_await_while_it_cleans_up():
    server = FakeServer()
    waiting = anyio.Event()
    closed = []

    async def source():
        try:
            yield b"x"
            waiting.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
            closed.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source()), server)
        await waiting.wait()
        server.leave()
    assert closed == [True]


async def test_context_variables_of_the_handler_are_seen_by_the_source():
    variable = contextvars.ContextVar("variable", default="unset")

    async def async_source():
        yield variable.get()

    def sync_source():
        yield variable.get()

    variable.set("set")
    for source in (async_source, sync_source):
        server = FakeServer()
        await run(StreamingResponse(source()), server)
        assert server.body == b"set"


# Fairness


async def test_a_source_that_never_waits_lets_others_run():
    server = FakeServer()
    turns = 0

    async def source():
        while True:
            yield b"x"

    async def count_turns():
        nonlocal turns
        while turns < 50:
            await anyio.lowlevel.checkpoint()
            turns += 1
        server.leave()

    async with anyio.create_task_group() as group:
        group.start_soon(count_turns)
        group.start_soon(run, StreamingResponse(source()), server)
    assert turns == 50


async def test_a_source_of_empty_items_lets_others_run():
    server = FakeServer()

    async def source():
        while True:
            yield b""

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source()), server)
        await anyio.lowlevel.checkpoint()
        server.leave()


@on_asyncio_only
async def test_a_stream_that_never_waits_needs_no_task():
    server = FakeServer()
    before = len(asyncio.all_tasks())
    tasks = []

    async def source():
        for _ in range(3):
            tasks.append(len(asyncio.all_tasks()) - before)
            yield b"x"

    await run(StreamingResponse(source()), server)
    assert tasks == [0, 0, 0]


@on_asyncio_only
@pytest.mark.parametrize("sync", [False, True])
async def test_a_stream_that_waits_needs_one_task(sync):
    server = FakeServer()
    before = len(asyncio.all_tasks())
    token = anyio.lowlevel.current_token()
    tasks = []

    def count():
        tasks.append(len(asyncio.all_tasks()) - before)

    async def async_source():
        for _ in range(3):
            await anyio.sleep(0.001)
            count()
            yield b"x"

    def sync_source():
        for _ in range(3):
            time.sleep(0.001)
            anyio.from_thread.run_sync(count, token=token)
            yield b"x"

    await run(StreamingResponse(sync_source() if sync else async_source()), server)
    assert max(tasks) == 1


async def test_endless_sync_streams_leave_the_default_threads_free():
    limiter = anyio.to_thread.current_default_thread_limiter()
    servers = [FakeServer() for _ in range(50)]

    def source():
        while True:
            yield b"x" * 1000

    async with anyio.create_task_group() as group:
        for server in servers:
            group.start_soon(run, StreamingResponse(source()), server)
        for server in servers:
            await server.body_has(1000)
        assert limiter.borrowed_tokens == 0
        for server in servers:
            server.leave()


async def test_sync_items_are_pulled_many_at_a_time():
    threads = []

    def source():
        for number in range(2000):
            threads.append(threading.get_ident())
            yield b"%d," % number

    server = FakeServer()
    await run(StreamingResponse(source()), server)
    assert server.body == b"".join(b"%d," % number for number in range(2000))
    assert threading.get_ident() not in threads


async def test_a_status_without_a_body_sends_none_and_closes_the_source():
    async def source():
        yield b"x"

    iterator, server = source(), FakeServer()
    await run(StreamingResponse(iterator, 204), server)
    assert server.body == b""
    assert iterator.ag_frame is None


async def test_a_yielding_handler_that_is_slow_has_a_content_type_all_the_same():
    server, heads = FakeServer(), []

    async def source():
        await server.sent(1)
        heads.append(dict(server.messages[0]["headers"]))
        yield {"a": 1}

    await run(YieldResponse(source(), head_wait=0.005), server)
    assert heads[0][b"content-type"] == b"application/octet-stream"


async def test_a_source_that_exits_raises_just_that():
    async def source():
        raise SystemExit(3)
        yield

    with pytest.raises(SystemExit):
        await run(StreamingResponse(source()), FakeServer())


# Drain


async def test_a_new_stream_is_refused_while_the_server_goes_down():
    drain = Drain(grace=1)
    drain.begin()
    closed = []

    async def source():
        try:
            yield b"x"
        finally:
            closed.append(True)

    iterator = source()
    server = FakeServer(state={STATE_KEY: drain})
    with pytest.raises(HTTPError) as caught:
        await run(StreamingResponse(iterator), server)
    assert caught.value.status_code == 503
    assert "retry-after" in caught.value.headers
    assert iterator.ag_frame is None


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_a_head_request_of_a_client_that_left_ends_quietly(spec):
    server = FakeServer(method="HEAD", spec_version=spec)
    server.leave()
    await run(StreamingResponse([b"x"]), server)
    assert server.messages == []


async def test_a_stream_that_outlasts_the_grace_is_cancelled():
    drain = Drain(grace=0.01)
    server = FakeServer(state={STATE_KEY: drain})
    closed = []

    async def source():
        try:
            yield b"x"
            await anyio.sleep_forever()
        finally:
            closed.append(drain.open_connections)

    async with anyio.create_task_group() as group:
        group.start_soon(drain.enforce)
        group.start_soon(run, StreamingResponse(source()), server)
        await server.body_has(1)
        assert drain.open_connections == 1
        drain.begin()
    assert closed
    assert drain.open_connections == 0
    assert not server.is_complete


async def test_a_stream_may_end_by_itself_when_the_server_goes_down():
    drain = Drain(grace=10)
    server = FakeServer(state={STATE_KEY: drain})

    async def source():
        yield b"x"
        await drain.wait()
        yield b" farewell"

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source()), server)
        await server.body_has(1)
        drain.begin()
    assert server.is_complete
    assert server.body == b"x farewell"


# Lines


async def test_ndjson_writes_a_line_for_each_item():
    server = FakeServer()
    await run(NDJSONResponse([{"a": 1}, [2], "three", None]), server)
    assert server.headers["content-type"] == "application/x-ndjson"
    lines = server.body.decode().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1}, [2], "three", None]


async def test_csv_quotes_what_needs_it_and_takes_mappings_by_column():
    server = FakeServer()
    rows = [{"b": 'say "x"', "a": 1}, {"a": 2, "c": 3}, [4, "x\ny"]]
    await run(CSVResponse(rows, columns=["a", "b"]), server)
    assert server.headers["content-type"] == "text/csv; charset=utf-8"
    assert server.body == b'a,b\r\n1,"say ""x"""\r\n2,\r\n4,"x\ny"\r\n'


async def test_csv_without_rows_still_names_its_columns():
    server = FakeServer()
    await run(CSVResponse([], columns=["a", "b"]), server)
    assert server.body == b"a,b\r\n"


async def test_csv_of_mappings_without_columns_says_what_is_missing():
    with pytest.raises(TypeError, match="columns"):
        await run(CSVResponse([{"a": 1}]), FakeServer())


@pytest.mark.parametrize(
    ("item", "media_type", "body"),
    [
        ("text", "text/plain; charset=utf-8", b"text"),
        (b"bytes", "application/octet-stream", b"bytes"),
        ({"a": 1}, "application/x-ndjson", b'{"a":1}\n'),
    ],
)
async def test_a_yielding_handler_gets_the_content_type_of_its_first_item(item, media_type, body):
    server = FakeServer()
    await run(YieldResponse([item]), server)
    assert server.headers["content-type"] == media_type
    assert server.body == body


async def test_proxies_are_asked_not_to_buffer():
    server = FakeServer()
    await run(StreamingResponse([b"x"]), server)
    assert server.headers["x-accel-buffering"] == "no"
