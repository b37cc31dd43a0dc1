"""Which hosts are served: beside Starlette's layer in what both do, and in what differs."""

import re

import pytest
from fakes import FakeServer
from middleware.policy_apps import APPS
from starlette.middleware.trustedhost import TrustedHostMiddleware as StarletteTrustedHostMiddleware

from asgi_rt.middleware.trusted_host import TrustedHostMiddleware
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

HOSTS = ["example.com", "*.example.org", "www.example.net", "127.0.0.1", "[::1]"]


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


async def ask(layer, *hosts, target="/", **scope):
    headers = [(b"host", host.encode("latin-1")) for host in hosts]
    server = FakeServer(path=target, headers=headers, **scope)
    await layer(server.scope, server.receive, server.send)
    return server


def both(**options):
    return TrustedHostMiddleware(app, **options), StarletteTrustedHostMiddleware(app, **options)


# As Starlette's


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.com", 200),
        ("example.com:8000", 200),
        ("EXAMPLE.com", 200),
        ("sub.example.com", 400),
        ("evilexample.com", 400),
        ("example.com.evil.example", 400),
        ("a.example.org", 200),
        ("a.b.example.org:80", 200),
        ("example.org", 400),
        ("evilexample.org", 400),
        ("example.net", 307),
        ("example.net:8000", 307),
        ("www.example.net", 200),
        ("127.0.0.1:8000", 200),
        ("127.0.0.2", 400),
        ("[::1]", 200),
        ("[::1]:8000", 200),
        ("[::2]", 400),
        ("localhost", 400),
        ("", 400),
        ("example.com/", 400),
        ("example.com@evil.example", 400),
        ("example.com evil.example", 400),
        ("example.com\r\nx-evil: 1", 400),
        ("example.com\x00", 400),
        ("a" * 100_000, 400),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_host_is_served_or_not_as_by_starlette(host, status):
    ours, theirs = both(allowed_hosts=HOSTS)
    server, other = await ask(ours, host), await ask(theirs, host)
    assert server.status == other.status == status
    assert server.headers.get("location") == other.headers.get("location")


@pytest.mark.parametrize("target", ["/", "/a%20b?c=d&e=%2F", "//evil.example/a"])
async def test_the_redirect_to_www_keeps_path_and_query_as_starlettes(target):
    ours, theirs = both(allowed_hosts=["www.example.net"])
    server = await ask(ours, "example.net", target=target)
    other = await ask(theirs, "example.net", target=target.replace("%20", " "))
    assert server.headers["location"] == f"http://www.example.net{target}"
    assert server.headers["location"] == other.headers["location"]


async def test_the_redirect_to_www_can_be_left_out():
    ours, theirs = both(allowed_hosts=["www.example.net"], www_redirect=False)
    assert (await ask(ours, "example.net")).status == 400
    assert (await ask(theirs, "example.net")).status == 400


# Not as Starlette's


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("example.com", "example.com."),
        ("example.com.", "example.com"),
        ("*.example.com", "a.example.com.:80"),
        ("[::1]", "[0:0:0:0:0:0:0:1]"),
        ("[0:0::1]", "[::1]:80"),
    ],
)
async def test_other_spellings_of_a_host_are_the_same_host(allowed, host):
    ours, theirs = both(allowed_hosts=[allowed])
    assert (await ask(ours, host)).status == 200
    assert (await ask(theirs, host)).status == 400


@pytest.mark.parametrize("allowed", [["*"], ["*", "example.com"], ["example.com"]])
@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("example.com", "example.com"),
        ("example.com", "evil.example"),
        ("",),
        ("example.com\r\nx-evil: 1",),
        ("example.com/",),
        ("user@example.com",),
        ("example.com:99999",),
        ("example.com" * 10_000,),
        ("\x1b[31m",),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_host_field_that_is_not_in_order_is_a_400_in_any_case(allowed, hosts):
    server = await ask(TrustedHostMiddleware(app, allowed_hosts=allowed), *hosts)
    assert server.status == 400
    assert server.headers["content-type"] == "application/problem+json"
    assert len(server.body) + len(repr(server.headers)) < 400
    assert b"example" not in server.body


async def test_starlette_lets_any_host_field_pass_a_star_and_the_first_of_two():
    _, theirs = both(allowed_hosts=["*"])
    assert (await ask(theirs, "user@example.com")).status == 200
    _, theirs = both(allowed_hosts=["example.com"])
    assert (await ask(theirs, "example.com", "evil.example")).status == 200


async def test_every_host_in_order_is_served_by_default():
    assert (await ask(TrustedHostMiddleware(app), "anything.example:1234")).status == 200


async def test_no_host_is_served_by_an_empty_list():
    assert (await ask(TrustedHostMiddleware(app, allowed_hosts=[]), "example.com")).status == 400


async def test_a_host_that_is_not_served_is_not_sent_back():
    server = await ask(TrustedHostMiddleware(app, allowed_hosts=["example.com"]), "evil.example")
    assert b"this host is not served here" in server.body
    assert b"evil" not in server.body + repr(server.headers).encode()


@pytest.mark.parametrize("host", ["evil.example", "www.evil.example", "net", "wwwexample.net"])
async def test_the_redirect_leads_to_a_listed_host_alone(host):
    hosts = ["www.example.net", "*.evil.test"]
    server = await ask(TrustedHostMiddleware(app, allowed_hosts=hosts), host)
    assert server.status == 400
    assert "location" not in server.headers


@pytest.mark.parametrize("target", [b".evil.example/", b"*", b"http://evil.example/", b"@evil"])
async def test_a_target_that_is_no_path_is_not_redirected(target):
    layer = TrustedHostMiddleware(app, allowed_hosts=["www.example.net"])
    server = await ask(layer, "example.net", raw_path=target)
    assert server.status == 400
    assert "location" not in server.headers


async def test_a_path_cannot_smuggle_a_header_into_the_redirect():
    layer = TrustedHostMiddleware(app, allowed_hosts=["www.example.net"])
    raw = b"/\r\nset-cookie: a=b"
    server = await ask(layer, "example.net", raw_path=raw, query_string=b"\r\nx: y")
    expected = "http://www.example.net/%0D%0Aset-cookie:%20a=b?%0D%0Ax:%20y"
    assert server.headers["location"] == expected


async def test_the_redirect_keeps_the_scheme():
    layer = TrustedHostMiddleware(app, allowed_hosts=["www.example.net"])
    server = await ask(layer, "example.net:443", scheme="https")
    assert server.headers["location"] == "https://www.example.net/"
    del server.scope["scheme"]
    server.messages.clear()
    await layer(server.scope, server.receive, server.send)
    assert server.headers["location"] == "http://www.example.net:443/"


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("*example.com", "a wildcard stands for a whole subdomain"),
        ("*.", "it is neither a name nor an address"),
        ("*.*.example.com", "it is neither a name nor an address"),
        ("a.*.example.com", "it is neither a name nor an address"),
        ("https://example.com", "it is neither a name nor an address"),
        ("", "it is neither a name nor an address"),
        ("::1", "it is neither a name nor an address"),
        ("*.[::1]", "an address has no subdomains"),
        ("example.com:8000", "every port is allowed, so none is given"),
        ("müller.example", "clients send a host outside ASCII in its xn-- form"),
    ],
)
def test_a_host_that_cannot_be_listed_is_refused_with_the_reason(host, message):
    expected = f"{host!r} cannot be an allowed host: {message}. Write '*'"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        TrustedHostMiddleware(app, allowed_hosts=[host])


@pytest.mark.parametrize("hosts", ["example.com", None, [b"example.com"], 7])
def test_hosts_that_are_no_list_of_str_are_refused(hosts):
    with pytest.raises(TypeError, match=r"^allowed_hosts is a list of str"):
        TrustedHostMiddleware(app, allowed_hosts=hosts)


# The layer itself


async def test_an_app_that_is_served_gets_what_the_server_gave():
    seen = []

    async def inner(*arguments):
        seen.extend(arguments)

    server = FakeServer(headers=[(b"host", b"example.com")])
    layer = TrustedHostMiddleware(inner, allowed_hosts=["example.com"])
    await layer(server.scope, server.receive, server.send)
    assert seen == [server.scope, server.receive, server.send]


async def test_the_lifespan_goes_straight_to_the_app():
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope)

    scope = {"type": "lifespan"}
    await TrustedHostMiddleware(inner, allowed_hosts=["example.com"])(scope, object(), object())
    assert seen == [scope]


# In apps


@pytest.fixture(params=APPS)
def whole(request):
    app = APPS[request.param]()
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["example.com", "www.example.net"])
    return app


async def test_an_app_serves_the_hosts_that_are_listed(whole):
    async with AsyncTestClient(whole) as client:
        assert (await client.get("http://example.com/")).text == "served"
        assert (await client.get("http://evil.example/")).status_code == 400


async def test_a_websocket_is_served_for_the_hosts_that_are_listed(whole):
    client = AsyncTestClient(whole)
    async with client, client.websocket_connect("ws://example.com/ws") as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"


@pytest.mark.parametrize(
    ("host", "status", "location"),
    [
        ("evil.example", 400, None),
        ("example.net", 307, "ws://www.example.net/ws"),
    ],
)
async def test_a_websocket_for_another_host_is_denied(whole, host, status, location):
    async with AsyncTestClient(whole) as client:
        with pytest.raises(WebSocketDenied) as caught:
            async with client.websocket_connect(f"ws://{host}/ws"):
                pass
    assert caught.value.response.status_code == status
    assert caught.value.response.headers.get("location") == location


async def test_a_websocket_is_closed_where_the_server_sends_no_denials(whole):
    async with AsyncTestClient(whole) as client:
        with pytest.raises(WebSocketDenied) as caught:
            async with client.websocket_connect("ws://evil.example/ws", denial_response=False):
                pass
    assert caught.value.response.status_code == 403
