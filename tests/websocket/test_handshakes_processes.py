"""How handshakes are answered, as independent clients of real servers see it."""

import json

import pytest

from websocket.clients import CONNECTS, Refused, with_websockets
from websocket.servers import COMMANDS, serving

pytestmark = pytest.mark.slow


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


async def refusal_of(connect, url, **options):
    with pytest.raises(Refused) as caught:
        async with connect(url, **options):
            pass
    return caught.value


@pytest.mark.parametrize(
    ("path", "status"),
    [("/refused/401", 401), ("/refused/503", 503), ("/returned", 403), ("/nowhere", 404)],
)
async def test_each_refusal_has_its_status(server, connect, path, status):
    refused = await refusal_of(connect, server.websocket_url + path)
    assert refused.status == status


async def test_a_crash_before_accept_is_500_and_tells_the_client_nothing(server, connect):
    crash = "RuntimeError: a deliberate crash"
    crashes = len(server.prints(crash, within=0))
    refused = await refusal_of(connect, f"{server.websocket_url}/crashed")
    assert refused.status == 500
    assert b"secret" not in (refused.body or b"")
    await server.told(crash, count=crashes + 1)


async def test_an_error_before_accept_is_its_http_response(server, connect):
    refused = await refusal_of(connect, f"{server.websocket_url}/refused/429")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "7"


async def test_an_error_before_accept_has_its_problem_in_the_body(server):
    refused = await refusal_of(with_websockets, f"{server.websocket_url}/refused/429")
    problem = {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "not today",
    }
    assert json.loads(refused.body) == problem


async def test_a_denial_is_an_http_response_and_ends_the_handler(server, connect):
    refused = await refusal_of(connect, f"{server.websocket_url}/denied")
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.body in (b"who are you?", None)
    assert "goes on after deny" not in server.output


async def test_a_denial_brings_its_body(server):
    refused = await refusal_of(with_websockets, f"{server.websocket_url}/denied")
    assert refused.body == b"who are you?"


@pytest.mark.parametrize("headers", [{}, {"cookie": "session=1"}], ids=["bare", "with-cookie"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_foreign_origin_is_refused(server, connect, origin, headers):
    url = f"{server.websocket_url}/echo"
    refused = await refusal_of(connect, url, origin=origin, headers=headers)
    assert refused.status == 403


@pytest.mark.parametrize("has_origin", [True, False])
async def test_its_own_origin_and_none_are_let_in(server, connect, has_origin):
    origin = server.url if has_origin else None
    async with connect(f"{server.websocket_url}/echo", origin=origin) as client:
        await client.send("hello")
        assert await client.receive() == "hello"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["v1.chat", "v2.chat"], "v2.chat"),
        (["v3.chat", "v1.chat"], "v1.chat"),
        (["v3.chat"], None),
        ([], None),
    ],
    ids=["both", "one", "others", "none"],
)
async def test_the_subprotocol_is_chosen_by_the_order_of_the_server(
    server, connect, offered, chosen
):
    url = f"{server.websocket_url}/negotiated"
    async with connect(url, subprotocols=offered) as client:
        seen = json.loads(await client.receive())
        assert client.subprotocol == chosen
        assert client.headers["x-room"] == "7"
    assert seen == {"offered": offered, "subprotocol": chosen}
