"""How often a client may ask: who is counted, what is answered, and what if the store fails."""

import json
import logging

import anyio
import pytest
from fakes import http_scope
from fastapi import FastAPI, WebSocket
from middleware.limited import Clock, ask, shake_hands
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from asgi_rt import App
from asgi_rt.middleware import rate_limit
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.rate_limit import RateLimitMiddleware, client_host
from asgi_rt.middleware.rate_store import MemoryRateStore, Verdict
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

SHARED_HEADERS = [(b"content-type", b"text/plain")]


async def hello(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": SHARED_HEADERS})
        return
    await send({"type": "http.response.start", "status": 200, "headers": SHARED_HEADERS})
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})


@pytest.fixture
def clock():
    return Clock()


def limited(clock, app=hello, **options):
    options = {"rate": 6, "burst": 2, **options}
    return RateLimitMiddleware(app, store=MemoryRateStore(clock=clock), **options)


# What is answered


async def test_every_answer_tells_what_is_left(clock):
    app = limited(clock)
    seen = []
    for _ in range(3):
        server = await ask(app)
        seen.append((server.status, server.headers["ratelimit"]))
        assert server.headers["ratelimit-policy"] == '"default";q=6;w=60'
    assert seen == [
        (200, '"default";r=1;t=10'),
        (200, '"default";r=0;t=10'),
        (429, '"default";r=0;t=10'),
    ]
    clock.now += 9.5
    assert (await ask(app)).headers["ratelimit"] == '"default";r=0;t=1'
    clock.now += 0.5
    assert (await ask(app)).status == 200


async def test_a_refusal_says_when_to_come_again(clock):
    app = limited(clock, cost=2)
    await ask(app)
    clock.now += 0.25
    server = await ask(app)
    assert server.status == 429
    assert server.headers["retry-after"] == "20"
    assert server.headers["content-type"] == "application/problem+json"
    assert json.loads(server.body) == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Quota Exceeded",
        "status": 429,
        "detail": "at most 6 requests in 60 seconds may be made",
        "violated-policies": ["default"],
    }


@pytest.mark.parametrize("waited", [0.0, 0.25, 1.0, 5.5, 9.999])
async def test_who_waits_for_as_long_as_was_said_is_served(clock, waited):
    app = limited(clock, burst=1)
    await ask(app)
    clock.now += waited
    refused = await ask(app)
    assert int(refused.headers["retry-after"]) >= int(refused.headers["ratelimit"][-1])
    clock.now += int(refused.headers["retry-after"])
    assert (await ask(app)).status == 200


async def test_the_apps_own_fields_are_not_touched(clock):
    server = await ask(limited(clock))
    assert server.headers["content-type"] == "text/plain"
    assert SHARED_HEADERS == [(b"content-type", b"text/plain")]


async def test_several_policies_are_told_in_one_list(clock):
    store = MemoryRateStore(clock=clock)
    inner = RateLimitMiddleware(hello, rate=2, period=1, name="burst", store=store)
    app = RateLimitMiddleware(inner, rate=100, period=3600, name="hourly", store=store)
    await ask(app)
    server = await ask(app)
    fields = [value for name, value in server.messages[0]["headers"] if name == b"ratelimit"]
    assert fields == [b'"burst";r=0;t=1', b'"hourly";r=98;t=36']
    refused = await ask(app)
    assert json.loads(refused.body)["violated-policies"] == ["burst"]
    assert len(store) == 2


# Who is counted


async def test_each_client_has_a_bucket_of_its_own(clock):
    app = limited(clock, burst=1)
    statuses = [(await ask(app, client=(host, 1))).status for host in ("a", "b", "a", "b", "c")]
    assert statuses == [200, 200, 429, 429, 200]


@pytest.mark.parametrize(
    ("client", "key"),
    [
        (("203.0.113.7", 5), "203.0.113.7"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::1", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:3::1", 5), "2001:db8:1:3::/64"),
        (("::ffff:203.0.113.7", 5), "203.0.113.7"),
        (("fe80::1%eth0", 5), "fe80::/64"),
        (("no:address", 5), "no:address"),
        (("testclient", 5), "testclient"),
        (("", 0), ""),
        (None, None),
    ],
)
def test_a_client_is_its_host_or_its_network(client, key):
    assert client_host(Connection(http_scope(client=client))) == key


@pytest.mark.parametrize(
    "options",
    [
        {"key": lambda connection: None},
        {"exempt": lambda connection: connection.path == "/health"},
        {"key": lambda connection: connection.headers.get("x-user")},
    ],
)
async def test_who_is_not_limited_keeps_the_servers_own_send(clock, options):
    seen = []

    async def app(scope, receive, send):
        seen.append((receive, send))
        await hello(scope, receive, send)

    layer = limited(clock, app, burst=1, **options)
    for _ in range(3):
        server = await ask(layer, path="/health")
        assert server.status == 200
        assert "ratelimit" not in server.headers
        assert seen.pop() == (server.receive, server.send)


async def test_the_servers_own_receive_is_handed_down(clock):
    seen = []

    async def app(scope, receive, send):
        seen.append(receive)
        await hello(scope, receive, send)

    server = await ask(limited(clock, app))
    assert seen == [server.receive]


async def test_requests_may_cost_more_or_nothing(clock):
    app = limited(clock, burst=10, cost=lambda connection: int(connection.query["cost"]))
    left = [(await ask(app, path=f"/?cost={cost}")).headers["ratelimit"] for cost in (0, 1, 4)]
    assert left == ['"default";r=10;t=0', '"default";r=9;t=10', '"default";r=5;t=10']
    assert (await ask(app, path="/?cost=6")).status == 429
    assert (await ask(app, path="/?cost=5")).status == 200


async def test_a_cost_beyond_the_burst_takes_all_of_it(clock):
    app = limited(clock, cost=1000)
    assert (await ask(app)).headers["ratelimit"] == '"default";r=0;t=10'
    refused = await ask(app)
    assert (refused.status, refused.headers["retry-after"]) == (429, "20")


async def test_a_negative_cost_is_an_error_of_the_app(clock):
    with pytest.raises(ValueError, match="cost must be at least 0, not -5"):
        await ask(limited(clock, cost=lambda connection: -5))


async def test_what_a_client_sends_as_a_key_is_not_kept_at_its_length(clock):
    kept = []

    class Store(MemoryRateStore):
        async def take(self, key, cost, policy):
            kept.append(key)
            return await super().take(key, cost, policy)

    app = RateLimitMiddleware(
        hello, rate=1, store=Store(clock=clock), key=lambda connection: connection.query["key"]
    )
    for key in ("a" * 128, "a" * 60_000, "a" * 60_000, "a" * 60_001):
        await ask(app, path=f"/?key={key}")
    assert [len(key) for key in kept] == [128, 32, 32, 32]
    assert len({*kept}) == 3


# WebSockets


async def test_handshakes_count_and_are_told_what_is_left(clock):
    app = limited(clock, burst=2)
    await ask(app)
    (accepted,) = await shake_hands(app)
    assert accepted["type"] == "websocket.accept"
    assert dict(accepted["headers"])[b"ratelimit"] == b'"default";r=0;t=10'
    start, body = await shake_hands(app)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 429)
    assert dict(start["headers"])[b"retry-after"] == b"10"
    assert dict(start["headers"])[b"ratelimit"] == b'"default";r=0;t=10'
    assert json.loads(body["body"])["status"] == 429


async def test_a_handshake_is_closed_where_the_server_can_send_no_response(clock):
    app = limited(clock, burst=1)
    await shake_hands(app)
    assert await shake_hands(app, extensions={}) == [
        {"type": "websocket.close", "code": 1008, "reason": ""}
    ]


# Stores that fail


class FailingStore:
    def __init__(self):
        self.error = ConnectionError("redis://user:password@host is gone")

    async def take(self, key, cost, policy):
        if self.error is None:
            return Verdict(True, 7, 0.5, 0.0)
        raise self.error


class SilentStore:
    async def take(self, key, cost, policy):
        await anyio.sleep_forever()


@pytest.mark.parametrize("store", [FailingStore, SilentStore])
@pytest.mark.parametrize(("fail_open", "status"), [(True, 200), (False, 503)])
async def test_a_store_that_fails_lets_all_in_or_none(store, fail_open, status, monkeypatch):
    monkeypatch.setattr(rate_limit, "_STORE_SECONDS", 0.01)
    app = RateLimitMiddleware(hello, rate=1, store=store(), fail_open=fail_open)
    for _ in range(2):
        server = await ask(app)
        assert server.status == status
        assert "ratelimit" not in server.headers
    assert server.headers.get("retry-after") == (None if fail_open else "1")
    assert b"password" not in server.body


async def test_a_store_that_is_back_is_asked_again():
    store = FailingStore()
    app = RateLimitMiddleware(hello, rate=1, store=store)
    assert "ratelimit" not in (await ask(app)).headers
    store.error = None
    assert (await ask(app)).headers["ratelimit"] == '"default";r=7;t=1'


async def test_an_outage_is_logged_once_and_not_for_each_request(caplog):
    app = RateLimitMiddleware(hello, rate=1, store=FailingStore())
    for _ in range(50):
        await ask(app)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_rt.middleware.rate_limit", logging.ERROR)


def test_an_outage_that_lasts_is_logged_once_a_minute(caplog):
    outage = rate_limit._Outage()
    error = ConnectionError()
    for second in range(150):
        outage.note(error, 1000.0 + second)
    assert [each.getMessage() for each in caplog.records] == [
        "the store of a rate limit has failed 1 times",
        "the store of a rate limit has failed 60 times",
        "the store of a rate limit has failed 60 times",
    ]


async def test_a_cancellation_of_the_request_is_no_failure_of_the_store(caplog):
    app = RateLimitMiddleware(hello, rate=1, store=SilentStore())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await ask(app)
    assert scope.cancelled_caught
    assert caplog.records == []


# In each framework


def in_asgi_rt():
    app = App()

    @app.get("/")
    async def index(request):
        return "hello"

    @app.websocket("/ws")
    async def ws(ws):
        await ws.accept()

    return app


async def foreign_index(request):
    return PlainTextResponse("hello")


async def foreign_ws(websocket):
    await websocket.accept()
    await websocket.close()


def in_starlette():
    return Starlette(routes=[Route("/", foreign_index), WebSocketRoute("/ws", foreign_ws)])


def in_fastapi():
    app = FastAPI()
    app.add_route("/", foreign_index)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await foreign_ws(websocket)

    return app


@pytest.mark.parametrize("make", [in_asgi_rt, in_starlette, in_fastapi])
async def test_each_framework_is_limited(make, clock):
    app = make()
    store = MemoryRateStore(clock=clock)
    app.add_middleware(RateLimitMiddleware, rate=60, burst=2, store=store)
    async with AsyncTestClient(app) as client:
        response = await client.get("/")
        assert (response.status_code, response.text) == (200, "hello")
        assert response.headers["ratelimit"] == '"default";r=1;t=1'
        missing = await client.get("/nowhere")
        assert (missing.status_code, missing.headers["ratelimit"]) == (404, '"default";r=0;t=1')
        assert (await client.get("/")).status_code == 429
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/ws"):
                pass
        assert denied.value.response.status_code == 429
