"""What is counted of a connection, under which labels, and that all of it comes back down."""

import gc
import subprocess
import sys
import weakref

import anyio
import pytest
from fakes import FakeServer, http_scope
from fastapi import APIRouter, FastAPI, WebSocket
from middleware.served_metrics import TICK, make
from prometheus_client import CollectorRegistry, Counter

from asgi_rt import App, HTTPError, WebSocketClosed
from asgi_rt.http.servers import waits_for_futures
from asgi_rt.middleware import Outcome
from asgi_rt.middleware.metrics import MetricsMiddleware
from asgi_rt.middleware.metrics.labels import (
    close_label,
    method_label,
    route_label,
    status_label,
)
from asgi_rt.testing import AsyncTestClient, Exchange, WebSocketDenied

KINDS = ("asgi_rt", "starlette", "fastapi")
ITEMS = {
    "asgi_rt": "/items/{item_id:int}",
    "starlette": "/items/{item_id:int}",
    "fastapi": "/items/{item_id}",
}
GAUGES = ("asgi_requests_in_progress", "asgi_streams_open", "asgi_websockets_open")


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def client(kind, registry):
    """A client of the same app in each framework."""
    return AsyncTestClient(make(kind, registry), raise_server_exceptions=False)


@pytest.fixture
def value(registry):
    """The value of a sample, by its name without the prefix and its labels; None if not there."""

    def value(name, **labels):
        return registry.get_sample_value(f"asgi_{name}", {k: str(v) for k, v in labels.items()})

    return value


def series(registry):
    """All that is exposed, but for when it was made."""
    return {
        (sample.name, *sorted(sample.labels.items()))
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


def open_now(registry):
    """What all gauges hold together."""
    return sum(
        sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name in GAUGES
    )


# Labels


@pytest.mark.parametrize(
    ("method", "label"),
    [
        ("GET", "GET"),
        ("CONNECT", "CONNECT"),
        ("get", "OTHER"),
        ("PROPFIND", "OTHER"),
        ("X" * 1000, "OTHER"),
    ],
)
def test_a_method_that_is_not_standard_is_other(method, label):
    assert method_label(http_scope(method=method)) == label


def test_a_handshake_has_a_method_of_its_own():
    assert method_label({"type": "websocket"}) == "WEBSOCKET"


class Named:
    def __init__(self, path):
        self.path = path


@pytest.mark.parametrize(
    ("route", "label"),
    [
        (Named("/items/{id}"), "/items/{id}"),
        (Named(""), "/"),
        (Named(None), "unmatched"),
        (object(), "unmatched"),
        (None, "unmatched"),
    ],
)
def test_the_route_is_its_template_or_unmatched(route, label):
    assert route_label({"type": "http", "route": route}) == label


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Outcome(status=204), 204),
        (Outcome(status=200, error=RuntimeError()), 200),
        (Outcome(error=RuntimeError()), 500),
        (Outcome(error=HTTPError(413)), 413),
        (Outcome(disconnected=True), 499),
        (Outcome(disconnected=True, error=OSError()), 499),
    ],
)
def test_the_status_of_what_had_no_head(outcome, label):
    assert status_label(outcome) == label


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Outcome(code=1000), 1000),
        (Outcome(code=4321), 4321),
        (Outcome(code=1001, disconnected=True), 1001),
        (Outcome(code=4321, disconnected=True), "OTHER"),
        (Outcome(code=70000, disconnected=True), "OTHER"),
        (Outcome(), 1006),
        (Outcome(error=RuntimeError()), 1011),
        (Outcome(error=OSError(), disconnected=True), 1006),
        (Outcome(error=KeyboardInterrupt()), 1006),
    ],
)
def test_the_code_of_a_close(outcome, label):
    assert close_label(outcome) == label


# Requests


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/items/7", "ITEM", 200),
        ("GET", "/items/8", "ITEM", 200),
        ("GET", "/nothing", "unmatched", 404),
        ("BREW", "/nothing", "unmatched", 404),
        ("GET", "/crash", "/crash", 500),
    ],
)
async def test_an_answer_is_counted(client, kind, value, method, path, route, status):
    assert (await client.request(method, path)).status_code == status
    route = ITEMS[kind] if route == "ITEM" else route
    method = "OTHER" if method == "BREW" else method
    assert value("requests_total", method=method, route=route, status=status) == 1
    assert value("request_duration_seconds_count", method=method, route=route) == 1
    assert value("requests_in_progress") == 0


async def test_the_series_do_not_grow_with_what_clients_send(client, registry):
    async def send_all(number):
        await client.get(f"/items/{number}")
        await client.get(f"/no/{number}", headers={"x-number": str(number)})
        await client.request(f"METHOD{number}", f"/items/{number}")
        await client.get(f"/no?{number}")
        with pytest.raises(WebSocketDenied):
            async with client.websocket_connect(f"/no/{number}"):
                pass
        async with client.websocket_connect(f"/echo/{number}") as ws:
            await ws.close(4000 + number)

    await send_all(0)
    before = series(registry)
    for number in range(1, 20):
        await send_all(number)
    assert series(registry) == before


async def test_the_body_that_was_read_and_the_one_that_was_sent_are_counted(client, value):
    answer = await client.post("/upload", content=b"x" * 100_000)
    assert answer.json() == {"bytes": 100_000}
    assert value("bytes_received_total", route="/upload") == 100_000
    assert value("bytes_sent_total", route="/upload") == len(answer.content)


async def test_of_requests_without_a_body_none_is_counted(client, kind, value):
    await client.get("/items/1")
    assert value("bytes_received_total", route=ITEMS[kind]) is None


async def test_a_request_is_in_progress_until_it_is_over(registry, value):
    entered, leave = anyio.Event(), anyio.Event()
    app = App()

    @app.get("/")
    async def wait(request):
        entered.set()
        await leave.wait()

    app.add_middleware(MetricsMiddleware, registry=registry)
    async with AsyncTestClient(app) as client, client.open("GET", "/") as exchange:
        await entered.wait()
        assert value("requests_in_progress") == 1
        assert series(registry) == {("asgi_requests_in_progress",)}
        leave.set()
        await exchange.head()
        await exchange.wait_done()
        assert value("requests_in_progress") == 0


@pytest.fixture
def included(registry):
    """An app of FastAPI with routers in routers."""
    inner, outer = APIRouter(prefix="/items"), APIRouter(prefix="/v1")

    @inner.get("/{item_id}")
    async def item(item_id: int):
        return item_id

    @inner.websocket("/{item_id}/live")
    async def live(ws: WebSocket):
        await ws.accept()
        await ws.close()

    app = FastAPI()
    outer.include_router(inner)
    app.include_router(outer, prefix="/api")
    app.add_middleware(MetricsMiddleware, registry=registry)
    return AsyncTestClient(app)


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/api/v1/items/3", "/api/v1/items/{item_id}", 200),
        ("GET", "/api/v1/items/x", "/api/v1/items/{item_id}", 422),
        ("POST", "/api/v1/items/3", "/api/v1/items/{item_id}", 405),
        ("GET", "/api/v1/none", "unmatched", 404),
    ],
)
async def test_a_route_of_an_included_router_is_named_in_full(
    included, value, method, path, route, status
):
    await included.request(method, path)
    assert value("requests_total", method=method, route=route, status=status) == 1


async def test_a_websocket_of_an_included_router_is_named_in_full(included, value):
    async with included.websocket_connect("/api/v1/items/3/live") as ws:
        await ws.wait_closed()
    route = "/api/v1/items/{item_id}/live"
    assert value("requests_total", method="WEBSOCKET", route=route, status=101) == 1


async def test_a_route_of_a_mount_in_starlette_is_named_below_the_mount(registry, value):
    """As Starlette leaves it in the scope; where it is mounted is not told."""
    async with AsyncTestClient(make("starlette", registry)) as client:
        await client.get("/mounted/items/3")
    assert value("requests_total", method="GET", route="/items/{item_id}", status=200) == 1


# Streams


async def test_a_stream_is_open_from_its_head_to_its_end(client, value):
    async with client.stream("GET", "/ticks") as response:
        exchange = Exchange.of(response)
        assert await exchange.read() == TICK
        assert value("streams_open", route="/ticks") == 1
        assert value("requests_in_progress") == 1
        assert value("requests_total", method="GET", route="/ticks", status=200) == 1
        assert value("time_to_first_byte_seconds_count", method="GET", route="/ticks") == 1
        assert value("bytes_sent_total", route="/ticks") == len(TICK), "counted as it goes"
        assert value("stream_duration_seconds_count", route="/ticks") is None
    await exchange.wait_done()
    assert value("streams_open", route="/ticks") == 0
    assert value("requests_in_progress") == 0
    assert value("stream_duration_seconds_count", route="/ticks") == 1
    assert value("request_duration_seconds_count", method="GET", route="/ticks") is None
    assert value("client_disconnects_total", protocol="http", route="/ticks") == 1


async def send_head(send, status, *headers):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def end(send, body=b""):
    await send({"type": "http.response.body", "body": body, "more_body": False})


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
async def test_a_stream_that_ends_is_no_disconnect(registry, value, count):
    async def app(scope, receive, send):
        await send_head(send, 200)
        for _ in range(count):
            await send({"type": "http.response.body", "body": b"four", "more_body": True})
        await end(send)

    layer = MetricsMiddleware(app, registry=registry)
    async with AsyncTestClient(layer, lifespan=False) as client:
        assert (await client.get("/")).content == b"four" * count
    assert value("bytes_sent_total", route="unmatched") == 4 * count
    assert value("streams_open", route="unmatched") == 0
    assert value("client_disconnects_total", protocol="http", route="unmatched") is None


@pytest.mark.parametrize(
    ("method", "status", "headers", "is_stream"),
    [
        ("GET", 200, [], True),
        ("GET", 404, [], True),
        ("POST", 206, [(b"content-type", b"text/plain")], True),
        ("GET", 200, [(b"content-length", b"0")], False),
        ("HEAD", 200, [], False),
        ("GET", 204, [], False),
        ("GET", 304, [], False),
    ],
)
async def test_what_has_no_length_and_may_have_a_body_is_a_stream(
    registry, value, method, status, headers, is_stream
):
    seen = []

    async def app(scope, receive, send):
        await send_head(send, status, *headers)
        seen.append(value("streams_open", route="unmatched"))
        await end(send)

    server = FakeServer(method=method)
    await MetricsMiddleware(app, registry=registry)(server.scope, server.receive, server.send)
    assert seen == [1 if is_stream else None]
    assert open_now(registry) == 0


# Ways out


async def crash_at_once(scope, receive, send):
    raise RuntimeError("a deliberate crash")


async def crash_in_the_stream(scope, receive, send):
    await send_head(send, 200)
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    raise RuntimeError("a deliberate crash")


async def end_without_an_answer(scope, receive, send):
    pass


async def end_within_the_stream(scope, receive, send):
    await send_head(send, 200)


async def answer_twice(scope, receive, send):
    await send_head(send, 200)
    await send_head(send, 500)
    await end(send)


@pytest.mark.parametrize(
    ("app", "status", "error", "disconnects"),
    [
        (crash_at_once, 500, RuntimeError, None),
        (crash_in_the_stream, 200, RuntimeError, None),
        (end_without_an_answer, 499, None, 1),
        (end_within_the_stream, 200, None, 1),
        (answer_twice, 200, None, None),
    ],
)
async def test_what_ends_is_counted_once_and_open_no_longer(
    registry, value, app, status, error, disconnects
):
    server = FakeServer()
    layer = MetricsMiddleware(app, registry=registry)
    if error is None:
        await layer(server.scope, server.receive, server.send)
    else:
        with pytest.raises(error):
            await layer(server.scope, server.receive, server.send)
    assert value("requests_total", method="GET", route="unmatched", status=status) == 1
    assert value("client_disconnects_total", protocol="http", route="unmatched") == disconnects
    assert open_now(registry) == 0


@pytest.mark.parametrize("begun", [False, True], ids=["before-the-head", "in-the-stream"])
async def test_what_is_cancelled_is_open_no_longer(registry, begun):
    entered = anyio.Event()

    async def app(scope, receive, send):
        if begun:
            await send_head(send, 200)
        entered.set()
        await anyio.sleep_forever()

    server = FakeServer()
    layer = MetricsMiddleware(app, registry=registry)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(layer, server.scope, server.receive, server.send)
        await entered.wait()
        assert open_now(registry) == 1 + begun
        tasks.cancel_scope.cancel()
    assert open_now(registry) == 0


async def test_a_client_that_a_send_tells_of_is_a_disconnect(registry, value):
    async def app(scope, receive, send):
        await send_head(send, 200)

    server = FakeServer(spec_version="2.4")
    server.leave()
    with pytest.raises(OSError, match="gone"):
        await MetricsMiddleware(app, registry=registry)(server.scope, server.receive, server.send)
    assert value("client_disconnects_total", protocol="http", route="unmatched") == 1
    assert open_now(registry) == 0


# WebSockets


async def test_a_websocket_is_counted_while_it_is_open(client, value):
    async with client.websocket_connect("/echo/a") as ws:
        for text in ("one", "zwölf"):
            await ws.send_text(text)
            assert await ws.receive_text() == text
        route = "/echo/{room}"
        assert value("websockets_open", route=route) == 1
        assert value("requests_total", method="WEBSOCKET", route=route, status=101) == 1
        assert value("websocket_messages_received_total", route=route) == 2
        assert value("websocket_messages_sent_total", route=route) == 2
        assert value("bytes_received_total", route=route) == 9
        assert value("bytes_sent_total", route=route) == 9
        assert value("requests_in_progress") == 0
    await ws.wait_done()
    assert value("websockets_open", route=route) == 0
    assert value("websocket_duration_seconds_count", route=route) == 1
    assert value("websocket_closes_total", route=route, code=1000) == 1


async def test_how_clients_leave_is_counted(client, value):
    async with client.websocket_connect("/echo/a") as ws:
        await ws.close(1001)
    async with client.websocket_connect("/echo/a") as ws:
        await ws.close(4999)
    async with client.websocket_connect("/echo/a") as ws:
        ws.disconnect()
        await ws.wait_done()
    route = "/echo/{room}"
    codes = {
        code: value("websocket_closes_total", route=route, code=code)
        for code in (1001, "OTHER", 1006)
    }
    assert codes == {1001: 1, "OTHER": 1, 1006: 1}
    assert value("client_disconnects_total", protocol="websocket", route=route) == 3


@pytest.mark.parametrize(
    ("ending", "code"),
    [(None, 1000), (WebSocketClosed(4321, by="server"), 4321), (HTTPError(413), 1009)],
)
async def test_how_the_app_ends_a_websocket_is_counted(registry, value, ending, code):
    app = App()

    @app.websocket("/")
    async def serve(ws):
        await ws.accept()
        if ending is not None:
            raise ending

    app.add_middleware(MetricsMiddleware, registry=registry)
    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        assert (await ws.wait_closed()).code == code
    assert value("websocket_closes_total", route="/", code=code) == 1
    assert value("client_disconnects_total", protocol="websocket", route="/") is None
    assert open_now(registry) == 0


@pytest.mark.parametrize("denial_response", [True, False])
async def test_a_handshake_that_is_denied_is_no_open_websocket(registry, value, denial_response):
    app = App()

    @app.websocket("/")
    async def refuse(ws):
        await ws.deny(401)

    app.add_middleware(MetricsMiddleware, registry=registry)
    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied):
            async with client.websocket_connect("/", denial_response=denial_response):
                pass
    status = 401 if denial_response else 403
    assert value("requests_total", method="WEBSOCKET", route="/", status=status) == 1
    assert value("websockets_open", route="/") is None
    assert value("websocket_closes_total", route="/", code=1008) is None


async def test_a_websocket_that_crashes_is_open_no_longer(registry, value):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        raise RuntimeError("a deliberate crash")

    client = AsyncTestClient(
        MetricsMiddleware(app, registry=registry), lifespan=False, raise_server_exceptions=False
    )
    async with client, client.websocket_connect("/") as ws:
        await ws.wait_closed()
    assert value("websocket_closes_total", route="unmatched", code=1011) == 1
    assert open_now(registry) == 0


# What is handed down


class Server:
    """Its methods are a server's own, by the name of their module."""

    __module__ = "uvicorn.protocols"

    async def receive(self):
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message):
        pass


@pytest.mark.parametrize(
    ("scope", "is_own"),
    [
        (http_scope(method="GET"), True),
        (http_scope(method="POST"), False),
        ({"type": "websocket", "path": "/", "headers": []}, False),
        ({"type": "lifespan"}, True),
    ],
    ids=["get", "post", "websocket", "lifespan"],
)
async def test_receive_is_the_servers_own_or_waits_for_nothing_else(registry, scope, is_own):
    server = Server()
    given = []

    async def app(scope, receive, send):
        given.append(receive)

    await MetricsMiddleware(app, registry=registry)(scope, server.receive, server.send)
    assert (given == [server.receive]) is is_own
    assert waits_for_futures(given[0])


# The registry


async def test_two_layers_in_one_registry_count_together(registry, value):
    async def app(scope, receive, send):
        await send_head(send, 200, (b"content-length", b"0"))
        await end(send)

    for _ in range(2):
        layer = MetricsMiddleware(app, registry=registry)
        server = FakeServer()
        await layer(server.scope, server.receive, server.send)
    assert value("requests_total", method="GET", route="unmatched", status=200) == 2


async def test_a_prefix_keeps_layers_apart(registry):
    server = FakeServer()
    for prefix in ("shop", ""):
        layer = MetricsMiddleware(end_without_an_answer, registry=registry, prefix=prefix)
        await layer(server.scope, server.receive, server.send)
    labels = {"method": "GET", "route": "unmatched", "status": "499"}
    assert registry.get_sample_value("shop_requests_total", labels) == 1
    assert registry.get_sample_value("requests_total", labels) == 1


async def test_the_buckets_can_be_chosen(registry, value):
    layer = MetricsMiddleware(
        crash_in_the_stream, registry=registry, buckets=(0.5, 30), lifetime_buckets=(60,)
    )
    server = FakeServer()
    with pytest.raises(RuntimeError):
        await layer(server.scope, server.receive, server.send)
    bounds = {
        (sample.name.removeprefix("asgi_"), sample.labels["le"])
        for metric in registry.collect()
        for sample in metric.samples
        if "le" in sample.labels
    }
    assert bounds == {
        *(("time_to_first_byte_seconds_bucket", bound) for bound in ("0.5", "30.0", "+Inf")),
        *(("stream_duration_seconds_bucket", bound) for bound in ("60.0", "+Inf")),
    }


@pytest.mark.parametrize("options", [{"buckets": (1, 2)}, {"lifetime_buckets": (1, 2)}])
def test_other_buckets_for_the_same_metrics_are_refused(registry, options):
    MetricsMiddleware(end_without_an_answer, registry=registry)
    with pytest.raises(ValueError, match="other buckets: give the same ones, or another prefix"):
        MetricsMiddleware(end_without_an_answer, registry=registry, **options)
    MetricsMiddleware(end_without_an_answer, registry=registry, prefix="other", **options)


@pytest.mark.parametrize("buckets", [(), (2, 1), ("x",)])
def test_buckets_that_are_none_are_refused(registry, buckets):
    with pytest.raises(ValueError, match=r"(?i)buckets|could not convert"):
        MetricsMiddleware(end_without_an_answer, registry=registry, buckets=buckets)
    assert series(registry) == set()


@pytest.mark.parametrize("prefix", ["a-b", "1a", "a b", "é", "a\n"])
def test_a_prefix_that_no_metric_may_have_is_refused(registry, prefix):
    with pytest.raises(ValueError, match="prefix must be"):
        MetricsMiddleware(end_without_an_answer, registry=registry, prefix=prefix)


def test_a_name_that_is_taken_is_refused_and_nothing_is_left(registry):
    taken = Counter("asgi_client_disconnects", "Another's", registry=registry)
    with pytest.raises(ValueError, match="give another prefix than 'asgi', or another registry"):
        MetricsMiddleware(end_without_an_answer, registry=registry)
    registry.unregister(taken)
    assert series(registry) == set()
    MetricsMiddleware(end_without_an_answer, registry=registry)


def test_what_is_no_registry_is_refused():
    with pytest.raises(TypeError, match="registry must be a CollectorRegistry, not None"):
        MetricsMiddleware(end_without_an_answer, registry=None)


def test_a_registry_goes_with_the_last_that_uses_it():
    registry = CollectorRegistry()
    gone = weakref.ref(registry)
    MetricsMiddleware(end_without_an_answer, registry=registry)
    del registry
    gc.collect()
    assert gone() is None


def test_without_prometheus_client_the_error_names_the_extra():
    script = """
import sys
sys.modules["prometheus_client"] = None
import asgi_rt, asgi_rt.middleware
try:
    import asgi_rt.middleware.metrics
except asgi_rt.MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert 'pip install "asgi-rt[metrics]"' in done.stdout, done.stderr
