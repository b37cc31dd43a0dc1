"""CORS as a layer: beside Starlette's in what both do, and in what is meant to differ."""

import itertools

import pytest
from fakes import FakeServer
from middleware.policy_apps import APPS
from starlette.middleware.cors import CORSMiddleware as StarletteCORSMiddleware

from asgi_rt import App, Request, WebSocket
from asgi_rt.middleware.cors import CORSMiddleware
from asgi_rt.testing import AsyncTestClient

APP = "https://app.example.com"
OTHER = "https://other.example"
CORS = "access-control-"


def plain_app(status=200, headers=(), body=b"hello"):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": [*headers]})
        await send({"type": "http.response.body", "body": body})

    return app


def request_headers(**fields):
    return [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in fields.items()
        if value is not None
    ]


class Answer:
    """What came back, in a form in which two answers can be compared."""

    def __init__(self, server):
        self.status = server.status
        self.body = server.body
        self.raw = [(n.decode(), v.decode()) for n, v in server.messages[0]["headers"]]
        names = [name for name, _ in self.raw]
        assert len(names) == len(set(names)), "a field is there twice"
        self.headers = dict(self.raw)
        self.cors = {name: value for name, value in self.raw if name.startswith(CORS)}

    @property
    def vary(self):
        return {each.strip().lower() for each in self.headers.get("vary", "").split(",")} - {""}


async def ask(layer, method="GET", **fields):
    server = FakeServer(method=method, headers=request_headers(**fields))
    await layer(server.scope, server.receive, server.send)
    return Answer(server)


async def ask_preflight(layer, origin=APP, method="GET", headers=None, private=None):
    return await ask(
        layer,
        "OPTIONS",
        origin=origin,
        access_control_request_method=method,
        access_control_request_headers=headers,
        access_control_request_private_network=private,
    )


def both(app, **options):
    return CORSMiddleware(app, **options), StarletteCORSMiddleware(app, **options)


# As Starlette's

OPTIONS = [
    {},
    {"allow_origins": [APP]},
    {"allow_origins": [APP, "http://localhost:3000"], "allow_credentials": True},
    {"allow_origins": ["*"]},
    {"allow_origins": ["*"], "allow_credentials": True},
    {"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"], "max_age": 60},
    {
        "allow_origins": ["*"],
        "allow_methods": ["*"],
        "allow_headers": ["*"],
        "allow_credentials": True,
    },
    {"allow_origin_regex": r"https://.*\.example\.com", "allow_methods": ["GET", "PUT"]},
    {"allow_origins": [OTHER], "allow_origin_regex": r"https://app\..*", "max_age": 0},
    {"allow_origins": [APP], "allow_headers": ["X-Token", "Authorization"]},
    {"allow_origins": [APP], "expose_headers": ["X-A", "X-B"], "allow_private_network": True},
]


@pytest.mark.parametrize("options", OPTIONS)
async def test_a_preflight_is_decided_and_answered_as_by_starlette(options):
    ours, theirs = both(plain_app(), **options)
    asked = itertools.product(
        [APP, OTHER, "http://localhost:3000", f"{APP}.evil.example"],
        ["GET", "PUT", "BREW"],
        [None, "content-type", "X-Token", "x-token, authorization", "x-other"],
        [None, "true"],
    )
    for origin, method, headers, private in asked:
        if method == "BREW" and "*" in options.get("allow_methods", ()):
            continue  # differs, see below
        fields = {"origin": origin, "method": method, "headers": headers, "private": private}
        answer, expected = (
            await ask_preflight(ours, **fields),
            await ask_preflight(theirs, **fields),
        )
        if expected.status == 400:
            assert (answer.status, answer.cors) == (400, {}), fields
        else:
            assert (answer.status, comparable(answer.cors)) == (204, comparable(expected.cors))
        assert answer.vary == expected.vary


def comparable(fields):
    """The fields, of lists the elements: in lower case, without order and space."""
    return {
        name: {each.strip().lower() for each in value.split(",")} for name, value in fields.items()
    }


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
async def test_a_response_to_an_allowed_origin_is_as_starlettes(options, method):
    ours, theirs = both(plain_app(headers=[(b"x-own", b"1")]), **options)
    for origin in (APP, OTHER, "http://localhost:3000"):
        answer = await ask(ours, method, origin=origin)
        expected = await ask(theirs, method, origin=origin)
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.headers["x-own"] == "1"
        if f"{CORS}allow-origin" in expected.cors:
            assert answer.cors == expected.cors
        else:
            assert answer.cors == {}
        if expected.cors.get(f"{CORS}allow-origin") != "*":
            assert answer.vary == expected.vary == {"origin"}


@pytest.mark.parametrize("options", OPTIONS)
async def test_a_request_without_an_origin_is_as_with_starlette_unless_it_is_for_everybody(options):
    ours, theirs = both(plain_app(), **options)
    answer, expected = await ask(ours), await ask(theirs)
    assert expected.cors == {}
    if options.get("allow_origins") != ["*"] or options.get("allow_credentials"):
        assert (answer.cors, answer.vary) == ({}, expected.vary)


# Not as Starlette's


async def test_a_response_for_everybody_says_so_to_all_and_does_not_vary():
    """A response cached without the fields would do for nobody (Fetch)."""
    ours, theirs = both(plain_app(), allow_origins=["*"])
    for fields in ({}, {"origin": APP}):
        answer = await ask(ours, **fields)
        assert (answer.cors, answer.vary) == ({f"{CORS}allow-origin": "*"}, set())
    assert (await ask(theirs)).cors == {}
    assert (await ask(theirs)).vary == {"origin"}


async def test_a_refused_preflight_has_no_cors_fields_and_says_why():
    options = {"allow_origins": [APP], "allow_credentials": True}
    ours, theirs = both(plain_app(), **options)
    answer = await ask_preflight(ours, OTHER, "DELETE")
    assert answer.status == 400
    assert answer.cors == {}
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"what is not allowed here: the origin, the method" in answer.body
    assert OTHER.encode() not in answer.body
    assert (await ask_preflight(theirs, OTHER, "DELETE")).cors != {}


async def test_a_response_to_an_origin_that_is_not_allowed_tells_it_nothing():
    options = {"allow_origins": [APP], "allow_credentials": True, "expose_headers": ["X-A"]}
    ours, theirs = both(plain_app(), **options)
    assert (await ask(ours, origin=OTHER)).cors == {}
    assert set((await ask(theirs, origin=OTHER)).cors) == {
        f"{CORS}allow-credentials",
        f"{CORS}expose-headers",
    }


async def test_a_response_with_a_policy_of_its_own_keeps_it():
    own = [(b"access-control-allow-origin", b"*"), (b"vary", b"Accept, origin")]
    ours, theirs = both(plain_app(headers=own), allow_origins=[APP], allow_credentials=True)
    answer, other = await ask(ours, origin=APP), await ask(theirs, origin=APP)
    assert answer.raw == [(f"{CORS}allow-origin", "*"), ("vary", "Accept, origin")]
    assert other.headers[f"{CORS}allow-origin"] == APP
    assert other.headers["vary"] == "Accept, origin, Origin"


async def test_any_method_is_any_method():
    ours, theirs = both(plain_app(), allow_origins=[APP], allow_methods=["*"])
    answer = await ask_preflight(ours, method="PROPFIND")
    assert answer.headers[f"{CORS}allow-methods"].endswith("QUERY, PROPFIND")
    assert (await ask_preflight(theirs, method="PROPFIND")).status == 400


async def test_no_page_without_an_origin_gets_credentials_from_a_star():
    ours, theirs = both(plain_app(), allow_origins=["*"], allow_credentials=True)
    assert (await ask(ours, origin="null")).cors == {}
    assert (await ask_preflight(ours, "null")).status == 400
    assert (await ask(theirs, origin="null")).headers[f"{CORS}allow-origin"] == "null"


async def test_requested_headers_are_sent_back_as_they_were_understood():
    ours, theirs = both(plain_app(), allow_origins=["*"], allow_headers=["*"])
    requested = "X-A,,X-B ,"
    answer = await ask_preflight(ours, headers=requested)
    other = await ask_preflight(theirs, headers=requested)
    assert answer.headers[f"{CORS}allow-headers"] == "x-a, x-b"
    assert other.headers[f"{CORS}allow-headers"] == requested


async def test_all_headers_can_be_exposed_to_requests_with_credentials():
    app = plain_app(headers=[(b"x-total", b"7"), (b"set-cookie", b"a=b")])
    options = {"allow_origins": [APP], "allow_credentials": True, "expose_headers": ["*"]}
    ours, theirs = both(app, **options)
    assert (await ask(ours, origin=APP)).headers[f"{CORS}expose-headers"] == "x-total"
    assert (await ask(theirs, origin=APP)).headers[f"{CORS}expose-headers"] == "*"


@pytest.mark.parametrize("origin", ["https://evil.example\r\nx: y", "a" * 100_000, "(" * 100_000])
async def test_what_is_no_origin_is_sent_back_by_neither_answer(origin):
    layer = CORSMiddleware(plain_app(), allow_origins=["*"], allow_credentials=True)
    for answer in (await ask(layer, origin=origin), await ask_preflight(layer, origin)):
        assert answer.cors == {}
        assert len(repr(answer.raw) + repr(answer.body)) < 600


# The layer itself


async def test_a_preflight_does_not_reach_the_app():
    async def app(scope, receive, send):
        raise AssertionError("the app was asked")

    answer = await ask_preflight(CORSMiddleware(app, allow_origins=[APP]))
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("fields", [{"origin": APP}, {"access_control_request_method": "PUT"}, {}])
async def test_an_options_request_that_is_no_preflight_reaches_the_app(fields):
    layer = CORSMiddleware(plain_app(body=b"options"), allow_origins=[APP])
    assert (await ask(layer, "OPTIONS", **fields)).body == b"options"


async def test_the_messages_of_an_app_are_left_as_they_are():
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]}

    async def app(scope, receive, send):
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    layer = CORSMiddleware(app, allow_origins=[APP])
    first, second = await ask(layer, origin=APP), await ask(layer, origin=APP)
    assert first.raw == second.raw
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]}


async def test_an_app_that_sends_no_headers_gets_those_of_the_layer():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    assert (await ask(CORSMiddleware(app, allow_origins=["*"]))).raw == [
        (f"{CORS}allow-origin", "*")
    ]


async def test_other_messages_and_receive_are_the_servers_own():
    seen = []

    async def app(scope, receive, send):
        seen.append(receive)
        await send({"type": "http.response.early_hint", "links": []})
        await plain_app()(scope, receive, send)

    server = FakeServer()
    await CORSMiddleware(app, allow_origins=[APP])(server.scope, server.receive, server.send)
    assert seen == [server.receive]
    assert server.messages[0] == {"type": "http.response.early_hint", "links": []}
    assert server.messages[1]["headers"] == [(b"vary", b"Origin")]


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "webtransport"])
async def test_whatever_is_no_http_goes_straight_to_the_app(kind):
    given = ({"type": kind, "headers": [(b"origin", OTHER.encode())]}, object(), object())
    seen = []

    async def app(*arguments):
        seen.extend(arguments)

    await CORSMiddleware(app, allow_origins=[APP])(*given)
    assert all(one is other for one, other in zip(seen, given, strict=True))


async def test_two_layers_add_up_to_one():
    inner = CORSMiddleware(plain_app(), allow_origins=[APP])
    outer = CORSMiddleware(inner, allow_origins=[APP], allow_credentials=True)
    answer = await ask(outer, origin=APP)
    assert answer.raw == [("vary", "Origin"), (f"{CORS}allow-origin", APP)]


def test_options_are_checked_when_the_layer_is_made():
    with pytest.raises(TypeError, match="allow_origins is a list of str"):
        CORSMiddleware(plain_app(), allow_origins="*")
    with pytest.raises(ValueError, match="cannot be an allowed origin"):
        CORSMiddleware(plain_app(), allow_origins=["https://app.example.com/"])


# In apps


@pytest.fixture(params=APPS)
def app(request):
    app = APPS[request.param]()
    app.add_middleware(CORSMiddleware, allow_origins=[APP], allow_methods=["GET", "PUT"])
    return app


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("GET", "/stream", 200), ("GET", "/nowhere", 404), ("DELETE", "/", 405)],
)
async def test_every_answer_of_an_app_has_the_fields(app, method, path, status):
    async with AsyncTestClient(app) as client:
        response = await client.request(method, path, headers={"origin": APP})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == APP
    assert response.headers["vary"] == "Origin"


async def test_a_preflight_of_an_app_is_answered(app):
    asked = {"origin": APP, "access-control-request-method": "PUT"}
    async with AsyncTestClient(app) as client:
        response = await client.options("/", headers=asked)
        assert response.status_code == 204
        assert response.headers["access-control-allow-methods"] == "GET, PUT"


async def test_a_layer_around_the_whole_app_covers_its_crashes():
    app = App()

    @app.get("/")
    async def crash(request: Request):
        raise RuntimeError("a deliberate crash")

    around = CORSMiddleware(app, allow_origins=[APP])
    async with AsyncTestClient(around, raise_server_exceptions=False) as client:
        response = await client.get("/", headers={"origin": APP})
    assert response.status_code == 500
    assert response.headers["access-control-allow-origin"] == APP


async def test_a_websocket_has_the_rule_of_its_route_and_not_of_the_layer():
    app = App()

    @app.websocket("/ws", origins=[OTHER])
    async def echo(ws: WebSocket):
        await ws.accept()
        await ws.send_text(await ws.receive_text())

    app.add_middleware(CORSMiddleware, allow_origins=[APP])
    client = AsyncTestClient(app)
    async with client, client.websocket_connect("/ws", origin=OTHER) as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"
