"""What layers cost on a real server: no task, no time until a leaver is seen, no memory.

The figures are the requirements. A further kind of layer is one line of `LAYERS` in
`served_layers.py`, and its name in KINDS.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from server_process import RawClient, ServerProcess
from websocket.clients import TEXT, BareClient

pytestmark = pytest.mark.slow

KINDS = ["head", "before-done", "async", "function", "dispatch", "starlette", "stack"]
MARKLESS = {"before-done", "stack"}
"""These set no field x-layer."""
MANY = 20
FEW = 5
SAMPLES = 10  # of 20 ms each: a reader of a WebSocket begins within the first 50 ms
MB = 1_000_000
BURST = 10 * MB

# What serves HTTP, what serves WebSockets, and the event loop.
SERVERS = [("httptools", "websockets-sansio", "uvloop"), ("h11", "wsproto", "asyncio")]

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", params=SERVERS, ids="-".join)
def server(request):
    http, ws, loop = request.param
    options = ("--http", http, "--ws", ws, "--loop", loop, "--no-access-log")
    command = ("-m", "uvicorn", "served_layers:app", "--port", "0", *options)
    with ServerProcess(*command, cwd=Path(__file__).parent) as server:
        yield server
    assert "Traceback" not in server.output
    assert not re.search("^(ERROR|WARNING)", server.output, re.MULTILINE)


def path_of(what, kind, count):
    return f"/{what}?layer={kind}&count={count}"


# How many tasks there are inside of the handler


def plain(server, kind, count) -> Iterator[int]:
    for _ in range(SAMPLES):
        with RawClient(server.address) as client:
            client.get(path_of("tasks", kind, count))
            answer = client.read_until(b"}")
        assert answer.count(b"x-layer") in (0, count)
        yield int(re.search(rb'"tasks":(\d+)', answer)[1])


def streamed(what, pattern):
    def sample(server, kind, count) -> Iterator[int]:
        with RawClient(server.address) as client:
            client.get(path_of(what, kind, count))
            read = b""
            while len(found := re.findall(pattern, read)) < SAMPLES:
                read += client.read_until(b"\n")
        yield from map(int, found)

    return sample


def sender(server, kind, count) -> Iterator[int]:
    with BareClient(server.address, path_of("sender", kind, count)) as client:
        client.shake_hands()
        for _ in range(SAMPLES):
            yield int(client.read_frame()[1])


def echo(server, kind, count) -> Iterator[int]:
    with BareClient(server.address, path_of("echo", kind, count)) as client:
        client.shake_hands()
        for _ in range(SAMPLES):
            client.send(TEXT, b"x")
            yield int(client.read_frame()[1])


HANDLERS = {
    "plain": plain,
    "stream": streamed("stream", rb"\r\n(\d+)\n"),
    "events": streamed("events", rb"data: (\d+)\n"),
    "sender": sender,
    "echo": echo,
}
handlers = pytest.mark.parametrize("handler", HANDLERS)


def tasks(server, handler, kind, count):
    """How many there are in the end; a task that ends just now is no task of a layer."""
    before = len(server.prints(f"{handler} closed", within=0))
    samples = [*HANDLERS[handler](server, kind, count)]
    if handler != "plain":
        server.wait_for(f"{handler} closed", count=before + 1)
    return min(samples[SAMPLES // 2 :])


@pytest.fixture(scope="module")
def tasks_without_layers(server):
    """How many there are, by handler; counted once, as without any layer they are all of a kind."""
    return cache(lambda handler: tasks(server, handler, KINDS[0], 0))


@handlers
@kinds
def test_layers_add_no_task(server, tasks_without_layers, handler, kind):
    assert tasks(server, handler, kind, MANY) == tasks_without_layers(handler)


@pytest.mark.parametrize("handler", ["stream", "events", "sender", "echo"])
def test_a_layer_of_others_that_hides_the_receive_of_the_server_adds_one(
    server, tasks_without_layers, handler
):
    """This is how the test above would see a task."""
    assert tasks(server, handler, "opaque", MANY) == tasks_without_layers(handler) + 1


# When a handler learns that its client has left


@contextmanager
def waiting(server, kind, number):
    with RawClient(server.address) as client:
        client.get(path_of("wait", kind, FEW))
        server.wait_for("plain waits", count=number)
        yield


def streaming(what):
    @contextmanager
    def open_stream(server, kind, number):
        with RawClient(server.address) as client:
            client.get(path_of(what, kind, FEW))
            client.read_until(b"\r\n\r\n")
            client.read_until(b"\n")
            yield

    return open_stream


def conversing(what):
    @contextmanager
    def open_socket(server, kind, number):
        with BareClient(server.address, path_of(what, kind, FEW)) as client:
            client.shake_hands()
            client.send(TEXT, b"x")
            client.read_frame()
            yield

    return open_socket


LEAVERS = {
    "plain": waiting,
    "stream": streaming("stream"),
    "events": streaming("events"),
    "sender": conversing("sender"),
    "echo": conversing("echo"),
}


@pytest.mark.parametrize("handler", LEAVERS)
@kinds
def test_a_client_that_leaves_is_seen_within_100_ms_through_five_layers(server, handler, kind):
    """The best of five, as others use this machine too; the clock is the system's."""
    delays = []
    before = len(server.prints(f"{handler} closed", within=0))
    waited = len(server.prints("plain waits", within=0))
    for number in range(1, 6):
        with LEAVERS[handler](server, kind, waited + number):
            pass
        left = time.monotonic()
        closed = server.wait_for(rf"{handler} closed at ([\d.]+)", count=before + number)
        delays.append(float(closed[1]) - left)
    assert min(delays) < 0.1, delays


# What a client that stalls makes a stream take


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the memory is read in /proc")
@pytest.mark.timeout(240)
@kinds
def test_a_stream_to_a_client_that_stalls_takes_less_than_5_mb(server, kind):
    """40 MB of it, in bursts with stalls between; with ASGI_RT_FULL=1 the whole gigabyte."""
    total = 1000 * MB if os.environ.get("ASGI_RT_FULL") else 4 * BURST
    with RawClient(server.address, receive_buffer_bytes=65536) as client:
        client.get(path_of("flood", kind, FEW))
        samples = stalls(client, BURST, server)  # what a first stream takes once is no growth
        samples += stalls(client, total, server)
    grown = max(samples[1:]) - samples[0]
    print(json.dumps({"kind": kind, "bytes": total, "grown_bytes": grown}))
    assert grown < 5 * MB


def stalls(client, total, server):
    """Read so much, a burst at a time; the memory at the end of the stall before each."""
    samples = []
    for _ in range(total // BURST):
        time.sleep(0.1)  # a stall is what this client is about
        samples.append(server.memory_bytes())
        left = BURST
        while left > 0:
            left -= len(client.socket.recv(min(left, 1 << 20)))
    return samples


# That they are there at all


@kinds
def test_an_error_goes_through_all_of_them(server, kind):
    with RawClient(server.address) as client:
        client.get(path_of("refuse", kind, MANY))
        answer = client.read_until(b"}")
    assert b" 409 " in answer.splitlines()[0]
    assert answer.count(b"x-layer: 1") == (0 if kind in MARKLESS else MANY)
