"""The combined apps over the sockets of real servers."""

import re
import signal
import threading
from pathlib import Path

import httpx2
import pytest
from server_process import RawClient, ServerProcess
from websockets import ConnectionClosed
from websockets.sync.client import connect

from interop.apps import CHUNK, VALUES
from interop.layers import ORIGIN

TESTS = Path(__file__).parent.parent
CRASH = "Exception in ASGI application"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["under_others", "under_ours"])
def server(request):
    name = f"interop.served_interop:{request.param}"
    env = {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    arguments = ("-m", "uvicorn", name, "--factory", "--port", "0", "--lifespan", "on")
    with ServerProcess(*arguments, cwd=TESTS, env=env) as server:
        server.kind = request.param
        server.wait_for("Application startup complete")
        yield server
        server.send_signal(signal.SIGTERM)
        # uvicorn ends by the signal itself, unless somebody else has a handler for it.
        assert server.exit_status() in (0, -signal.SIGTERM), str(server)
    alarms = [line for line in server.lines if re.search("ERROR|Warning|never retrieved", line)]
    assert [line for line in alarms if CRASH not in line] == []


def count(server, pattern):
    return len(server.prints(pattern, within=0))


def test_json_comes_compressed_and_whole(server):
    answer = httpx2.get(f"{server.url}/json", headers={"origin": ORIGIN, "accept-encoding": "gzip"})
    assert answer.json() == VALUES
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.headers["x-request-id"]) == 32
    if server.kind == "under_ours":
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["server-timing"].startswith("app;dur=")
        assert answer.headers["x-dispatched"] == "/json"
    else:
        server.wait_for("span GET /json")


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_a_stream_comes_whole(server, chunks):
    assert httpx2.get(f"{server.url}/chunks/{chunks}").content == CHUNK * chunks


def test_a_stream_is_closed_when_its_client_leaves(server):
    closed = count(server, "stream closed")
    with RawClient(server.address) as client:
        client.get("/endless")
        client.read_until(CHUNK)
        assert count(server, "stream closed") == closed
    server.wait_for("stream closed", count=closed + 1)


@pytest.mark.parametrize("server", ["under_others"], indirect=True)
def test_a_flood_is_closed_when_its_client_leaves(server):
    with RawClient(server.address, receive_buffer_bytes=4096) as client:
        client.get("/flood")
        client.read_until(CHUNK)
    server.wait_for("flood closed")


def test_events_come_as_they_happen_and_are_closed_when_the_client_leaves(server):
    with RawClient(server.address) as client:
        client.get("/events")
        client.read_until(b"data: 2\n\n")
    server.wait_for("events closed")


def test_a_websocket_echoes_and_codes_go_both_ways(server):
    url = server.url.replace("http", "ws", 1)
    with connect(f"{url}/echo") as ws:
        ws.send("zwölf")
        assert ws.recv() == "zwölf"
        ws.close(4001)
    server.wait_for("websocket closed 4001")
    with connect(f"{url}/close/4002") as ws, pytest.raises(ConnectionClosed) as caught:
        ws.recv()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4002, "bye")


@pytest.mark.parametrize("path", ["/crash", "/broken"])
def test_a_crash_is_logged_once_and_reported_once(server, path):
    crashes, reports = count(server, CRASH), count(server, "reported a deliberate crash")
    if path == "/crash":
        assert httpx2.get(f"{server.url}{path}").status_code == 500
    else:
        with pytest.raises(httpx2.RemoteProtocolError):
            httpx2.get(f"{server.url}{path}")
    server.wait_for(CRASH, count=crashes + 1)
    httpx2.get(f"{server.url}/json")  # whatever else there was to log would be logged by now
    assert count(server, CRASH) == crashes + 1
    if server.kind == "under_others":
        assert count(server, "reported a deliberate crash") == reports + 1


def test_many_at_once_get_what_is_theirs(server):
    answers = {}

    def ask(number):
        mine = f"{number:032x}"
        answer = httpx2.get(f"{server.url}/json", headers={"x-request-id": mine})
        answers[mine] = answer.headers["x-request-id"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert all(sent == came for sent, came in answers.items())
