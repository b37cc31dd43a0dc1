"""What handlers on real servers see of clients that leave, however and whenever they do."""

import itertools

import httpx2
import pytest

from websocket.clients import CLOSE, CONNECTS, BareClient
from websocket.servers import COMMANDS, fresh_key, serving

pytestmark = pytest.mark.slow

TRIES = 5


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=COMMANDS)
def server(request):
    with serving(request.param) as server:
        yield server


@pytest.fixture(params=CONNECTS)
def connect(request):
    return CONNECTS[request.param]


@pytest.fixture
def key():
    return fresh_key()


def told_by(server, code, reason, by="client"):
    """What the server makes of a close frame: to hypercorn every client is just lost."""
    return "1006 network ''" if server.kind == "hypercorn" else f"{code} {by} {reason!r}"


@pytest.mark.parametrize("handler", ["reading", "waiting"])
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "away"), (4002, "tschüss")])
async def test_the_handler_sees_code_and_reason_of_the_client(
    server, connect, key, handler, code, reason
):
    async with connect(f"{server.websocket_url}/{handler}?key={key}") as client:
        await client.close(code, reason)
    closed = await server.told(f"^{key} closed (.*)")
    assert closed[1] == told_by(server, code, reason)
    left = await server.told(f"^{key} left, (.*)")
    assert left[1] != "None"


@pytest.mark.parametrize("handler", ["reading", "waiting"])
def test_a_close_frame_without_a_code_is_1005(server, key, handler):
    with BareClient(server.address, f"/{handler}?key={key}") as client:
        client.shake_hands()
        client.send(CLOSE)
        assert client.end() == (1005, "")
    assert server.wait_for(f"^{key} closed (.*)")[1] == told_by(server, 1005, "")


@pytest.mark.parametrize("leave", [BareClient.reset, BareClient.close], ids=["rst", "fin"])
@pytest.mark.parametrize("handler", ["reading", "waiting"])
def test_a_lost_connection_is_1006_by_the_network(server, key, handler, leave):
    with BareClient(server.address, f"/{handler}?key={key}") as client:
        client.shake_hands()
        leave(client)
    assert server.wait_for(f"^{key} closed (.*)")[1] == "1006 network ''"


def before_accept(server, key, leave):
    client = BareClient(server.address, f"/gated?key={key}")
    server.wait_for(f"^{key} begins")
    leave(client)
    httpx2.get(f"{server.url}/open/{key}")


def during_accept(server, key, leave):
    leave(BareClient(server.address, f"/accepting?key={key}"))


def after_accept(server, key, leave):
    client = BareClient(server.address, f"/accepting?key={key}")
    client.shake_hands()
    leave(client)


def during_a_send(server, key, leave):
    client = BareClient(server.address, f"/flooding?key={key}", receive_buffer_bytes=4096)
    client.shake_hands()
    client.read_frame()
    leave(client)


def politely(client):
    client.send(CLOSE, b"\x03\xe8")
    client.close()


@pytest.mark.parametrize(
    ("point", "leave"),
    [
        *itertools.product(
            [before_accept, during_accept, after_accept, during_a_send],
            [BareClient.reset, BareClient.close],
        ),
        (after_accept, politely),
        (during_a_send, politely),
    ],
)
def test_a_client_may_leave_at_every_point(server, point, leave):
    """The fixture sees to it that no error was logged."""
    keys = [fresh_key() for _ in range(TRIES)]
    for key in keys:
        point(server, key, leave)
    with BareClient(server.address, "/return") as client:
        client.shake_hands()
        assert client.end()[0] == 1000
    for key in keys:
        if point is not during_accept or server.prints(f"^{key} begins", within=0):
            server.wait_for(f"^{key} left")


@pytest.mark.parametrize("leave", [BareClient.reset, BareClient.close], ids=["rst", "fin"])
def test_a_client_may_leave_within_its_handshake(server, leave):
    for _ in range(TRIES):
        client = BareClient(server.address, None)
        client.socket.sendall(b"GET /echo HTTP/1.1\r\nUpgrade: webso")
        leave(client)
    with BareClient(server.address, "/return") as client:
        client.shake_hands()
        assert client.end()[0] == 1000
