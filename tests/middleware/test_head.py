"""The head as layers see and change it, whatever it is the head of."""

import anyio
import pytest
from fakes import FakeServer
from middleware.layered import HEAD, body, sends, serve
from websocket.fake_server import FakeServer as FakeWebSocket

from asgi_rt import HTTPError, StreamingResponse
from asgi_rt.middleware import Head, Middleware
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

ACCEPT = {"type": "websocket.accept", "subprotocol": "chat"}


class Marks(Middleware):
    """Adds a field, and keeps the heads it has seen."""

    def __init__(self, app, *, seen=None):
        super().__init__(app)
        self.seen = [] if seen is None else seen

    def head(self, connection, head):
        self.seen.append(head.status)
        head.headers["x-mark"] = "1"


class ObservedMarks(Marks):
    def done(self, connection, outcome):
        """So that more than the head is looked at."""


class SlowMarks(Marks):
    async def head(self, connection, head):
        await anyio.lowlevel.checkpoint()
        super().head(connection, head)


LAYERS = [Marks, ObservedMarks, SlowMarks]
layers = pytest.mark.parametrize("layer", LAYERS)


# The object


def test_it_holds_status_and_headers_of_a_response():
    head = Head({"type": "http.response.start", "status": 201, "headers": [(b"a", b"1")]})
    assert head.status == 201
    assert head.headers["A"] == "1"


def test_what_is_changed_stands_in_the_message_that_will_be_sent():
    head = Head({**HEAD, "trailers": True})
    head.status = 503
    head.headers["retry-after"] = "2"
    head.headers.append("a", "2")
    del head.headers["a"]
    assert head.message == {
        "type": "http.response.start",
        "status": 503,
        "headers": [(b"retry-after", b"2")],
        "trailers": True,
    }


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.start", "status": 200, "headers": ()},
        {"type": "http.response.start", "status": 200, "headers": iter([])},
        {"type": "websocket.accept"},
    ],
)
def test_a_head_without_fields_can_be_given_some(message):
    head = Head(message)
    assert dict(head.headers) == {}
    head.headers["a"] = "1"
    assert head.message["headers"] == [(b"a", b"1")]


def test_what_the_app_has_given_is_not_changed():
    fields = [(b"a", b"1")]
    message = {"type": "http.response.start", "status": 200, "headers": fields}
    head = Head(message)
    head.status = 500
    head.headers["a"] = "2"
    head.headers["b"] = "3"
    head.message["more"] = True
    assert message == {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1")]}
    assert message["headers"] is fields


@pytest.mark.parametrize("fields", [((b"a", b"1"),), ([b"a", b"1"],), iter([(b"a", b"1")])])
def test_fields_may_come_as_anything_that_can_be_gone_through(fields):
    head = Head({"type": "http.response.start", "status": 200, "headers": fields})
    assert head.headers["a"] == "1"
    head.headers["b"] = "2"
    assert head.headers.get_all("b") == ["2"]


def test_an_accepted_handshake_has_the_status_101_and_no_other():
    head = Head(ACCEPT)
    assert head.status == 101
    with pytest.raises(ValueError, match="101"):
        head.status = 200
    assert head.message == {**ACCEPT, "headers": []}


def test_a_denied_handshake_has_a_status_that_can_be_set():
    head = Head({"type": "websocket.http.response.start", "status": 403, "headers": []})
    head.status = 401
    assert head.message["status"] == 401


@pytest.mark.parametrize("value", ["a\r\nb: c", "\x00", "漢"])
def test_a_field_that_cannot_be_sent_is_refused(value):
    with pytest.raises(ValueError, match="x-a"):
        Head(HEAD).headers["x-a"] = value


# Of responses


CHUNKS = [[], [b"one"], [b"one", b"two"]]


@layers
@pytest.mark.parametrize("parts", CHUNKS, ids=len)
async def test_the_head_of_so_many_chunks_is_changed_and_nothing_else(layer, parts):
    messages = [HEAD, *(body(part, more=True) for part in parts), body()]
    marks = layer(sends(*messages))
    server = await serve(marks)
    assert marks.seen == [200]
    assert server.headers == {"a": "1", "x-mark": "1"}
    assert server.messages[1:] == messages[1:]
    assert all(
        mine is theirs for mine, theirs in zip(server.messages[1:], messages[1:], strict=True)
    )


@layers
async def test_the_head_of_an_endless_stream_is_not_held_back(layer):
    async def source():
        while True:
            yield b"x"
            await anyio.lowlevel.checkpoint()

    server = FakeServer()
    async with anyio.create_task_group() as group:
        group.start_soon(serve, layer(StreamingResponse(source())), server)
        await server.sent(3)
        assert server.headers["x-mark"] == "1"
        server.leave()


@layers
async def test_a_head_and_a_chunk_are_passed_on_before_the_next_message_is_there(layer):
    server = FakeServer()
    go_on = anyio.Event()

    async def app(scope, receive, send):
        await send(HEAD)
        await send(body(b"one", more=True))
        await go_on.wait()
        await send(body())

    async with anyio.create_task_group() as group:
        group.start_soon(serve, layer(app), server)
        await anyio.wait_all_tasks_blocked()
        assert [message["type"][14:] for message in server.messages] == ["start", "body"]
        go_on.set()


@layers
async def test_a_client_that_reads_nothing_holds_up_the_app(layer):
    server, given = FakeServer(), []

    async def app(scope, receive, send):
        await send(HEAD)
        while True:
            given.append(True)
            await send(body(b"x", more=True))

    server.freeze()
    async with anyio.create_task_group() as group:
        group.start_soon(serve, layer(app), server)
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        assert given == []
        group.cancel_scope.cancel()


EXTRAS = {
    "early hints": {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]},
    "push": {"type": "http.response.push", "path": "/a.css", "headers": []},
    "debug": {"type": "http.response.debug", "info": {"template": "a"}},
}


@layers
@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
async def test_what_comes_before_the_head_is_passed_on_as_it_is(layer, extra):
    marks = layer(sends(extra, HEAD, body()))
    server = await serve(marks)
    assert marks.seen == [200]
    assert server.messages[0] is extra
    assert (b"x-mark", b"1") in server.messages[1]["headers"]


@layers
async def test_trailers_are_passed_on_as_they_are(layer):
    trailers = {"type": "http.response.trailers", "headers": [(b"b", b"2")]}
    marks = layer(sends({**HEAD, "trailers": True}, body(b"x"), trailers))
    server = await serve(marks)
    assert server.messages[0]["trailers"] is True
    assert server.messages[2] is trailers
    assert marks.seen == [200]


@layers
async def test_the_head_of_a_file_that_the_server_reads_is_changed(layer):
    path = {"type": "http.response.pathsend", "path": "/file"}
    server = await serve(layer(sends(HEAD, path)))
    assert server.headers["x-mark"] == "1"
    assert server.messages[1] is path


@layers
async def test_messages_that_an_app_sends_again_and_again_are_not_changed(layer):
    fields = [(b"a", b"1")]
    head = {"type": "http.response.start", "status": 200, "headers": fields}
    app = layer(layer(sends(head, body())))
    for _ in range(2):
        server = await serve(app)
        assert server.messages[0]["headers"] == [(b"a", b"1"), (b"x-mark", b"1")]
    assert head == {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1")]}
    assert head["headers"] is fields


async def test_an_outer_layer_sees_what_an_inner_one_has_changed():
    class Teapot(Middleware):
        def head(self, connection, head):
            head.status = 418

    seen = []
    server = await serve(Marks(Teapot(sends(HEAD, body())), seen=seen))
    assert seen == [418]
    assert server.status == 418


@layers
async def test_the_head_of_an_answer_that_is_not_the_app_s_is_changed(layer):
    class Answers(Middleware):
        def before(self, connection):
            return {"answered": True}

    server = await serve(layer(Answers(sends())))
    assert server.headers["x-mark"] == "1"


# Of WebSockets


@layers
async def test_the_head_of_an_accepted_handshake_is_changed(layer):
    accept = {**ACCEPT, "headers": [(b"a", b"1")]}
    given, marks = [], None

    async def app(scope, receive, send):
        await send(accept)

    async def send(message):
        given.append(message)

    marks = layer(app)
    await marks(FakeWebSocket().scope, None, send)
    assert marks.seen == [101]
    assert given == [{**ACCEPT, "headers": [(b"a", b"1"), (b"x-mark", b"1")]}]
    assert accept == {**ACCEPT, "headers": [(b"a", b"1")]}


@layers
async def test_the_head_of_a_denied_handshake_is_changed(layer):
    start = {"type": "websocket.http.response.start", "status": 403, "headers": []}
    end = {"type": "websocket.http.response.body", "body": b"no"}
    marks, server = layer(sends(start, end)), FakeWebSocket()
    await server.receive()
    await marks(server.scope, server.receive, server.send)
    assert marks.seen == [403]
    assert server.messages == [{**start, "headers": [(b"x-mark", b"1")]}, end]


@layers
async def test_a_handshake_that_is_refused_without_a_response_has_no_head(layer):
    close = {"type": "websocket.close", "code": 1008, "reason": ""}
    marks, server = layer(sends(close)), FakeWebSocket()
    await server.receive()
    await marks(server.scope, server.receive, server.send)
    assert marks.seen == []
    assert server.messages == [close]


@layers
async def test_messages_of_a_websocket_are_passed_on_as_they_are(layer):
    messages = [
        {"type": "websocket.accept"},
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "bytes": b"b"},
        {"type": "websocket.close", "code": 4000, "reason": "bye"},
    ]
    given = []

    async def send(message):
        given.append(message)

    await layer(sends(*messages))(FakeWebSocket().scope, None, send)
    assert all(mine is theirs for mine, theirs in zip(given[1:], messages[1:], strict=True))
    assert given[0]["headers"] == [(b"x-mark", b"1")]


async def test_a_client_sees_the_field_of_a_handshake_that_is_accepted():
    app = Marks(sends({"type": "websocket.accept"}))
    client = AsyncTestClient(app, lifespan=False)
    async with client, client.websocket_connect("/") as ws:
        assert ws.response.headers["x-mark"] == "1"


async def test_a_client_sees_the_field_of_a_handshake_that_is_denied():
    class Denies(Middleware):
        def before(self, connection):
            raise HTTPError(401)

    async with AsyncTestClient(Marks(Denies(sends())), lifespan=False) as client:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/"):
                pass
    assert denied.value.response.status_code == 401
    assert denied.value.response.headers["x-mark"] == "1"
