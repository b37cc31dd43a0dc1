"""Clients that send too much and clients that read too little: the server's memory stays flat."""

import contextlib
import os
import re
import select
import socket
import threading

import httpx2
import pytest

from websocket.clients import BINARY, LOST, TEXT, BareClient, frame
from websocket.servers import COMMANDS, HYPERCORN_ENDS, HYPERCORN_STUCK, fresh_key, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the memory is in /proc"),
]

MIB = 1024 * 1024
FLAT = 5 * MIB
STUCK = 0.3
"""Seconds without room for one more byte, after which a client counts as blocked."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=COMMANDS)
def server(request):
    ends = HYPERCORN_ENDS or request.param != "hypercorn"
    with serving(request.param, allowed=HYPERCORN_STUCK, ends=ends) as server:
        yield server


@pytest.fixture
def key():
    return fresh_key()


def flood(address, path, payload):
    """Send as fast as it goes, while all that comes is read; how the connection ended."""
    burst = frame(BINARY, payload) * max(1, 65536 // len(payload))

    def send():
        with contextlib.suppress(OSError):
            while True:
                client.socket.sendall(burst)

    with BareClient(address, path) as client:
        client.shake_hands()
        sender = threading.Thread(target=send)
        sender.start()
        try:
            return client.end()
        finally:
            with contextlib.suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)
            sender.join()


def growth(server, work):
    """The bytes by which the server's memory peaked while it worked for the second time."""
    work()
    before = server.memory_bytes()
    server.forget_peak()
    work()
    return server.peak_bytes() - before


@pytest.mark.parametrize(
    ("path", "payload", "code"),
    [
        ("/rate", bytes(100), 1008),
        ("/rate", bytes(10_000), 1008),
        ("/small", bytes(1001), 1009),
        ("/small", bytes(65536), 1009),
        ("/full", bytes(100), 1013),
    ],
    ids=["short-over-the-rate", "over-the-rate", "over-the-size", "far-over-the-size", "unread"],
)
def test_a_flood_is_cut_off_at_flat_memory(server, path, payload, code):
    endings = []
    grown = growth(server, lambda: endings.append(flood(server.address, path, payload)))
    # hypercorn closes the connection behind its close frame: TCP then resets what still sends,
    # and the frame is lost if that is faster.
    allowed = {code, LOST} if server.kind == "hypercorn" else {code}
    assert {code for code, _ in endings} <= allowed
    assert grown < FLAT


def send_until_stuck(client, burst):
    """What went out, in bytes, until there was no room for more."""
    sent = 0
    client.socket.setblocking(False)
    while select.select([], [client.socket], [], STUCK)[1]:
        sent += client.socket.send(burst[sent % len(burst) :])
        assert sent < 64 * MIB, "nothing holds the client back"
    client.socket.setblocking(True)
    return sent


def test_a_client_waits_while_nothing_is_received_and_loses_nothing(server, key):
    burst = frame(BINARY, bytes(1000)) * 65
    with BareClient(server.address, f"/patient?key={key}") as client:
        client.shake_hands()
        server.wait_for(f"^{key} begins")
        before = server.memory_bytes()
        server.forget_peak()
        sent = send_until_stuck(client, burst)
        assert server.peak_bytes() - before < FLAT
        httpx2.get(f"{server.url}/open/{key}")
        bursts = -(-sent // len(burst))
        unsent = (burst * bursts)[sent:]
        client.socket.sendall(unsent + frame(BINARY, b"last"))
        messages = bursts * 65
        assert client.read_frame() == (TEXT, f"{messages} messages are read".encode())


def test_unread_messages_that_are_discarded_cost_nothing(server, key):
    def discard():
        with BareClient(server.address, "/discarding") as client:
            client.shake_hands()
            for _ in range(32):
                client.socket.sendall(frame(BINARY, bytes(1000)) * 1000)

    assert growth(server, discard) < FLAT


def test_a_frozen_client_is_given_up_and_others_go_on(server, key):
    before = server.memory_bytes()
    with (
        BareClient(server.address, "/echo") as other,
        BareClient(server.address, f"/frozen?key={key}", receive_buffer_bytes=4096) as client,
    ):
        client.shake_hands()
        other.shake_hands()
        echoes = 0
        while not server.prints(f"^{key} left", within=0):
            other.send(TEXT, b"hello")
            assert other.read_frame() == (TEXT, b"hello")
            echoes += 1
        assert echoes > 10
        assert server.memory_bytes() - before < 2 * FLAT
    (line,) = [each for each in server.lines if each.startswith(f"{key} gave up")]
    gave_up = re.search(r"after (\d+) messages, ([\d.]+) s", line)
    assert gave_up is not None
    messages, seconds = int(gave_up[1]), float(gave_up[2])
    assert messages * 65536 < 16 * MIB
    assert 1 <= seconds < 3
