"""What open streams cost a real server: one task for each, and nothing when their clients left."""

import json
import re
import time
from contextlib import ExitStack

import pytest
from server_process import TIMEOUT, RawClient

STREAMS = 100

pytestmark = pytest.mark.slow

protocols = pytest.mark.parametrize("protocol", ["httptools", "h11"])


def serve(start, app, protocol):
    options = ("--port", "0", "--http", protocol, "--no-access-log")
    return start("-m", "uvicorn", f"counted:{app}", *options)


def counts(server):
    with RawClient(server.address) as client:
        client.get("/counts")
        answer = client.read_until(b"}")
    return json.loads(answer[answer.index(b"{") :])


def open_streams(stack, server):
    clients = [stack.enter_context(RawClient(server.address)) for _ in range(STREAMS)]
    for client in clients:
        client.get("/idle")
    for client in clients:
        client.read_until(b"data: hello\n\n")


@protocols
@pytest.mark.parametrize(("app", "most"), [("app", 1), ("behind", 2)])
def test_idle_streams_take_a_task_each_and_leave_none(start, protocol, app, most):
    server = serve(start, app, protocol)
    before = counts(server)
    with ExitStack() as stack:
        open_streams(stack, server)
        during = counts(server)
    assert during["streams"] == STREAMS
    assert STREAMS <= during["tasks"] - before["tasks"] <= most * STREAMS
    server.wait_for("stream closed", count=STREAMS)
    deadline = time.monotonic() + TIMEOUT
    while (after := counts(server)) != before:
        assert time.monotonic() < deadline, (before, after)
    assert "Traceback" not in server.output


@protocols
@pytest.mark.parametrize("app", ["app", "behind"])
@pytest.mark.parametrize("size", [0, 10, 60_000])
def test_a_source_may_read_its_request_while_its_stream_is_open(start, protocol, app, size):
    server = serve(start, app, protocol)
    head = f"POST /asking HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    with RawClient(server.address) as client:
        client.socket.sendall(head.encode() + bytes(size // 2))
        answer = client.read_until(b'data: {"left":false}\n\n')
        client.socket.sendall(bytes(size - size // 2))
        while answer.count(b"data: ") < 4:
            answer += client.read_until(b"}\n\n")
    given = [json.loads(data) for data in re.findall(rb"data: (.+)\n", answer)]
    assert given == [{"left": False}, {"left": False}, {"read": size}, {"left": False}]
    assert server.wait_for("seen (.+)")[1] == "True"
    server.wait_for("stream closed")
    assert "Traceback" not in server.output
