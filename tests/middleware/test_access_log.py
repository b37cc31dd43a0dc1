"""What the access log says of each connection, and what it never says."""

import contextlib
import json
import logging
import re
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import fastapi
import pytest
from fakes import FakeServer, http_scope
from hypothesis import given
from hypothesis import strategies as st
from middleware.foreign import fastapi_of, starlette_of
from starlette.responses import PlainTextResponse, StreamingResponse

from asgi_rt import App, ClientDisconnected, HTTPError
from asgi_rt.middleware.access_entry import escape
from asgi_rt.middleware.access_log import AccessLogMiddleware, JSONFormatter, default_level
from asgi_rt.middleware.outcome import Outcome
from asgi_rt.middleware.request_id import RequestIDMiddleware
from asgi_rt.testing import AsyncTestClient, WebSocketDenied


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    @property
    def lines(self):
        return [record.getMessage() for record in self.records]

    @property
    def record(self):
        (record,) = self.records
        return record


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def logger(kept):
    """A logger that nobody else has."""
    logger = logging.Logger("access of a test", logging.INFO)
    logger.addHandler(kept)
    return logger


async def plain(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"body", "more_body": False})


async def ask(app, **scope):
    server = FakeServer(**scope)
    await app(server.scope, server.receive, server.send)
    return server


def answering(status, *bodies, headers=(), error=None):
    """An app that sends these, then raises."""

    async def app(scope, receive, send):
        if status is not None:
            head = {"type": "http.response.start", "status": status, "headers": [*headers]}
            await send(head)
            for number, body in enumerate(bodies, 1):
                more_body = number < len(bodies) or error is not None
                await send({"type": "http.response.body", "body": body, "more_body": more_body})
        if error is not None:
            raise error

    return app


def fields_of(record, *names):
    return tuple(getattr(record, name) for name in names)


# One record for each exchange


async def test_a_request_is_told_in_one_line(logger, kept):
    await ask(AccessLogMiddleware(plain, logger=logger), path="/items/1?token=secret")
    assert re.fullmatch(
        r'127\.0\.0\.1:50000 "GET /items/1 HTTP/1\.1" 200 bytes_sent=4 chunks=1'
        r" seconds=0\.\d{6} seconds_to_head=0\.\d{6}",
        kept.record.getMessage(),
    )
    assert kept.record.levelno == logging.INFO
    assert kept.record.name == "access of a test"


async def test_all_that_is_told_are_attributes_of_the_record(logger, kept):
    await ask(AccessLogMiddleware(plain, logger=logger), path="/a", method="POST")
    record = kept.record
    told = {
        "event": "end",
        "type": "http",
        "client": "127.0.0.1:50000",
        "method": "POST",
        "path": "/a",
        "query": None,
        "http_version": "1.1",
        "user_agent": None,
        "request_id": None,
        "status": 200,
        "bytes_sent": 4,
        "chunks": 1,
        "disconnected": False,
        "error": None,
        "code": None,
        "messages_received": None,
        "bytes_received": None,
    }
    assert {name: getattr(record, name) for name in told} == told
    assert 0 <= record.seconds_to_head <= record.seconds


async def test_the_logger_is_that_of_access_where_nothing_else_is_said(kept):
    logger = logging.getLogger("asgi_rt.access")
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    try:
        await ask(AccessLogMiddleware(plain))
    finally:
        logger.removeHandler(kept)
        logger.setLevel(logging.NOTSET)
    assert kept.record.name == "asgi_rt.access"


@pytest.mark.parametrize(
    ("client", "told", "line"),
    [
        (("10.0.0.1", 5), "10.0.0.1:5", "10.0.0.1:5 "),
        (("::1", 5), "[::1]:5", "[::1]:5 "),
        (None, None, "- "),
        (("evil\r\nhost", 0), r"evil\r\nhost:0", r"evil\r\nhost:0 "),
    ],
)
async def test_the_client_is_told_where_it_is_known(logger, kept, client, told, line):
    await ask(AccessLogMiddleware(plain, logger=logger), client=client)
    assert kept.record.client == told
    assert kept.record.getMessage().startswith(line)


async def test_a_stream_is_told_with_all_its_bytes_when_it_ends(logger, kept):
    app = answering(200, *[b"row\n"] * 5, b"")
    await ask(AccessLogMiddleware(app, logger=logger))
    assert fields_of(kept.record, "status", "bytes_sent", "chunks") == (200, 20, 5)


RAISED = RuntimeError("tells a secret")
LEFT = ClientDisconnected()


@pytest.mark.parametrize(
    ("app", "fields", "level"),
    [
        (answering(204, b""), (204, None, False), logging.INFO),
        (answering(304, b""), (304, None, False), logging.INFO),
        (answering(404, b"no"), (404, None, False), logging.WARNING),
        (answering(503, b"no"), (503, None, False), logging.ERROR),
        (answering(None, error=RAISED), (500, "RuntimeError", False), logging.ERROR),
        (answering(200, b"a", error=RAISED), (200, "RuntimeError", False), logging.ERROR),
        (
            answering(None, error=ClientDisconnected()),
            (499, "ClientDisconnected", True),
            logging.INFO,
        ),
        (answering(None), (499, None, True), logging.INFO),
    ],
)
async def test_a_record_tells_the_ending(logger, kept, app, fields, level):
    with contextlib.suppress(RuntimeError, ClientDisconnected):
        await ask(AccessLogMiddleware(app, logger=logger))
    record = kept.record
    assert fields_of(record, "status", "error", "disconnected") == fields
    assert record.levelno == level
    assert record.exc_info is None  # the server logs it
    assert "secret" not in record.getMessage()


async def test_the_line_tells_the_class_of_the_error_and_that_the_client_has_left(logger, kept):
    for error in (RAISED, LEFT):
        with pytest.raises(type(error)):
            await ask(AccessLogMiddleware(answering(None, error=error), logger=logger))
    crashed, left = kept.lines
    assert re.search(r'" 500 .* seconds=[\d.]+ error=RuntimeError$', crashed)
    assert re.search(r'" 499 .* seconds=[\d.]+ disconnected error=ClientDisconnected$', left)


async def test_a_request_that_is_cancelled_is_told_of(logger, kept):
    with anyio.CancelScope() as cancellation:

        async def app(scope, receive, send):
            cancellation.cancel()
            await anyio.sleep_forever()

        await ask(AccessLogMiddleware(app, logger=logger))
    assert fields_of(kept.record, "status", "error") in [
        (500, "CancelledError"),
        (500, "Cancelled"),
    ]


async def test_a_client_that_leaves_a_stream_is_told_of(logger, kept):
    app = App()
    app.add_middleware(AccessLogMiddleware, logger=logger)

    @app.get("/")
    async def endless(request):
        yield b"first"
        await anyio.sleep_forever()

    async with AsyncTestClient(app) as client, client.open("GET", "/") as exchange:
        assert await exchange.read() == b"first"
    record = kept.record
    assert fields_of(record, "status", "disconnected", "bytes_sent") == (200, True, 5)
    assert record.levelno == logging.INFO


@pytest.mark.parametrize("name", ["ClientDisconnect", "WebSocketDisconnect"])
async def test_what_other_frameworks_raise_at_a_disconnect_is_no_crash(logger, kept, name):
    error = type(name, (Exception,), {})()
    with pytest.raises(type(error)):
        await ask(AccessLogMiddleware(answering(None, error=error), logger=logger))
    assert fields_of(kept.record, "status", "disconnected", "error") == (499, True, name)
    assert kept.record.levelno == logging.INFO


async def test_a_send_that_says_that_the_client_has_left_is_no_crash(logger, kept):
    server = FakeServer(spec_version="2.4")
    server.leave()
    with pytest.raises(OSError, match="gone"):
        await AccessLogMiddleware(plain, logger=logger)(server.scope, server.receive, server.send)
    assert fields_of(kept.record, "status", "disconnected", "error") == (499, True, "OSError")
    assert kept.record.levelno == logging.INFO


@pytest.mark.parametrize("outermost", [AccessLogMiddleware, RequestIDMiddleware])
async def test_the_request_id_is_told_whichever_layer_is_further_out(logger, kept, outermost):
    app = plain
    layers = [
        lambda app: AccessLogMiddleware(app, logger=logger),
        lambda app: RequestIDMiddleware(app, generate=lambda: "made"),
    ]
    for wrap in layers if outermost is RequestIDMiddleware else reversed(layers):
        app = wrap(app)
    server = FakeServer()
    del server.scope["state"]
    await app(server.scope, server.receive, server.send)
    assert kept.record.request_id == "made"
    assert kept.record.getMessage().endswith(" request_id=made")


async def test_the_request_id_of_anybody_else_is_escaped(logger, kept):
    await ask(AccessLogMiddleware(plain, logger=logger), state={"request_id": "a\nb"})
    assert kept.record.request_id == r"a\nb"


# What is asked for


@pytest.mark.parametrize(
    ("skip", "path", "is_told"),
    [
        ((), "/health", True),
        (["/health"], "/health", False),
        ("/health", "/health", False),
        (["/health"], "/health/more", True),
        (["/health"], "/", True),
        (lambda connection: connection.headers.get("x-probe") == "1", "/", False),
        (lambda connection: connection.is_websocket, "/", True),
    ],
)
async def test_what_is_skipped_is_not_told(logger, kept, skip, path, is_told):
    app = AccessLogMiddleware(plain, logger=logger, skip=skip)
    server = await ask(app, path=path, headers=[(b"x-probe", b"1")])
    assert server.body == b"body"
    assert bool(kept.records) is is_told


async def test_skipped_paths_are_those_below_the_mount(logger, kept):
    app = AccessLogMiddleware(plain, logger=logger, skip=["/health"])
    await ask(app, path="/mounted/health", root_path="/mounted")
    assert kept.records == []


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (lambda connection, outcome: logging.DEBUG, None),
        (lambda connection, outcome: None, None),
        (lambda connection, outcome: logging.CRITICAL, logging.CRITICAL),
        (lambda connection, outcome: 10 + outcome.status // 10, 30),
        (lambda connection, outcome: None if connection.path == "/" else logging.ERROR, None),
    ],
)
async def test_the_level_can_be_said(logger, kept, level, expected):
    await ask(AccessLogMiddleware(plain, logger=logger, level=level))
    assert [record.levelno for record in kept.records] == ([] if expected is None else [expected])


async def test_a_logger_that_is_off_leaves_the_app_alone(logger, kept):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    layer = AccessLogMiddleware(app, logger=logger)
    logger.disabled = True
    scope, receive, send = http_scope(), object(), object()
    await layer(scope, receive, send)
    assert seen == [(scope, receive, send)]
    assert kept.records == []


class Unread(dict):
    """A scope of which nothing is read that stands in a record."""

    def __getitem__(self, key):
        assert key not in {"client", "method", "path", "headers"}, f"{key} was read"
        return super().__getitem__(key)

    def get(self, key, default=None):
        assert key not in {"client", "method", "raw_path", "query_string"}, f"{key} was read"
        return super().get(key, default)


async def test_a_record_below_the_level_of_its_logger_is_not_made(logger, kept):
    logger.setLevel(logging.WARNING)
    server = FakeServer()
    layer = AccessLogMiddleware(plain, logger=logger)
    await layer(Unread(server.scope), server.receive, server.send)
    assert kept.records == []


async def test_the_query_and_the_user_agent_are_told_where_they_are_asked_for(logger, kept):
    app = AccessLogMiddleware(plain, logger=logger, include_query=True, include_user_agent=True)
    headers = [(b"user-agent", b'agent "7"\x1b[0m'), (b"cookie", b"secret"), (b"x-key", b"secret")]
    await ask(app, path="/a?b=1&c=%0a", headers=headers)
    record = kept.record
    assert fields_of(record, "query", "user_agent") == ("b=1&c=%0a", r"agent \"7\"\x1b[0m")
    assert '"GET /a?b=1&c=%0a HTTP/1.1" 200 ' in record.getMessage()
    assert record.getMessage().endswith(r' "agent \"7\"\x1b[0m"')
    assert "secret" not in str(vars(record))


@pytest.mark.parametrize(
    ("app", "method", "is_told"),
    [
        (answering(200, b"a", b"b"), "GET", True),
        (answering(200, b"a", headers=[(b"content-length", b"1")]), "GET", False),
        (answering(200, b""), "HEAD", False),
        (answering(304, b""), "GET", False),
    ],
)
async def test_what_may_go_on_for_long_is_told_of_at_its_head(logger, kept, app, method, is_told):
    seen = []

    async def looking(scope, receive, send):
        async def look(message):
            await send(message)
            seen.append([record.event for record in kept.records])

        await app(scope, receive, look)

    await ask(AccessLogMiddleware(looking, logger=logger, log_begin=True), method=method)
    assert seen[0] == (["begin"] if is_told else [])
    assert [record.event for record in kept.records] == ["begin"] * is_told + ["end"]
    if is_told:
        begin = kept.records[0]
        assert fields_of(begin, "status", "seconds", "levelno") == (200, None, logging.INFO)
        assert begin.getMessage() == '127.0.0.1:50000 "GET / HTTP/1.1" 200 begins'
        assert set(vars(begin)) == set(vars(kept.records[1]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"skip": ["health"]}, ValueError, "'health' in skip is not a path"),
        ({"skip": "health"}, ValueError, "'health' in skip is not a path"),
        ({"level": logging.INFO}, TypeError, "level is a function of a connection"),
    ],
)
def test_wrong_options_are_refused_at_construction(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        AccessLogMiddleware(plain, **options)


# What a client can make it say


@pytest.mark.parametrize(
    ("raw_path", "told"),
    [
        (b"/a%0d%0aINFO", "/a%0d%0aINFO"),
        (b"/a\r\nINFO", r"/a\r\nINFO"),
        (b'/a" 200', r"/a\" 200"),
        (b"/a\\", r"/a\\"),
        ("/\u2028\u0085\u202e".encode(), r"/\u2028\x85\u202e"),
        (b"/\xff", r"/\udcff"),
        ("/naïve".encode(), "/naïve"),
        (b"/" + b"x" * 5000, "/" + "x" * 1023 + "..."),
    ],
)
async def test_a_path_is_told_escaped_and_cut(logger, kept, raw_path, told):
    await ask(AccessLogMiddleware(plain, logger=logger), raw_path=raw_path)
    assert kept.record.path == told
    assert f'"GET {told} HTTP/1.1"' in kept.record.getMessage()


async def test_a_path_that_the_server_has_only_decoded_is_encoded_again(logger, kept):
    await ask(AccessLogMiddleware(plain, logger=logger), path='/a b\r\n"', raw_path=None)
    assert kept.record.path == "/a%20b%0D%0A%22"


@given(
    raw=st.binary(max_size=40),
    text=st.text(max_size=40),
    method=st.text(max_size=10),
    agent=st.binary(max_size=40),
)
def test_a_line_stays_one_line_whatever_a_client_sends(raw, text, method, agent):
    kept, logger = Kept(), logging.Logger("access of a test")
    logger.addHandler(kept)
    options = {"include_query": True, "include_user_agent": True}
    app = AccessLogMiddleware(plain, logger=logger, **options)
    serving = ask(
        app,
        raw_path=raw,
        method=method,
        client=(text, 1),
        query_string=raw,
        headers=[(b"user-agent", agent)],
        http_version=text,
        state={"request_id": text},
    )
    with pytest.raises(StopIteration):  # it waits for nothing
        serving.send(None)
    line = kept.record.getMessage()
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    # Every quotation mark that is not the log's own is escaped.
    assert len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) == 4
    assert JSONFormatter().format(kept.record).isprintable()


@given(st.text())
def test_what_is_escaped_can_be_told_apart(text):
    escaped = escape(text)
    assert escaped.isprintable()
    if len(text) <= 1024:
        assert (
            re.sub(r"[^ -~]", lambda match: ascii(match[0])[1:-1], escaped)
            .encode("ascii")
            .decode("unicode_escape")
            == text
        )


# WebSockets and frameworks


def asgi_rt_app():
    app = App()

    @app.get("/rows")
    async def rows(request):
        for _ in range(3):
            yield b"row\n"

    @app.get("/refused")
    async def refused(request):
        raise HTTPError(409)

    @app.get("/crash")
    async def crash(request):
        raise RuntimeError

    @app.websocket("/echo")
    async def echo(ws):
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text * 2)

    @app.websocket("/close")
    async def close(ws):
        await ws.accept()
        await ws.close(4000)

    @app.websocket("/deny")
    async def deny(ws):
        await ws.deny(401, "no")

    return app


async def rows(request: fastapi.Request):
    async def chunks():
        for _ in range(3):
            yield b"row\n"

    return StreamingResponse(chunks())


async def refused(request: fastapi.Request):
    return PlainTextResponse("no", 409)


async def crash(request: fastapi.Request):
    raise RuntimeError


async def echo(websocket: fastapi.WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text * 2)


async def close(websocket: fastapi.WebSocket):
    await websocket.accept()
    await websocket.close(4000)


async def deny(websocket: fastapi.WebSocket):
    await websocket.send_denial_response(PlainTextResponse("no", 401))


ENDPOINTS = {"/rows": rows, "/refused": refused, "/crash": crash}
SOCKETS = {"/echo": echo, "/close": close, "/deny": deny}


def starlette_app():
    return starlette_of(ENDPOINTS, SOCKETS)


def fastapi_app():
    return fastapi_of(ENDPOINTS, SOCKETS)


@pytest.fixture(params=[asgi_rt_app, starlette_app, fastapi_app])
async def client(request, logger):
    app = request.param()
    app.add_middleware(AccessLogMiddleware, logger=logger)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/rows", 200, (200, None, logging.INFO)),
        ("/refused", 409, (409, None, logging.WARNING)),
        ("/crash", 500, (500, "RuntimeError", logging.ERROR)),
    ],
)
async def test_requests_to_the_frameworks_are_told_of(client, kept, path, status, told):
    response = await client.get(path)
    assert response.status_code == status
    assert fields_of(kept.record, "status", "error", "levelno") == told
    if path == "/rows":
        assert fields_of(kept.record, "bytes_sent", "chunks")[0] == 12


async def test_a_websocket_is_told_of_with_code_and_counts(client, kept):
    async with client.websocket_connect("/echo") as ws:
        for text in ("abc", "é"):
            await ws.send(text)
            assert await ws.receive_text() == text * 2
        await ws.close(4001)
    record = kept.record
    assert fields_of(record, "type", "method", "status", "code") == ("websocket", "GET", 101, 4001)
    assert fields_of(record, "messages_received", "bytes_received") == (2, 5)
    assert fields_of(record, "chunks", "bytes_sent", "disconnected") == (2, 10, True)
    assert re.fullmatch(
        r'127\.0\.0\.1:50000 "GET /echo HTTP/1\.1" 101 bytes_sent=10 chunks=2 code=4001'
        r" bytes_received=5 messages_received=2 seconds=[\d.]+ seconds_to_head=[\d.]+ disconnected",
        record.getMessage(),
    )


async def test_a_websocket_that_the_app_closes_is_told_of(client, kept):
    async with client.websocket_connect("/close") as ws:
        assert [message async for message in ws] == []
    assert fields_of(kept.record, "status", "code", "disconnected") == (101, 4000, False)


async def test_a_denied_websocket_is_told_of(client, kept):
    with pytest.raises(WebSocketDenied):
        async with client.websocket_connect("/deny"):
            pass
    assert fields_of(kept.record, "status", "code", "bytes_sent") == (401, None, 2)
    assert kept.record.levelno == logging.WARNING


async def test_a_websocket_is_told_of_at_its_head(logger, kept):
    app = asgi_rt_app()
    app.add_middleware(AccessLogMiddleware, logger=logger, log_begin=True)
    async with AsyncTestClient(app) as client:
        async with client.websocket_connect("/echo"):
            assert kept.lines == ['127.0.0.1:50000 "GET /echo HTTP/1.1" 101 begins']
        assert [record.event for record in kept.records] == ["begin", "end"]


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (Outcome(status=101, code=1011, error=RAISED, disconnected=True), logging.ERROR),
        (Outcome(status=101, code=1006, disconnected=True), logging.INFO),
        (Outcome(status=101, error=OSError(), disconnected=True), logging.INFO),
        (Outcome(status=200, error=OSError()), logging.ERROR),
        (Outcome(status=500), logging.ERROR),
    ],
)
def test_what_crashes_is_an_error_and_a_client_that_leaves_is_none(outcome, level):
    assert default_level(None, outcome) == level


# JSON


def record_of(message="text", *args, **extra):
    logger = logging.Logger("a.logger")
    return logger.makeRecord("a.logger", logging.WARNING, "", 0, message, args, None, extra=extra)


def formatted(record):
    text = JSONFormatter().format(record)
    assert text.isprintable()
    return json.loads(text)


def test_a_record_becomes_a_line_of_json():
    record = record_of("%s of %d", "one", 2, answer=42, nothing=None, nested={"a": [1]})
    record.created = 1.5
    assert formatted(record) == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "level": "WARNING",
        "logger": "a.logger",
        "message": "one of 2",
        "answer": 42,
        "nothing": None,
        "nested": {"a": [1]},
    }


async def test_the_json_of_an_access_record_has_its_fields(logger, kept):
    await ask(AccessLogMiddleware(plain, logger=logger), path="/a")
    fields = formatted(kept.record)
    assert fields["message"] == kept.record.getMessage()
    assert {name: fields[name] for name in ("path", "status", "bytes_sent", "code")} == {
        "path": "/a",
        "status": 200,
        "bytes_sent": 4,
        "code": None,
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00+00:00"),
        (Decimal("1.50"), "1.50"),
        (object, "<class 'object'>"),
        (2**70, str(2**70)),
        ("\ud800", "\\ud800"),
        ({"deep": object}, "{'deep': <class 'object'>}"),
        ("a\n\u2028\x85\x7f\u202eb", "a\n\u2028\x85\x7f\u202eb"),
        (float("nan"), None),
    ],
)
def test_any_value_can_be_written(value, written):
    fields = formatted(record_of(value=value, other=1))
    assert (fields["value"], fields["other"], fields["message"]) == (written, 1, "text")


def test_an_exception_and_a_stack_are_written():
    try:
        raise RAISED
    except RuntimeError:
        logger, kept = logging.Logger("a.logger"), Kept()
        logger.addHandler(kept)
        logger.exception("failed", stack_info=True)
    fields = formatted(kept.record)
    assert fields["exception"].endswith("RuntimeError: tells a secret")
    assert "test_an_exception_and_a_stack_are_written" in fields["stack"]
    assert [*fields][-2:] == ["exception", "stack"]


def test_the_names_that_come_first_are_never_overwritten():
    fields = formatted(record_of(time="t", level="l", logger="g"))
    assert (fields["level"], fields["logger"]) == ("WARNING", "a.logger")
    assert fields["time"] != "t"


async def test_a_record_factory_that_sets_one_of_the_fields_itself_is_no_obstacle(caplog):
    plain = logging.getLogRecordFactory()

    def factory(*args, **kwargs):
        record = plain(*args, **kwargs)
        record.request_id = record.path = "theirs"
        return record

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    caplog.set_level(logging.INFO, "asgi_rt.access")
    server = FakeServer(path="/page")
    logging.setLogRecordFactory(factory)
    try:
        await AccessLogMiddleware(app)(server.scope, server.receive, server.send)
    finally:
        logging.setLogRecordFactory(plain)
    assert [record.path for record in caplog.records] == ["/page"]
