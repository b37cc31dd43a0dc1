"""Time that runs out: before the head, in the middle, and what an app makes of being cancelled."""

import asyncio
import json
import logging
import threading

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
import pytest
from fakes import FakeServer
from fastapi import FastAPI, WebSocket
from middleware.layered import told
from middleware.limited import Handshake, ask, shake_hands
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute

from asgi_rt import App, EventStream
from asgi_rt.middleware.access_log import AccessLogMiddleware
from asgi_rt.middleware.metrics import MetricsMiddleware
from asgi_rt.middleware.timeout import TimeoutMiddleware
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

SHORT = 0.02
"""Seconds that run out in a test."""
LONG = 20.0
"""Seconds that do not."""

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
EVENTS = {**HEAD, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]}
END = {"type": "http.response.body", "body": b"end", "more_body": False}
CHUNK = {"type": "http.response.body", "body": b"chunk", "more_body": True}

on_asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)


async def longer_than_short():
    await anyio.sleep(2 * SHORT)


def was_answered_for(server):
    """Whether there is one response, and that is the 504."""
    problem = json.loads(server.body)
    return (
        len(server.messages) == 2
        and server.is_complete
        and server.status == problem["status"] == 504
        and server.headers["content-type"] == "application/problem+json"
        and server.headers["connection"] == "close"
    )


# Until the head


async def test_an_app_that_does_not_answer_is_cancelled_and_answered_for():
    seen = []

    async def app(scope, receive, send):
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            seen.append("cancelled")
            raise

    server = await ask(TimeoutMiddleware(app, head=SHORT))
    assert seen == ["cancelled"]
    assert was_answered_for(server)
    assert json.loads(server.body)["detail"] == "there was no answer within 0.02 seconds"


@pytest.mark.parametrize(
    "options", [{"head": LONG}, {"head": LONG, "total": LONG}, {"head": SHORT}]
)
async def test_an_answer_in_time_goes_through_as_it_is(options):
    seen = []

    async def app(scope, receive, send):
        seen.append(receive)
        for message in (HEAD, CHUNK, END):
            await send(message)

    server = await ask(TimeoutMiddleware(app, **options))
    assert server.messages == [HEAD, CHUNK, END]
    assert [id(each) for each in server.messages] == [id(HEAD), id(CHUNK), id(END)]
    assert seen == [server.receive]


async def test_after_the_head_only_the_total_counts():
    async def app(scope, receive, send):
        await send(HEAD)
        await longer_than_short()
        await send(END)

    assert (await ask(TimeoutMiddleware(app, head=SHORT))).messages == [HEAD, END]
    assert (await ask(TimeoutMiddleware(app, head=SHORT, total=LONG))).messages == [HEAD, END]


async def test_a_head_that_waits_for_the_client_is_in_time():
    async def app(scope, receive, send):
        await send(HEAD)
        await send(END)

    server = FakeServer()
    server.freeze()
    async with anyio.create_task_group() as group:
        layer = TimeoutMiddleware(app, head=SHORT)
        group.start_soon(layer, server.scope, server.receive, server.send)
        await server.blocked.wait()
        await longer_than_short()
        server.thaw()
    assert server.messages == [HEAD, END]


async def test_http_2_has_no_connection_to_close():
    async def app(scope, receive, send):
        await anyio.sleep_forever()

    server = await ask(TimeoutMiddleware(app, head=SHORT), http_version="2")
    assert (server.status, server.headers.get("connection")) == (504, None)


async def test_no_task_is_added():
    seen = []

    async def app(scope, receive, send):
        seen.append(len(anyio.get_running_tasks()))
        await send(HEAD)
        await send(END)

    before = len(anyio.get_running_tasks())
    await ask(TimeoutMiddleware(app, total=LONG))
    assert seen == [before]


# The whole of it


async def test_a_response_that_takes_too_long_breaks_off(caplog):
    async def app(scope, receive, send):
        await send(HEAD)
        while True:
            await send(CHUNK)
            await anyio.sleep(SHORT / 10)

    server = await ask(TimeoutMiddleware(app, total=SHORT))
    assert (server.status, server.is_complete) == (200, False)
    assert server.messages[1:] == [CHUNK] * (len(server.messages) - 1)
    (record,) = caplog.records
    assert record.getMessage() == "a response was not complete after 0.02 s and breaks off"


@pytest.mark.parametrize(
    "options", [{"head": None, "total": SHORT}, {"head": LONG, "total": SHORT}]
)
async def test_the_total_counts_before_the_head_too(options):
    async def app(scope, receive, send):
        await anyio.sleep_forever()

    assert was_answered_for(await ask(TimeoutMiddleware(app, **options)))


async def test_the_total_counts_from_the_beginning():
    """And not from the head: what the head has taken is taken off it."""
    began = anyio.current_time()

    async def app(scope, receive, send):
        await anyio.sleep(5 * SHORT)
        await send(HEAD)
        await anyio.sleep_forever()

    server = await ask(TimeoutMiddleware(app, head=LONG, total=10 * SHORT))
    assert server.messages == [HEAD]
    # The clock of uvloop has milliseconds.
    assert 9.9 * SHORT <= anyio.current_time() - began < 14 * SHORT


async def test_the_last_message_is_in_the_total(caplog):
    async def app(scope, receive, send):
        await send(HEAD)
        server.freeze()
        await send(END)

    server = FakeServer()
    with anyio.fail_after(LONG):
        await TimeoutMiddleware(app, total=SHORT)(server.scope, server.receive, server.send)
    (record,) = caplog.records
    assert record.getMessage() == "a response was not complete after 0.02 s and breaks off"


async def test_a_last_message_that_is_taken_although_it_is_too_late_ends_the_response(caplog):
    async def app(scope, receive, send):
        await send(HEAD)
        server.freeze()
        with anyio.CancelScope(shield=True):
            await send(END)

    server = FakeServer()
    async with anyio.create_task_group() as group:
        layer = TimeoutMiddleware(app, total=SHORT)
        group.start_soon(layer, server.scope, server.receive, server.send)
        await longer_than_short()
        server.thaw()
    assert server.messages == [HEAD, END]
    assert caplog.records == []


@pytest.mark.parametrize("options", [{"head": LONG}, {"total": LONG}])
async def test_header_fields_that_can_be_read_but_once_are_sent(options):
    async def app(scope, receive, send):
        await send({**HEAD, "headers": iter(HEAD["headers"])})
        await send(END)

    server = await ask(TimeoutMiddleware(app, **options))
    assert server.headers == {"content-type": "text/plain"}


async def test_an_event_stream_is_exempt_from_the_total():
    async def app(scope, receive, send):
        await send(EVENTS)
        await longer_than_short()
        await send(END)

    assert (await ask(TimeoutMiddleware(app, total=SHORT))).messages == [EVENTS, END]


@pytest.mark.parametrize(
    "last",
    [
        END,
        {"type": "http.response.body"},
        {"type": "http.response.pathsend", "path": "/file"},
        {"type": "http.response.zerocopysend", "file": 3},
    ],
    ids=["body", "empty", "pathsend", "zerocopysend"],
)
async def test_work_after_the_response_is_not_cut_off(last):
    done = []

    async def app(scope, receive, send):
        await send(HEAD)
        await send(last)
        await longer_than_short()
        done.append("work")

    await ask(TimeoutMiddleware(app, head=SHORT, total=SHORT))
    assert done == ["work"]


@pytest.mark.parametrize("how", ["cancelled", "left"])
async def test_nor_is_work_after_an_end_that_the_app_waits_for_no_longer(how):
    done = []

    async def app(scope, receive, send):
        await send(HEAD)
        server.freeze()
        async with anyio.create_task_group() as group:
            group.start_soon(send_end, send)
            await server.blocked.wait()
            if how == "left":
                server.left.set()
                with pytest.raises(OSError, match="gone"):
                    await send(END)
            group.cancel_scope.cancel()
        await anyio.sleep(10 * SHORT)
        done.append("work")

    async def send_end(send):
        await send(END)

    server = FakeServer(spec_version="2.4")
    await TimeoutMiddleware(app, total=5 * SHORT)(server.scope, server.receive, server.send)
    assert done == ["work"]


# What layers around it are told


def cut_off(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        await anyio.sleep_forever()

    return TimeoutMiddleware(app, total=SHORT)


async def test_a_response_that_breaks_off_is_no_client_that_left():
    outcomes = []
    await ask(told(outcomes)(cut_off(HEAD, CHUNK)))
    (outcome,) = outcomes
    assert (outcome.status, outcome.chunks, outcome.disconnected) == (200, 1, False)


async def test_nor_is_it_in_the_access_log(caplog):
    caplog.set_level(logging.INFO, "asgi_rt.access")
    await ask(AccessLogMiddleware(cut_off(HEAD, CHUNK)))
    (record,) = [each for each in caplog.records if each.name == "asgi_rt.access"]
    assert (record.status, record.disconnected) == (200, False)
    assert "disconnected" not in record.getMessage()


async def test_nor_is_it_in_the_metrics():
    registry = CollectorRegistry()
    await ask(MetricsMiddleware(cut_off(HEAD, CHUNK), registry=registry))
    samples = {sample.name: sample.value for each in registry.collect() for sample in each.samples}
    assert samples["asgi_requests_total"] == 1
    assert "asgi_client_disconnects_total" not in samples


async def test_a_client_that_leaves_before_it_breaks_off_has_left():
    outcomes = []

    async def app(scope, receive, send):
        await send(HEAD)
        server.leave()
        try:
            await send(CHUNK)
        except OSError:
            await anyio.sleep_forever()

    server = FakeServer(spec_version="2.4")
    layer = told(outcomes)(TimeoutMiddleware(app, total=SHORT))
    await layer(server.scope, server.receive, server.send)
    assert [outcome.disconnected for outcome in outcomes] == [True]


# What an app makes of it


async def test_an_app_that_swallows_its_cancellation_is_answered_for():
    async def app(scope, receive, send):
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return

    assert was_answered_for(await ask(TimeoutMiddleware(app, head=SHORT)))


async def test_an_answer_that_comes_too_late_is_dropped():
    async def app(scope, receive, send):
        with anyio.CancelScope(shield=True):
            await longer_than_short()
            await send(HEAD)
            await send(END)

    assert was_answered_for(await ask(TimeoutMiddleware(app, head=SHORT)))


async def test_an_app_that_sends_without_end_although_it_is_too_late_is_ended():
    async def app(scope, receive, send):
        with anyio.CancelScope(shield=True):
            await longer_than_short()
        while True:
            await send(HEAD)

    assert was_answered_for(await ask(TimeoutMiddleware(app, head=SHORT)))


async def test_a_response_that_breaks_off_cannot_be_ended_later():
    async def app(scope, receive, send):
        await send(HEAD)
        with anyio.CancelScope(shield=True):
            await longer_than_short()
            await send(END)

    assert (await ask(TimeoutMiddleware(app, total=SHORT))).messages == [HEAD]


async def test_a_thread_is_waited_for():
    let_go = threading.Event()

    async def app(scope, receive, send):
        await anyio.to_thread.run_sync(let_go.wait, LONG)
        await send(HEAD)
        await send(END)

    server = FakeServer()
    async with anyio.create_task_group() as group:
        layer = TimeoutMiddleware(app, head=SHORT)
        group.start_soon(layer, server.scope, server.receive, server.send)
        await longer_than_short()
        assert server.messages == []
        let_go.set()
    assert was_answered_for(server)


async def test_an_error_that_the_cancellation_becomes_is_raised_after_the_answer():
    async def app(scope, receive, send):
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("in the clean-up")

    server = FakeServer()
    with pytest.raises(LookupError, match="in the clean-up"):
        await TimeoutMiddleware(app, head=SHORT)(server.scope, server.receive, server.send)
    assert was_answered_for(server)


async def test_an_error_in_time_is_the_apps():
    async def app(scope, receive, send):
        with anyio.fail_after(SHORT):
            await anyio.sleep_forever()

    server = FakeServer()
    with pytest.raises(TimeoutError):
        await TimeoutMiddleware(app, head=LONG)(server.scope, server.receive, server.send)
    assert server.messages == []


async def test_an_app_that_returns_without_an_answer_in_time_is_not_answered_for():
    async def app(scope, receive, send):
        pass

    assert (await ask(TimeoutMiddleware(app, head=LONG))).messages == []


# Cancellations of others


@pytest.mark.parametrize("options", [{"head": LONG}, {"head": LONG, "total": LONG}])
async def test_a_cancellation_from_outside_goes_through(options):
    async def app(scope, receive, send):
        await anyio.sleep_forever()

    with anyio.move_on_after(SHORT) as outer:
        server = FakeServer()
        await TimeoutMiddleware(app, **options)(server.scope, server.receive, server.send)
    assert outer.cancelled_caught
    assert server.messages == []


async def test_a_cancellation_from_outside_goes_before_an_answer_that_is_due():
    async def app(scope, receive, send):
        with anyio.CancelScope(shield=True):
            await longer_than_short()
        await anyio.sleep_forever()

    server = FakeServer()
    with anyio.move_on_after(1.5 * SHORT) as outer:
        await TimeoutMiddleware(app, head=SHORT)(server.scope, server.receive, server.send)
    assert outer.cancelled_caught
    assert server.messages == []


@on_asyncio_only
@pytest.mark.parametrize("options", [{"head": LONG}, {"head": LONG, "total": LONG}])
async def test_a_task_that_is_cancelled_ends_cancelled(options):
    begun = anyio.Event()

    async def app(scope, receive, send):
        begun.set()
        await anyio.sleep_forever()

    server = FakeServer()
    layer = TimeoutMiddleware(app, **options)
    task = asyncio.ensure_future(layer(server.scope, server.receive, server.send))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.messages == []


@on_asyncio_only
async def test_a_cancellation_that_the_app_raises_itself_is_not_taken_for_ours():
    async def app(scope, receive, send):
        raise asyncio.CancelledError

    server = FakeServer()
    with pytest.raises(asyncio.CancelledError):
        await TimeoutMiddleware(app, head=LONG)(server.scope, server.receive, server.send)
    assert server.messages == []


@on_asyncio_only
async def test_the_task_is_as_it_was_when_the_time_has_run_out():
    async def app(scope, receive, send):
        await anyio.sleep_forever()

    await ask(TimeoutMiddleware(app, head=SHORT))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await anyio.lowlevel.checkpoint()


# WebSockets


async def never_accepting(scope, receive, send):
    await receive()
    await anyio.sleep_forever()


async def test_a_handshake_that_is_not_answered_is_denied():
    start, body = await shake_hands(TimeoutMiddleware(never_accepting, head=SHORT))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 504)
    assert b"connection" not in dict(start["headers"])
    assert json.loads(body["body"])["detail"] == "there was no answer within 0.02 seconds"


async def test_it_is_closed_where_the_server_can_send_no_response():
    sent = await shake_hands(TimeoutMiddleware(never_accepting, head=SHORT), extensions={})
    assert sent == [{"type": "websocket.close", "code": 1013, "reason": ""}]


async def test_the_handshake_is_received_before_it_is_answered():
    async def app(scope, receive, send):
        await anyio.sleep_forever()

    server = Handshake()
    await TimeoutMiddleware(app, head=SHORT)(server.scope, server.receive, server.send)
    assert server.was_asked
    assert server.sent[0]["status"] == 504


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_a_client_that_has_left_is_not_answered(extensions):
    server = Handshake(extensions=extensions)
    server.left.set()
    layer = TimeoutMiddleware(never_accepting, head=SHORT)
    await layer(server.scope, server.receive, server.send)
    assert server.sent == []


async def test_a_client_that_leaves_at_that_moment_is_no_error():
    async def send(message):
        raise OSError("the client is gone")

    server = Handshake(extensions={})
    await TimeoutMiddleware(never_accepting, head=SHORT)(server.scope, server.receive, send)


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "websocket.accept"},
        {"type": "websocket.close"},
        {"type": "websocket.http.response.start", "status": 401, "headers": []},
    ],
)
@pytest.mark.parametrize("options", [{"head": SHORT}, {"head": SHORT, "total": SHORT}])
async def test_a_handshake_that_is_answered_has_all_time(answer, options):
    async def app(scope, receive, send):
        await receive()
        await send(answer)
        await longer_than_short()
        await send({"type": "websocket.send", "text": "hello"})

    sent = await shake_hands(TimeoutMiddleware(app, **options))
    assert sent == [answer, {"type": "websocket.send", "text": "hello"}]


async def test_without_head_a_websocket_is_left_alone():
    seen = []

    async def app(scope, receive, send):
        seen.append(send)

    server = Handshake()
    layer = TimeoutMiddleware(app, head=None, total=SHORT)
    await layer(server.scope, server.receive, server.send)
    assert seen == [server.send]


# In each framework


async def rows():
    yield b"first"
    await anyio.sleep_forever()


def in_asgi_rt():
    app = App()

    @app.get("/silent")
    async def silent(request):
        await anyio.sleep_forever()

    @app.get("/rows")
    async def stream(request):
        async for row in rows():
            yield row

    @app.websocket("/silent")
    async def silent_ws(ws):
        await anyio.sleep_forever()

    return app


async def foreign_silent(request):
    await anyio.sleep_forever()


async def foreign_rows(request):
    return StreamingResponse(rows())


def in_starlette():
    return Starlette(
        routes=[
            Route("/silent", foreign_silent),
            Route("/rows", foreign_rows),
            WebSocketRoute("/silent", foreign_silent),
        ]
    )


def in_fastapi():
    app = FastAPI()
    app.add_route("/silent", foreign_silent)
    app.add_route("/rows", foreign_rows)

    @app.websocket("/silent")
    async def silent_ws(websocket: WebSocket):
        await anyio.sleep_forever()

    return app


@pytest.fixture(params=[in_asgi_rt, in_starlette, in_fastapi])
async def client(request):
    app = request.param()
    app.add_middleware(TimeoutMiddleware, head=SHORT, total=3 * SHORT)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        yield client


async def test_each_framework_is_answered_for(client):
    response = await client.get("/silent")
    assert (response.status_code, response.json()["title"]) == (504, "Gateway Timeout")


async def test_a_stream_of_each_framework_breaks_off(client):
    async with client.stream("GET", "/rows") as response:
        assert response.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            await response.aread()


async def test_a_handshake_is_denied_in_each_framework(client):
    with pytest.raises(WebSocketDenied) as denied:
        async with client.websocket_connect("/silent"):
            pass
    assert denied.value.response.status_code == 504


async def test_a_stream_of_events_is_closed_by_its_own_end_alone():
    app = App()
    app.add_middleware(TimeoutMiddleware, head=SHORT, total=SHORT)

    @app.get("/events")
    async def events(request):
        async def source():
            yield "first"
            await longer_than_short()
            yield "last"

        return EventStream(source(), ping=None)

    async with AsyncTestClient(app) as client:
        response = await client.get("/events")
        assert response.text.endswith("data: first\n\ndata: last\n\n")
