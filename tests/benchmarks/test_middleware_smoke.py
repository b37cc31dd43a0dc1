"""Every layer of every kind does what it is timed for, and an app that does not is found out."""

import asyncio
import http.client
import json
from contextlib import contextmanager
from dataclasses import replace

import pytest

from benchmarks.harness.clients import Leaving, collect_handlers, leave
from benchmarks.harness.exchange import request_scope
from benchmarks.harness.layered_work import UPLOAD_BYTES, Departure, SmallJSON, Stream, Upload
from benchmarks.harness.layers import Kind, Layers, header_name
from benchmarks.harness.lifespan import lifespan
from benchmarks.harness.rows import STREAM
from benchmarks.harness.server import HOST, free_ports, serving
from benchmarks.model import Arm, Plan, Size
from benchmarks.peers import MIDDLEWARE_PEERS
from benchmarks.runs import middleware_inprocess, middleware_uvicorn

pytestmark = pytest.mark.slow

TINY = Size(rounds=1, seconds=0.001, connections=1)
PEERS = [pytest.param(peer, id=peer.name) for peer in MIDDLEWARE_PEERS]
WORKS = [SmallJSON, Stream, Upload, Departure]
LAYERS = 3

# What an app with layers does, in all but what a test leaves out of it.
ANSWERING = """
import json
import sys

from benchmarks.harness.layers import Layers, header_name
from benchmarks.harness.rows import endless_rows, rows


def make(layers):
    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError
        names = [header_name(n) for n in range(layers.count)] if layers.kind.sets_header else []
        headers = [(name.encode(), b"1") for name in names]
        path = scope["path"]
        size = 0
        while path == "/upload":
            message = await receive()
            size += len(message["body"])
            if not message["more_body"]:
                break
        body = json.dumps({"message": "Hello, World!"} if path == "/json" else {"bytes": size})
        headers.append((b"content-type", b"application/json"))
        if path in ("/json", "/upload"):
            headers.append((b"content-length", b"%d" % len(body)))
        headers, body = spoil(path, headers, body)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/stream":
            async for row in rows():
                await send({"type": "http.response.body", "body": row, "more_body": True})
            body = ""
        if path == "/endless":
            await serve_endless(scope, receive, send)
        await send({"type": "http.response.body", "body": body.encode()})

    return app


app = make(Layers())


def __getattr__(name):
    return make(Layers.of(name))


def spoil(path, headers, body):
    return headers, body


async def serve_endless(scope, receive, send):
    async for row in endless_rows():
        await send({"type": "http.response.body", "body": row, "more_body": True})
        if scope["state"]["client"].left_at is not None:
            break
    scope["state"]["client"].handler_ended()
"""
LOSES_A_LAYER = """
def spoil(path, headers, body):
    lost = header_name(2).encode()
    return [pair for pair in headers if pair[0] != lost], body
"""
LOSES_A_PIECE = """
async def rows():
    yield b"[0"
    for n in range(2, 100):
        yield b",%d" % n
    yield b"]"
"""
COUNTS_ONE_LESS = """
def spoil(path, headers, body):
    return headers, body.replace("000000", "000001")
"""
ENDS_EARLY = """
async def serve_endless(scope, receive, send):
    scope["state"]["client"].handler_ended()
"""
GOES_ON = """
kept = []

async def serve_endless(scope, receive, send):
    for n in range(10):
        await send({"type": "http.response.body", "body": b"[", "more_body": True})
    kept.append(scope)
"""


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize("peer", PEERS)
def test_app_behind_layers_answers_rightly(peer, kind, work):
    assert asyncio.run(fault_of(peer, work(Layers(kind, LAYERS)))) is None


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
@pytest.mark.parametrize("peer", PEERS)
def test_app_without_layers_answers_rightly(peer, work):
    assert asyncio.run(fault_of(peer, work(Layers()))) is None


@pytest.mark.parametrize(
    ("kind", "peer"),
    [
        pytest.param(kind, peer, id=f"{peer.name}-{kind.name.lower()}")
        for peer, kinds in zip(
            MIDDLEWARE_PEERS,
            ((Kind.DISPATCH, Kind.BASE_HTTP), (Kind.DISPATCH,), (Kind.DISPATCH, Kind.HOOK)),
            strict=True,
        )
        for kind in kinds
    ],
)
def test_served_app_has_its_layers_and_whole_bodies(kind, peer):
    with served(peer, Layers(kind, LAYERS)) as port:
        for method, path, answer in (
            ("GET", "/json", {"message": "Hello, World!"}),
            ("GET", "/stream", STREAM.answer),
            ("POST", "/upload", {"bytes": UPLOAD_BYTES}),
        ):
            headers, body = asked(port, method, path)
            assert json.loads(body) == answer
            names = [name for name in headers if name.startswith("x-layer-")]
            assert sorted(names) == [header_name(number) for number in range(LAYERS)]


@pytest.mark.parametrize("kind", [Kind.DISPATCH, Kind.DISPATCH_UNTOUCHED, Kind.HOOK, Kind.BY_HAND])
def test_handler_is_over_when_the_app_returns_to_a_client_that_has_left(kind):
    for peer in MIDDLEWARE_PEERS:
        work = Departure(Layers(kind, LAYERS))
        asyncio.run(timed(peer, work, turns=5))
        assert work.also() == {"over_percent": 100.0}


def test_cost_of_a_layer_is_taken_round_by_round():
    arm, bare = Arm("a 5", "a"), Arm("a 0", "a")
    for with_layers, without in ((15.0, 5.0), (30.0, 10.0), (9.0, 9.0)):
        arm.record(us=with_layers)
        bare.record(us=without)
    middleware_inprocess._record_cost(arm, bare, 5)
    assert arm.samples["layer_us"] == [2.0, 4.0, 0.0]


def test_cost_of_a_layer_is_unknown_where_the_app_alone_was_not_measured():
    arm, bare = Arm("a 5", "a"), Arm("a 0", "a")
    arm.record(us=15.0)
    middleware_inprocess._record_cost(arm, bare, 5)
    assert "layer_us" not in arm.samples


@pytest.mark.parametrize(
    ("run", "spoiling", "label", "reason"),
    [
        pytest.param(
            middleware_inprocess.small_json,
            LOSES_A_LAYER,
            "3 hook Middleware",
            "x-layer-2",
            id="layer",
        ),
        pytest.param(middleware_inprocess.stream, LOSES_A_PIECE, "0", "instead of", id="stream"),
        pytest.param(middleware_inprocess.upload, COUNTS_ONE_LESS, "0", "1000001", id="upload"),
        pytest.param(
            middleware_inprocess.leaving, ENDS_EARLY, "0", "before the client", id="early"
        ),
        pytest.param(middleware_inprocess.leaving, GOES_ON, "0", "goes on", id="handler-goes-on"),
    ],
)
def test_wrong_app_is_caught_before_measuring(run, spoiling, label, reason, make_peer):
    peer = make_peer("spoiled", ANSWERING + spoiling)
    arms = {arm.label: arm for arm in run(Plan(TINY, peers=(peer,)))}
    arm = arms[f"spoiled {label}"]
    assert arm.status == "wrong"
    assert reason in arm.reason
    assert not arm.samples


def test_right_app_is_measured(make_peer):
    peer = make_peer("answering", ANSWERING)
    for run in (
        middleware_inprocess.small_json,
        middleware_inprocess.stream,
        middleware_inprocess.upload,
        middleware_inprocess.leaving,
    ):
        for arm in run(Plan(TINY, peers=(peer,))):
            assert arm.status == "measured", arm.reason


def test_server_without_the_layers_of_its_name_is_caught(make_peer):
    peer = make_peer("lossy", ANSWERING + LOSES_A_LAYER)
    arms = {arm.label: arm for arm in middleware_uvicorn.small_json(Plan(TINY, peers=(peer,)))}
    assert arms["lossy 0"].status == "measured", arms["lossy 0"].reason
    assert arms["lossy 5 hook Middleware"].status == "wrong"
    assert "x-layer-2" in arms["lossy 5 hook Middleware"].reason


@pytest.mark.parametrize("run", [middleware_inprocess.small_json, middleware_uvicorn.small_json])
def test_peer_that_does_not_import_is_missing_with_the_reason(run, make_peer):
    peer = make_peer("not_importable", "import a_module_that_is_not_there")
    for arm in run(Plan(TINY, peers=(peer,))):
        assert arm.status == "missing"
        assert "a_module_that_is_not_there" in arm.reason


def test_time_until_the_app_returns_begins_when_the_client_leaves():
    async def app(scope, receive, send):
        client = scope["state"]["client"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            assert client.left_at is None
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        client.handler_ended()

    async def left():
        client = Leaving(3)
        seconds = await leave(app, request_scope("/endless"), {}, client)
        await collect_handlers([client])
        return seconds

    assert 0 < asyncio.run(left()) < 1


async def fault_of(peer, work):
    app = replace(peer, application=work.layers.application).load()
    async with lifespan(app) as state:
        return await work.fault(app, state)


async def timed(peer, work, turns):
    app = replace(peer, application=work.layers.application).load()
    async with lifespan(app) as state:
        return await work.timed(app, state, turns)


@contextmanager
def served(peer, layers):
    (port,) = free_ports(1)
    with serving(peer.module, port, layers.application) as server:
        server.wait_ready(core=None)
        yield port


def asked(port, method, path):
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path, body=bytes(UPLOAD_BYTES) if method == "POST" else None)
        response = connection.getresponse()
        return dict(response.getheaders()), response.read()
    finally:
        connection.close()
