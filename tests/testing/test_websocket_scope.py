"""The handshake: what the app finds in the scope."""

import base64

import httpx2
import pytest

from asgi_rt.testing import AsyncTestClient


async def accept(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


async def scope_of(url="/", *, connect=None, **options):
    client = AsyncTestClient(accept, lifespan=False, **options)
    async with client, client.websocket_connect(url, **(connect or {})) as ws:
        return ws.scope


async def test_the_whole_scope_of_a_plain_handshake():
    scope = await scope_of("/ws/a%20b?x=1&y=%20")
    headers = dict(scope.pop("headers"))
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/ws/a b",
        "raw_path": b"/ws/a%20b",
        "query_string": b"x=1&y=%20",
        "root_path": "",
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    assert headers[b"host"] == b"testserver"
    assert headers[b"upgrade"] == b"websocket"
    assert headers[b"connection"] == b"Upgrade"
    assert headers[b"sec-websocket-version"] == b"13"
    assert len(base64.b64decode(headers[b"sec-websocket-key"], validate=True)) == 16
    assert b"origin" not in headers
    assert b"sec-websocket-protocol" not in headers


@pytest.mark.parametrize(
    ("base_url", "url", "scheme", "server", "path"),
    [
        ("https://secure.example", "/a", "wss", ("secure.example", 443), "/a"),
        ("http://host:8000/api", "/a", "ws", ("host", 8000), "/api/a"),
        ("ws://socket.example", "/a", "ws", ("socket.example", 80), "/a"),
        ("wss://socket.example", "/a", "wss", ("socket.example", 443), "/a"),
        ("http://host", "ws://other:9000/b", "ws", ("other", 9000), "/b"),
        ("http://host", "wss://other/b", "wss", ("other", 443), "/b"),
    ],
)
async def test_the_url_gives_scheme_server_and_path(base_url, url, scheme, server, path):
    scope = await scope_of(url, base_url=base_url)
    assert (scope["scheme"], scope["server"], scope["path"]) == (scheme, server, path)


async def test_a_url_of_another_kind_is_refused():
    with pytest.raises(httpx2.UnsupportedProtocol, match="begins with ws:// or wss://"):
        await scope_of("ftp://host/a")


async def test_subprotocols_are_a_list_and_a_header():
    scope = await scope_of(connect={"subprotocols": ["chat.v2", "chat.v1"]})
    assert scope["subprotocols"] == ["chat.v2", "chat.v1"]
    assert (b"sec-websocket-protocol", b"chat.v2, chat.v1") in scope["headers"]


async def test_subprotocols_given_as_a_header_are_a_list_as_well():
    headers = [("Sec-WebSocket-Protocol", "a,b"), ("sec-websocket-protocol", " c")]
    scope = await scope_of(connect={"headers": headers})
    assert scope["subprotocols"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("subprotocols", "error"), [("chat", TypeError), (["a b"], ValueError), ([""], ValueError)]
)
async def test_subprotocols_that_cannot_be_offered_are_refused(subprotocols, error):
    with pytest.raises(error, match="subprotocol"):
        await scope_of(connect={"subprotocols": subprotocols})


async def test_headers_params_and_origin_are_sent():
    scope = await scope_of(
        "/?a=1",
        connect={
            "headers": {"X-Token": "secret"},
            "params": {"room": "5"},
            "origin": "https://example.org",
        },
    )
    assert (b"x-token", b"secret") in scope["headers"]
    assert (b"origin", b"https://example.org") in scope["headers"]
    assert scope["query_string"] == b"room=5"


async def test_cookies_and_authentication_of_the_client_are_sent():
    scope = await scope_of(cookies={"session": "1"}, auth=("me", "pass"))
    headers = dict(scope["headers"])
    assert headers[b"cookie"] == b"session=1"
    assert headers[b"authorization"] == b"Basic " + base64.b64encode(b"me:pass")


async def test_a_secure_cookie_goes_to_a_secure_socket_alone():
    async def app(scope, receive, send):
        await receive()
        cookie = (b"set-cookie", b"s=1; Secure")
        await send({"type": "websocket.accept", "headers": [cookie]})
        await receive()

    async def cookie_of(client, url):
        async with client.websocket_connect(url) as ws:
            return dict(ws.scope["headers"]).get(b"cookie")

    async with AsyncTestClient(app, lifespan=False) as client:
        assert await cookie_of(client, "wss://testserver/") is None
        assert client.cookies["s"] == "1"
        assert await cookie_of(client, "wss://testserver/") == b"s=1"
        assert await cookie_of(client, "ws://testserver/") is None


async def test_the_options_of_the_client_apply():
    scope = await scope_of("/a", root_path="/proxy", client=None, spec_version="2.1")
    assert scope["path"] == "/proxy/a"
    assert scope["raw_path"] == b"/proxy/a"
    assert scope["root_path"] == "/proxy"
    assert scope["client"] is None
    assert scope["asgi"]["spec_version"] == "2.4"


async def test_the_spec_version_of_a_connection_is_its_own():
    scope = await scope_of(connect={"spec_version": "2.1"})
    assert scope["asgi"]["spec_version"] == "2.1"


async def test_without_denial_responses_there_is_no_extension():
    scope = await scope_of(connect={"denial_response": False}, extensions={"x": {}})
    assert "extensions" not in scope


async def test_the_state_of_the_lifespan_is_given_as_a_copy():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["shared"] = [1]
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        scope["state"]["own"] = True
        await accept(scope, receive, send)

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        assert ws.scope["state"] == {"shared": [1], "own": True}
        assert ws.scope["state"]["shared"] is client.state["shared"]
        assert client.state == {"shared": [1]}
