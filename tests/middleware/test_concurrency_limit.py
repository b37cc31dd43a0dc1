"""How many are served at once: who waits, who is refused, and when a place is free again."""

import contextlib
import json

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from fastapi import FastAPI, WebSocket
from middleware.limited import Handshake, shake_hands
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from asgi_rt import App
from asgi_rt.http.inbox import Inbox
from asgi_rt.middleware.concurrency_limit import ConcurrencyLimitMiddleware
from asgi_rt.middleware.places import PlacesCounters
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

SHORT = 0.02
"""Seconds that run out in a test."""

HEAD = {"type": "http.response.start", "status": 200, "headers": []}
EVENTS = {**HEAD, "headers": [(b"content-type", b"text/event-stream")]}
END = {"type": "http.response.body", "body": b"end", "more_body": False}

on_asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)


class Gated:
    """An app that serves each request when the test lets it, and tells of what it has begun."""

    def __init__(self):
        self.begun = []
        self.received = []
        self.gates = {}
        self.changed = anyio.Event()

    def gate(self, path):
        return self.gates.setdefault(path, anyio.Event())

    async def __call__(self, scope, receive, send):
        self.begun.append(scope["path"])
        self.received.append(receive)
        changed, self.changed = self.changed, anyio.Event()
        changed.set()
        await self.gate(scope["path"]).wait()
        if scope["type"] == "http":
            await send(HEAD)
            await send(END)

    async def has_begun(self, count):
        while len(self.begun) < count:
            await self.changed.wait()


class Stage:
    """Requests that are made of one layer, each in a task of its own."""

    def __init__(self, group, app=None, **options):
        self.app = app or Gated()
        self.counters = PlacesCounters()
        self.layer = ConcurrencyLimitMiddleware(self.app, counters=self.counters, **options)
        self._group = group

    async def ask(self, path, server=None):
        """Begin a request, and return when the layer has seen it. It can be cancelled."""
        server = server or FakeServer(path=path)
        scope = anyio.CancelScope()
        server.over = anyio.Event()

        async def run():
            with scope:
                await self.layer(server.scope, server.receive, server.send)
            server.over.set()

        self._group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        return server, scope

    def let(self, *paths):
        for path in paths:
            self.app.gate(path).set()


@pytest.fixture
def stage():
    @contextlib.asynccontextmanager
    async def make(app=None, **options):
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                yield Stage(group, app, **options)

    return make


def counted(active=0, queued=0, refused=0, left=0):
    return PlacesCounters(active, queued, refused, left)


# Places


async def test_as_many_as_there_are_places_are_served_at_once(stage):
    async with stage(max_concurrent=2) as it:
        await it.ask("/a")
        await it.ask("/b")
        assert it.app.begun == ["/a", "/b"]
        assert it.counters == counted(active=2)
        it.let("/a", "/b")
    assert it.counters == counted()


async def test_one_too_many_is_refused_at_once(stage):
    async with stage(max_concurrent=1, retry_after=7) as it:
        await it.ask("/a")
        refused, _ = await it.ask("/b")
        assert refused.status == 503
        assert refused.headers["retry-after"] == "7"
        assert refused.headers["content-type"] == "application/problem+json"
        assert json.loads(refused.body)["detail"] == "too many requests at once"
        assert it.app.begun == ["/a"]
        assert it.counters == counted(active=1, refused=1)
        it.let("/a")


async def test_who_waits_is_served_in_the_order_of_arrival(stage):
    async with stage(max_concurrent=1, max_queued=3) as it:
        servers = [(await it.ask(path))[0] for path in ("/a", "/b", "/c", "/d")]
        refused, _ = await it.ask("/e")
        assert refused.status == 503
        assert it.app.begun == ["/a"]
        assert it.counters == counted(active=1, queued=3, refused=1)
        for count, path in enumerate(("/a", "/b", "/c", "/d"), 1):
            await it.app.has_begun(count)
            it.let(path)
    assert it.app.begun == ["/a", "/b", "/c", "/d"]
    assert [server.status for server in servers] == [200] * 4
    assert it.counters == counted(refused=1)


async def test_who_has_waited_too_long_is_refused(stage):
    async with stage(max_concurrent=1, max_queued=1, queue_timeout=SHORT) as it:
        await it.ask("/a")
        refused, _ = await it.ask("/b")
        await refused.over.wait()
        assert refused.status == 503
        assert it.counters == counted(active=1, refused=1)
        it.let("/a")


async def test_without_a_timeout_one_waits_for_its_turn(stage):
    async with stage(max_concurrent=1, max_queued=1, queue_timeout=None) as it:
        await it.ask("/a")
        server, _ = await it.ask("/b")
        it.let("/a", "/b")
        await server.over.wait()
        assert server.status == 200


async def test_one_that_is_cancelled_in_the_queue_makes_room_at_once(stage):
    async with stage(max_concurrent=1, max_queued=2) as it:
        await it.ask("/a")
        _, scope = await it.ask("/b")
        await it.ask("/c")
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert it.counters == counted(active=1, queued=1)
        it.let("/a", "/c")
    assert it.app.begun == ["/a", "/c"]
    assert it.counters == counted()


async def test_one_that_is_cancelled_as_it_gets_its_place_hands_it_on(stage):
    class Cancelling(Gated):
        async def __call__(self, scope, receive, send):
            await super().__call__(scope, receive, send)
            if scope["path"] == "/a":
                cancelled.cancel()  # and without an await the place goes to the next one

    async with stage(Cancelling(), max_concurrent=1, max_queued=2) as it:
        await it.ask("/a")
        server, cancelled = await it.ask("/b")
        await it.ask("/c")
        it.let("/a")
        await server.over.wait()
        while "/c" not in it.app.begun:
            await it.app.changed.wait()
        assert server.messages == []
        assert it.counters == counted(active=1)
        it.let("/c")
    assert it.counters == counted()


@pytest.mark.parametrize("how", ["returns", "raises", "is cancelled"])
async def test_a_place_is_given_back_however_it_ends(stage, how):
    async def app(scope, receive, send):
        if how == "raises":
            raise LookupError
        if how == "is cancelled":
            await anyio.sleep_forever()

    counters = PlacesCounters()
    layer = ConcurrencyLimitMiddleware(app, max_concurrent=1, counters=counters)
    server = FakeServer()
    with contextlib.suppress(LookupError), anyio.move_on_after(SHORT):
        await layer(server.scope, server.receive, server.send)
    assert counters == counted()


# Until when one counts


class Phased:
    """An app that stays where the test wants it to."""

    def __init__(self, *messages):
        self.messages = messages
        self.go_on = anyio.Event()

    async def __call__(self, scope, receive, send):
        for message in self.messages:
            await send(message)
        await self.go_on.wait()


@pytest.mark.parametrize(
    ("messages", "options", "active"),
    [
        ([], {}, 1),
        ([HEAD], {}, 1),
        ([HEAD, {**END, "more_body": True}], {}, 1),
        ([HEAD, END], {}, 0),
        ([HEAD, {"type": "http.response.body"}], {}, 0),
        ([HEAD, {"type": "http.response.pathsend", "path": "/file"}], {}, 0),
        ([HEAD, {"type": "http.response.zerocopysend", "file": 3}], {}, 0),
        ([EVENTS], {}, 1),
        ([EVENTS], {"event_streams": False}, 0),
        ([HEAD], {"event_streams": False}, 1),
    ],
)
async def test_a_request_counts_until_its_response_is_over(stage, messages, options, active):
    async with stage(Phased(*messages), max_concurrent=1, **options) as it:
        await it.ask("/")
        assert it.counters.active == active
        it.app.go_on.set()
    assert it.counters == counted()


@pytest.mark.parametrize("event_streams", [False, True])
async def test_header_fields_that_can_be_read_but_once_are_sent(event_streams):
    async def app(scope, receive, send):
        await send({**HEAD, "headers": iter(EVENTS["headers"])})
        assert counters.active == event_streams
        await send(END)

    class Reading(FakeServer):
        async def send(self, message):
            if "headers" in message:
                message = {**message, "headers": [*message["headers"]]}
            await super().send(message)

    counters, server = PlacesCounters(), Reading()
    layer = ConcurrencyLimitMiddleware(
        app, max_concurrent=1, event_streams=event_streams, counters=counters
    )
    await layer(server.scope, server.receive, server.send)
    assert server.headers == {"content-type": "text/event-stream"}


async def test_layers_that_count_together_are_limited_each_on_its_own(stage):
    async with stage(max_concurrent=2) as it:
        other = Stage(it._group, max_concurrent=1)
        other.layer = ConcurrencyLimitMiddleware(other.app, max_concurrent=1, counters=it.counters)
        for _ in range(2):
            await it.ask("/a")
        await other.ask("/b")
        assert (it.app.begun, other.app.begun) == (["/a", "/a"], ["/b"])
        assert it.counters == counted(active=3)
        refused, _ = await other.ask("/c")
        assert refused.status == 503
        it.let("/a")
        other.let("/b")
    assert it.counters == counted(refused=1)


async def test_work_after_the_response_lets_the_next_one_in(stage):
    async with stage(Phased(HEAD, END), max_concurrent=1) as it:
        await it.ask("/a")
        server, _ = await it.ask("/b")
        assert server.status == 200
        it.app.go_on.set()


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_who_is_exempt_is_always_served(stage, path):
    exempt = ("/health", "/ready")
    async with stage(max_concurrent=1, exempt=lambda it: it.path in exempt) as it:
        await it.ask("/a")
        await it.ask(path)
        assert it.app.begun == ["/a", path]
        assert it.counters == counted(active=1)
        it.let("/a", path)


async def test_one_that_is_served_at_once_keeps_the_servers_own_receive(stage):
    async with stage(max_concurrent=1) as it:
        server, _ = await it.ask("/a")
        assert it.app.received == [server.receive]
        it.let("/a")


# Clients that leave


class UvicornServer(FakeServer):
    """Whose `receive` passes for uvicorn's."""


UvicornServer.__module__ = "uvicorn.pretended"


@on_asyncio_only
async def test_a_client_that_leaves_the_queue_makes_room_at_once(stage):
    async with stage(max_concurrent=1, max_queued=2) as it:
        await it.ask("/a")
        leaving, _ = await it.ask("/b", UvicornServer(path="/b"))
        staying, _ = await it.ask("/c", UvicornServer(path="/c"))
        leaving.leave()
        await leaving.over.wait()
        assert it.counters == counted(active=1, queued=1, left=1)
        it.let("/a", "/c")
        await staying.over.wait()
    assert it.app.begun == ["/a", "/c"]
    assert (leaving.messages, staying.status) == ([], 200)
    assert it.counters == counted(left=1)


@on_asyncio_only
async def test_one_that_waited_still_receives_its_request(stage):
    async def app(scope, receive, send):
        if scope["path"] == "/a":
            await gate.wait()
        message = await receive()
        await send(HEAD)
        await send({**END, "body": message["body"]})

    class Post(UvicornServer):
        async def receive(self):
            if not self._asked:
                self._asked = True
                return {"type": "http.request", "body": b"the body", "more_body": False}
            return await self.receive_disconnect()

    Post.__module__ = "uvicorn.pretended"
    gate = anyio.Event()
    async with stage(app, max_concurrent=1, max_queued=1) as it:
        await it.ask("/a")
        server, _ = await it.ask("/b", Post(path="/b", method="POST"))
        gate.set()
        await server.over.wait()
        assert server.body == b"the body"


@on_asyncio_only
async def test_one_that_leaves_as_its_turn_comes_hands_the_place_on(stage):
    async with stage(max_concurrent=1, max_queued=2) as it:
        await it.ask("/a")
        await it.ask("/b", UvicornServer(path="/b"))
        await it.ask("/c")
        (waiter, _) = it.layer._places._line
        waiter.on_left(None)
        it.let("/a")
        await it.app.has_begun(2)
        assert it.app.begun == ["/a", "/c"]
        it.let("/c")
    assert it.counters == counted(left=1)


async def test_elsewhere_the_app_sees_it_when_it_is_its_turn(stage):
    async with stage(max_concurrent=1, max_queued=1) as it:
        await it.ask("/a")
        server, _ = await it.ask("/b")
        server.leave()
        await anyio.wait_all_tasks_blocked()
        assert it.counters == counted(active=1, queued=1)
        it.let("/a", "/b")
    assert it.app.begun == ["/a", "/b"]
    assert it.app.received[1] == server.receive


async def test_who_asks_before_it_sends_its_body_is_not_told_to_while_it_waits(stage):
    async with stage(max_concurrent=1, max_queued=1) as it:
        await it.ask("/a")
        server, _ = await it.ask(
            "/b", UvicornServer(path="/b", headers=[(b"expect", b"100-continue")])
        )
        assert not server._asked
        it.let("/a", "/b")
    assert it.app.received[1] == server.receive


async def test_who_is_watched_hands_down_what_was_received(stage):
    async with stage(max_concurrent=1, max_queued=1) as it:
        await it.ask("/a")
        await it.ask("/b", UvicornServer(path="/b"))
        it.let("/a", "/b")
    assert isinstance(it.app.received[1], Inbox)


# WebSockets


async def test_websockets_do_not_count_by_default(stage):
    async with stage(max_concurrent=1) as it:
        await it.ask("/a", Handshake(path="/a"))
        assert it.app.begun == ["/a"]
        assert it.counters == counted()
        it.let("/a")


async def test_websockets_count_until_their_end_where_that_is_wanted(stage):
    async with stage(max_concurrent=1, websockets=True) as it:
        await it.ask("/a", Handshake(path="/a"))
        assert it.counters == counted(active=1)
        start, _ = await shake_hands(it.layer, path="/b")
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
        assert await shake_hands(it.layer, path="/c", extensions={}) == [
            {"type": "websocket.close", "code": 1008, "reason": ""}
        ]
        it.let("/a")
    assert it.counters == counted(refused=2)


async def test_a_handshake_may_wait_as_well(stage):
    async with stage(max_concurrent=1, max_queued=1, websockets=True) as it:
        await it.ask("/a")
        await it.ask("/b", Handshake(path="/b"))
        assert it.counters == counted(active=1, queued=1)
        it.let("/a", "/b")
    assert it.app.begun == ["/a", "/b"]


# Event loops and frameworks


def test_an_instance_may_serve_one_event_loop_after_the_other():
    async def app(scope, receive, send):
        await anyio.lowlevel.checkpoint()
        await send(HEAD)
        await send(END)

    layer = ConcurrencyLimitMiddleware(app, max_concurrent=1, max_queued=1)

    async def run():
        servers = [FakeServer(), FakeServer()]
        async with anyio.create_task_group() as group:
            for server in servers:
                group.start_soon(layer, server.scope, server.receive, server.send)
        return [server.status for server in servers]

    for backend in ("asyncio", "trio", "asyncio"):
        assert anyio.run(run, backend=backend) == [200, 200]
    assert layer.counters == counted()


def in_asgi_rt(gate):
    app = App()

    @app.get("/gated")
    async def gated(request):
        await gate.wait()
        return "done"

    @app.websocket("/ws")
    async def ws(ws):
        await ws.accept()

    return app


def in_starlette(gate):
    async def gated(request):
        await gate.wait()
        return PlainTextResponse("done")

    async def ws(websocket):
        await websocket.accept()

    return Starlette(routes=[Route("/gated", gated), WebSocketRoute("/ws", ws)])


def in_fastapi(gate):
    app = FastAPI()

    @app.get("/gated")
    async def gated():
        await gate.wait()
        return "done"

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()

    return app


@pytest.mark.parametrize("make", [in_asgi_rt, in_starlette, in_fastapi])
async def test_each_framework_is_limited(make):
    gate = anyio.Event()
    app = make(gate)
    counters = PlacesCounters()
    app.add_middleware(
        ConcurrencyLimitMiddleware,
        max_concurrent=1,
        max_queued=1,
        websockets=True,
        counters=counters,
    )
    async with (
        AsyncTestClient(app) as client,
        client.open("GET", "/gated") as first,
        client.open("GET", "/gated") as second,
    ):
        await anyio.wait_all_tasks_blocked()
        assert counters == counted(active=1, queued=1)
        assert (await client.get("/gated")).status_code == 503
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/ws"):
                pass
        assert denied.value.response.status_code == 503
        gate.set()
        for exchange in (first, second):
            assert (await exchange.head()).status_code == 200
            assert b"done" in await exchange.read()
    assert counters == counted(refused=2)
