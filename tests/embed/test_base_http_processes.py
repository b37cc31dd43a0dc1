"""Both classes under uvicorn: clients that leave, work after responses, and what goes through."""

import itertools
import re
import signal
import socket
import struct
import time
from pathlib import Path

import httpx2
import pytest
from server_process import RawClient, ServerProcess

from embed import served
from embed.layers import MODULES

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent.parent
TRIES = 5
SEEN_WITHIN = 0.1  # seconds

keys = (f"key-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server():
    command = ("-m", "uvicorn", "embed.served:app", "--port", "0", "--lifespan", "off")
    with ServerProcess(*command, cwd=TESTS) as server:
        yield server
        server.send_signal(signal.SIGTERM)
        server.exit_status()
    records = re.split(r"(?m)^(?=[A-Z]+: )", server.output)
    errors = [record for record in records if record.startswith("ERROR")]
    assert errors
    assert all("deliberate" in record for record in errors)


@pytest.fixture(params=MODULES)
def name(request):
    return request.param


@pytest.fixture(params=served.FRAMEWORKS)
def framework(request):
    return request.param


@pytest.fixture
def key():
    return next(keys)


@pytest.fixture
def root(name, framework, key):
    """The path of what is behind layers of one class in an app of one framework."""
    return lambda count, what: f"/{name}/{framework}/{count}/{what}?key={key}"


def told(server, key, what, count=1):
    """The time at which that was told for the `count`-th time."""
    return float(server.wait_for(rf"^{key} {what} ([\d.]+)", count=count)[1])


def seconds_until_left(server, key, path, tries):
    """How long the handler took to see its client leave, each time."""
    taken = []
    for at in range(1, tries + 1):
        with RawClient(server.address) as client:
            client.get(path)
            told(server, key, "w[a-z]+s", at)
            left = time.monotonic()
        taken.append(told(server, key, "left", at) - left)
    return taken


# Clients that leave


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("what", ["watch", "silent"])
def test_a_handler_behind_our_layers_sees_its_client_leave_at_once(
    server, framework, key, what, count
):
    path = f"/asgi_rt/{framework}/{count}/{what}?key={key}"
    taken = seconds_until_left(server, key, path, TRIES)
    assert min(taken) < SEEN_WITHIN, taken


def test_a_handler_behind_one_of_starlettes_layers_does_not_when_it_asks(server, framework, key):
    with RawClient(server.address) as client:
        client.get(f"/starlette/{framework}/1/watch?key={key}")
        told(server, key, "watches")
    told(server, key, "blind")
    assert not server.prints(f"^{key} left", within=0)


@pytest.mark.parametrize("count", [1, 5])
def test_a_stream_ends_when_its_client_resets_the_connection(server, root, key, count):
    with RawClient(server.address) as client:
        client.get(root(count, "ticks"))
        client.read_until(b"tick\n")
        linger = struct.pack("ii", 1, 0)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    told(server, key, "closed")


# Work after the response


@pytest.mark.parametrize("count", [1, 5])
def test_the_next_request_on_a_connection_does_not_wait_for_work(server, root, key, count):
    with httpx2.Client(base_url=server.url) as client:
        begun = time.monotonic()
        assert client.get(root(count, "background")).text == "hello"
        assert client.get(root(count, "hello")).text == "hello"
        answered = time.monotonic()
    told(server, key, "begins work")
    assert answered - begun < served.BACKGROUND_SECONDS / 2
    assert told(server, key, "ends work") > answered


def test_the_work_is_done_though_the_client_leaves(server, root, key):
    with RawClient(server.address) as client:
        client.get(root(3, "background"))
        told(server, key, "begins work")
    told(server, key, "ends work")


# What goes through


@pytest.mark.parametrize("count", [0, 1, 5])
def test_requests_follow_one_another_on_one_connection(server, root, count):
    with httpx2.Client(base_url=server.url) as client:
        for body in (b"", b"abc", b"x" * 300_000):
            response = client.post(root(count, "echo"), content=body)
            assert response.content == body
            assert response.headers.get_list("x-layer") == ["1"] * count
        chunks = iter([b"a", b"b" * 70_000, b"c"])
        uploaded = client.post(root(count, "echo"), content=chunks)
        assert uploaded.content == b"a" + b"b" * 70_000 + b"c"
        assert client.get(root(count, "file")).content == Path(served.__file__).read_bytes()
        head = client.head(root(count, "file"))
        assert (head.status_code, head.content) == (200, b"")
        with client.stream("GET", root(count, "ticks")) as stream:
            lines = stream.iter_lines()
            assert [next(lines) for _ in range(3)] == ["tick"] * 3


@pytest.mark.parametrize("count", [1, 5])
def test_an_error_is_a_500_and_is_logged_once(server, root, key, count):
    before = len(server.prints("^ERROR", within=0))
    response = httpx2.get(server.url + root(count, "fails"))
    assert (response.status_code, response.text) == (500, "Internal Server Error")
    assert "x-layer" not in response.headers
    server.wait_for(f"^RuntimeError: deliberate {key}$")
    assert len(server.prints("^ERROR", within=0)) == before + 1


@pytest.mark.parametrize(("broken", "name"), [(False, "starlette"), (True, "asgi_rt")])
def test_an_error_after_the_head_breaks_off_the_body(server, framework, key, name, broken):
    """So that the client can tell; with Starlette's class it cannot."""
    with RawClient(server.address) as client:
        client.get(f"/{name}/{framework}/1/breaks?key={key}")
        read = client.read_until(b"part")
        if broken:
            assert b"0\r\n\r\n" not in read + client.read_rest()
        elif not read.endswith(b"0\r\n\r\n"):
            client.read_until(b"0\r\n\r\n")
