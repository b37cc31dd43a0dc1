"""Limits over the real sockets of uvicorn, around the apps of each framework."""

import http.client
import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import TIMEOUT, RawClient, ServerProcess
from websocket.clients import Refused, with_websockets

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
APPS = {"asgi_rt": "app", "starlette": "starlette_app", "fastapi": "fastapi_app"}
LIMIT = 100_000
PROBLEM = "application/problem+json"

keys = (f"key-{number}-" for number in itertools.count())


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=APPS)
def framework(request):
    return request.param


@pytest.fixture(scope="module")
def server(framework):
    target = f"served_limits:{APPS[framework]}"
    with ServerProcess("-m", "uvicorn", target, "--port", "0", cwd=HERE) as server:
        yield server
        # And uvicorn tells of the responses that broke off.
        errors = {line for line in server.lines if re.search("ERROR|Traceback|Warning", line)}
        assert errors <= {"ERROR:    ASGI callable returned without completing response."}


@pytest.fixture
def key():
    return next(keys)


class Client(http.client.HTTPConnection):
    """One connection, with a name that tells it from others."""

    def __init__(self, server: ServerProcess, name: str = "") -> None:
        super().__init__(*server.address, timeout=TIMEOUT)
        self.auto_open = 0
        self.connect()
        self.name = name

    def ask(self, path: str) -> http.client.HTTPResponse:
        self.request("GET", path, headers={"x-client": self.name})
        return self.getresponse()

    def upload(self, body: bytes | Iterator[bytes]) -> http.client.HTTPResponse:
        headers = {"content-type": "application/json", "x-client": self.name}
        chunked = not isinstance(body, bytes)
        self.request("POST", "/body/upload", body=body, headers=headers, encode_chunked=chunked)
        return self.getresponse()


@pytest.fixture
def client(server, key):
    client = Client(server, key)
    yield client
    client.close()


@pytest.fixture
def other(server, key):
    client = Client(server, key)
    yield client
    client.close()


def text_of(size: int) -> bytes:
    """JSON of so many bytes."""
    return b'"' + b"x" * (size - 2) + b'"'


def in_pieces(body: bytes) -> Iterator[bytes]:
    for at in range(0, len(body), 10_000):
        yield body[at : at + 10_000]


def assert_problem(response: http.client.HTTPResponse, status: int) -> dict[str, object]:
    assert (response.status, response.headers["content-type"]) == (status, PROBLEM)
    problem = json.loads(response.read())
    assert problem["status"] == status
    return problem


# Bodies


def test_a_body_within_the_limit_is_served_and_the_connection_kept(client):
    for body in (text_of(LIMIT), in_pieces(text_of(LIMIT))):
        response = client.upload(body)
        assert (response.status, json.loads(response.read())) == (200, {"size": LIMIT - 2})


def test_a_declared_length_over_the_limit_is_refused_before_the_app(server, client, key):
    response = client.upload(text_of(LIMIT + 1))
    problem = assert_problem(response, 413)
    assert problem["detail"] == "the request body is larger than 100000 bytes"
    assert response.headers["connection"] == "close"
    assert f"{key} begins" not in server.output


@pytest.mark.parametrize("size", [LIMIT + 1, 10 * LIMIT])
def test_a_chunked_body_over_the_limit_is_refused(client, size):
    response = client.upload(in_pieces(text_of(size)))
    assert_problem(response, 413)
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_client_that_reads_nothing_before_it_has_sent_all_gets_its_answer(client, is_chunked):
    body = text_of(20_000_000)
    assert_problem(client.upload(in_pieces(body) if is_chunked else body), 413)


def expecting(server: ServerProcess, length: int) -> RawClient:
    client = RawClient(server.address)
    client.socket.sendall(
        b"POST /body/upload HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"X-Client: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length
    )
    return client


def test_a_client_that_asks_before_it_sends_its_body_is_told_not_to(server):
    with expecting(server, LIMIT + 1) as client:
        answer = client.read_rest()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_a_client_that_asks_before_it_sends_a_smaller_one_is_told_to(server):
    with expecting(server, 10) as client:
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.socket.sendall(text_of(10))
        assert b"HTTP/1.1 200 " in client.read_until(b'"size":')


# Time


def assert_breaks_off(client: Client, key: str) -> None:
    """When this returns, all the time has passed that a request has which began before."""
    response = client.ask(f"/total/rows/{key}")
    assert (response.status, response.readline()) == (200, b"first\n")
    with pytest.raises(http.client.IncompleteRead):
        response.read()


def open_gate(server: ServerProcess, key: str) -> None:
    with RawClient(server.address) as client:
        client.get(f"/open/{key}")
        client.read_until(b"\r\n\r\n")


def test_an_app_that_is_silent_is_cancelled_and_answered_for(server, client, key):
    response = client.ask(f"/head/silent/{key}")
    problem = assert_problem(response, 504)
    assert problem["detail"] == "there was no answer within 0.1 seconds"
    assert response.headers["connection"] == "close"
    server.wait_for(f"{key} is cancelled")


def test_a_response_that_takes_too_long_breaks_off_visibly(server, client, key):
    assert_breaks_off(client, key)
    server.wait_for(f"{key} is cancelled")


def test_work_after_the_response_goes_on_beyond_all_limits(server, client, other, key):
    assert client.ask(f"/total/work/{key}").read() == b"working"
    server.wait_for(f"{key} begins")
    assert_breaks_off(other, f"{key}other")
    open_gate(server, key)
    server.wait_for(f"{key} has worked")


def test_a_thread_is_waited_for_and_what_it_says_then_is_dropped(server, client, other, key):
    client.request("GET", f"/head/thread/{key}")
    server.wait_for(f"{key} begins")
    assert_problem(other.ask(f"/head/silent/{key}other"), 504)
    open_gate(server, key)
    assert_problem(client.getresponse(), 504)


async def test_a_handshake_that_is_not_answered_is_denied(server, key):
    url = f"{server.url.replace('http', 'ws')}/head/silent/{key}"
    with pytest.raises(Refused) as refused:
        async with with_websockets(url):
            pass
    assert refused.value.status == 504
    server.wait_for(f"{key} is cancelled")


async def test_a_websocket_that_is_open_has_all_time(server, client, key):
    url = f"{server.url.replace('http', 'ws')}/total/echo"
    async with with_websockets(url) as websocket:
        assert_breaks_off(client, key)
        await websocket.send("hello")
        assert await websocket.receive() == "hello"


# Rates


def test_each_answer_tells_what_is_left_and_a_refusal_when_to_come_again(client):
    seen = []
    for _ in range(3):
        response = client.ask("/rate/hello")
        response_body = response.read()
        seen.append((response.status, response.headers["ratelimit"]))
        assert response.headers["ratelimit-policy"] == '"default";q=2;w=3600'
    assert seen == [
        (200, '"default";r=1;t=1800'),
        (200, '"default";r=0;t=1800'),
        (429, '"default";r=0;t=1800'),
    ]
    assert response.headers["content-type"] == PROBLEM
    assert response.headers["retry-after"] in ("1799", "1800")
    assert json.loads(response_body)["violated-policies"] == ["default"]


def test_clients_do_not_share_what_they_have(server, client, key):
    for _ in range(3):
        client.ask("/rate/hello").read()
    client.name = f"{key}another"
    assert client.ask("/rate/hello").status == 200


def test_who_has_no_key_is_not_limited(server):
    with RawClient(server.address) as client:
        for _ in range(5):
            client.get("/rate/hello")
            answer = client.read_until(b"hello")
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"ratelimit" not in answer.lower()


async def test_handshakes_count(server, client, key):
    client.ask("/rate/hello").read()
    url = f"{server.url.replace('http', 'ws')}/rate/echo"
    headers = {"x-client": key}
    async with with_websockets(url, headers=headers) as websocket:
        assert websocket.headers["ratelimit"] == '"default";r=0;t=1800'
        assert websocket.headers["ratelimit-policy"] == '"default";q=2;w=3600'
    with pytest.raises(Refused) as refused:
        async with with_websockets(url, headers=headers):
            pass
    assert refused.value.status == 429
    assert refused.value.headers["retry-after"] in ("1799", "1800")
    assert refused.value.headers["ratelimit"] == '"default";r=0;t=1800'


# Places


def counted(client: Client, **counts: int) -> None:
    """Return when the counters of the places stand so."""
    deadline = time.monotonic() + TIMEOUT
    while (seen := json.loads(client.ask("/count").read())) | counts != seen:
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)


def gated(server: ServerProcess, key: str) -> RawClient:
    client = RawClient(server.address)
    client.get(f"/places/gated/{key}")
    return client


def test_who_waits_is_served_in_the_order_of_arrival_and_one_too_many_refused(
    server, client, other, key
):
    waiting = []
    for number in range(3):
        waiting.append(gated(server, f"{key}{number}"))
        counted(other, active=1, queued=number)
    refused = client.ask(f"/places/gated/{key}3")
    assert assert_problem(refused, 503)["detail"] == "too many requests at once"
    assert refused.headers["retry-after"] == "1"
    for number in range(3):
        server.wait_for(f"{key}{number} begins")
        assert f"{key}{number + 1} begins" not in server.output
        other.ask(f"/open/{key}{number}").read()
        with waiting[number] as served:
            assert b"HTTP/1.1 200 " in served.read_until(f"{key}{number}".encode())
    counted(other, active=0, queued=0)


def test_a_client_that_leaves_the_queue_makes_room_at_once(server, other, key):
    left = json.loads(other.ask("/count").read())["left"]
    waiting = []
    for number in range(3):
        waiting.append(gated(server, f"{key}{number}"))
        counted(other, active=1, queued=number)
    waiting[1].close()
    counted(other, active=1, queued=1, left=left + 1)
    waiting.append(gated(server, f"{key}3"))
    counted(other, active=1, queued=2)
    for number in (0, 2, 3):
        server.wait_for(f"{key}{number} begins")
        other.ask(f"/open/{key}{number}").read()
        with waiting[number] as served:
            served.read_until(f"{key}{number}".encode())
    assert f"{key}1 begins" not in server.output
    counted(other, active=0, queued=0)


def test_a_client_that_leaves_while_it_is_served_makes_room(server, other, key):
    first = gated(server, f"{key}0")
    counted(other, active=1)
    second = gated(server, f"{key}1")
    counted(other, active=1, queued=1)
    first.close()
    other.ask(f"/open/{key}0").read()
    server.wait_for(f"{key}1 begins")
    other.ask(f"/open/{key}1").read()
    with second:
        assert b"HTTP/1.1 200 " in second.read_until(f"{key}1".encode())
    counted(other, active=0, queued=0)


def test_who_has_waited_too_long_is_refused(server, client, other, key):
    with RawClient(server.address) as first:
        first.get(f"/impatient/gated/{key}0")
        server.wait_for(f"{key}0 begins")
        assert_problem(client.ask(f"/impatient/gated/{key}1"), 503)
        other.ask(f"/open/{key}0").read()
        assert b"HTTP/1.1 200 " in first.read_until(f"{key}0".encode())


async def test_websockets_have_places_where_that_is_wanted(server, client, other, key):
    url = f"{server.url.replace('http', 'ws')}/impatient/echo"
    async with with_websockets(url):
        assert_problem(client.ask(f"/impatient/gated/{key}"), 503)
        with pytest.raises(Refused) as refused:
            async with with_websockets(url):
                pass
    assert refused.value.status == 503
    assert refused.value.headers["retry-after"] == "1"
