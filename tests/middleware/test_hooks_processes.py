"""The hooks behind real sockets: in an app of each framework, on both of uvicorn's kinds."""

import itertools
import re
from pathlib import Path

import httpx2
import pytest
from server_process import RawClient, ServerProcess
from websocket.clients import CLOSE, TEXT, BareClient

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent.parent
FRAMEWORKS = ["asgi_rt", "starlette", "fastapi"]
SERVERS = [("httptools", "websockets-sansio"), ("h11", "wsproto")]
LAYERS = ["stepped", "guard"]


@pytest.fixture(
    scope="module",
    params=itertools.product(FRAMEWORKS, SERVERS),
    ids=lambda each: f"{each[0]}-{each[1][1]}",
)
def server(request):
    framework, (http, ws) = request.param
    options = ("--http", http, "--ws", ws, "--no-access-log")
    command = ("-m", "uvicorn", f"middleware.served_hooks:{framework}", "--port", "0", *options)
    with ServerProcess(*command, cwd=TESTS, env={"PYTHONPATH": str(TESTS)}) as server:
        yield server
    assert not re.search("^(ERROR|WARNING)|Traceback", server.output, re.MULTILINE), server.output


@pytest.fixture
def told(server):
    """Waits until both layers have told of one more connection, and gives what they said."""
    counts = {layer: len(server.prints(f"^{layer} ", within=0)) for layer in LAYERS}

    def wait(*layers):
        lines = [server.wait_for(f"^{each} (.*)", count=counts[each] + 1)[1] for each in layers]
        assert len(set(lines)) == 1
        return lines[0]

    return wait


@pytest.mark.parametrize(
    ("path", "status", "size"), [("/", 200, 6), ("/stream", 200, 6), ("/nowhere", 404, None)]
)
def test_a_response_goes_through_the_hooks(server, told, path, status, size):
    response = httpx2.get(server.url + path)
    assert response.status_code == status
    assert (response.headers["x-guard"], response.headers["x-stepped"]) == ("1", "2")
    assert size in (None, len(response.content))
    assert told(*LAYERS) == f"{path} {status} {len(response.content)} None - -"


def test_an_answer_in_place_of_the_app_goes_through_its_own_hooks(server, told):
    response = httpx2.get(f"{server.url}/early")
    assert response.json() == {"websocket": False}
    assert response.headers["x-guard"] == "1"
    assert "x-stepped" not in response.headers
    assert told("guard") == "/early 200 19 None - -"


def test_an_http_error_is_an_answer_too(server, told):
    response = httpx2.get(server.url, headers={"token": "wrong"})
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Token")
    assert told("guard").startswith("/ 401 ")


def test_a_client_that_leaves_a_stream_is_told_of(server, told):
    with RawClient(server.address) as client:
        client.get("/endless")
        client.read_until(b"tick")
    assert re.fullmatch(r"/endless 200 \d+ None left -", told(*LAYERS))


def test_a_websocket_goes_through_the_hooks(server, told):
    with BareClient(server.address, "/echo") as client:
        answer = client.read_until(b"\r\n\r\n")
        client.send(TEXT, "tschüss".encode())
        assert client.read_frame() == (TEXT, "tschüss".encode())
        client.send(CLOSE, b"\x0f\xa0")
        assert client.end()[0] == 4000
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"x-guard: 1\r\n" in answer
    assert b"x-stepped: 2\r\n" in answer
    assert told(*LAYERS) == "/echo 101 8 4000 left -"


def test_a_websocket_that_is_lost_is_1006(server, told):
    with BareClient(server.address, "/echo") as client:
        client.shake_hands()
        client.reset()
    assert told(*LAYERS) == "/echo 101 0 1006 left -"


def test_a_handshake_is_denied_with_the_answer(server, told):
    with BareClient(server.address, "/early") as client:
        answer = client.read_until(b'{"websocket":true}')
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"x-guard: 1\r\n" in answer
    assert told("guard") == "/early 200 18 None - -"
