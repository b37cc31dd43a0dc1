"""Streams of events over real sockets of real servers: the drain, clients that freeze and leave.

The bounds in seconds are the requirement; the clock starts with the signal.
"""

import re
import signal
import time
from contextlib import ExitStack

import pytest
from server_process import RawClient

GRACE = 1
RUN = ("-m", "asgi_rt", "run", "served:app", "--port", "0", "--grace", str(GRACE))
UVICORN = ("-m", "uvicorn", "served:app", "--port", "0")
STREAMS = 100
# Chunked: the head, the first event, then the farewell in one chunk and the end of the body.
FAREWELL = re.compile(rb"retry: \d+\n\n: the server is going down\n\n\r\n0\r\n\r\n")

pytestmark = pytest.mark.slow


def open_events(stack, address, path="/events", count=1):
    clients = [stack.enter_context(RawClient(address)) for _ in range(count)]
    for client in clients:
        client.get(path)
    for client in clients:
        client.read_until(b"data: hello\n\n")
    return clients


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("command", [RUN, UVICORN], ids=["asgi-rt", "uvicorn"])
def test_every_client_hears_the_farewell_and_the_server_ends_in_time(
    start, command, workers, number
):
    server = start(*command, "--workers", str(workers), "--no-access-log")
    server.wait_for("app started", count=workers)
    with ExitStack() as stack:
        clients = open_events(stack, server.address, count=STREAMS)
        began = time.monotonic()
        server.send_signal(number)
        rests = [client.read_rest() for client in clients]
        assert server.exit_status() == 0, str(server)
        assert time.monotonic() - began < GRACE + 1
    assert [rest for rest in rests if not FAREWELL.search(rest)] == []
    assert len(re.findall("events closed", server.output)) == STREAMS
    assert server.lines.count("app stopped") == workers
    assert "Traceback" not in server.output


def test_a_source_may_finish_after_the_farewell(start):
    server = start(*RUN)
    with ExitStack() as stack:
        (client,) = open_events(stack, server.address, "/events/finishing")
        server.send_signal(signal.SIGTERM)
        rest = client.read_rest()
    assert server.exit_status() == 0
    assert rest.index(b": the server is going down\n\n") < rest.index(b"data: last words\n\n")
    assert rest.endswith(b"\r\n0\r\n\r\n")


def test_a_frozen_client_does_not_hold_the_drain_up(start):
    server = start(*RUN)
    with ExitStack() as stack:
        frozen = stack.enter_context(RawClient(server.address, receive_buffer_bytes=4096))
        frozen.get("/events/flood/patient")
        clients = open_events(stack, server.address, count=2)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        for client in clients:
            assert FAREWELL.search(client.read_rest())
        assert server.exit_status() == 0
        assert time.monotonic() - began < GRACE + 1
    assert server.prints("flood closed", within=0)


@pytest.fixture
def server(start):
    return start(*RUN, "--no-access-log")


def test_a_frozen_client_is_given_up_within_its_timeout_and_others_go_on(server):
    with ExitStack() as stack:
        (other,) = open_events(stack, server.address, "/events/pinged")
        frozen = stack.enter_context(RawClient(server.address, receive_buffer_bytes=4096))
        frozen.get("/events/flood")
        pings = 0
        while not server.prints("flood closed", within=0):
            other.read_until(b": ping\n\n")
            pings += 1
        closed = server.wait_for(r"flood closed ([\d.]+) s")
        assert 0.5 <= float(closed[1]) < 1.5
        assert pings > 1
        other.read_until(b": ping\n\n")


def test_a_client_that_leaves_is_noticed_within_100_ms(server):
    """The best of several tries, as others use this machine too; the clock is the system's."""
    delays = []
    for number in range(1, 6):
        with ExitStack() as stack:
            open_events(stack, server.address)
            left = time.monotonic()
        closed = server.wait_for(r"events closed at ([\d.]+)", count=number)
        delays.append(float(closed[1]) - left)
    assert min(delays) < 0.1, delays


@pytest.mark.parametrize("sent_bytes", [0, 1000, 1_000_000], ids=["none", "some", "all"])
def test_a_post_streams_while_its_body_is_unread_and_its_client_may_leave(server, sent_bytes):
    with RawClient(server.address) as client:
        post(client, "/events/posted", 1_000_000, bytes(sent_bytes))
        client.read_until(b"data: hello\n\n")
        left = time.monotonic()
    closed = server.wait_for(r"posted closed at ([\d.]+)")
    assert float(closed[1]) - left < 5


def test_a_post_may_be_read_before_its_first_event(server):
    with RawClient(server.address) as client:
        post(client, "/events/posted?read=1", 1_000_000, bytes(1_000_000))
        assert b"data: 1000000\n\n" in client.read_until(b"data: hello\n\n")
    server.wait_for("posted closed")


def post(client, path, size, body):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    client.socket.sendall(head.encode() + body)
