"""Timings, ids and the access log over the real sockets of uvicorn, under each framework."""

import json
import re
from collections import Counter
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest
from server_process import RawClient, ServerProcess
from websocket.clients import LOST, BareClient, with_websockets

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
APPS = {"asgi_rt": "app", "starlette": "starlette_app", "fastapi": "fastapi_app"}
ID = r"[0-9a-f]{32}"


@pytest.fixture
def anyio_backend():
    return "asyncio"


class ObservedServer(ServerProcess):
    """A server whose log is read as the records that it holds."""

    def __init__(self, app):
        target = f"served_observing:{app}"
        super().__init__("-m", "uvicorn", target, "--port", "0", cwd=HERE)

    def records(self, *, logger="asgi_rt.access"):
        records = [json.loads(line) for line in self.lines if line.startswith('{"time"')]
        return [record for record in records if record["logger"] == logger]

    async def told(self, path, request_id, *, event="end"):
        """The record of a request, when it is written."""
        marks = rf'"{event}","type".*"path":"{re.escape(path)}".*"request_id":"{request_id}"'
        await anyio.to_thread.run_sync(self.wait_for, marks)
        records = [
            record
            for record in self.records()
            if (record["event"], record["path"], record["request_id"]) == (event, path, request_id)
        ]
        assert len(records) == 1, records
        return records[0]

    def ids_of(self, message):
        return [
            each["request_id"] for each in self.records(logger="app") if each["message"] == message
        ]


@pytest.fixture(scope="module", params=APPS)
def framework(request):
    return request.param


@pytest.fixture(scope="module")
def server(framework):
    with ObservedServer(APPS[framework]) as server:
        yield server


@pytest.fixture
async def client(server):
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as client:
        yield client


def has(record, **fields):
    return {name: record[name] for name in fields} == fields


async def test_a_plain_request_has_one_id_in_answer_handler_thread_and_log(server, client):
    response = await client.get("/plain?token=secret")
    request_id = response.headers["x-request-id"]
    assert re.fullmatch(ID, request_id)
    assert response.json() == {"state": request_id, "variable": request_id, "thread": request_id}
    record = await server.told("/plain", request_id)
    size = int(response.headers["content-length"])
    assert has(record, status=200, level="INFO", method="GET", bytes_sent=size, chunks=1)
    assert has(record, disconnected=False, error=None, code=None, http_version="1.1")
    assert 0.001 < record["seconds_to_head"] <= record["seconds"] < 5
    assert re.fullmatch(
        rf'127\.0\.0\.1:\d+ "GET /plain HTTP/1\.1" 200 bytes_sent={size} chunks=1'
        rf" seconds=[\d.]+ seconds_to_head=[\d.]+ request_id={request_id}",
        record["message"],
    )
    assert request_id in server.ids_of("in the handler")
    assert request_id in server.ids_of("in a thread")
    assert "secret" not in json.dumps(server.records())


async def test_a_client_may_bring_its_id_and_nothing_harmful(server, client):
    response = await client.get("/plain", headers={"x-request-id": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"
    assert has(await server.told("/plain", "mine-1"), status=200)
    for harmful in (b"a b", b"<script>", b"x" * 40_000, "é".encode()):
        response = await client.get("/plain", headers={"x-request-id": harmful})
        assert re.fullmatch(ID, response.headers["x-request-id"])
    twice = [("x-request-id", "first"), ("x-request-id", "second")]
    response = await client.get("/plain", headers=twice)
    assert re.fullmatch(ID, response.headers["x-request-id"])
    assert "<script>" not in server.output


async def test_timings_reach_the_client(server, client):
    headers = (await client.get("/plain")).headers
    assert headers["timing-allow-origin"] == "*"
    found = re.fullmatch(
        r'think;dur=([\d.]+);desc="others first", db;dur=12\.000, app;dur=([\d.]+)',
        headers["server-timing"],
    )
    assert found is not None, headers["server-timing"]
    thinking, whole = float(found[1]), float(found[2])
    assert 1 <= thinking <= whole
    assert float(headers["x-process-time"]) * 1000 == pytest.approx(whole, abs=0.01)


async def test_a_stream_is_told_of_at_its_head_and_with_all_its_bytes_at_its_end(server, client):
    response = await client.get("/rows")
    assert response.text == "row\n" * 3
    request_id = response.headers["x-request-id"]
    assert has(await server.told("/rows", request_id, event="begin"), status=200, level="INFO")
    record = await server.told("/rows", request_id)
    assert has(record, status=200, bytes_sent=12, disconnected=False, level="INFO")
    for number in range(3):
        assert request_id in server.ids_of(f"row {number}")


async def test_a_client_that_leaves_in_the_middle_is_told_of(server):
    with RawClient(server.address) as client:
        client.get("/endless")
        head = client.read_until(b"first\n")
        request_id = re.search(rb"x-request-id: (\w+)", head)[1].decode()
        await server.told("/endless", request_id, event="begin")
    record = await server.told("/endless", request_id)
    assert has(record, status=200, bytes_sent=6, chunks=1, disconnected=True, level="INFO")
    assert record["message"].endswith(f"disconnected request_id={request_id}")


async def test_a_client_that_leaves_before_the_head_is_told_of_with_499(server):
    with RawClient(server.address) as client:
        head = "POST /upload HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: half\r\n"
        client.socket.sendall(f"{head}Content-Length: 10\r\n\r\nhalf".encode())
        await anyio.to_thread.run_sync(server.wait_for, '"message":"reading"')
    record = await server.told("/upload", "half")
    assert has(record, status=499, disconnected=True, bytes_sent=0, chunks=0, level="INFO")


async def test_a_crash_is_told_of_and_its_traceback_names_the_id(server, client):
    response = await client.get("/crash", headers={"x-request-id": "crash-1"})
    assert response.status_code == 500
    record = await server.told("/crash", "crash-1")
    assert has(record, status=500, level="ERROR", error="RuntimeError", bytes_sent=0)
    assert "deliberate" not in record["message"]
    server.wait_for("^request id: crash-1$")
    assert len(server.prints("^RuntimeError: a deliberate crash", within=0)) >= 1


async def test_what_is_skipped_is_not_told_of(server, client):
    response = await client.get("/health")
    assert response.headers["x-request-id"]
    later = (await client.get("/plain")).headers["x-request-id"]
    await server.told("/plain", later)
    assert not [record for record in server.records() if record["path"] == "/health"]


async def test_a_websocket_is_told_of_with_code_and_counts(server):
    url = server.url.replace("http", "ws", 1)
    async with with_websockets(f"{url}/echo", headers={"x-request-id": "socket-1"}) as client:
        assert client.headers["x-request-id"] == "socket-1"
        assert re.fullmatch(r"app;dur=[\d.]+", client.headers["server-timing"])
        assert has(await server.told("/echo", "socket-1", event="begin"), status=101)
        for text in ("a", "grüße"):
            await client.send(text)
            assert await client.receive() == text
        await client.close(4001, "enough")
    record = await server.told("/echo", "socket-1")
    assert has(record, type="websocket", status=101, code=4001, disconnected=True, error=None)
    assert has(record, messages_received=2, bytes_received=8, chunks=2, bytes_sent=8, level="INFO")
    assert "code=4001 bytes_received=8 messages_received=2" in record["message"]
    assert server.ids_of("a message") == ["socket-1"] * 2


async def test_a_websocket_that_is_lost_is_told_of(server):
    client = BareClient(server.address, "/echo")
    head = client.read_until(b"\r\n\r\n")
    request_id = re.search(rb"x-request-id: (\w+)", head)[1].decode()
    await server.told("/echo", request_id, event="begin")
    client.reset()
    record = await server.told("/echo", request_id)
    assert has(record, status=101, code=1006, disconnected=True, level="INFO")


async def test_a_websocket_whose_handler_crashes_is_told_of(server, framework):
    """asgi_rt closes it; where nobody does, uvicorn drops the connection, and there is no code."""
    code = 1011 if framework == "asgi_rt" else None
    url = server.url.replace("http", "ws", 1)
    async with with_websockets(f"{url}/crash", headers={"x-request-id": "crash-2"}) as client:
        assert (await client.end())[0] == (code or LOST)
    record = await server.told("/crash", "crash-2")
    assert has(record, status=101, code=code, level="ERROR", error="RuntimeError")
    server.wait_for("^request id: crash-2$")


async def test_hundreds_at_a_time_never_mix_their_ids(server, client):
    async def ask(number):
        response = await client.get("/plain", headers={"x-request-id": f"of-{number}"})
        assert response.headers["x-request-id"] == f"of-{number}"
        assert set(response.json().values()) == {f"of-{number}"}

    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(ask, number)
    for number in range(200):
        await server.told("/plain", f"of-{number}")
    for message in ("in the handler", "in a thread"):
        seen = Counter(each for each in server.ids_of(message) if each.startswith("of-"))
        assert seen == {f"of-{number}": 1 for number in range(200)}


def test_requests_sent_in_one_go_on_one_connection_keep_their_ids_apart(server):
    """The server begins the next of them from within the task of the one before."""
    with RawClient(server.address) as client:
        requests = [
            f"GET /plain HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: piped-{number}\r\n\r\n"
            for number in range(3)
        ]
        crash = "GET /crash HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: piped-crash\r\n\r\n"
        client.socket.sendall("".join([*requests, crash]).encode())
        answers = client.read_rest().decode()
    for number in range(3):
        name = f"piped-{number}"
        assert f'{{"state":"{name}","variable":"{name}","thread":"{name}"}}' in answers
        assert answers.count(f"x-request-id: {name}\r\n") == 1
    server.wait_for("^request id: piped-crash$")
