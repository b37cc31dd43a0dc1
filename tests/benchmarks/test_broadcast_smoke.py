"""Peers whose broadcasts are wrong are found out, and do not look fast."""

import resource

import pytest

from benchmarks.harness import broadcast_check, broadcast_requests
from benchmarks.model import Plan, Size
from benchmarks.peers import BROADCAST_STREAMS
from benchmarks.runs import broadcast_idle, broadcast_slices
from benchmarks.runs.broadcast import FROZEN, PLAIN, Broadcasts

pytestmark = pytest.mark.slow

TINY = Size(rounds=1, seconds=0.02, connections=2)
SSE = Broadcasts("sse", levels=(50,))
WS = Broadcasts("ws", levels=(50,))
RUNNERS = [
    pytest.param(SSE, id="sse"),
    pytest.param(WS, id="ws"),
    pytest.param(broadcast_idle.streams, id="sse-idle"),
    pytest.param(broadcast_idle.sockets, id="ws-idle"),
    pytest.param(broadcast_slices.streams, id="sse-slices"),
    pytest.param(broadcast_slices.sockets, id="ws-slices"),
]

# Broadcasts as raw ASGI does, but for the message number SPOILED of every connection.
BROADCASTING = """
from benchmarks.peers import raw_broadcast_app

async def app(scope, receive, send):
    sent = 0

    async def spoiling(message):
        nonlocal sent
        if message.get("more_body") or message["type"] == "websocket.send":
            sent += 1
            if sent == SPOILED:
                return await spoil(send, message)
        await send(message)

    await raw_broadcast_app.app(scope, receive, spoiling)
"""
EARLY = "SPOILED = 7\n"
# Right for the check before the measurement, wrong after it.
LATE = "SPOILED = 103\n"
ALTERS = """
async def spoil(send, message):
    key, dot, dash = ("text", ".", "-") if "text" in message else ("body", b".", b"-")
    await send({**message, key: message[key].replace(dot, dash)})
"""
LOSES = """
async def spoil(send, message):
    pass
"""
DOUBLES = """
async def spoil(send, message):
    await send(message)
    await send(message)
"""
FORGETS = """
from benchmarks.peers import raw_broadcast_app

async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/subscribers":
        return await raw_broadcast_app.answer("0", send)
    await raw_broadcast_app.app(scope, receive, send)
"""


@pytest.mark.parametrize("run", RUNNERS)
@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        pytest.param(ALTERS, "message 6 is", id="altered"),
        pytest.param(DOUBLES, "message 7 is|101 messages came", id="doubled"),
    ],
)
def test_wrong_message_is_caught_before_measuring(run, spoil, fault, make_peer):
    peer = make_peer("spoils_early", EARLY + spoil + BROADCASTING)
    (arm,) = run(Plan(TINY, peers=(peer,)))
    assert_wrong(arm, fault)


@pytest.mark.parametrize("run", RUNNERS[:2])
def test_lost_message_is_caught_before_measuring(run, make_peer, monkeypatch):
    monkeypatch.setattr(broadcast_check, "TIMEOUT", 1.0)
    peer = make_peer("loses_early", EARLY + LOSES + BROADCASTING)
    (arm,) = run(Plan(TINY, peers=(peer,)))
    assert_wrong(arm, "timed out")


@pytest.mark.parametrize("run", RUNNERS[:2])
@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        pytest.param(LOSES, "came where|deliveries missing", id="lost"),
        pytest.param(DOUBLES, "came where|not published|messages of", id="doubled"),
    ],
)
def test_message_that_is_spoilt_under_load_is_caught(run, spoil, fault, make_peer):
    peer = make_peer("spoils_late", LATE + spoil + BROADCASTING)
    (arm,) = run(Plan(TINY, peers=(peer,)))
    assert_wrong(arm, fault)


@pytest.mark.parametrize("run", [broadcast_slices.streams, broadcast_slices.sockets])
def test_of_peers_that_take_turns_one_that_is_wrong_is_left_out(run, make_peer):
    spoilt = make_peer("spoils_in_its_turn", LATE + LOSES + BROADCASTING)
    size = Size(rounds=3, seconds=0.02, connections=2)
    right, wrong, other = run(
        Plan(size, peers=(BROADCAST_STREAMS[0], spoilt, *BROADCAST_STREAMS[1:2]))
    )
    assert_wrong(wrong, "came where|deliveries missing")
    for arm in (right, other):
        assert arm.status == "measured", arm.reason
        assert len(arm.samples["dps"]) == 3


@pytest.mark.parametrize("run", RUNNERS)
def test_server_that_does_not_know_its_subscribers_is_caught(run, make_peer, monkeypatch):
    monkeypatch.setattr(broadcast_requests, "LIMIT", 1.0)
    (arm,) = run(Plan(TINY, peers=(make_peer("forgets", FORGETS),)))
    assert_wrong(arm, "knows of 0 subscribers instead of 3")


@pytest.mark.parametrize("transport", ["sse", "ws"])
def test_loop_that_waits_for_each_client_is_stalled_by_one_that_does_not_read(transport):
    run = Broadcasts(transport, (PLAIN, FROZEN), levels=(50,))
    plain, frozen = run(Plan(TINY, peers=BROADCAST_STREAMS[:1]))
    assert plain.status == "measured", plain.reason
    assert frozen.status == "stalled"
    assert "deliveries missing" in frozen.reason
    assert not frozen.samples


def test_queue_for_every_client_is_not_stalled_by_one_that_does_not_read():
    run = Broadcasts("sse", (PLAIN, FROZEN), levels=(50,))
    peers = tuple(peer for peer in BROADCAST_STREAMS if peer.name == "starlette")
    _, frozen = run(Plan(TINY, peers=peers))
    assert frozen.status == "measured", frozen.reason
    assert frozen.reference == "starlette"


@pytest.mark.parametrize("run", RUNNERS)
def test_subscribers_beyond_the_limit_of_open_files_are_not_tried(run, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (100, 100))
    (arm,) = run(Plan(TINY, peers=BROADCAST_STREAMS[:1]))
    assert arm.status == "missing"
    assert "limit" in arm.reason


@pytest.mark.parametrize("run", RUNNERS)
def test_peer_that_does_not_import_is_missing_with_the_reason(run, make_peer):
    peer = make_peer("not_importable", "import a_module_that_is_not_there")
    (arm,) = run(Plan(TINY, peers=(peer,)))
    assert arm.status == "missing"
    assert "a_module_that_is_not_there" in arm.reason


def assert_wrong(arm, fault):
    assert arm.status == "wrong"
    assert any(words in arm.reason for words in fault.split("|")), arm.reason
    assert not arm.samples
