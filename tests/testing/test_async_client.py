"""The async client as a whole: httpx2's API, Starlette, extensions, shared locks, context."""

import asyncio
import contextlib
import subprocess
import sys
from contextvars import ContextVar

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from asgi_rt.testing import AsyncTestClient, Exchange, ServerPush

log = []


async def echo(request):
    return JSONResponse(
        {"method": request.method, "body": (await request.body()).decode(), **request.query_params}
    )


async def cookie(request):
    response = PlainTextResponse(request.cookies.get("seen", "no"))
    response.set_cookie("seen", "yes")
    return response


async def redirect(request):
    return RedirectResponse("/echo?from=redirect")


async def private(request):
    return PlainTextResponse(request.headers.get("authorization", "nobody"))


class Numbers:
    """Endless, and no generator: Starlette leaves those unclosed when the client goes."""

    def __init__(self):
        self.number = -1

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.number += 1
        return f"{self.number}\n"


async def endless(request):
    return StreamingResponse(Numbers(), background=BackgroundTask(log.append, "background"))


async def background(request):
    return Response("done", background=BackgroundTask(log.append, "after"))


async def broken(request):
    raise ZeroDivisionError


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"name": "state"}


async def state(request):
    return PlainTextResponse(request.state.name)


@pytest.fixture
def app():
    log.clear()
    handlers = [echo, cookie, redirect, private, endless, background, broken, state]
    routes = [Route(f"/{each.__name__}", each, methods=["GET", "POST", "PUT"]) for each in handlers]
    return Starlette(routes=routes, lifespan=lifespan)


async def test_a_starlette_app_works(app):
    async with AsyncTestClient(app) as client:
        response = await client.post("/echo?a=1", content=b"body")
        assert response.json() == {"method": "POST", "body": "body", "a": "1"}
        assert response.http_version == "HTTP/1.1"
        assert (await client.get("/state")).text == "state"
        assert (await client.get("/missing")).status_code == 404


async def test_cookies_are_kept_by_every_way_of_asking(app):
    async with AsyncTestClient(app) as client:
        async with client.open("GET", "/cookie") as exchange:
            await (await exchange.head()).aread()
        assert (await client.get("/cookie")).text == "yes"
        async with client.open("GET", "/cookie") as exchange:
            assert await exchange.read() == b"yes"


async def test_redirects_are_followed_when_asked(app):
    async with AsyncTestClient(app, follow_redirects=True) as client:
        response = await client.get("/redirect")
        assert response.json()["from"] == "redirect"
        assert [each.status_code for each in response.history] == [307]
        async with client.open("GET", "/redirect") as exchange:
            assert (await exchange.head()).status_code == 307


async def test_authentication_applies_by_every_way_of_asking(app):
    async with AsyncTestClient(app, auth=("user", "password")) as client:
        text = (await client.get("/private")).text
        assert text.startswith("Basic ")
        async with client.open("GET", "/private") as exchange:
            assert await exchange.read() == text.encode()


async def test_an_endless_starlette_stream_is_left(app):
    async with AsyncTestClient(app) as client, client.stream("GET", "/endless") as response:
        exchange = Exchange.of(response)
        assert [await anext(exchange) for _ in range(3)] == [b"0\n", b"1\n", b"2\n"]
    assert exchange.is_done
    assert log == ["background"]


async def test_starlettes_own_disconnect_error_is_raised_at_spec_2_4(app):
    async with AsyncTestClient(app, spec_version="2.4") as client:
        with pytest.raises(ClientDisconnect):
            async with client.stream("GET", "/endless") as response:
                await Exchange.of(response).wait_blocked()


async def test_background_work_is_done_when_the_call_returns(app):
    async with AsyncTestClient(app) as client:
        await client.get("/background")
        assert log == ["after"]


async def test_a_starlette_error_is_raised_although_starlette_answers_500(app):
    async with AsyncTestClient(app) as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("/broken")
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        response = await client.get("/broken")
        assert (response.status_code, response.text) == (500, "Internal Server Error")


async def test_gzip_is_decoded_for_the_response_and_raw_for_the_exchange(app):
    from starlette.middleware.gzip import GZipMiddleware

    async with AsyncTestClient(GZipMiddleware(app, minimum_size=0)) as client:
        response = await client.get("/echo")
        assert response.headers["content-encoding"] == "gzip"
        assert response.json()["method"] == "GET"
        async with client.open("GET", "/echo") as exchange:
            assert (await exchange.read())[:2] == b"\x1f\x8b"


@pytest.mark.parametrize("make_lock", [anyio.Lock, asyncio.Lock])
async def test_two_requests_and_the_test_share_a_lock_a_thousand_times(make_lock, anyio_backend):
    if make_lock is asyncio.Lock and anyio_backend[0] != "asyncio":
        pytest.skip("asyncio's own lock")
    lock = make_lock()
    holders = []

    async def take(times):
        for _ in range(times):
            async with lock:
                holders.append(1)
                assert len(holders) == 1
                await anyio.lowlevel.checkpoint()
                holders.pop()

    async def app(scope, receive, send):
        await take(1000)
        await PlainTextResponse("done")(scope, receive, send)

    async with AsyncTestClient(app, lifespan=False) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, "/a")
        tasks.start_soon(client.get, "/b")
        await take(1000)


async def test_each_request_has_a_copy_of_the_callers_context():
    variable = ContextVar("variable", default="unset")

    async def app(scope, receive, send):
        text = variable.get()
        variable.set("set by the app")
        await PlainTextResponse(text)(scope, receive, send)

    async with AsyncTestClient(app, lifespan=False) as client:
        for value in ("one", "two"):
            variable.set(value)
            assert (await client.get("/")).text == value
            assert variable.get() == value


EXTENSIONS = {
    "http.response.pathsend": {},
    "http.response.early_hint": {},
    "http.response.push": {},
    "http.response.trailers": {},
}


async def test_extension_messages_are_recorded():
    async def app(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.push", "path": "/a.css", "headers": [(b"a", b"1")]})
        start = {"type": "http.response.start", "status": 200, "headers": [], "trailers": True}
        await send(start)
        await send({"type": "http.response.body", "body": b"body"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})

    async with AsyncTestClient(app, lifespan=False, extensions=EXTENSIONS) as client:
        response = await client.get("/")
    exchange = Exchange.of(response)
    assert response.text == "body"
    assert exchange.early_hints == [[b"</a.css>; rel=preload"]]
    assert exchange.pushes == [ServerPush("/a.css", [(b"a", b"1")])]
    assert exchange.trailers == [(b"x-sum", b"42")]


def sends_file(path, *headers):
    async def app(scope, receive, send):
        assert "http.response.pathsend" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.pathsend", "path": str(path)})

    return app


async def test_a_file_is_streamed_through_the_pipe(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)
    app = sends_file(path, (b"content-length", b"300000"))
    async with AsyncTestClient(app, lifespan=False, extensions=EXTENSIONS) as client:
        assert (await client.get("/")).content == path.read_bytes()
        assert (await client.head("/")).content == b""
        async with client.open("GET", "/") as exchange:
            await exchange.wait_blocked()
            assert exchange.bytes_sent == 131_072


async def test_a_file_of_the_wrong_length_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    app = sends_file(path, (b"content-length", b"11"))
    async with AsyncTestClient(app, lifespan=False, extensions=EXTENSIONS) as client:
        with pytest.raises(AssertionError, match="shorter than its content-length"):
            await client.get("/")


async def test_event_hooks_and_headers_are_httpx2s(app):
    seen = []

    async def hook(response):
        seen.append(response.status_code)

    options = {"event_hooks": {"response": [hook]}, "headers": {"authorization": "token"}}
    async with AsyncTestClient(app, **options) as client:
        assert (await client.get("/private")).text == "token"
    assert seen == [200]
    assert isinstance(client, httpx2.AsyncClient)


async def test_an_option_that_nobody_knows_is_refused(app):
    with pytest.raises(TypeError, match="raise_app_exceptions"):
        AsyncTestClient(app, raise_app_exceptions=True)


@pytest.mark.slow
def test_without_httpx2_the_import_names_the_extra():
    code = "import sys; sys.modules['httpx2'] = None; import asgi_rt.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert 'pip install "asgi-rt[testing]"' in done.stderr
