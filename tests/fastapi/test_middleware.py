"""Middleware by Starlette's names: what differs from the core's."""

from typing import Any

import pytest
import starlette.middleware
import starlette.middleware.cors
import starlette.middleware.gzip
import starlette.middleware.trustedhost
import starlette.testclient

from asgi_rt.fastapi import FastAPI, Request
from asgi_rt.fastapi.background import BackgroundTask
from asgi_rt.fastapi.middleware import Middleware
from asgi_rt.fastapi.middleware.base import BaseHTTPMiddleware
from asgi_rt.fastapi.middleware.cors import CORSMiddleware
from asgi_rt.fastapi.middleware.gzip import GZipMiddleware
from asgi_rt.fastapi.middleware.httpsredirect import HTTPSRedirectMiddleware
from asgi_rt.fastapi.middleware.trustedhost import TrustedHostMiddleware
from asgi_rt.fastapi.responses import JSONResponse, PlainTextResponse, Response
from asgi_rt.fastapi.testclient import TestClient


@pytest.fixture(params=["asyncio", "trio"])
def client_of(request: pytest.FixtureRequest) -> Any:
    clients: list[TestClient] = []

    def make(app: Any) -> TestClient:
        clients.append(TestClient(app, backend=request.param, follow_redirects=False))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_middleware_is_a_class_and_what_it_gets():
    made = [m.Middleware(CORSMiddleware, 1, max_age=5) for m in (starlette.middleware,)]
    made.append(Middleware(CORSMiddleware, 1, max_age=5))
    assert [*made[0]] == [*made[1]] == [CORSMiddleware, (1,), {"max_age": 5}]
    assert repr(made[0]) == repr(made[1]) == "Middleware(CORSMiddleware, 1, max_age=5)"


# A function around the app


def served(dispatch: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        return {"id": item_id}

    @app.post("/body")
    async def body(request: Request) -> list[Any]:
        return [(await request.body()).decode(), request.state.seen, dict(await request.form())]

    return app


def test_dispatch_gets_and_gives_the_adapters_classes(client_of):
    seen: list[Any] = []

    async def dispatch(request: Request, call_next: Any) -> Any:
        seen.append(isinstance(request, Request))
        response = await call_next(request)
        seen.append((isinstance(response, Response), dict(request.path_params)))
        response.headers.append("x-a", "1")
        response.headers.update({"x-b": "2"})
        response.set_cookie("c", "d", 5)
        return response

    response = client_of(served(dispatch)).get("/items/5")
    assert seen == [True, (True, {"item_id": "5"})]
    assert (response.headers["x-a"], response.headers["x-b"]) == ("1", "2")
    assert response.headers["set-cookie"] == "c=d; Max-Age=5; Path=/; SameSite=lax"


def test_dispatch_answers_itself(client_of):
    async def dispatch(request: Request, call_next: Any) -> Any:
        return JSONResponse({"short": True}, 202)

    response = client_of(served(dispatch)).get("/items/5")
    assert (response.status_code, response.json()) == (202, {"short": True})


def test_dispatch_makes_another_response_of_the_body(client_of):
    async def dispatch(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        whole = b"".join([chunk async for chunk in response.body_iterator])
        return PlainTextResponse(whole + b"!", response.status_code)

    assert client_of(served(dispatch)).get("/items/5").text == '{"id":5}!'


@pytest.mark.parametrize("reads", ["body", "form", "json"])
def test_what_dispatch_reads_the_app_gets_too(client_of, reads):
    async def dispatch(request: Request, call_next: Any) -> Any:
        value = await getattr(request, reads)()
        request.state.seen = value.decode() if isinstance(value, bytes) else dict(value)
        return await call_next(request)

    client = client_of(served(dispatch))
    if reads == "json":
        assert client.post("/body", json={"a": 1}).json() == ['{"a":1}', {"a": 1}, {}]
    else:
        seen = {"body": "a=1", "form": {"a": "1"}}[reads]
        assert client.post("/body", data={"a": "1"}).json() == ["a=1", seen, {"a": "1"}]


def test_background_of_the_apps_response_has_run_when_the_request_is_over(client_of):
    log: list[str] = []

    async def dispatch(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.background = BackgroundTask(log.append, "done")
        return response

    client_of(served(dispatch)).get("/items/5")
    assert log == ["done"]


def test_layer_that_dispatches_nothing_is_refused():
    with pytest.raises(TypeError, match="dispatches nothing"):
        BaseHTTPMiddleware(FastAPI())


# The others


async def plain(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        kind = {"/png": "image/png", "/bytes": "application/octet-stream"}.get(scope["path"])
        content = "x" * (10 if scope["path"] == "/small" else 1000)
        await PlainTextResponse(content, media_type=kind)(scope, receive, send)


def both(client_of: Any, layers: Any, method: str, path: str, headers: Any, **options: Any) -> Any:
    """The responses of this layer and of Starlette's around the same app."""
    ours, theirs = layers
    client = starlette.testclient.TestClient(theirs(plain, **options), follow_redirects=False)
    return [
        each.request(method, path, headers=headers)
        for each in (client_of(ours(plain, **options)), client)
    ]


PREFLIGHT = {
    "origin": "http://a.org",
    "access-control-request-method": "POST",
    "access-control-request-headers": "x-a, content-type",
}
CORS = [
    {"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]},
    {"allow_origins": ["*"], "allow_methods": ["POST"], "allow_headers": ["X-A"]},
    {"allow_origins": ["http://a.org"], "allow_methods": ["*"], "allow_credentials": True},
    {"allow_origin_regex": "http://.*", "expose_headers": ["X-E"], "max_age": 5},
    {"allow_origins": ["http://b.org"]},
    {"allow_origins": ["*"], "allow_credentials": True},
]


@pytest.mark.parametrize("options", CORS, ids=range(len(CORS)))
def test_preflight_is_answered_as_by_starlette(client_of, options):
    layers = (CORSMiddleware, starlette.middleware.cors.CORSMiddleware)
    found, expected = both(client_of, layers, "OPTIONS", "/", PREFLIGHT, **options)
    assert (found.status_code, found.text) == (expected.status_code, expected.text)
    if found.status_code == 200:
        assert {**found.headers} == {**expected.headers}


@pytest.mark.parametrize("options", CORS, ids=range(len(CORS)))
def test_request_of_a_page_is_allowed_as_by_starlette(client_of, options):
    layers = (CORSMiddleware, starlette.middleware.cors.CORSMiddleware)
    found, expected = both(client_of, layers, "GET", "/", {"origin": "http://a.org"}, **options)
    # Starlette's answers to everybody vary by origin, which they do not.
    fields = [dict(response.headers) for response in (found, expected)]
    assert [each.pop("vary", None) is not None for each in fields][1]
    assert fields[0] == fields[1]


@pytest.mark.parametrize("accepts", ["gzip", "identity"])
@pytest.mark.parametrize("path", ["/", "/small", "/png", "/bytes"])
def test_what_is_compressed_is_what_starlette_compresses(client_of, path, accepts):
    layers = (GZipMiddleware, starlette.middleware.gzip.GZipMiddleware)
    headers = {"accept-encoding": accepts}
    found, expected = both(client_of, layers, "GET", path, headers, minimum_size=100)
    assert found.content == expected.content
    for name in ("content-encoding", "vary"):
        assert found.headers.get(name) == expected.headers.get(name)


@pytest.mark.parametrize(
    "host", ["a.org", "x.b.org", "b.org", "c.org", "www.c.org", "A.ORG:80", "bad host", "d.org"]
)
def test_hosts_are_trusted_as_by_starlette(client_of, host):
    layers = (TrustedHostMiddleware, starlette.middleware.trustedhost.TrustedHostMiddleware)
    allowed = ["a.org", "*.b.org", "www.c.org"]
    headers = {"host": host}
    found, expected = both(client_of, layers, "GET", "/p?q=1", headers, allowed_hosts=allowed)
    assert (found.status_code, found.text) == (expected.status_code, expected.text)
    assert found.headers.get("location") == expected.headers.get("location")


def test_every_host_is_trusted_by_default(client_of):
    assert client_of(TrustedHostMiddleware(plain)).get("/").status_code == 200


def test_http_is_sent_to_https(client_of):
    response = client_of(HTTPSRedirectMiddleware(plain)).get("/a?b=c")
    assert (response.status_code, response.headers["location"]) == (
        307,
        "https://testserver/a?b=c",
    )
