"""Routers and path operations, as far as no comparison with FastAPI can say it."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fakes import FakeServer
from pydantic import BaseModel

from asgi_rt import App, EventStream
from asgi_rt.fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException
from asgi_rt.fastapi.exceptions import FastAPIError
from asgi_rt.fastapi.requests import Request
from asgi_rt.fastapi.responses import PlainTextResponse
from asgi_rt.fastapi.routing import APIRoute, Mount, NoMatchFound, Route
from asgi_rt.fastapi.sse import EventSourceResponse
from asgi_rt.testing import AsyncTestClient, WebSocketDenied


async def body_of(app: Any, path: str = "/", **options: Any) -> Any:
    """The JSON of the answer to one request."""
    async with AsyncTestClient(app, lifespan=False) as client:
        response = await client.request(options.pop("method", "GET"), path, **options)
        return response.json()


def answering(value: Any) -> Callable[[], Any]:
    async def handler() -> Any:
        return value

    return handler


# What is registered when


async def test_a_route_that_a_router_gets_after_it_was_included_is_served():
    app, router, inner = FastAPI(), APIRouter(prefix="/a"), APIRouter(prefix="/b")
    router.include_router(inner)
    app.include_router(router, prefix="/x")
    inner.get("/late")(answering("late"))
    assert await body_of(app, "/x/a/b/late") == "late"


async def test_routes_that_are_changed_while_the_app_runs_are_seen():
    app = FastAPI()
    app.get("/")(answering("first"))
    assert await body_of(app) == "first"
    app.router.routes = [each for each in app.routes if each.path != "/"]
    assert await body_of(app) == {"detail": "Not Found"}
    app.routes.append(APIRoute("/", answering("second")))
    assert await body_of(app) == "second"


def test_the_routes_of_an_app_are_flat():
    app, router = FastAPI(openapi_url=None, asyncapi_url=None), APIRouter(prefix="/a")
    router.get("/b")(answering(1))
    app.include_router(router)
    app.mount("/sub", FastAPI(), name="sub")
    app.add_route("/plain", answering(1))
    assert [(type(each), each.path) for each in app.routes] == [
        (APIRoute, "/a/b"),
        (Mount, "/sub"),
        (Route, "/plain"),
    ]


def test_a_router_cannot_be_included_in_one_that_it_includes():
    outer, inner = APIRouter(), APIRouter()
    outer.include_router(inner)
    with pytest.raises(AssertionError, match="into itself"):
        inner.include_router(outer)


@pytest.mark.parametrize(
    "use",
    [
        lambda: APIRouter(tag=["a"]),
        lambda: APIRouter().include_router(APIRouter(), tag=["a"]),
        lambda: APIRouter().get("/", tag=["a"])(answering(1)),
    ],
)
def test_an_option_that_there_is_not_is_refused(use):
    with pytest.raises(TypeError, match="no option 'tag'"):
        use()


def test_an_option_that_there_is_not_may_be_none():
    """Subclasses hand on those of Starlette's."""
    options: Any = {"default": None}
    assert APIRouter(prefix="/a", **options).prefix == "/a"


def test_a_name_that_no_route_has_is_told():
    with pytest.raises(NoMatchFound, match='name "other" and params "a"'):
        FastAPI().url_path_for("other", a=1)


# Handlers


@pytest.mark.parametrize("sync", [False, True])
async def test_a_model_that_is_returned_is_written_by_its_response_model(sync):
    class Narrow(BaseModel):
        a: int

    class Wide(Narrow):
        b: int = 2

    app = FastAPI()
    made = Wide(a=1)
    handler = (lambda: made) if sync else answering(made)
    app.get("/", response_model=Narrow)(handler)
    assert await body_of(app) == {"a": 1}


async def test_a_response_of_this_package_may_be_returned():
    app = FastAPI()

    @app.get("/")
    async def events() -> EventStream:
        return EventStream(["one"], retry=None)

    async with AsyncTestClient(app) as client:
        response = await client.get("/")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.text == "data: one\n\n"


async def test_plain_json_goes_out_in_two_messages():
    app = FastAPI()
    app.get("/")(answering({"a": 1}))
    server = FakeServer()
    await app(server.scope, server.receive, server.send)
    start, body = server.messages
    assert start["headers"] == [
        (b"content-length", b"7"),
        (b"content-type", b"application/json"),
    ]
    assert body["body"] == b'{"a":1}'


async def test_a_route_class_may_put_its_own_handler_around_the_default_one():
    class Marked(APIRoute):
        def get_route_handler(self) -> Any:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Any:
                response = await inner(request)
                response.headers["x-marked"] = request.url.path
                return response

            return handle

    router = APIRouter(route_class=Marked)
    router.get("/a")(answering(1))
    app = FastAPI()
    app.include_router(router, prefix="/in")
    async with AsyncTestClient(app) as client:
        response = await client.get("/in/a")
    assert (response.json(), response.headers["x-marked"]) == (1, "/in/a")


# Dependencies


async def test_overrides_hold_from_when_they_are_set_until_they_are_taken_back():
    def given() -> str:
        return "given"

    def yielded() -> Iterator[str]:
        yield "yielded"

    app = FastAPI()

    @app.get("/")
    def read(value: str = Depends(given)) -> str:
        return value

    found = [await body_of(app)]
    app.dependency_overrides[given] = lambda: "first"
    found.append(await body_of(app))
    app.dependency_overrides[given] = yielded
    found.append(await body_of(app))
    app.dependency_overrides = {}
    found.append(await body_of(app))
    assert found == ["given", "first", "yielded", "given"]


async def test_what_is_closed_when():
    log: list[str] = []

    async def of_request() -> AsyncIterator[None]:
        yield
        log.append("request")

    async def of_function() -> AsyncIterator[None]:
        yield
        log.append("function")

    class Noting(PlainTextResponse):
        async def __call__(self, scope, receive, send) -> None:
            log.append("sent")
            await super().__call__(scope, receive, send)

    app = FastAPI()
    deps = [Depends(of_request), Depends(of_function, scope="function")]

    @app.get("/", dependencies=deps, response_class=Noting)
    async def read(tasks: BackgroundTasks) -> str:
        tasks.add_task(log.append, "background")
        return ""

    async with AsyncTestClient(app) as client:
        await client.get("/")
    assert log == ["function", "sent", "background", "request"]


@pytest.mark.parametrize("scope", ["function", "request"])
async def test_a_dependency_that_swallows_an_error_is_told_of(scope):
    async def swallowing() -> AsyncIterator[None]:
        with contextlib.suppress(HTTPException):
            yield

    app = FastAPI()

    @app.get("/", dependencies=[Depends(swallowing, scope=scope)])
    async def read() -> None:
        raise HTTPException(404)

    server = FakeServer()
    with pytest.raises(FastAPIError, match="not raised it again"):
        await app(server.scope, server.receive, server.send)
    assert server.messages[0]["status"] == 500


# Streams


def stream_with(app: FastAPI, dependency: Any, **options: Any) -> None:
    @app.get("/stream", dependencies=[dependency], **options)
    async def stream() -> AsyncIterator[int]:
        yield 1


async def held() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("options", [{}, {"response_class": EventSourceResponse}])
async def test_a_dependency_that_a_stream_holds_is_warned_of_once(caplog, options):
    app = FastAPI()
    stream_with(app, Depends(held), **options)
    with caplog.at_level(logging.WARNING, "asgi_rt.fastapi"):
        async with AsyncTestClient(app) as client:
            for _ in range(2):
                await client.get("/stream")
    (message,) = caplog.messages
    assert "/stream: the dependency held stays open" in message
    assert 'Depends(held, scope="function")' in message


async def test_a_dependency_that_is_closed_before_the_stream_is_not_warned_of(caplog):
    app = FastAPI()
    stream_with(app, Depends(held, scope="function"))
    with caplog.at_level(logging.WARNING, "asgi_rt.fastapi"):
        async with AsyncTestClient(app) as client:
            assert (await client.get("/stream")).text == "1\n"
    assert not caplog.messages


async def test_an_error_before_the_first_item_of_a_stream_becomes_a_response():
    app = FastAPI()

    @app.get("/")
    async def stream() -> AsyncIterator[int]:
        raise HTTPException(418)
        yield 1

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).status_code == 418


async def test_a_dependency_lives_until_the_client_of_a_stream_has_left():
    log: list[str] = []

    async def open_one() -> AsyncIterator[None]:
        yield
        log.append("closed")

    app = FastAPI()

    @app.get("/", response_class=EventSourceResponse, dependencies=[Depends(open_one)])
    async def stream() -> AsyncIterator[int]:
        while True:
            yield 1

    async with AsyncTestClient(app) as client, client.events("/") as events:
        assert (await anext(events)).data == "1"
        assert log == []
    assert log == ["closed"]


# Mounts


async def test_the_lifespan_of_a_mounted_app_runs():
    log: list[str] = []
    app, sub = FastAPI(), FastAPI(on_startup=[lambda: log.append("sub")])
    plain = App(lifespan=None)

    @plain.add_lifespan
    async def living(app: App) -> AsyncIterator[dict[str, Any]]:
        log.append("plain")
        yield {}

    app.mount("/sub", sub)
    app.mount("/plain", plain)
    async with AsyncTestClient(app):
        assert log == ["sub", "plain"]


async def test_a_router_may_be_mounted():
    app, router = FastAPI(), APIRouter()
    router.get("/a")(answering("mounted"))
    app.mount("/router", router)
    assert await body_of(app, "/router/a") == "mounted"
    assert "/router/a" not in app.openapi()["paths"]


# WebSockets


async def test_a_route_may_say_which_pages_connect():
    app = FastAPI()

    @app.websocket("/", origins="same")
    async def talk(websocket: Any) -> None:
        raise AssertionError("it was refused")

    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/", origin="https://other.test"):
                pass
    assert denied.value.response.status_code == 403
