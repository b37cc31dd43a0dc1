"""What browsers are told to be careful with."""

import base64
import re

import pytest
from fakes import FakeServer
from middleware.policy_apps import APPS

from asgi_rt.middleware.security_headers import SecurityHeadersMiddleware
from asgi_rt.testing import AsyncTestClient

HSTS = "strict-transport-security"
POLICY = "content-security-policy"
DEFAULTS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin",
}
NOTHING = {
    "content_type_options": None,
    "frame_options": None,
    "referrer_policy": None,
    "cross_origin_opener_policy": None,
    "hsts_max_age": None,
}


def plain_app(*own):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [*own]})
        await send({"type": "http.response.body", "body": b"hello"})

    return app


async def fields_of(layer, scheme="https"):
    server = FakeServer(scheme=scheme)
    await layer(server.scope, server.receive, server.send)
    assert (server.status, server.body) == (200, b"hello")
    assert len(server.headers) == len(server.messages[0]["headers"])
    return server.headers


def layer(*own, **options):
    return SecurityHeadersMiddleware(plain_app(*own), **options)


async def test_by_default_over_http():
    assert await fields_of(layer(), "http") == DEFAULTS


async def test_by_default_over_https():
    assert await fields_of(layer()) == {**DEFAULTS, HSTS: "max-age=31536000"}


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("content_type_options", "x-content-type-options"),
        ("frame_options", "x-frame-options"),
        ("referrer_policy", "referrer-policy"),
        ("cross_origin_opener_policy", "cross-origin-opener-policy"),
        ("hsts_max_age", HSTS),
    ],
)
async def test_each_field_can_be_left_out_and_is_the_only_one_then(option, name):
    everything = await fields_of(layer())
    without = await fields_of(layer(**{option: None}))
    assert everything.keys() - without.keys() == {name}


async def test_all_can_be_left_out():
    assert await fields_of(layer(**NOTHING)) == {}


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"frame_options": "SAMEORIGIN"}, "x-frame-options", "SAMEORIGIN"),
        ({"referrer_policy": "no-referrer"}, "referrer-policy", "no-referrer"),
        (
            {"referrer_policy": "no-referrer, strict-origin"},
            "referrer-policy",
            "no-referrer, strict-origin",
        ),
        (
            {"cross_origin_opener_policy": 'same-origin-allow-popups; report-to="coop"'},
            "cross-origin-opener-policy",
            'same-origin-allow-popups; report-to="coop"',
        ),
        ({"permissions_policy": "camera=()"}, "permissions-policy", "camera=()"),
        ({"content_security_policy": "default-src 'self'"}, POLICY, "default-src 'self'"),
        ({"hsts_max_age": 0}, HSTS, "max-age=0"),
        ({"hsts_subdomains": True}, HSTS, "max-age=31536000; includeSubDomains"),
        (
            {"hsts_max_age": 63_072_000, "hsts_subdomains": True, "hsts_preload": True},
            HSTS,
            "max-age=63072000; includeSubDomains; preload",
        ),
    ],
)
async def test_each_field_is_as_it_was_given(options, name, value):
    assert (await fields_of(layer(**options)))[name] == value


@pytest.mark.parametrize("name", [*DEFAULTS, HSTS, "permissions-policy", POLICY])
@pytest.mark.parametrize("policy", ["default-src 'self'", "script-src 'nonce-{nonce}'"])
async def test_the_apps_own_field_wins(name, policy):
    options = {"permissions_policy": "camera=()", "content_security_policy": policy}
    everything = await fields_of(layer(**options))
    fields = await fields_of(layer((name.encode(), b"own"), **options))
    assert fields[name] == "own"
    assert fields.keys() == everything.keys()


async def test_two_fields_of_the_app_stay_two():
    own = [(POLICY.encode(), b"default-src 'self'"), (POLICY.encode(), b"img-src 'none'")]
    server = FakeServer()
    wrapped = layer(*own, **NOTHING, content_security_policy="default-src 'none'")
    await wrapped(server.scope, server.receive, server.send)
    assert server.messages[0]["headers"] == own


# The nonce


async def nonce_of(wrapped, **scope):
    server = FakeServer(**scope)
    await wrapped(server.scope, server.receive, server.send)
    match = re.fullmatch(r"script-src 'nonce-(.+)'; style-src 'nonce-\1'", server.headers[POLICY])
    assert match is not None
    assert server.scope["state"]["csp_nonce"] == match[1]
    return match[1]


async def test_each_request_has_a_nonce_of_its_own_that_the_app_can_find():
    policy = "script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
    wrapped = layer(content_security_policy=policy)
    nonces = {await nonce_of(wrapped) for _ in range(100)}
    assert len(nonces) == 100
    assert {len(base64.urlsafe_b64decode(f"{nonce}==")) for nonce in nonces} == {16}


async def test_a_nonce_makes_the_state_that_a_server_without_lifespan_does_not_give():
    wrapped = layer(content_security_policy="script-src 'nonce-{nonce}'")
    server = FakeServer()
    del server.scope["state"]
    await wrapped(server.scope, server.receive, server.send)
    assert server.scope["state"]["csp_nonce"] in server.headers[POLICY]


async def test_without_a_nonce_nothing_is_put_into_the_state():
    server = FakeServer()
    wrapped = layer(content_security_policy="default-src 'self'")
    await wrapped(server.scope, server.receive, server.send)
    assert server.scope["state"] == {}


# The layer itself


async def test_the_messages_of_an_app_are_left_as_they_are():
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]}

    async def app(scope, receive, send):
        await send(start)
        await send({"type": "http.response.body", "body": b"hello"})

    wrapped = SecurityHeadersMiddleware(app)
    assert await fields_of(wrapped, "http") == await fields_of(wrapped, "http")
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]}


async def test_an_app_that_sends_no_headers_gets_those_of_the_layer():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"hello"})

    assert await fields_of(SecurityHeadersMiddleware(app), "http") == DEFAULTS


async def test_other_messages_and_receive_are_the_servers_own():
    seen = []

    async def app(scope, receive, send):
        seen.append(receive)
        await send({"type": "http.response.early_hint", "links": []})

    server = FakeServer()
    await SecurityHeadersMiddleware(app)(server.scope, server.receive, server.send)
    assert seen == [server.receive]
    assert server.messages == [{"type": "http.response.early_hint", "links": []}]


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "webtransport"])
async def test_whatever_is_no_http_goes_straight_to_the_app(kind):
    given = ({"type": kind, "scheme": "wss"}, object(), object())
    seen = []

    async def app(*arguments):
        seen.extend(arguments)

    options = {"content_security_policy": "script-src 'nonce-{nonce}'"}
    await SecurityHeadersMiddleware(app, **options)(*given)
    assert all(one is other for one, other in zip(seen, given, strict=True))
    assert given[0] == {"type": kind, "scheme": "wss"}


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content_type_options": "yes"}, "'yes' is no x-content-type-options; nosniff is"),
        ({"frame_options": "ALLOW-FROM https://a.example"}, "DENY or SAMEORIGIN is"),
        ({"frame_options": "DENY, SAMEORIGIN"}, "is no x-frame-options"),
        ({"referrer_policy": "never"}, "'never' is no referrer-policy; no-referrer or"),
        ({"referrer_policy": "origin,"}, "'' is no referrer-policy"),
        ({"cross_origin_opener_policy": "same-site"}, "'same-site' is no cross-origin-opener"),
        ({"frame_options": ""}, "the value of x-frame-options is empty; None leaves the field out"),
        ({"permissions_policy": " "}, "the value of permissions-policy is empty"),
        ({"content_security_policy": "a\r\nset-cookie: b"}, "holds a CR, LF or NUL"),
        ({"content_security_policy": "{nonce}\r\nset-cookie: b"}, "holds a CR, LF or NUL"),
        ({"permissions_policy": "camera=(\u20ac)"}, "not Latin-1"),
        ({"hsts_max_age": -1}, "hsts_max_age is at least 0 seconds, not -1"),
        ({"hsts_preload": True}, "hsts_preload needs an hsts_max_age of a year, 31536000"),
        (
            {"hsts_preload": True, "hsts_subdomains": True, "hsts_max_age": 600},
            "hsts_preload needs an hsts_max_age of a year",
        ),
        ({"hsts_max_age": None, "hsts_subdomains": True}, "need an hsts_max_age"),
    ],
)
def test_a_value_that_browsers_would_not_take_is_refused_with_the_reason(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(**options)


@pytest.mark.parametrize("max_age", [1.5, "600", True])
def test_a_max_age_that_is_no_whole_number_is_refused(max_age):
    with pytest.raises(TypeError, match="hsts_max_age is a whole number of seconds"):
        layer(hsts_max_age=max_age)


# In apps


@pytest.fixture(params=APPS)
def whole(request):
    app = APPS[request.param]()
    app.add_middleware(
        SecurityHeadersMiddleware, content_security_policy="script-src 'nonce-{nonce}'"
    )
    return app


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/stream", 200), ("/nowhere", 404)])
async def test_every_answer_of_an_app_has_the_fields(whole, path, status):
    async with AsyncTestClient(whole, base_url="https://example.com") as client:
        response = await client.get(path)
    assert response.status_code == status
    assert {**DEFAULTS, HSTS: "max-age=31536000"}.items() <= dict(response.headers).items()


async def test_an_app_finds_the_nonce_in_its_state(whole):
    async with AsyncTestClient(whole) as client:
        response = await client.get("/nonce")
    assert response.headers[POLICY] == f"script-src 'nonce-{response.text}'"


async def test_a_websocket_of_an_app_is_served(whole):
    client = AsyncTestClient(whole)
    async with client, client.websocket_connect("/ws") as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"
