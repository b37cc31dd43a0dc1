"""Peers whose WebSockets are wrong are found out, and do not look fast."""

from dataclasses import replace

import pytest

from benchmarks.harness import node, ws_load
from benchmarks.harness.server import free_ports, serving
from benchmarks.machine import package_versions
from benchmarks.model import Plan, Size
from benchmarks.peers import WEBSOCKET_PEERS
from benchmarks.runs import ws_echo, ws_idle, ws_inprocess

pytestmark = pytest.mark.slow

TINY = Size(rounds=1, seconds=0.02, connections=2)
RUNNERS = [
    pytest.param(ws_inprocess.echo, id="in-process"),
    pytest.param(ws_echo.echo, id="echo"),
    pytest.param(ws_idle.idle, id="idle"),
]

# Echoes as raw ASGI does, but for the message number SPOILED, counted over all connections.
ECHOING = """
from benchmarks.peers import raw_ws_app

echoed = 0

async def app(scope, receive, send):
    async def spoiling(message):
        global echoed
        if message["type"] == "websocket.send":
            echoed += 1
            if echoed == SPOILED:
                return await spoil(send, message)
        await send(message)

    await raw_ws_app.app(scope, receive, spoiling)
"""
LOSES = """
async def spoil(send, message):
    pass
"""
ALTERS = """
async def spoil(send, message):
    await send({**message, "text": message["text"].upper()})
"""
DOUBLES = """
async def spoil(send, message):
    await send(message)
    await send(message)
"""
HANGS_UP = """
async def spoil(send, message):
    await send({"type": "websocket.close", "code": 1011, "reason": "tired"})
"""
# The check before the measurement exchanges six messages.
EARLY, LATE = "SPOILED = 3", "SPOILED = 40"

RETURNS_EARLY = """
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": (await receive())["text"]})
"""
REFUSES = """
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError
    await receive()
    await send({"type": "websocket.close"})
"""
SPEAKS_FIRST = """
from benchmarks.peers import raw_ws_app

opened = 0

async def app(scope, receive, send):
    global opened
    opened += 1
    await raw_ws_app.app(scope, receive, send if opened < 3 else greeting(send))

def greeting(send):
    async def sending(message):
        await send(message)
        if message["type"] == "websocket.accept":
            await send({"type": "websocket.send", "text": "hello"})

    return sending
"""
# The check opens one connection and the warm-up four.
ENDS_IDLE = """
from benchmarks.peers import raw_ws_app

opened = 0

async def app(scope, receive, send):
    global opened
    opened += 1
    if opened < 6:
        return await raw_ws_app.app(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1013})
"""
# Echoes nothing before its ping is answered.
PINGS = """
import asyncio
import sys
from websockets.asyncio.server import serve
from benchmarks.harness.server import HOST

async def echo(websocket):
    async for message in websocket:
        await (await websocket.ping())
        await websocket.send(message)

async def main(port):
    async with serve(echo, HOST, port, compression=None) as server:
        await server.serve_forever()

asyncio.run(main(int(sys.argv[1])))
"""


@pytest.mark.parametrize("run", RUNNERS)
@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        pytest.param(ALTERS, "came back as", id="altered"),
        pytest.param(HANGS_UP, "tired", id="hung-up"),
    ],
)
def test_wrong_echo_is_caught_before_measuring(run, spoil, fault, make_peer):
    peer = make_peer("spoils_early", EARLY + spoil + ECHOING)
    for arm in run(Plan(TINY, peers=(peer,))):
        assert arm.status == "wrong"
        assert fault in arm.reason
        assert not arm.samples


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        pytest.param(ALTERS, "came back as", id="altered"),
        pytest.param(DOUBLES, "came back as", id="doubled"),
        pytest.param(HANGS_UP, "closed with 1011 tired", id="hung-up"),
    ],
)
def test_echo_that_turns_wrong_under_load_is_caught(spoil, fault, make_peer):
    peer = make_peer("spoils_late", LATE + spoil + ECHOING)
    (arm,) = ws_echo.echo(Plan(TINY, peers=(peer,)))
    assert arm.status == "wrong"
    assert fault in arm.reason
    assert not arm.samples


def test_echo_that_is_lost_under_load_is_caught(make_peer):
    peer = make_peer("loses_late", LATE + LOSES + ECHOING)
    (port,) = free_ports(1)
    with serving(peer.module, port) as server:
        server.wait_ready(core=None)
        report = ws_load.measure(
            ws_load.Order(port, 2, warmup=0, seconds=0.05, server_pid=server.pid, timeout=0.25)
        )
    assert "1 echoes missing after 0.25 s" in report.fault
    assert report.mps == 0


def test_app_that_returns_before_the_last_message_is_caught_in_process(make_peer):
    for arm in ws_inprocess.echo(Plan(TINY, peers=(make_peer("returns", RETURNS_EARLY),))):
        assert arm.status == "wrong"
        assert "4 echoes before the last" in arm.reason


def test_server_of_its_own_is_run_and_its_pings_are_answered(make_peer):
    peer = replace(make_peer("pings", PINGS), own_server=True)
    (arm,) = ws_echo.echo(Plan(TINY, peers=(peer,)))
    assert arm.status == "measured", arm.reason
    assert arm.samples["mps"][0] > 0


@pytest.mark.parametrize("run", RUNNERS[1:])
def test_refused_handshake_is_caught(run, make_peer):
    peer = make_peer("refuses", REFUSES)
    (arm,) = run(Plan(TINY, peers=(peer,)))
    assert arm.status == "wrong"
    assert "status 403" in arm.reason


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        pytest.param(ENDS_IDLE, "closed with 1013", id="closed"),
        pytest.param(SPEAKS_FIRST, "hello", id="not-silent"),
    ],
)
def test_connection_that_does_not_stay_idle_is_caught(source, fault, make_peer):
    (arm,) = ws_idle.idle(Plan(TINY, peers=(make_peer("not_idle", source),)))
    assert arm.status == "wrong"
    assert fault in arm.reason


@pytest.mark.parametrize("run", RUNNERS)
def test_peer_that_does_not_import_is_missing_with_the_reason(run, make_peer):
    peer = make_peer("not_importable", "import a_module_that_is_not_there")
    for arm in run(Plan(TINY, peers=(peer,))):
        assert arm.status == "missing"
        assert "a_module_that_is_not_there" in arm.reason


def test_peer_on_node_is_missing_in_one_line_where_there_is_no_node(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (peer,) = [each for each in WEBSOCKET_PEERS if each.name == "node-ws"]
    (arm,) = ws_echo.echo(Plan(TINY, peers=(peer,)))
    assert arm.status == "missing"
    assert arm.reason.endswith("node is not installed")


def test_missing_npm_package_is_reported_with_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(node, "MODULES", tmp_path)
    with pytest.raises(node.NodeMissing, match=r"npm install --prefix benchmarks/results/.* ws$"):
        node.command("ws")
    assert node.package_version("ws") is None


def test_installed_npm_package_has_a_version(tmp_path, monkeypatch):
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "package.json").write_text('{"version": "8.0.1"}')
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(node, "MODULES", tmp_path)
    assert node.command("ws") == "/usr/bin/node"
    assert package_versions(["npm:ws"])["npm:ws"] == "8.0.1"
