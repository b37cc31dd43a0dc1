"""The test client by Starlette's names."""

import functools
from typing import Any

import anyio
import pytest

from asgi_rt.fastapi import FastAPI, Request, WebSocket
from asgi_rt.fastapi.background import BackgroundTask
from asgi_rt.fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from asgi_rt.fastapi.testclient import TestClient

app = FastAPI()
log: list[str] = []


@pytest.fixture(params=["asyncio", "trio"])
def client(request: pytest.FixtureRequest) -> Any:
    log.clear()
    with TestClient(app, backend=request.param) as made:
        yield made


async def slow(name: str) -> None:
    for _ in range(10):
        await anyio.sleep(0.001)
    log.append(name)


@app.head("/background")
@app.get("/background")
async def background() -> PlainTextResponse:
    return PlainTextResponse("sent", background=BackgroundTask(slow, "background"))


@app.get("/redirect")
async def redirect() -> RedirectResponse:
    return RedirectResponse("/who", background=BackgroundTask(slow, "redirect"))


@app.get("/who")
async def who(request: Request) -> list[Any]:
    return [request.headers["user-agent"], request.client, str(request.url)]


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def source() -> Any:
        try:
            while True:
                yield b"x"
                await anyio.sleep(0.001)
        finally:
            log.append("closed")

    return StreamingResponse(source())


@app.get("/crash")
async def crash() -> None:
    raise KeyError("boom")


@app.websocket("/crash")
async def crash_connected(websocket: WebSocket) -> None:
    await websocket.accept()
    raise KeyError("boom")


@app.websocket("/wait")
async def wait(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_text()


def test_request_returns_when_the_background_is_done(client):
    assert client.get("/background").text == "sent"
    assert log == ["background"]


def test_request_without_a_body_returns_when_the_background_is_done(client):
    assert client.head("/background").text == ""
    assert log == ["background"]


def test_redirect_is_followed_when_its_background_is_done(client):
    response = client.get("/redirect")
    assert (response.status_code, len(response.history), log) == (200, 1, ["redirect"])
    assert client.get("/redirect", follow_redirects=False).status_code == 307


def test_client_says_who_it_is(client):
    expected = ["testclient", ["testclient", 50000], "http://testserver/who"]
    assert client.get("/who").json() == expected
    assert client.get("/who", headers={"user-agent": "other"}).json()[0] == "other"


def test_leaving_a_stream_is_a_disconnect(client):
    with client.stream("GET", "/endless") as response:
        assert next(response.iter_bytes()) == b"x"
    assert log == ["closed"]


def test_error_of_the_app_is_raised(client):
    with pytest.raises(KeyError, match="boom"):
        client.get("/crash")


def test_error_of_the_app_is_a_500_where_it_is_not_to_be_raised():
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/crash").status_code == 500


def test_error_of_a_websocket_is_raised(client):
    with pytest.raises(KeyError, match="boom"), client.websocket_connect("/crash") as session:
        session.receive_text()


def test_leaving_a_websocket_is_a_close(client):
    with client.websocket_connect("/wait"):
        pass


def test_client_works_without_lifespan_and_with_plain_apps():
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(scope["path"])(scope, receive, send)

    client = TestClient(plain, "https://example.org")
    assert client.get("/a").text == "/a"
    client.close()


def test_lifespan_runs_with_the_client():
    events: list[str] = []
    own = FastAPI(
        on_startup=[functools.partial(events.append, "up")],
        on_shutdown=[functools.partial(events.append, "down")],
    )
    with TestClient(own):
        assert events == ["up"]
    assert events == ["up", "down"]


def test_client_may_be_entered_again_and_used_between():
    events: list[str] = []
    own = FastAPI(
        on_startup=[functools.partial(events.append, "up")],
        on_shutdown=[functools.partial(events.append, "down")],
    )
    own.get("/")(lambda: events)
    client = TestClient(own)
    assert client.get("/").json() == []
    with client:
        assert client.get("/").json() == ["up"]
    assert client.get("/").json() == ["up", "down"]
    with client:
        assert client.get("/").json() == ["up", "down", "up"]
    client.close()
    assert events == ["up", "down"] * 2
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/")


@pytest.mark.parametrize("phase", ["on_startup", "on_shutdown"])
def test_error_of_the_lifespan_is_raised(phase):
    def fail() -> None:
        raise ValueError("no database")

    options: dict[str, Any] = {phase: [fail]}
    with pytest.raises(ValueError, match="no database"), TestClient(FastAPI(**options)):
        pass


def test_client_whose_app_fails_to_start_may_be_entered_again():
    failures = [ValueError("no database")]

    def start() -> None:
        if failures:
            raise failures.pop()

    own = FastAPI(on_startup=[start])
    client = TestClient(own)
    with pytest.raises(ValueError, match="no database"), client:
        pass
    with client:
        assert client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize("url", ["/root/who", "/who"])
def test_path_of_the_url_is_the_whole_path_whatever_the_root(url):
    root = FastAPI()

    @root.get("/who")
    async def path(request: Request) -> list[str]:
        return [request.scope["path"], request.scope["raw_path"].decode(), str(request.url)]

    @root.websocket("/who")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.scope["path"])

    with TestClient(root, root_path="/root") as client:
        assert client.get(url).json() == [url, url, f"http://testserver{url}"]
        with client.websocket_connect(url) as session:
            assert session.receive_text() == url
