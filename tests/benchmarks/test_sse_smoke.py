"""Peers whose event streams are wrong are found out, and do not look fast."""

import os
import resource

import pytest

from benchmarks.harness.memory import allow_open_files, resident_bytes, settled_bytes
from benchmarks.model import Plan, Size
from benchmarks.peers import SSE_PEERS
from benchmarks.runs import sse_idle, sse_inprocess, sse_uvicorn

pytestmark = pytest.mark.slow

TINY = Size(rounds=1, seconds=0.02, connections=2)
RAW = SSE_PEERS[0]
RUNNERS = [
    pytest.param(sse_inprocess.events, id="in-process"),
    pytest.param(sse_uvicorn.ready, id="ready"),
    pytest.param(sse_uvicorn.waiting, id="waiting"),
]

# Streams as raw ASGI does, but for the event that a test spoils.
STREAMING = """
from benchmarks.peers import raw_sse_app

async def app(scope, receive, send):
    sent = 0

    async def spoiling(message):
        nonlocal sent
        if message.get("more_body"):
            sent += 1
            if sent - 1 == SPOILED:
                return
        await send(message)

    await raw_sse_app.app(scope, receive, spoiling)
"""
LOSES_AN_EVENT = "SPOILED = 70" + STREAMING
# Right for the check before the measurement, wrong in the long streams after it.
LOSES_A_LATE_EVENT = "SPOILED = 210" + STREAMING

HANGS_UP = """
from benchmarks.peers import raw_sse_app

async def app(scope, receive, send):
    if scope.get("path") == "/idle":
        scope = {**scope, "path": "/ready", "query_string": b"count=1"}
    await raw_sse_app.app(scope, receive, send)
"""


@pytest.mark.parametrize("run", RUNNERS)
def test_lost_event_is_caught_before_measuring(run, make_peer):
    peer = make_peer("loses_an_event", LOSES_AN_EVENT)
    for arm in run(Plan(TINY, peers=(peer,))):
        assert arm.status == "wrong"
        assert "event 70" in arm.reason
        assert not arm.samples


@pytest.mark.parametrize("run", [sse_uvicorn.ready, sse_uvicorn.waiting])
def test_event_lost_under_load_is_caught(run, make_peer):
    peer = make_peer("loses_a_late_event", LOSES_A_LATE_EVENT)
    (arm,) = run(Plan(Size(rounds=1, seconds=0.05), peers=(peer,)))
    assert arm.status == "wrong"
    assert "event 223" in arm.reason
    assert not arm.samples


def test_idle_stream_that_the_server_ends_is_caught(make_peer):
    peer = make_peer("hangs_up", HANGS_UP)
    (arm,) = sse_idle.idle(Plan(TINY, peers=(peer,)))
    assert arm.status == "wrong"
    assert "stay open" in arm.reason


@pytest.mark.parametrize("run", [*RUNNERS, pytest.param(sse_idle.idle, id="idle")])
def test_peer_that_does_not_import_is_missing_with_the_reason(run, make_peer):
    peer = make_peer("not_importable", "import a_module_that_is_not_there")
    for arm in run(Plan(TINY, peers=(peer,))):
        assert arm.status == "missing"
        assert "a_module_that_is_not_there" in arm.reason


def test_idle_streams_beyond_the_limit_of_open_files_are_not_tried(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (100, 100))
    (arm,) = sse_idle.idle(Plan(TINY, peers=(RAW,)))
    assert arm.status == "missing"
    assert "limit" in arm.reason


def test_limit_of_open_files_is_raised_as_far_as_allowed(monkeypatch):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (100, 5_000))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: asked.append(limits))
    assert allow_open_files(50) is None
    assert asked == []
    assert allow_open_files(4_000) is None
    assert asked == [(4_000, 5_000)]
    assert "5000" in allow_open_files(6_000)


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux's /proc")
def test_memory_of_a_process_is_known_once_it_has_settled():
    resident = resident_bytes(os.getpid())
    settled = settled_bytes(os.getpid(), still=0.05, limit=1.0)
    assert resident > 2**20
    assert settled > 2**20


def test_memory_of_a_process_that_is_gone_is_unknown():
    assert resident_bytes(2**30) is None
    assert settled_bytes(2**30, still=0.05) is None
