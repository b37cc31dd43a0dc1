"""The id of a request: whose it is, where it is found, and that it stays with its request."""

import contextvars
import logging
import random
import re
import threading
import traceback
import uuid
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import anyio.to_thread
import fastapi
import pytest
from fakes import FakeServer
from hypothesis import given
from hypothesis import strategies as st
from middleware.foreign import fastapi_of, starlette_of
from starlette.background import BackgroundTask as ForeignTask
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from asgi_rt import App, BackgroundTask, HTTPError, Response
from asgi_rt.middleware.request_id import RequestIDFilter, RequestIDMiddleware, request_id
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

UUID_HEX = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")


async def plain(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def ids_of(app, *sent, name=b"x-request-id", **scope):
    """Every id in the answer to a request that has sent these."""
    server = FakeServer(headers=[(name, value) for value in sent], **scope)
    await app(server.scope, server.receive, server.send)
    return [value.decode() for key, value in server.messages[0]["headers"] if key == name]


def made(values=("made",)):
    """A source of ids that are known."""
    return iter(values).__next__


# Whose id it is


@pytest.mark.parametrize(
    "value", [b"a", b"0", b"A-b_c.9", b"x" * 128, uuid.uuid4().hex.encode(), b"..", b"-"]
)
async def test_the_clients_id_is_taken(value):
    assert await ids_of(RequestIDMiddleware(plain), value) == [value.decode()]


HARMFUL = [
    b"",
    b" ",
    b"a b",
    b"a\r\nSet-Cookie: b=c",
    b"a\n",
    b"\x00",
    b"\x1b[31m",
    b"\x7f",
    b'"',
    b"<script>",
    b"a,b",
    b"x" * 129,
    b"x" * 100_000,
    "é".encode(),
    "é".encode("latin-1"),
    "\u2028".encode(),
    "１".encode(),
]


@pytest.mark.parametrize("value", HARMFUL)
async def test_another_id_is_made_where_the_clients_is_not_valid(value):
    assert await ids_of(RequestIDMiddleware(plain, generate=made()), value) == ["made"]


@pytest.mark.parametrize("values", [(), (b"a", b"b"), (b"a", b"a"), (b"", b"a")])
async def test_another_id_is_made_where_there_is_not_exactly_one(values):
    assert await ids_of(RequestIDMiddleware(plain, generate=made()), *values) == ["made"]


async def test_another_id_is_made_where_clients_are_not_trusted():
    app = RequestIDMiddleware(plain, trust=False, generate=made())
    assert await ids_of(app, b"mine") == ["made"]


async def test_an_id_is_the_hex_of_a_random_uuid_where_nothing_else_is_said():
    app = RequestIDMiddleware(plain)
    (first,), (second,) = await ids_of(app), await ids_of(app)
    assert first != second
    assert UUID_HEX.fullmatch(first)
    assert UUID_HEX.fullmatch(second)


async def test_the_header_may_have_another_name():
    app = RequestIDMiddleware(plain, header="X-Correlation-ID", generate=made())
    assert await ids_of(app, b"mine", name=b"x-correlation-id") == ["mine"]
    assert await ids_of(app, b"mine") == []


@pytest.mark.parametrize(
    ("is_valid", "value", "expected"),
    [
        (lambda value: value.startswith("ok:"), b"ok:1", "ok:1"),
        (lambda value: value.startswith("ok:"), b"1", "made"),
        (
            uuid.UUID,
            b"6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ),
        (uuid.UUID, b"no-uuid", "made"),
    ],
)
async def test_what_is_valid_can_be_said(is_valid, value, expected):
    app = RequestIDMiddleware(plain, is_valid=is_valid, generate=made())
    assert await ids_of(app, value) == [expected]


@given(st.binary(max_size=40) | st.binary(min_size=1000, max_size=1100))
def test_nothing_harmful_is_ever_taken_whatever_is_found_valid(value):
    asked = []
    app = RequestIDMiddleware(plain, is_valid=lambda text: asked.append(text) or True)
    taken = app._sent_id({"headers": [(b"x-request-id", value)]})
    is_harmless = 0 < len(value) <= 1024 and all(0x21 <= byte <= 0x7E for byte in value)
    assert taken == (value.decode() if is_harmless else None)
    assert asked == ([taken] if is_harmless else [])


@pytest.mark.parametrize("value", ["", "a b", "a\r\nb", "é", "x" * 1025])
async def test_what_cannot_be_sent_may_not_be_generated(value):
    app = RequestIDMiddleware(plain, generate=lambda: value)
    with pytest.raises(ValueError, match=r"^generate gave "):
        await ids_of(app)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"header": "X Request"}, ValueError, "is not a header name"),
        ({"header": ""}, ValueError, "is not a header name"),
        ({"generate": "abc"}, TypeError, "generate are functions, not 'abc'"),
        ({"is_valid": 1}, TypeError, "is_valid and generate are functions, not 1"),
    ],
)
def test_wrong_options_are_refused_at_construction(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        RequestIDMiddleware(plain, **options)


# Where it is found


async def test_the_id_is_in_the_state_in_the_variable_and_in_the_answer_instead_of_the_apps():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["state"]["request_id"], request_id.get()))
        headers = [(b"x-request-id", b"upstream"), (b"x-request-id", b"again")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    assert await ids_of(RequestIDMiddleware(app), b"mine") == ["mine"]
    assert seen == [("mine", "mine")]


async def test_a_state_that_the_server_does_not_give_is_made():
    server = FakeServer()
    del server.scope["state"]
    await RequestIDMiddleware(plain, generate=made())(server.scope, server.receive, server.send)
    assert server.scope["state"] == {"request_id": "made"}


async def test_layers_above_see_the_id_when_the_answer_goes_through_them():
    seen = []
    server = FakeServer()

    async def send(message):
        seen.append(request_id.get())
        await server.send(message)

    await RequestIDMiddleware(plain, generate=made())(server.scope, server.receive, send)
    assert seen == ["made", "made"]
    assert request_id.get() is None


async def test_a_layer_further_in_keeps_the_id():
    app = RequestIDMiddleware(plain, header="X-Inner", trust=False, generate=made(["inner"]))
    app = RequestIDMiddleware(app, generate=made(["outer"]))
    assert await ids_of(app) == ["outer"]


async def test_a_mounted_app_keeps_the_id_of_the_app_around_it():
    inner, outer = App(), App()
    for app, name in ((inner, "inner"), (outer, "outer")):
        app.add_middleware(RequestIDMiddleware, generate=lambda name=name: name)
    inner.get("/")(lambda request: request.state["request_id"])
    outer.mount("/inner", inner)
    async with AsyncTestClient(outer) as client:
        response = await client.get("/inner/")
        assert (response.text, response.headers["x-request-id"]) == ("outer", "outer")


async def test_the_app_gets_the_servers_own_receive():
    seen = []

    async def app(scope, receive, send):
        seen.append(receive)

    for scope in ({"type": "http", "headers": []}, {"type": "websocket", "headers": []}):
        server = FakeServer()
        await RequestIDMiddleware(app)(scope, server.receive, server.send)
        assert seen.pop() == server.receive


async def test_the_traceback_of_a_crash_tells_the_id_and_no_older_one():
    error = RuntimeError("the same again and again")

    async def app(scope, receive, send):
        raise error

    layer = RequestIDMiddleware(app, generate=made(["first", "second"]))
    for name in ("first", "second"):
        with pytest.raises(RuntimeError) as caught:
            await ids_of(layer)
        assert caught.value is error
        shown = "".join(traceback.format_exception_only(error))
        assert shown.splitlines() == [
            "RuntimeError: the same again and again",
            f"request id: {name}",
        ]


# That it stays with its request


async def test_the_id_is_gone_after_the_request_however_it_ended():
    async def crash(scope, receive, send):
        raise RuntimeError

    await ids_of(RequestIDMiddleware(plain))
    assert request_id.get() is None
    with pytest.raises(RuntimeError):
        await ids_of(RequestIDMiddleware(crash))
    assert request_id.get() is None


async def test_the_id_is_gone_after_a_request_that_was_cancelled():
    with anyio.CancelScope() as cancellation:

        async def wait(scope, receive, send):
            cancellation.cancel()
            await anyio.sleep_forever()

        await ids_of(RequestIDMiddleware(wait))
    assert cancellation.cancelled_caught
    assert request_id.get() is None


async def test_a_handler_that_calls_another_app_has_its_own_id_back():
    inner = RequestIDMiddleware(plain, generate=made(["inner"]))
    seen = []

    async def app(scope, receive, send):
        seen.append(await ids_of(inner))
        seen.append(request_id.get())
        await plain(scope, receive, send)

    assert await ids_of(RequestIDMiddleware(app, generate=made(["outer"]))) == ["outer"]
    assert seen == [["inner"], "outer"]


async def test_a_request_that_begins_in_the_context_of_an_older_one_does_not_fall_back_to_its_id():
    """So it is on a connection whose reading a request has paused and resumed, on asyncio."""
    contexts = []

    async def app(scope, receive, send):
        contexts.append(contextvars.copy_context())
        await plain(scope, receive, send)

    layer = RequestIDMiddleware(app, generate=made(["old", "new"]))
    await ids_of(layer)
    (old,) = contexts
    assert old[request_id] == "old"
    after = []

    def begin():
        serving = ids_of(layer)
        with pytest.raises(StopIteration):  # it waits for nothing
            serving.send(None)
        after.append(request_id.get())

    old.run(begin)
    assert after == [None]
    assert contexts[1][request_id] == "new"


@pytest.mark.parametrize("seed", range(3))
async def test_requests_at_the_same_time_never_mix_their_ids(seed):
    turns = random.Random(seed)

    async def app(scope, receive, send):
        name = scope["path"].removeprefix("/")
        for _ in range(turns.randrange(1, 8)):
            assert request_id.get() == scope["state"]["request_id"] == name
            await anyio.lowlevel.checkpoint()
            if turns.random() < 0.3:
                assert await anyio.to_thread.run_sync(request_id.get) == name
        await plain(scope, receive, send)
        assert request_id.get() == name

    layer = RequestIDMiddleware(app)

    async def keep_alive(connection):
        for number in range(5):
            name = f"{connection}-{number}"
            assert await ids_of(layer, name.encode(), path=f"/{name}") == [name]
            assert request_id.get() is None

    async with anyio.create_task_group() as tasks:
        for connection in range(40):
            tasks.start_soon(keep_alive, connection)


# In the frameworks


class Noted(logging.Handler):
    """Keeps the id and the message of each record."""

    def __init__(self):
        super().__init__()
        self.addFilter(RequestIDFilter())
        self.seen = []

    def emit(self, record):
        self.seen.append((record.request_id, record.getMessage()))

    def ids_of(self, message):
        return [request_id for request_id, told in self.seen if told == message]


_logger = logging.getLogger("test of request ids")


@pytest.fixture
def noted():
    handler = Noted()
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    yield handler
    _logger.removeHandler(handler)


def log(message):
    _logger.info(message)


async def log_later(message):
    await anyio.lowlevel.checkpoint()
    _logger.info(message)


def asgi_rt_app():
    app = App()

    @app.get("/async")
    async def of_async(request):
        log("async")
        return request.state["request_id"]

    @app.get("/background")
    async def of_background(request):
        return Response(b"", background=BackgroundTask(log_later, "background"))

    @app.get("/sync")
    def of_sync(request):
        log("sync")
        return request.state["request_id"]

    @app.get("/stream")
    async def of_stream(request):
        for _ in range(3):
            await log_later("stream")
            yield request_id.get()

    @app.get("/sync-stream")
    def of_sync_stream(request):
        for _ in range(3):
            log("sync-stream")
            yield request_id.get()

    @app.get("/refused")
    async def refused(request):
        raise HTTPError(409)

    @app.websocket("/accept")
    async def accepted(ws):
        log("accept")
        await ws.accept()
        await ws.send_text(request_id.get())
        async for _ in ws.iter_text():
            pass

    @app.websocket("/deny")
    async def denied(ws):
        await ws.deny(403)

    return app


async def of_async(request: fastapi.Request):
    log("async")
    return PlainTextResponse(request.state.request_id)


async def of_background(request: fastapi.Request):
    return PlainTextResponse("", background=ForeignTask(log_later, "background"))


def of_sync(request: fastapi.Request):
    log("sync")
    return PlainTextResponse(request.state.request_id)


async def of_stream(request: fastapi.Request):
    async def chunks():
        for _ in range(3):
            await log_later("stream")
            yield request_id.get()

    return StreamingResponse(chunks())


async def of_sync_stream(request: fastapi.Request):
    def chunks():
        for _ in range(3):
            log("sync-stream")
            yield request_id.get()

    return StreamingResponse(chunks())


async def refused(request: fastapi.Request):
    raise HTTPException(409)


async def accepted(websocket: fastapi.WebSocket):
    log("accept")
    await websocket.accept()
    await websocket.send_text(request_id.get())
    async for _ in websocket.iter_text():
        pass


async def denied(websocket: fastapi.WebSocket):
    await websocket.send_denial_response(JSONResponse("no", 403))


ENDPOINTS = {
    "/async": of_async,
    "/background": of_background,
    "/sync": of_sync,
    "/stream": of_stream,
    "/sync-stream": of_sync_stream,
    "/refused": refused,
}
SOCKETS = {"/accept": accepted, "/deny": denied}


def starlette_app():
    return starlette_of(ENDPOINTS, SOCKETS)


def fastapi_app():
    return fastapi_of(ENDPOINTS, SOCKETS)


@pytest.fixture(params=[asgi_rt_app, starlette_app, fastapi_app])
def app(request):
    app = request.param()
    app.add_middleware(RequestIDMiddleware)
    return app


@pytest.fixture
async def client(app):
    async with AsyncTestClient(app, headers={"x-request-id": "mine"}) as client:
        yield client


@pytest.mark.parametrize("path", ["/async", "/sync", "/stream", "/sync-stream"])
async def test_handlers_log_and_answer_with_the_id(client, noted, path):
    response = await client.get(path)
    assert response.headers["x-request-id"] == "mine"
    count = 3 if "stream" in path else 1
    assert response.text == "mine" * count
    assert noted.ids_of(path.removeprefix("/")) == ["mine"] * count


async def test_background_tasks_log_the_id_of_the_request_that_began_them(app, noted):
    async with AsyncTestClient(app) as client:
        await client.get("/background", headers={"x-request-id": "mine"})
    assert noted.ids_of("background") == ["mine"]


@pytest.mark.parametrize(("path", "status"), [("/refused", 409), ("/none", 404)])
async def test_error_answers_tell_the_id(client, path, status):
    response = await client.get(path)
    assert (response.status_code, response.headers["x-request-id"]) == (status, "mine")


async def test_an_accepted_websocket_tells_the_id(client, noted):
    async with client.websocket_connect("/accept") as ws:
        assert ws.headers["x-request-id"] == "mine"
        assert await ws.receive_text() == "mine"
    assert noted.ids_of("accept") == ["mine"]


async def test_a_denied_websocket_tells_the_id(client):
    with pytest.raises(WebSocketDenied) as refusal:
        async with client.websocket_connect("/deny"):
            pass
    assert refusal.value.response.headers["x-request-id"] == "mine"


async def test_the_id_comes_through_the_tasks_of_a_starlette_middleware(noted):
    app = fastapi_app()

    @app.middleware("http")
    async def passing(request, call_next):
        log("middleware")
        return await call_next(request)

    app.add_middleware(RequestIDMiddleware, generate=made())
    async with AsyncTestClient(app) as client:
        response = await client.get("/stream")
    assert (response.headers["x-request-id"], response.text) == ("made", "made" * 3)
    assert noted.ids_of("middleware") + noted.ids_of("stream") == ["made"] * 4


async def test_the_answer_to_a_crash_tells_the_id_where_the_layer_is_around_the_whole_app():
    app = App()

    @app.get("/")
    async def crash(request):
        raise RuntimeError

    async with AsyncTestClient(
        RequestIDMiddleware(app, generate=made()), raise_server_exceptions=False
    ) as client:
        response = await client.get("/")
        assert (response.status_code, response.headers["x-request-id"]) == (500, "made")


# The filter


def record_of(**extra):
    return logging.makeLogRecord({"msg": "text", **extra})


def test_the_filter_says_a_dash_outside_of_requests():
    record = record_of()
    assert RequestIDFilter().filter(record) is True
    assert logging.Formatter("%(request_id)s %(message)s").format(record) == "- text"


def test_the_filter_keeps_an_id_that_the_record_has():
    record = record_of(request_id="own")
    assert RequestIDFilter().filter(record) is True
    assert record.request_id == "own"


async def test_the_filter_gives_records_a_plain_str():
    records = []

    async def app(scope, receive, send):
        record = record_of()
        RequestIDFilter().filter(record)
        records.append(record)
        await plain(scope, receive, send)

    await ids_of(RequestIDMiddleware(app), b"mine")
    assert [(record.request_id, type(record.request_id)) for record in records] == [("mine", str)]


async def test_a_bare_thread_has_the_id_only_in_a_copy_of_the_context():
    seen = []

    def look():
        seen.append(request_id.get())

    async def app(scope, receive, send):
        context = contextvars.copy_context()
        for target, args in ((look, ()), (context.run, (look,))):
            thread = threading.Thread(target=target, args=args)
            thread.start()
            thread.join()
        await plain(scope, receive, send)

    await ids_of(RequestIDMiddleware(app), b"mine")
    assert seen == [None, "mine"]


async def test_an_error_that_is_frozen_is_raised_as_it_is():
    @dataclass(frozen=True)
    class FrozenError(Exception):
        code: int

    async def app(scope, receive, send):
        raise FrozenError(7)

    server = FakeServer()
    with pytest.raises(FrozenError):
        await RequestIDMiddleware(app)(server.scope, server.receive, server.send)
