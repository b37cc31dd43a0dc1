"""From http to https: beside Starlette's layer in what both do, and in what differs."""

import pytest
from fakes import FakeServer
from middleware.policy_apps import APPS, starlette_app
from starlette.middleware.httpsredirect import (
    HTTPSRedirectMiddleware as StarletteHTTPSRedirectMiddleware,
)

from asgi_rt.middleware.https_redirect import HTTPSRedirectMiddleware
from asgi_rt.testing import AsyncTestClient, WebSocketDenied


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


async def ask(layer, *hosts, method="GET", target="/", **scope):
    headers = [(b"host", host.encode("latin-1")) for host in hosts]
    server = FakeServer(method=method, path=target, headers=headers, **scope)
    await layer(server.scope, server.receive, server.send)
    return server


# As Starlette's


@pytest.mark.parametrize(
    ("host", "target", "location"),
    [
        ("example.com", "/", "https://example.com/"),
        ("example.com:80", "/", "https://example.com/"),
        ("example.com:443", "/", "https://example.com/"),
        ("example.com:8000", "/", "https://example.com:8000/"),
        ("[::1]", "/", "https://[::1]/"),
        ("[::1]:8000", "/", "https://[::1]:8000/"),
        ("example.com", "/a?b=c&d=%2F", "https://example.com/a?b=c&d=%2F"),
        ("example.com", "//evil.example/a", "https://example.com//evil.example/a"),
        ("example.com", "/\\evil.example", "https://example.com/%5Cevil.example"),
    ],
)
async def test_http_is_redirected_as_by_starlette(host, target, location):
    server = await ask(HTTPSRedirectMiddleware(app), host, target=target)
    other = await ask(StarletteHTTPSRedirectMiddleware(app), host, target=target)
    assert server.status == other.status == 307
    assert server.headers["location"] == other.headers["location"] == location


@pytest.mark.parametrize("layer", [HTTPSRedirectMiddleware, StarletteHTTPSRedirectMiddleware])
async def test_https_is_served(layer):
    server = await ask(layer(app), "example.com", scheme="https")
    assert (server.status, server.body) == (200, b"served")


@pytest.mark.parametrize("layer", [HTTPSRedirectMiddleware, StarletteHTTPSRedirectMiddleware])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
async def test_the_method_is_kept(layer, method):
    server = await ask(layer(app), "example.com", method=method)
    assert server.status == 307


# Not as Starlette's


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("example.com", "evil.example"),
        ("",),
        ("example.com\r\nset-cookie: a=b",),
        ("example.com\x00",),
        ("example.com evil.example",),
        ("example.com@evil.example",),
        ("example.com/evil",),
        ("example.com:0x50",),
        ("a" * 100_000,),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_host_that_is_not_in_order_is_a_400_and_not_sent_back(hosts):
    server = await ask(HTTPSRedirectMiddleware(app), *hosts)
    assert server.status == 400
    assert server.headers["content-type"] == "application/problem+json"
    assert "location" not in server.headers
    assert b"evil" not in server.body
    other = await ask(StarletteHTTPSRedirectMiddleware(app), *hosts)
    assert other.status == 307, "Starlette takes the first, or the server's own address"


@pytest.mark.parametrize("target", [b".evil.example/", b"@evil.example", b":1@evil.example", b"*"])
async def test_a_target_that_is_no_path_is_a_400(target):
    server = await ask(HTTPSRedirectMiddleware(app), "example.com", raw_path=target)
    assert server.status == 400
    assert "location" not in server.headers


@pytest.mark.parametrize("hosts", [(), ("evil.example",), ("\r\n",), ("a.example", "b.example")])
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.com", "https://example.com/a?b"),
        ("EXAMPLE.com:443", "https://example.com/a?b"),
        ("example.com:8443", "https://example.com:8443/a?b"),
        ("[::1]", "https://[::1]/a?b"),
    ],
)
async def test_a_host_that_is_given_is_where_all_are_sent(hosts, host, expected):
    server = await ask(HTTPSRedirectMiddleware(app, host=host), *hosts, target="/a?b")
    assert (server.status, server.headers["location"]) == (307, expected)


@pytest.mark.parametrize(
    ("status_code", "method", "expected"),
    [
        (301, "GET", 301),
        (301, "HEAD", 301),
        (301, "POST", 308),
        (302, "GET", 302),
        (302, "PUT", 307),
        (307, "GET", 307),
        (307, "POST", 307),
        (308, "GET", 308),
        (308, "DELETE", 308),
    ],
)
async def test_a_status_never_costs_a_request_its_method(status_code, method, expected):
    layer = HTTPSRedirectMiddleware(app, status_code=status_code)
    assert (await ask(layer, "example.com", method=method)).status == expected


async def test_a_path_and_a_query_cannot_smuggle_a_header_into_the_redirect():
    layer = HTTPSRedirectMiddleware(app)
    smuggled = {"raw_path": b"/\r\nx: y\xff", "query_string": b"a\r\nx: y"}
    server = await ask(layer, "example.com", **smuggled)
    assert server.headers["location"] == "https://example.com/%0D%0Ax:%20y%FF?a%0D%0Ax:%20y"


async def test_the_path_that_the_client_sees_is_kept_below_a_root_path():
    scope = {"root_path": "/api", "raw_path": b"/api/items"}
    server = await ask(HTTPSRedirectMiddleware(app), "example.com", target="/api/items", **scope)
    assert server.headers["location"] == "https://example.com/api/items"


async def test_a_scope_without_a_scheme_is_one_of_http():
    server = FakeServer(headers=[(b"host", b"example.com")])
    del server.scope["scheme"]
    await HTTPSRedirectMiddleware(app)(server.scope, server.receive, server.send)
    assert server.headers["location"] == "https://example.com/"


@pytest.mark.parametrize(
    "host", ["https://example.com", "example.com/", "", "*", "a b", "ä.example"]
)
def test_a_host_that_is_none_is_refused(host):
    with pytest.raises(ValueError, match="cannot be the host of a redirect: write a host such as"):
        HTTPSRedirectMiddleware(app, host=host)


@pytest.mark.parametrize("status_code", [200, 303, 400, True])
def test_a_status_that_is_no_redirect_for_good_is_refused(status_code):
    with pytest.raises(ValueError, match="is not a redirect: use 301, 302, 307 or 308"):
        HTTPSRedirectMiddleware(app, status_code=status_code)


async def test_the_lifespan_goes_straight_to_the_app():
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope)

    scope = {"type": "lifespan"}
    await HTTPSRedirectMiddleware(inner)(scope, object(), object())
    assert seen == [scope]


# In apps


@pytest.fixture(params=APPS)
def whole(request):
    app = APPS[request.param]()
    app.add_middleware(HTTPSRedirectMiddleware)
    return app


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_follows_is_served(whole, method):
    async with AsyncTestClient(whole) as client:
        url = "http://example.com/"
        response = await client.request(method, url, content=b"body", follow_redirects=True)
        assert (str(response.url), response.text) == ("https://example.com/", "served")
        assert response.request.method == method


async def test_a_websocket_with_tls_is_served(whole):
    client = AsyncTestClient(whole)
    async with client, client.websocket_connect("wss://example.com/ws") as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"


async def denial_of(app, **options):
    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied) as caught:
            async with client.websocket_connect("ws://example.com:8000/ws?a=b", **options):
                pass
    return caught.value.response


async def test_a_websocket_without_tls_is_denied_with_a_redirect_as_by_starlette(whole):
    response = await denial_of(whole)
    other = await denial_of(StarletteHTTPSRedirectMiddleware(starlette_app()))
    assert response.status_code == other.status_code == 307
    assert response.headers["location"] == other.headers["location"]
    assert response.headers["location"] == "wss://example.com:8000/ws?a=b"


async def test_a_websocket_is_closed_where_the_server_sends_no_denials(whole):
    assert (await denial_of(whole, denial_response=False)).status_code == 403
