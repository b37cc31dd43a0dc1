"""The app, as far as no comparison with FastAPI can say it."""

import inspect
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fakes import FakeServer

from asgi_rt import HTTPError
from asgi_rt.fastapi import APIRouter, Body, FastAPI, Request, WebSocket
from asgi_rt.fastapi.responses import PlainTextResponse
from asgi_rt.fastapi.routing import APIRoute
from asgi_rt.testing import AsyncTestClient, ConnectionClosed, TestClient


def logging_lifespan(log: list[str], name: str) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        log.append(f"{name} of {type(app).__name__}")
        yield {"from": name, name: True}
        log.append(f"{name} ends")

    return lifespan


async def test_a_lifespan_and_event_handlers_all_run():
    log: list[str] = []
    app = FastAPI(
        lifespan=logging_lifespan(log, "app"),
        on_startup=[lambda: log.append("start")],
        on_shutdown=[lambda: log.append("stop")],
    )
    app.include_router(APIRouter(lifespan=logging_lifespan(log, "router")))
    async with AsyncTestClient(app) as client:
        assert client.state["from"] == "app"
        assert client.state["router"] is True
    assert log == [
        "app of FastAPI",
        "start",
        "router of FastAPI",
        "router ends",
        "stop",
        "app ends",
    ]


async def test_the_handlers_of_a_router_run_once():
    log: list[str] = []
    app = FastAPI()
    app.include_router(APIRouter(on_startup=[lambda: log.append("start")]))
    async with AsyncTestClient(app):
        pass
    assert log == ["start"]


async def test_the_lifespan_may_be_replaced():
    log: list[str] = []
    app = FastAPI()
    app.router.lifespan_context = logging_lifespan(log, "other")
    async with AsyncTestClient(app):
        assert log == ["other of FastAPI"]


def test_it_is_called_like_a_coroutine_function():
    # Servers look whether they have to do with an ASGI 3 application.
    assert inspect.iscoroutinefunction(FastAPI().__call__)


def test_what_is_no_option_is_extra():
    app = FastAPI(title="T", telemetry=None)
    assert (app.title, app.extra) == ("T", {"telemetry": None})
    assert FastAPI().title == "FastAPI"


async def test_middleware_cannot_be_added_once_the_app_has_started():
    app = FastAPI()
    server = FakeServer()
    await app(server.scope, server.receive, server.send)
    with pytest.raises(RuntimeError, match="after an application has started"):
        app.add_middleware(PlainTextResponse)


async def test_an_error_of_this_package_is_answered_in_the_words_of_fastapi():
    app = FastAPI()

    @app.get("/")
    async def read() -> None:
        raise HTTPError(409, "taken", headers={"x-a": "b"})

    async with AsyncTestClient(app) as client:
        response = await client.get("/")
    assert (response.status_code, response.json()) == (409, {"detail": "taken"})
    assert response.headers["x-a"] == "b"


@pytest.mark.parametrize("behind_middleware", [False, True])
async def test_the_traceback_is_shown_where_the_app_is_debugged(behind_middleware):
    app = FastAPI(debug=True)

    @app.get("/")
    async def read() -> None:
        raise KeyError("secret")

    if behind_middleware:

        @app.middleware("http")
        async def passing(request: Request, call_next: Any) -> Any:
            return await call_next(request)

    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        response = await client.get("/")
    assert response.status_code == 500
    assert "KeyError: 'secret'" in response.text


async def test_a_body_may_be_bounded():
    app = FastAPI(max_body_bytes=4)

    @app.post("/")
    async def read(body: dict[str, int]) -> None:
        raise AssertionError("it was refused")

    async with AsyncTestClient(app) as client:
        assert (await client.post("/", json={"a": 1})).status_code == 413


async def test_documents_are_made_again_when_there_are_new_routes():
    app = FastAPI()
    assert app.openapi() is app.openapi()

    async def read() -> None: ...

    app.get("/new")(read)
    assert list(app.openapi()["paths"]) == ["/new"]


async def test_websockets_are_described():
    app = FastAPI()

    @app.websocket("/talk")
    async def talk(websocket: WebSocket) -> None: ...

    async with AsyncTestClient(app) as client:
        document = (await client.get("/asyncapi.json")).json()
    assert [each["address"] for each in document["channels"].values()] == ["/talk"]
    assert "/asyncapi.json" not in [each.path for each in FastAPI(asyncapi_url=None).routes]


async def test_a_handler_of_errors_serves_websockets_too():
    class Told(Exception):
        pass

    app = FastAPI()

    @app.exception_handler(Told)
    async def tell(websocket: WebSocket, error: Told) -> None:
        await websocket.close(4001, "told")

    @app.websocket("/")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        raise Told

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await ws.receive_text()
    assert (closed.value.code, closed.value.reason) == (4001, "told")


def test_a_subclass_may_register_otherwise():
    class Prefixed(FastAPI):
        def add_api_route(self, path: str, *args: Any, **options: Any) -> None:
            super().add_api_route("/v1" + path, *args, **options)

    app = Prefixed(openapi_url=None, asyncapi_url=None)

    @app.get("/a")
    async def read() -> None: ...

    (route,) = app.routes
    assert isinstance(route, APIRoute)
    assert route.path == "/v1/a"


def test_an_app_that_hides_its_openapi_document_hides_the_other_one_as_well():
    with TestClient(FastAPI(openapi_url=None)) as client:
        assert client.get("/asyncapi.json").status_code == 404
        assert client.get("/openapi.json").status_code == 404


def test_a_body_larger_than_max_body_size_is_refused():
    app = FastAPI(max_body_size=10)

    @app.post("/")
    async def echo(body: Annotated[dict[str, int], Body()]) -> dict[str, int]:
        return body

    with TestClient(app) as client:
        assert client.post("/", json={"a": 1}).json() == {"a": 1}
        refused = client.post("/", json={"a": 1, "b": 2, "c": 3})
        assert refused.status_code == 413
        assert refused.json() == {"detail": "the request body is larger than 10 bytes"}


def test_without_pydantic_the_import_names_the_extra():
    script = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pydantic":
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
try:
    import asgi_rt.fastapi
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == (
        'asgi_rt.fastapi needs the package pydantic: run pip install "asgi-rt[fastapi]"'
    ), done.stderr
