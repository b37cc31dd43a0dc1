"""What stands in Server-Timing: the time to the head, and what handlers have added."""

import contextlib
import re

import anyio
import anyio.lowlevel
import fastapi
import pytest
from fakes import FakeServer
from hypothesis import given
from hypothesis import strategies as st
from middleware.foreign import fastapi_of, starlette_of
from starlette.responses import PlainTextResponse

from asgi_rt import App
from asgi_rt.middleware.timing import Metric, TimingMiddleware, server_timing
from asgi_rt.testing import AsyncTestClient, WebSocketDenied


class Clock:
    """A time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def answering(*headers, during=None):
    """An app that sends these headers, once it has done what it does."""

    async def app(scope, receive, send):
        if during is not None:
            during()
        head = {"type": "http.response.start", "status": 200, "headers": [*headers]}
        await send(head)
        await send({"type": "http.response.body", "body": b"body", "more_body": False})

    return app


async def fields_of(app, **scope):
    """The header fields of the answer, as pairs."""
    server = FakeServer(**scope)
    await app(server.scope, server.receive, server.send)
    assert server.is_complete
    return [(name.decode(), value.decode()) for name, value in server.messages[0]["headers"]]


async def timings_of(app):
    return [value for name, value in await fields_of(app) if name == "server-timing"]


# The layer


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "app;dur=250.000"),
        ({"name": "total"}, "total;dur=250.000"),
        ({"description": 'a "whole" request'}, r'app;dur=250.000;desc="a \"whole\" request"'),
    ],
)
async def test_the_time_to_the_head_is_told(options, expected):
    clock = Clock()

    async def app(scope, receive, send):
        clock.now += 0.25
        await send({"type": "http.response.start", "status": 200, "headers": []})
        clock.now += 10
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    assert await timings_of(TimingMiddleware(app, clock=clock, **options)) == [expected]


async def test_the_entries_of_the_app_are_kept():
    app = answering((b"server-timing", b'cache;desc="hit"'), (b"server-timing", b"db;dur=5"))
    *kept, own = await timings_of(TimingMiddleware(app))
    assert kept == ['cache;desc="hit"', "db;dur=5"]
    assert own.startswith("app;dur=")


async def test_each_of_two_layers_tells_its_own_time():
    clock = Clock()

    def later(app, seconds):
        async def serve(scope, receive, send):
            clock.now += seconds
            await app(scope, receive, send)

        return serve

    app = later(answering(during=lambda: server_timing("db", 0.5)), 1)
    inner = TimingMiddleware(app, name="inner", clock=clock)
    outer = TimingMiddleware(later(inner, 2), name="outer", clock=clock)
    assert await timings_of(outer) == [
        "db;dur=500.000, inner;dur=1000.000",
        "outer;dur=3000.000",
    ]


async def test_the_apps_own_list_of_headers_is_left_alone():
    headers = [(b"content-type", b"text/plain")]
    message = {"type": "http.response.start", "status": 200, "headers": headers}

    async def app(scope, receive, send):
        await send(message)
        await send({"type": "http.response.body"})

    server = FakeServer()
    await TimingMiddleware(app, process_time=True)(server.scope, server.receive, server.send)
    assert message["headers"] is headers
    assert headers == [(b"content-type", b"text/plain")]


async def test_process_time_is_told_in_seconds():
    clock = Clock()

    def during():
        clock.now += 1.5

    fields = await fields_of(TimingMiddleware(answering(during=during), clock=clock))
    assert "x-process-time" not in dict(fields)
    app = TimingMiddleware(answering(during=during), clock=clock, process_time=True)
    assert dict(await fields_of(app))["x-process-time"] == "1.500000"


@pytest.mark.parametrize(
    ("allow_origins", "value"),
    [
        (None, None),
        ((), None),
        ("*", "*"),
        ("https://a.example", "https://a.example"),
        (
            ["https://a.example", "http://localhost:3000"],
            "https://a.example, http://localhost:3000",
        ),
    ],
)
async def test_other_sites_may_read_it_where_they_are_allowed(allow_origins, value):
    app = TimingMiddleware(answering(), allow_origins=allow_origins)
    assert dict(await fields_of(app)).get("timing-allow-origin") == value


async def test_the_apps_own_timing_allow_origin_holds():
    app = answering((b"timing-allow-origin", b"https://own.example"))
    fields = await fields_of(TimingMiddleware(app, allow_origins="*"))
    assert [value for name, value in fields if name == "timing-allow-origin"] == [
        "https://own.example"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "my app"}, "'my app' cannot name a timing"),
        ({"name": ""}, "'' cannot name a timing"),
        ({"description": "größe"}, "cannot describe a timing"),
        ({"description": "a\r\nb"}, "cannot describe a timing"),
        ({"allow_origins": "https://A.example"}, "in allow_origins is not an origin"),
        ({"allow_origins": ["https://a.example/"]}, "in allow_origins is not an origin"),
        ({"allow_origins": "a.example"}, "in allow_origins is not an origin"),
        ({"allow_origins": "https://a.example, *"}, "in allow_origins is not an origin"),
    ],
)
def test_wrong_options_are_refused_at_construction(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TimingMiddleware(answering(), **options)


async def test_the_app_gets_the_servers_own_receive():
    seen = []

    async def app(scope, receive, send):
        seen.append(receive)
        await answering()(scope, receive, send)

    server = FakeServer()
    await TimingMiddleware(app)(server.scope, server.receive, server.send)
    assert seen == [server.receive]


# Entries of handlers


def test_an_entry_is_written_as_the_specification_has_it():
    assert str(Metric("miss")) == "miss"
    assert str(Metric("db", 0.012)) == "db;dur=12.000"
    assert str(Metric("db", 0, description="")) == 'db;dur=0.000;desc=""'
    assert str(Metric("cache", description='a\\b "c"')) == r'cache;desc="a\\b \"c\""'


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_seconds_that_are_none_are_refused(seconds):
    with pytest.raises(ValueError, match="a timing takes 0 seconds or more"):
        server_timing("db", seconds)


_ENTRY = re.compile(
    r"(?P<name>[^;,\s\"=]+)(?:;dur=(?P<dur>\d+\.\d{3}))?(?:;desc=\"(?P<desc>.*)\")?"
)


@given(st.text(max_size=20), st.floats(0, 1e9) | st.none(), st.text(max_size=20) | st.none())
def test_any_text_is_refused_or_comes_back_as_it_was(name, seconds, description):
    try:
        metric = Metric(name, seconds, description=description)
    except ValueError:
        is_token = (
            name.isascii() and name.isprintable() and not set(name) & set(' "(),/:;<=>?@[\\]{}')
        )
        has_text = description is None or (
            description.isascii() and description.replace("\t", "").isprintable()
        )
        assert not (name and is_token and has_text)
        return
    entry = _ENTRY.fullmatch(str(metric))
    assert entry is not None
    assert entry["name"] == name
    if seconds is None:
        assert entry["dur"] is None
    else:
        assert float(entry["dur"]) == pytest.approx(seconds * 1000, abs=0.001)
    quoted = entry["desc"]
    assert (None if quoted is None else re.sub(r"\\(.)", r"\1", quoted)) == description


async def test_entries_stand_in_the_order_of_their_calls_before_the_apps():
    clock = Clock()

    def during():
        server_timing("miss", description="cold")
        with server_timing("db"):
            clock.now += 0.5
            server_timing("auth", 0.001)

    (line,) = await timings_of(TimingMiddleware(answering(during=during), clock=clock))
    assert line == ('miss;desc="cold", db;dur=500.000, auth;dur=1.000, app;dur=500.000')


async def test_a_block_that_raises_is_measured_too():
    clock = Clock()

    def during():
        with contextlib.suppress(KeyError), server_timing("db"):
            clock.now += 0.5
            raise KeyError

    (line,) = await timings_of(TimingMiddleware(answering(during=during), clock=clock))
    assert line.startswith("db;dur=500.000, ")


async def test_blocks_of_one_entry_add_up():
    clock = Clock()

    def during():
        db = server_timing("db")
        for _ in range(3):
            with db:
                clock.now += 0.1
            clock.now += 1

    (line,) = await timings_of(TimingMiddleware(answering(during=during), clock=clock))
    assert line == "db;dur=300.000, app;dur=3300.000"


async def test_a_block_that_is_open_at_the_head_has_no_duration():
    async def app(scope, receive, send):
        with server_timing("whole"):
            await answering()(scope, receive, send)

    (line,) = await timings_of(TimingMiddleware(app))
    assert re.fullmatch(r"whole, app;dur=[\d.]+", line)


async def test_what_comes_after_the_head_or_beyond_a_hundred_entries_is_left_out():
    async def app(scope, receive, send):
        for number in range(150):
            server_timing(f"n{number}", 0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        server_timing("late", 0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    (line,) = await timings_of(TimingMiddleware(app))
    assert [entry.partition(";")[0] for entry in line.split(", ")] == [
        *(f"n{number}" for number in range(100)),
        "app",
    ]


def test_without_the_layer_an_entry_goes_nowhere():
    with server_timing("db") as metric:
        pass
    assert metric.seconds >= 0
    with pytest.raises(ValueError, match="cannot name a timing"):
        server_timing("d b")


async def test_a_handler_that_calls_another_app_keeps_its_own_entries():
    inner = TimingMiddleware(answering(during=lambda: server_timing("inner", 0)))

    async def app(scope, receive, send):
        server_timing("before", 0)
        (line,) = await timings_of(inner)
        assert line.startswith("inner;dur=0.000, app;")
        server_timing("after", 0)
        await answering()(scope, receive, send)

    (line,) = await timings_of(TimingMiddleware(app))
    assert line.startswith("before;dur=0.000, after;dur=0.000, app;")


async def test_connections_at_the_same_time_keep_their_entries_apart():
    async def app(scope, receive, send):
        name = scope["path"].removeprefix("/")
        for _ in range(3):
            server_timing(name, 0)
            await anyio.lowlevel.checkpoint()
        await answering()(scope, receive, send)

    layer = TimingMiddleware(app)

    async def ask(number):
        fields = dict(await fields_of(layer, path=f"/n{number}"))
        names = [entry.partition(";")[0] for entry in fields["server-timing"].split(", ")]
        assert names == [*[f"n{number}"] * 3, "app"]

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(ask, number)


# In the frameworks


def timed():
    """What every handler below does."""
    server_timing("db", 0.012)


LINE = re.compile(r"db;dur=12\.000, app;dur=[\d.]+")


def asgi_rt_app():
    app = App()

    @app.get("/async")
    async def of_async(request):
        timed()
        return "text"

    @app.get("/sync")
    def of_sync(request):
        timed()
        return "text"

    @app.websocket("/accept")
    async def accepted(ws):
        timed()
        await ws.accept()

    @app.websocket("/deny")
    async def denied(ws):
        timed()
        await ws.deny(403)

    return app


async def of_async(request: fastapi.Request):
    timed()
    return PlainTextResponse("text")


def of_sync(request: fastapi.Request):
    timed()
    return PlainTextResponse("text")


async def accepted(websocket: fastapi.WebSocket):
    timed()
    await websocket.accept()
    await websocket.close()


async def denied(websocket: fastapi.WebSocket):
    timed()
    await websocket.send_denial_response(PlainTextResponse("no", 403))


ENDPOINTS = {"/async": of_async, "/sync": of_sync}
SOCKETS = {"/accept": accepted, "/deny": denied}


def starlette_app():
    return starlette_of(ENDPOINTS, SOCKETS)


def fastapi_app():
    return fastapi_of(ENDPOINTS, SOCKETS)


@pytest.fixture(params=[asgi_rt_app, starlette_app, fastapi_app])
async def client(request):
    app = request.param()
    app.add_middleware(TimingMiddleware)
    async with AsyncTestClient(app) as client:
        yield client


@pytest.mark.parametrize("path", ["/async", "/sync"])
async def test_handlers_add_their_entries(client, path):
    assert LINE.fullmatch((await client.get(path)).headers["server-timing"])


async def test_an_accepted_websocket_tells_its_timings(client):
    async with client.websocket_connect("/accept") as ws:
        assert LINE.fullmatch(ws.headers["server-timing"])


async def test_a_denied_websocket_tells_its_timings(client):
    with pytest.raises(WebSocketDenied) as refusal:
        async with client.websocket_connect("/deny"):
            pass
    assert LINE.fullmatch(refusal.value.response.headers["server-timing"])


async def test_entries_come_through_the_tasks_of_a_starlette_middleware():
    app = fastapi_app()

    @app.middleware("http")
    async def passing(request, call_next):
        return await call_next(request)

    app.add_middleware(TimingMiddleware)
    async with AsyncTestClient(app) as client:
        assert LINE.fullmatch((await client.get("/sync")).headers["server-timing"])
