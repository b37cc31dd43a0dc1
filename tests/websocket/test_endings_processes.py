"""How connections end, as independent clients of real servers see it."""

from urllib.parse import quote

import pytest

from websocket.clients import CONNECTS, LOST, TEXT, BareClient
from websocket.servers import COMMANDS, serving

pytestmark = pytest.mark.slow

# uvicorn's own word about the frame; the test below sends it.
BAD_TEXT = "Invalid UTF-8 sequence received from client"
MANY = 20


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=COMMANDS)
def server(request):
    with serving(request.param, allowed=BAD_TEXT) as server:
        yield server


@pytest.fixture(params=CONNECTS)
def connect(request):
    return CONNECTS[request.param]


@pytest.mark.parametrize(
    ("path", "messages", "code"),
    [
        pytest.param("/return", [], 1000, id="a-return"),
        pytest.param("/http-error/401", [], 1008, id="http-401"),
        pytest.param("/http-error/413", [], 1009, id="http-413"),
        pytest.param("/http-error/429", [], 1008, id="http-429"),
        pytest.param("/http-error/500", [], 1011, id="http-500"),
        pytest.param("/text", [b"bytes"], 1003, id="bytes-for-text"),
        pytest.param("/json", ["{"], 1007, id="bad-json"),
        pytest.param("/json", [b"\xff"], 1007, id="bad-json-in-bytes"),
        pytest.param("/small", ["x" * 1001], 1009, id="too-big"),
        pytest.param("/small", ["é" * 501], 1009, id="too-big-in-utf-8"),
        pytest.param("/rate", ["x"] * MANY, 1008, id="too-many"),
        pytest.param("/idle", [], 1008, id="idle"),
        pytest.param("/idle", ["once"], 1008, id="idle-after-a-message"),
        pytest.param("/full", ["x"] * MANY, 1013, id="a-full-inbox"),
    ],
)
async def test_each_ending_has_its_code(server, connect, path, messages, code):
    async with connect(server.websocket_url + path) as client:
        for message in messages:
            await client.send(message)
        assert (await client.end())[0] == code


@pytest.mark.parametrize("path", ["/crash", "/crash/in-session"])
async def test_a_crash_is_1011_and_tells_the_client_nothing(server, connect, path):
    crash = "RuntimeError: a deliberate crash"
    crashes = len(server.prints(crash, within=0))
    async with connect(server.websocket_url + path) as client:
        code, reason = await client.end()
    assert code == 1011
    assert "secret" not in reason
    await server.told(crash, count=crashes + 1)


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("/close?code=4001&reason=bye", (4001, "bye")),
        ("/close?code=1000&reason=", (1000, "")),
        (f"/close?code=3000&reason={quote('grüße')}", (3000, "grüße")),
        ("/http-error/403?detail=members%20only", (1008, "members only")),
        ("/http-error/503?detail=full", (1013, "full")),
    ],
)
async def test_code_and_reason_come_as_they_were_given(server, connect, path, ending):
    async with connect(server.websocket_url + path) as client:
        assert await client.end() == ending


@pytest.mark.parametrize("path", ["/close?code=1008&reason=", "/http-error/403?detail="])
@pytest.mark.parametrize(
    ("reason", "told"),
    [("r" * 200, "r" * 123), ("é" * 100, "é" * 61), ("a" + "🚀" * 50, "a" + "🚀" * 30)],
    ids=["1-byte", "2-bytes", "4-bytes"],
)
async def test_a_long_reason_is_cut_between_characters(server, connect, path, reason, told):
    async with connect(server.websocket_url + path + quote(reason)) as client:
        assert await client.end() == (1008, told)


def test_bad_utf_8_is_1007_where_the_server_answers_it(server):
    """wsproto, and so hypercorn, ends the connection without a close frame."""
    with BareClient(server.address, "/echo") as client:
        client.shake_hands()
        client.send(TEXT, b"\xff\xfe")
        assert client.end()[0] == (1007 if server.kind == "sansio" else LOST)
