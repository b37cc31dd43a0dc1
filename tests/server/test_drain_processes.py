"""Real servers go down cleanly with endless streams open: within the grace and a second, with 0.

The bounds in seconds are the requirement; the clock starts with the signal.
"""

import os
import signal
import time
from contextlib import ExitStack

import pytest
from server_process import RawClient

GRACE = 1
RUN = ("-m", "asgi_rt", "run", "served:app", "--port", "0", "--grace", str(GRACE))
UVICORN = ("-m", "uvicorn", "served:app", "--port", "0")
STREAMS = 20

pytestmark = pytest.mark.slow


def open_streams(stack, address, path="/endless", count=STREAMS):
    clients = [stack.enter_context(RawClient(address)) for _ in range(count)]
    for client in clients:
        client.get(path)
    for client in clients:
        client.read_until(b"tick\n")
    return clients


def ends_in_time(server, number, *, to_all=False):
    began = time.monotonic()
    server.send_signal(number, to_all=to_all)
    status = server.exit_status()
    seconds = time.monotonic() - began
    assert status == 0, str(server)
    assert seconds < GRACE + 1, str(server)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", [RUN, UVICORN], ids=["asgi-rt", "uvicorn"])
def test_a_server_with_endless_streams_ends_in_time(start, command, number):
    server = start(*command)
    with ExitStack() as stack:
        open_streams(stack, server.address)
        ends_in_time(server, number)
    assert server.lines.count("app stopped") == 1


@pytest.mark.parametrize("command", [RUN, UVICORN], ids=["asgi-rt", "uvicorn"])
def test_a_sync_source_that_hangs_does_not_keep_the_process(start, command):
    server = start(*command)
    with ExitStack() as stack:
        open_streams(stack, server.address, "/hanging", count=2)
        ends_in_time(server, signal.SIGTERM)
    assert server.lines.count("app stopped") == 1


@pytest.mark.parametrize("to_all", [False, True], ids=["to-parent", "to-all"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", [RUN, UVICORN], ids=["asgi-rt", "uvicorn"])
def test_workers_with_endless_streams_end_in_time(start, command, number, to_all):
    server = start(*command, "--workers", "2")
    server.wait_for("app started", count=2)
    with ExitStack() as stack:
        open_streams(stack, server.address)
        ends_in_time(server, number, to_all=to_all)
    assert server.lines.count("app stopped") == 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_on_a_unix_socket_ends_in_time_and_removes_it(start, socket_path, workers):
    command = ("-m", "asgi_rt", "run", "served:app", "--grace", str(GRACE))
    server = start(*command, "--uds", socket_path, "--workers", workers)
    server.wait_for("app started", count=int(workers))
    with ExitStack() as stack:
        open_streams(stack, socket_path)
        ends_in_time(server, signal.SIGTERM)
    assert server.lines.count("app stopped") == int(workers)
    assert not os.path.exists(socket_path)


def test_a_reloading_server_ends_in_time(start):
    server = start(*RUN, "--reload")
    with ExitStack() as stack:
        open_streams(stack, server.address)
        ends_in_time(server, signal.SIGINT, to_all=True)
    assert server.lines.count("app stopped") == 1


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,) * 2, (signal.SIGINT, signal.SIGTERM)])
@pytest.mark.parametrize("command", [RUN, UVICORN], ids=["asgi-rt", "uvicorn"])
def test_a_sigterm_that_follows_does_not_cut_the_grace_off(start, command, numbers):
    """As systemd sends it to a whole control group, of which some were told before."""
    server = start(*command)
    with ExitStack() as stack:
        open_streams(stack, server.address)
        (polite,) = open_streams(stack, server.address, "/polite", count=1)
        server.send_signal(numbers[0])
        polite.read_until(b"farewell\n")
        ends_in_time(server, numbers[1])
    assert server.lines.count("app stopped") == 1


def test_a_sigint_that_follows_a_sigterm_does_not_cut_the_grace_off_in_uvicorn(start):
    """As a worker gets them where Ctrl-C reaches its supervisor first."""
    server = start(*UVICORN)
    with ExitStack() as stack:
        open_streams(stack, server.address)
        (polite,) = open_streams(stack, server.address, "/polite", count=1)
        server.send_signal(signal.SIGTERM)
        polite.read_until(b"farewell\n")
        ends_in_time(server, signal.SIGINT)
    assert server.lines.count("app stopped") == 1


def test_a_foreign_app_gets_the_grace_and_the_server_exits_with_0(start):
    server = start("-m", "asgi_rt", "run", "served:foreign", "--port", "0", "--grace", str(GRACE))
    with ExitStack() as stack:
        open_streams(stack, server.address)
        ends_in_time(server, signal.SIGTERM)


def test_streams_that_heed_the_drain_say_farewell_and_hold_nothing_up(start):
    grace = 20
    server = start(*RUN[:-1], str(grace))
    with ExitStack() as stack:
        clients = open_streams(stack, server.address, "/polite")
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        for client in clients:
            assert client.read_rest().endswith(b"farewell\n\r\n0\r\n\r\n")
        assert server.exit_status() == 0
        assert time.monotonic() - began < grace
