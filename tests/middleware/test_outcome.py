"""What `done` is told of how a connection went."""

import contextlib
import itertools

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from middleware.layered import HEAD, MAKERS, body, responds, sends, serve, told
from starlette.requests import ClientDisconnect
from websocket.fake_server import FakeServer as FakeWebSocket
from websocket.fake_server import UvicornServer

from asgi_rt import App, EventStream, HTTPError, Response, StreamingResponse
from asgi_rt.errors import ClientDisconnected
from asgi_rt.http.files import FileResponse
from asgi_rt.middleware import Middleware, Outcome, observed
from asgi_rt.testing import AsyncTestClient

SPEC_VERSIONS = pytest.mark.parametrize("spec_version", ["2.3", "2.4"])


async def outcome_of(app, server=None, *, raises=None, **scope):
    outcomes = []
    layer = told(outcomes)(app)
    if raises is None:
        await serve(layer, server, **scope)
    else:
        with pytest.raises(type(raises)) as caught:
            await serve(layer, server, **scope)
        assert caught.value is raises
    (outcome,) = outcomes
    return outcome


def figures(outcome):
    return outcome.status, outcome.chunks, outcome.bytes_sent, outcome.disconnected, outcome.error


# Responses


BODIES = {
    "whole": ([body(b"hello")], 1, 5),
    "without more_body": ([{"type": "http.response.body", "body": b"hello"}], 1, 5),
    "without body": ([{"type": "http.response.body"}], 0, 0),
    "empty": ([body()], 0, 0),
    "two chunks": ([body(b"hel", more=True), body(b"lo")], 2, 5),
    "empty chunks": ([body(more=True), body(b"a", more=True), body(more=True), body()], 1, 1),
    "memoryview": ([body(memoryview(b"hello"))], 1, 5),
    "trailers": ([body(b"a"), {"type": "http.response.trailers", "headers": []}], 1, 1),
}


@pytest.mark.parametrize("given", BODIES.values(), ids=BODIES)
async def test_a_whole_response_is_counted(given):
    messages, chunks, size = given
    outcome = await outcome_of(sends(HEAD, *messages))
    assert figures(outcome) == (200, chunks, size, False, None)
    assert (outcome.code, outcome.bytes_received, outcome.messages_received) == (None, 0, 0)


async def test_early_hints_are_no_head():
    hints = {"type": "http.response.early_hint", "links": []}
    assert figures(await outcome_of(sends(hints, {**HEAD, "status": 404}, body()))) == (
        *(404, 0, 0),
        *(False, None),
    )


async def test_an_inner_layer_s_status_is_what_was_sent():
    class Teapot(Middleware):
        def head(self, connection, head):
            head.status = 418

    class Both(Teapot):
        def done(self, connection, outcome):
            seen.append(outcome.status)

    seen = []
    assert (await outcome_of(Teapot(responds))).status == 418
    await serve(Both(responds))
    assert seen == [418]


PATH = {"type": "http.response.pathsend", "path": "/file"}
ZERO_COPY = {"type": "http.response.zerocopysend", "file": 3}


@pytest.mark.parametrize(
    ("messages", "chunks", "size", "is_whole"),
    [
        ([PATH], 1, 1000, True),
        ([ZERO_COPY], 1, 1000, True),
        ([{**ZERO_COPY, "count": 10}], 1, 10, True),
        ([{**ZERO_COPY, "count": 10, "more_body": True}], 1, 10, False),
        ([{**ZERO_COPY, "count": 10, "more_body": True}, body(b"abc")], 2, 13, True),
    ],
)
async def test_a_file_that_the_server_reads_counts_as_long_as_is_declared(
    messages, chunks, size, is_whole
):
    head = {**HEAD, "headers": [(b"x-a", b"no"), (b"content-length", b"1000")]}
    extensions = {"http.response.pathsend": {}, "http.response.zerocopysend": {}}
    outcome = await outcome_of(sends(head, *messages), extensions=extensions)
    assert figures(outcome) == (200, chunks, size, not is_whole, None)


@pytest.mark.parametrize("fields", [[], [(b"content-length", b"many")]])
async def test_a_file_without_a_length_counts_for_nothing(fields):
    app = sends({**HEAD, "headers": fields}, PATH)
    outcome = await outcome_of(app, extensions={"http.response.pathsend": {}})
    assert figures(outcome) == (200, 0, 0, False, None)


@pytest.mark.parametrize("extensions", [None, {"http.response.pathsend": {}}])
async def test_a_file_counts_the_same_whoever_reads_it(tmp_path, extensions):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    scope = {} if extensions is None else {"extensions": extensions}
    outcome = await outcome_of(FileResponse(path), **scope)
    assert figures(outcome) == (200, 1, 1000, False, None)


async def test_the_times_are_from_the_call_of_the_layer(monkeypatch):
    times = itertools.count(100.0)
    monkeypatch.setattr(observed, "_clock", lambda: next(times))
    outcome = await outcome_of(responds)
    assert (outcome.seconds_to_head, outcome.seconds) == (1.0, 2.0)


@pytest.mark.parametrize("app", [sends(), sends({"type": "http.response.early_hint", "links": []})])
async def test_without_a_head_there_is_no_time_to_it(app):
    assert (await outcome_of(app)).seconds_to_head is None


async def test_work_after_the_response_in_the_same_task_is_waited_for(monkeypatch):
    times = itertools.count(100.0)
    monkeypatch.setattr(observed, "_clock", lambda: next(times))

    async def app(scope, receive, send):
        await responds(scope, receive, send)
        for _ in range(10):
            next(times)

    assert (await outcome_of(app)).seconds == 12.0


# What goes wrong


async def test_a_crash_before_the_head_has_no_status():
    crash = LookupError()
    outcome = await outcome_of(sends(then=crash), raises=crash)
    assert figures(outcome) == (None, 0, 0, False, crash)


async def test_a_crash_after_the_head_has_one():
    crash = LookupError()
    outcome = await outcome_of(sends(HEAD, body(b"a", more=True), then=crash), raises=crash)
    assert figures(outcome) == (200, 1, 1, False, crash)


@pytest.mark.parametrize("path", ["/missing", "/refused"])
async def test_an_error_that_the_app_answers_is_none(path):
    app = App()

    @app.get("/refused")
    async def refuse(request):
        raise HTTPError(404)

    outcomes = []
    app.add_middleware(told(outcomes))
    async with AsyncTestClient(app) as client:
        await client.get(path)
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [(404, None)]


@pytest.mark.parametrize("messages", [[], [HEAD, body(b"a", more=True)]], ids=["head", "rest"])
async def test_a_cancellation_is_the_error(messages):
    outcomes = []

    async def app(scope, receive, send):
        await sends(*messages)(scope, receive, send)
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(serve, told(outcomes)(app))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    (outcome,) = outcomes
    assert isinstance(outcome.error, anyio.get_cancelled_exc_class())
    assert outcome.status == (200 if messages else None)
    assert not outcome.disconnected


async def test_a_send_that_was_cancelled_may_have_come_through_and_counts():
    """Servers take the last message, and then those who wait for the end cancel its send."""
    outcomes = []

    async def app(scope, receive, send):
        async with anyio.create_task_group() as group:
            group.start_soon(sends(HEAD, body(b"hello")), scope, receive, send)
            await server.sent(2)
            group.cancel_scope.cancel()

    class Stuck(FakeServer):
        async def send(self, message):
            await super().send(message)
            await anyio.sleep(0 if message is HEAD else 60)

    server = Stuck()
    await serve(told(outcomes)(app), server)
    assert figures(outcomes[0]) == (200, 1, 5, False, None)


async def test_what_the_server_refuses_is_not_counted():
    refusal = RuntimeError("out of turn")

    async def app(scope, receive, send):
        await send(HEAD)
        await send(body(b"hello"))

    class Refusing(FakeServer):
        async def send(self, message):
            if message["type"] == "http.response.body":
                raise refusal
            await super().send(message)

    outcome = await outcome_of(app, Refusing(), raises=refusal)
    assert figures(outcome) == (200, 0, 0, False, refusal)


# Clients that leave


def stream(response_type=StreamingResponse, **options):
    async def source():
        while True:
            yield b"x" if response_type is StreamingResponse else "x"
            await anyio.lowlevel.checkpoint()

    return response_type(source(), **options)


async def leaving(app, server, when):
    """The outcome where the client leaves when so many messages were sent."""
    outcomes = []
    async with anyio.create_task_group() as group:
        group.start_soon(serve, told(outcomes)(app), server)
        await server.sent(when)
        server.leave()
    return outcomes[0]


@SPEC_VERSIONS
@pytest.mark.parametrize("response_type", [StreamingResponse, EventStream])
async def test_a_client_that_leaves_a_stream_is_noticed(spec_version, response_type):
    server = FakeServer(spec_version=spec_version)
    outcome = await leaving(stream(response_type), server, 3)
    assert (outcome.status, outcome.disconnected, outcome.error) == (200, True, None)
    assert 2 <= outcome.chunks <= outcome.bytes_sent


@SPEC_VERSIONS
async def test_a_client_that_leaves_before_the_head_of_a_stream_is_noticed(spec_version):
    async def source():
        await anyio.sleep_forever()
        yield b""

    outcomes = []
    server = FakeServer(spec_version=spec_version)
    async with anyio.create_task_group() as group:
        response = StreamingResponse(source(), head_wait=None)
        group.start_soon(serve, told(outcomes)(response), server)
        await anyio.wait_all_tasks_blocked()
        server.leave()
    assert figures(outcomes[0]) == (None, 0, 0, True, None)


@pytest.mark.parametrize("path", ["/", "/stream"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
async def test_a_client_that_left_is_told_by_oserror_whatever_the_framework_makes_of_it(make, path):
    app, outcomes = make(), []
    app.add_middleware(told(outcomes))
    server = FakeServer(spec_version="2.4", path=path)
    server.leave()
    with contextlib.suppress(OSError, ClientDisconnect):
        await serve(app, server)
    (outcome,) = outcomes
    assert (outcome.status, outcome.disconnected) == (None, True)


async def test_a_plain_response_to_a_client_that_left_is_whole_where_the_server_says_nothing():
    server = FakeServer(spec_version="2.3")
    server.leave()
    assert figures(await outcome_of(Response("hello"), server)) == (200, 1, 5, False, None)


async def test_an_app_that_ends_without_a_response_is_taken_for_one_whose_client_left():
    assert figures(await outcome_of(sends())) == (None, 0, 0, True, None)


async def test_a_disconnect_that_the_app_lets_pass_is_one():
    error = ClientDisconnected()
    outcome = await outcome_of(sends(HEAD, then=error), raises=error)
    assert figures(outcome) == (200, 0, 0, True, error)


async def test_a_handler_that_reads_a_body_which_breaks_off_is_left():
    app, outcomes = App(), []
    app.add_middleware(told(outcomes))

    @app.post("/")
    async def read(request):
        await request.body()

    class Uploading(FakeServer):
        async def receive(self):
            return await self.receive_disconnect()

    server = Uploading(method="POST", headers=[(b"content-length", b"5")])
    server.leave()
    await serve(app, server)
    assert figures(outcomes[0]) == (None, 0, 0, True, None)


# WebSockets


SERVERS = pytest.mark.parametrize("kind", [FakeWebSocket, UvicornServer])


async def of_websocket(app, act, kind=FakeWebSocket, *, raises=False, **scope):
    """The outcome of one WebSocket, to whose client something happens."""
    outcomes = []
    server = kind(**scope)
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, told(outcomes)(app))
        await act(server)
        await server.done()
    assert (server.error is not None) is raises
    (outcome,) = outcomes
    assert outcome.error is server.error
    return outcome


def handling(handler, **options):
    app = App()
    app.websocket("/", **options)(handler)
    return app


async def echo(ws):
    await ws.accept()
    async for message in ws:
        await (ws.send_text if isinstance(message, str) else ws.send_bytes)(message)


async def nothing(server):
    """To a client that does not act."""


@SERVERS
@pytest.mark.parametrize(
    ("message", "size"),
    [("", 0), ("abc", 3), ("é€😀", 9), (b"", 0), (b"abc", 3)],
)
async def test_messages_are_counted_both_ways_in_bytes(kind, message, size):
    async def talk(server):
        await server.accepted()
        for _ in range(2):
            (server.send_text if isinstance(message, str) else server.send_bytes)(message)
        await server.has_sent(2)
        server.leave()

    outcome = await of_websocket(handling(echo), talk, kind)
    assert (outcome.messages_received, outcome.bytes_received) == (2, 2 * size)
    assert (outcome.chunks, outcome.bytes_sent) == (2, 2 * size)
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, 1000, True)


@pytest.mark.parametrize(
    "message",
    [
        {"bytes": b"abc"},
        {"bytes": bytearray(b"abc")},
        {"bytes": memoryview(b"abc"), "text": None},
        {"text": "abc", "bytes": None},
        {"text": "\ud800"},
    ],
)
async def test_messages_of_every_form_are_counted(message):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", **message})
        await send({"type": "websocket.close", "code": 1000, "reason": ""})

    outcome = await of_websocket(app, nothing)
    assert (outcome.chunks, outcome.bytes_sent) == (1, 3)


@SERVERS
@pytest.mark.parametrize("code", [1000, 1001, 4002])
async def test_a_close_of_the_client_is_told_by_its_code(kind, code):
    async def leave(server):
        await server.accepted()
        server.leave(code)

    outcome = await of_websocket(handling(echo), leave, kind)
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, code, True)


@SERVERS
async def test_a_connection_that_is_lost_is_1006(kind):
    async def lose(server):
        await server.accepted()
        server.lose()

    outcome = await of_websocket(handling(echo), lose, kind)
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, 1006, True)


@SERVERS
async def test_a_close_of_the_server_that_goes_down_is_no_disconnect(kind):
    async def shut_down(server):
        await server.accepted()
        server._end({"type": "websocket.disconnect", "code": 1012})

    outcome = await of_websocket(handling(echo), shut_down, kind)
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, 1012, False)


@SERVERS
@pytest.mark.parametrize("code", [1000, 4001])
async def test_a_close_of_the_app_is_told_by_its_code(kind, code):
    async def handler(ws):
        await ws.accept()
        await ws.close(code)

    outcome = await of_websocket(handling(handler), nothing, kind)
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, code, False)


@SERVERS
async def test_a_crash_of_the_app_is_1011_and_the_error(kind):
    async def handler(ws):
        await ws.accept()
        raise LookupError

    outcome = await of_websocket(handling(handler), nothing, kind, raises=True)
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, 1011, False)


@SERVERS
async def test_a_crash_before_the_handshake_is_answered_is_a_500(kind):
    async def handler(ws):
        raise LookupError

    outcome = await of_websocket(handling(handler), nothing, kind, raises=True)
    assert (outcome.status, outcome.code, outcome.disconnected) == (500, None, False)


@SERVERS
async def test_a_denial_is_told_by_its_status_alone(kind):
    async def handler(ws):
        raise HTTPError(401)

    outcome = await of_websocket(handling(handler), nothing, kind)
    assert (outcome.status, outcome.code, outcome.disconnected) == (401, None, False)
    assert (outcome.chunks, outcome.bytes_sent > 0) == (1, True)


@SERVERS
async def test_a_refusal_without_a_response_is_a_403_with_the_code_of_the_close(kind):
    async def handler(ws):
        raise HTTPError(401)

    outcome = await of_websocket(handling(handler), nothing, kind, extensions={})
    assert (outcome.status, outcome.code, outcome.disconnected) == (403, 1008, False)


@SERVERS
@pytest.mark.parametrize("raises", [False, True])
async def test_a_client_that_leaves_before_its_handshake_is_answered_is_noticed(kind, raises):
    async def app(scope, receive, send):
        await receive()
        server.lose()
        await receive()

    outcomes, server = [], kind(raises=raises)
    await told(outcomes)(app)(server.scope, server.receive, server.send)
    (outcome,) = outcomes
    assert (outcome.status, outcome.code, outcome.disconnected) == (None, 1006, True)


async def test_a_client_that_only_a_send_tells_of_is_noticed():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        server.vanish()
        await send({"type": "websocket.send", "text": "a"})

    outcomes, server = [], FakeWebSocket()
    with pytest.raises(OSError, match="left"):
        await told(outcomes)(app)(server.scope, server.receive, server.send)
    (outcome,) = outcomes
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, None, True)
    assert outcome.chunks == 0


async def test_an_app_that_returns_from_an_open_connection_has_not_lost_it():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    outcome = await of_websocket(app, nothing)
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, None, False)


async def test_an_app_that_answers_no_handshake_is_taken_for_one_whose_client_left():
    outcome = await of_websocket(sends(), nothing)
    assert (outcome.status, outcome.code, outcome.disconnected) == (None, None, True)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
async def test_it_is_told_of_websockets_in_every_framework(make):
    app, outcomes = make(), []
    app.add_middleware(told(outcomes))
    async with AsyncTestClient(app) as client, client.websocket_connect("/echo") as ws:
        await ws.send_text("héllo")
        assert await ws.receive_text() == "héllo"
        await ws.close(4000)
    (outcome,) = outcomes
    assert outcome.seconds >= (outcome.seconds_to_head or 1e9)
    figures = outcome.status, outcome.code, outcome.bytes_received, outcome.bytes_sent
    assert figures == (101, 4000, 6, 6)


def test_it_begins_with_nothing():
    outcome = Outcome()
    assert (outcome.status, outcome.code, outcome.error) == (None, None, None)
    assert not outcome.disconnected
