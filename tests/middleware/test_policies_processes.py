"""The layers that guard an app, in three frameworks under real servers, as clients see them."""

import httpx2
import pytest
from middleware.policy_apps import PAGE_ORIGIN
from server_process import RawClient, ServerProcess
from websocket.clients import CONNECTS, Refused
from websocket.servers import HERE as WEBSOCKET_TESTS

pytestmark = pytest.mark.slow

HERE = WEBSOCKET_TESTS.parent / "middleware"
UVICORN = ("-m", "uvicorn", "policy_apps:behind_all", "--factory", "--port", "0")
SERVERS = [
    pytest.param(("asgi_rt", "httptools", "websockets-sansio"), id="asgi_rt-httptools-sansio"),
    pytest.param(("asgi_rt", "h11", "wsproto"), id="asgi_rt-h11-wsproto"),
    pytest.param(("starlette", "h11", "websockets-sansio"), id="starlette-h11-sansio"),
    pytest.param(("fastapi", "httptools", "wsproto"), id="fastapi-httptools-wsproto"),
]
PREFLIGHT = {"origin": PAGE_ORIGIN, "access-control-request-method": "PUT"}


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    framework, http, ws = request.param
    command = (*UVICORN, "--http", http, "--ws", ws)
    with ServerProcess(*command, cwd=HERE, env={"POLICY_APP": framework}) as server:
        assert server.url
        yield server
        assert "Traceback" not in server.output, str(server)
        assert "ERROR" not in server.output, str(server)


@pytest.fixture
def client(server):
    """As a proxy in front that ends TLS: uvicorn believes it, as it is on the same machine."""
    headers = {"host": "example.com", "x-forwarded-proto": "https"}
    with httpx2.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        yield client


def send(server, head):
    """The answer to a request as it stands, to its end."""
    with RawClient(server.address) as raw:
        raw.socket.sendall(head)
        return raw.read_rest()


# CORS


def test_a_page_of_an_allowed_origin_may_read_a_stream(client):
    response = client.get("/stream", headers={"origin": PAGE_ORIGIN})
    assert response.text == "onetwo"
    assert response.headers["access-control-allow-origin"] == PAGE_ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers.get_list("vary") == ["Origin"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://" + "a" * 30_000])
def test_a_page_of_another_origin_may_not(client, origin):
    response = client.get("/", headers={"origin": origin})
    assert response.text == "served"
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert response.headers["vary"] == "Origin"


def test_a_preflight_is_answered_and_may_be_kept(client):
    response = client.options(
        "/", headers={**PREFLIGHT, "access-control-request-headers": "x-token"}
    )
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == PAGE_ORIGIN
    assert response.headers["access-control-allow-methods"] == "GET, PUT"
    assert "X-Token" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-max-age"] == "600"


def test_a_preflight_that_is_refused_is_a_400_that_says_why(client):
    asked = {**PREFLIGHT, "origin": "https://evil.example"}
    response = client.options("/", headers=asked)
    assert response.status_code == 400
    assert response.json()["detail"].endswith("not allowed here: the origin")
    assert not [name for name in response.headers if name.startswith("access-control-")]


def test_thousands_of_requested_headers_are_a_400(client):
    names = ",".join(f"x-{number}" for number in range(4_000))
    response = client.options("/", headers={**PREFLIGHT, "access-control-request-headers": names})
    assert response.status_code == 400
    assert response.json()["detail"].endswith("not allowed here: a header")


# Hosts


@pytest.mark.parametrize("host", ["example.com", "EXAMPLE.COM.:8000", "127.0.0.1:1"])
def test_a_listed_host_is_served(client, host):
    assert client.get("/", headers={"host": host}).text == "served"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "example.com@evil.example", "example.com/", "a b", "", "a" * 30_000],
    ids=lambda host: host[:20],
)
def test_another_host_is_a_400_that_does_not_repeat_it(client, host):
    response = client.get("/", headers={"host": host})
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "evil" not in response.text


@pytest.mark.parametrize(
    "hosts",
    [
        b"",
        b"Host: example.com\r\nHost: evil.example\r\n",
        b"Host: example.com\r\nHost: example.com\r\n",
        b"Host: example.com\rx-evil: 1\r\n",
        b"Host: example.com\x00\r\n",
        b"Host: example.com\x0bevil\r\n",
        b"Host: \xffexample.com\r\n",
    ],
)
def test_a_host_field_that_is_not_in_order_is_a_400_on_the_wire(server, hosts):
    answer = send(server, b"GET / HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"evil" not in answer
    assert b"location" not in answer.lower()


def test_a_host_without_www_is_sent_to_the_one_with_it(client):
    response = client.get("/a%2Fb?c=d", headers={"host": "example.net"})
    assert response.status_code == 307
    assert response.headers["location"] == "https://www.example.net/a%2Fb?c=d"


# https


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_http_is_sent_to_https(server, client, method):
    headers = {"x-forwarded-proto": "http", "host": "example.com:80"}
    url = f"{server.url}//evil.example/%0d%0a?b=%26"
    response = client.request(method, url, headers=headers)
    assert (response.status_code, response.content) == (307, b"")
    assert response.headers["location"] == "https://example.com//evil.example/%0d%0a?b=%26"
    assert "strict-transport-security" not in response.headers


@pytest.mark.parametrize("target", [b".evil.example/", b"http://evil.example/", b"@evil.example"])
def test_no_request_target_leads_to_another_host(server, target):
    head = b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
    answer = send(server, head)
    assert answer.startswith(b"HTTP/1.1 400 ") or b"location: https://example.com/\r\n" in answer


# Security


def test_a_response_over_https_has_the_fields(client):
    response = client.get("/nonce")
    assert response.headers["strict-transport-security"] == "max-age=31536000"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == f"script-src 'nonce-{response.text}'"


def test_a_refusal_has_the_fields_of_the_layers_further_out(client):
    response = client.get("/", headers={"host": "evil.example"})
    assert response.status_code == 400
    assert response.headers["x-content-type-options"] == "nosniff"


# WebSockets


@pytest.fixture(params=CONNECTS)
def connect(request):
    return CONNECTS[request.param]


async def test_a_websocket_of_a_listed_host_over_tls_is_served(server, connect):
    url = server.url.replace("http", "ws", 1) + "/ws"
    async with connect(url, headers={"X-Forwarded-Proto": "wss"}) as ws:
        await ws.send("hello")
        assert await ws.receive() == "hello"


async def test_a_websocket_of_another_host_is_denied_as_clients_see_it(server):
    url = server.url.replace("http://127.0.0.1", "ws://localhost", 1) + "/ws"
    with pytest.raises(Refused) as caught:
        async with CONNECTS["websockets"](url):
            pass
    assert caught.value.status == 400
    assert b"this host is not served here" in (caught.value.body or b"")


def handshake(server, host, until):
    """The answer to a handshake; no client, as clients follow redirects."""
    head = (
        b"GET /ws?a=b HTTP/1.1\r\nHost: " + host + b"\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with RawClient(server.address) as raw:
        raw.socket.sendall(head)
        return raw.read_until(until)


def test_a_websocket_without_tls_is_sent_to_wss(server):
    answer = handshake(server, b"example.com", b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 307 ")
    assert b"location: wss://example.com/ws?a=b\r\n" in answer


@pytest.mark.parametrize("host", [b"evil.example", b"example.com@evil.example", b""])
def test_a_websocket_of_another_host_is_denied(server, host):
    answer = handshake(server, host, b"}")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert b"evil" not in answer
