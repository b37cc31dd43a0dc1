"""asgi_rt's responses out of the handlers of Starlette and FastAPI."""

import gzip
import logging
from functools import partial
from typing import Annotated

import anyio
import pytest
from fastapi import BackgroundTasks as FastAPIBackground
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.background import BackgroundTask as StarlettesTask
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import WebSocketRoute
from websocket.fake_server import FakeServer as FakeWebSocketServer

from asgi_rt import Event, HTTPError, Hub
from asgi_rt.background import BackgroundTask, BackgroundTasks
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.embed import (
    EmbeddedResponse,
    EventSourceResponse,
    FileResponse,
    StreamingResponse,
    join_lifespans,
    sse_feed,
)
from asgi_rt.http.response import TextResponse
from asgi_rt.http.streaming import NDJSONResponse
from asgi_rt.testing import AsyncTestClient
from embed.exchange import Exchange, ask, turns
from embed.layers import Boom, load, make_app, through


class Watched:
    """An async source of chunks, which tells whether it was closed."""

    def __init__(self, *chunks, then=None):
        self._chunks = list(chunks)
        self._then = then
        self.is_closed = False

    async def __aiter__(self):
        try:
            for chunk in self._chunks:
                yield chunk
            if isinstance(self._then, Exception):
                raise self._then
            if self._then is not None:
                await self._then()
        finally:
            self.is_closed = True


def events_of(body):
    return [line for line in body.decode().split("\n") if line.startswith("data")]


@pytest.fixture
def serve(framework):
    """Makes an app of an endpoint, without layers or behind those of asgi_rt."""
    return partial(make_app, framework, load("asgi_rt"))


def responding(make):
    async def endpoint(request: Request):
        return make()

    return endpoint


# What is sent


async def test_a_stream_is_sent_with_what_was_given(serve):
    make = partial(StreamingResponse, Watched(b"a", "b"), 202, {"x-a": "1"}, media_type="text/csv")
    exchange = await ask(serve(responding(make)))
    assert (exchange.status, exchange.body) == (202, b"ab")
    assert exchange.headers["x-a"] == "1"
    assert exchange.headers["content-type"] == "text/csv; charset=utf-8"


async def test_events_are_sent(serve):
    make = partial(EventSourceResponse, Watched(Event("a", id="1"), {"b": 1}, "c"))
    exchange = await ask(serve(responding(make)))
    assert events_of(exchange.body) == ["data: a", 'data: {"b":1}', "data: c"]
    assert exchange.headers["content-type"].startswith("text/event-stream")
    assert exchange.headers["cache-control"] == "no-cache"


def test_events_are_of_one_media_type():
    with pytest.raises(ValueError, match="text/event-stream, not text/plain"):
        EventSourceResponse([], media_type="text/plain")


async def test_any_response_of_ours_may_be_sent(serve):
    make = partial(EmbeddedResponse, NDJSONResponse([1, {"a": 2}]))
    assert (await ask(serve(responding(make)))).body == b'1\n{"a":2}\n'


async def test_a_hub_is_a_stream(serve):
    async with Hub() as hub:
        exchange = Exchange()
        async with anyio.create_task_group() as group:
            app = serve(responding(partial(sse_feed, hub, "a", retry=None)))
            group.start_soon(exchange.run, app)
            await exchange.sent(1)
            await turns()
            before = len(exchange.body)
            await hub.publish("a", "hello")
            await exchange.body_has(before + 1)
            exchange.leave()
    assert events_of(exchange.body) == ["data: hello"]


async def test_headers_cookies_and_status_may_be_set_before_it_is_sent(serve):
    def make():
        response = StreamingResponse(Watched(b"x"), headers={"x-a": "1"})
        response.headers["x-a"] = "2"
        response.headers.append("x-b", "3")
        response.headers.update({"x-c": "4"})
        del response.headers["x-accel-buffering"]
        response.set_cookie("k", "v")
        response.delete_cookie("gone")
        response.status_code = 201
        return response

    exchange = await ask(serve(responding(make)))
    assert exchange.status == 201
    assert [exchange.headers[name] for name in ("x-a", "x-b", "x-c")] == ["2", "3", "4"]
    assert "x-accel-buffering" not in exchange.headers
    assert exchange.headers["set-cookie"].startswith("gone=")
    assert len(exchange.all_of("set-cookie")) == 2


async def test_raw_headers_may_be_put_in_place():
    response = StreamingResponse([b"x"])
    response.raw_headers = [(b"x-a", b"1")]
    assert (response.headers["x-a"], response.response.headers["x-a"]) == ("1", "1")
    response.raw_headers.append((b"x-b", b"2"))
    assert response.headers["x-b"] == "2"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_file_is_sent(serve, tmp_path, method):
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789")
    make = partial(FileResponse, path, filename="b.txt", content_disposition_type="inline")
    exchange = await ask(serve(responding(make)), method=method)
    assert exchange.body == (b"0123456789" if method == "GET" else b"")
    assert exchange.headers["content-length"] == "10"
    assert exchange.headers["content-disposition"] == 'inline; filename="b.txt"'


async def test_and_in_ranges(serve, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789")
    app = serve(responding(partial(FileResponse, path)))
    exchange = await ask(app, headers=[(b"range", b"bytes=2-4")])
    assert (exchange.status, exchange.body) == (206, b"234")
    again = await ask(app, headers=[(b"if-none-match", exchange.headers["etag"].encode())])
    assert again.status == 304
    assert (await ask(app, headers=[(b"range", b"bytes=20-")])).status == 416


async def test_a_file_that_is_missing_is_an_error_for_the_apps_handlers(serve, tmp_path):
    async def not_found(request, error):
        return PlainTextResponse("no such file", 404)

    app = serve(
        responding(partial(FileResponse, tmp_path / "missing")),
        exception_handlers={FileNotFoundError: not_found},
    )
    exchange = await ask(app)
    assert (exchange.status, exchange.body) == (404, b"no such file")


# As FastAPI's response_class


async def test_as_response_class_it_takes_what_the_handler_gives(tmp_path):
    app = FastAPI()
    path = tmp_path / "a.txt"
    path.write_text("of a file")

    @app.get("/events", response_class=EventSourceResponse)
    async def events():
        yield {"a": 1}
        yield "b"

    @app.get("/sync", response_class=StreamingResponse)
    def stream():
        yield b"a"
        yield b"b"

    @app.get("/file", response_class=FileResponse)
    def file():
        return str(path)

    @app.get("/made", response_class=EventSourceResponse, status_code=201)
    async def made(response: Response):
        response.headers["x-of"] = "the parameter"
        return EventSourceResponse(["x"], 202)

    async with AsyncTestClient(app) as client:
        assert events_of((await client.get("/events")).content) == ['data: {"a":1}', "data: b"]
        assert (await client.get("/sync")).content == b"ab"
        assert (await client.get("/file")).text == "of a file"
        assert (await client.get("/made")).status_code == 202
        schema = (await client.get("/openapi.json")).json()
    content = schema["paths"]["/events"]["get"]["responses"]["200"]["content"]
    assert list(content) == ["text/event-stream"]


async def test_headers_that_a_dependency_sets_are_sent_with_a_generator():
    async def setting(response: Response):
        response.headers["x-of"] = "the parameter"
        response.set_cookie("k", "v")

    app = FastAPI()

    @app.get(
        "/",
        response_class=EventSourceResponse,
        status_code=201,
        dependencies=[Depends(setting)],
    )
    async def events():
        yield "x"

    exchange = await ask(app)
    assert (exchange.status, exchange.headers["x-of"]) == (201, "the parameter")
    assert exchange.headers["set-cookie"].startswith("k=v")


# Background tasks


@pytest.fixture
def events():
    return []


KINDS = {
    "starlettes": lambda work: StarlettesTask(work),
    "ours": lambda work: BackgroundTask(work),
}


def several(work):
    tasks = BackgroundTasks()
    tasks.add(work)
    return tasks


KINDS["several"] = several


@pytest.mark.parametrize("kind", KINDS)
async def test_a_background_task_runs_after_the_response(serve, events, kind):
    async def work():
        events.append(exchange.is_complete)

    make = lambda: StreamingResponse(Watched(b"x"), background=KINDS[kind](work))  # noqa: E731 - short
    exchange = Exchange()
    await exchange.run(serve(responding(make)))
    assert events == [True]


@pytest.mark.parametrize("kind", KINDS)
async def test_and_where_the_client_has_left(serve, events, kind):
    async def work():
        events.append("works")

    source = Watched(b"x", then=anyio.sleep_forever)
    exchange = Exchange()
    make = lambda: StreamingResponse(source, background=KINDS[kind](work))  # noqa: E731 - short
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.run, serve(responding(make)))
        await exchange.body_has(1)
        exchange.leave()
    assert events == ["works"]
    assert source.is_closed


async def test_ours_is_the_apps_where_its_lifespan_was_joined(framework, events):
    release = anyio.Event()

    async def work():
        await release.wait()
        events.append("works")

    async def endpoint(request: Request):
        return StreamingResponse([b"x"], background=BackgroundTask(work))

    app = make_app(framework, load("asgi_rt"), endpoint, lifespan=join_lifespans())
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).text == "x"
        assert events == []
        release.set()
    assert events == ["works"]


@pytest.mark.parametrize("lifespan", [None, join_lifespans()], ids=["alone", "joined"])
async def test_background_tasks_of_fastapi_run_before_its_dependencies_are_left(events, lifespan):
    async def session():
        events.append("enter")
        yield events
        events.append("exit")

    async def work(session):
        await turns()
        session.append("works")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def endpoint(tasks: FastAPIBackground, session: Annotated[list[str], Depends(session)]):
        tasks.add_task(work, session)
        return StreamingResponse(Watched(b"x"))

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).text == "x"
    assert events == ["enter", "works", "exit"]


async def test_a_background_task_that_fails_is_logged_and_not_raised(serve, caplog):
    async def work():
        raise Boom("in the background")

    make = lambda: StreamingResponse([b"x"], background=StarlettesTask(work))  # noqa: E731 - short
    exchange = await ask(serve(responding(make)))
    assert exchange.body == b"x"
    assert "in the background" in caplog.text


# Clients that leave, and that freeze


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("make", [StreamingResponse, EventSourceResponse])
async def test_a_client_that_leaves_ends_it_quietly(serve, make, spec_version, caplog):
    source = Watched("x", then=anyio.sleep_forever)
    exchange = Exchange(spec_version=spec_version)
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.run, serve(responding(partial(make, source))))
        await exchange.body_has(1)
        exchange.leave()
    assert source.is_closed
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_a_client_that_leaves_before_the_head_ends_it(serve):
    begun = anyio.Event()

    async def waits():
        begun.set()
        await anyio.sleep_forever()

    source = Watched(then=waits)
    exchange = Exchange()
    make = partial(StreamingResponse, source, head_wait=None)
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.run, serve(responding(make)))
        await begun.wait()
        exchange.leave()
    assert source.is_closed
    assert exchange.messages == []


async def test_a_client_that_freezes_is_let_go(serve):
    async def endless():
        while True:
            yield b"x" * 1000

    exchange = Exchange()
    exchange.freeze()
    make = partial(StreamingResponse, endless(), send_timeout=0.05)
    with pytest.raises(Exception, match=r"(?i)0\.05"):
        await exchange.run(serve(responding(make)))


@pytest.mark.parametrize("at", range(3))
async def test_a_request_that_is_cancelled_closes_the_source(serve, at):
    source = Watched("a", "b", "c", then=anyio.sleep_forever)
    exchange = Exchange()
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.run, serve(responding(partial(EventSourceResponse, source))))
        await exchange.sent(at) if at else await turns()
        group.cancel_scope.cancel()
    assert source.is_closed


# Errors


async def test_an_error_before_the_head_reaches_the_apps_handlers(serve):
    async def handle(request, error):
        return PlainTextResponse(f"handled {error}", 418)

    source = Watched(then=Boom("early"))
    app = serve(responding(partial(StreamingResponse, source)), exception_handlers={Boom: handle})
    exchange = await ask(app)
    assert (exchange.status, exchange.body) == (418, b"handled early")
    assert source.is_closed


async def test_an_http_exception_of_fastapis_before_the_head_is_its_answer(serve):
    source = Watched(then=HTTPException(404, "no such room"))
    exchange = await ask(serve(responding(partial(EventSourceResponse, source))))
    assert exchange.status == 404
    assert b"no such room" in exchange.body


async def test_an_http_error_before_the_head_is_a_problem_document(serve):
    source = Watched(then=HTTPError(404, "no such room"))
    exchange = await ask(serve(responding(partial(EventSourceResponse, source))))
    assert exchange.status == 404
    assert exchange.headers["content-type"] == "application/problem+json"


async def test_unless_the_app_has_a_handler_for_it(serve):
    async def handle(request, error):
        return PlainTextResponse(error.detail, error.status_code)

    source = Watched(then=HTTPError(404, "no such room"))
    app = serve(
        responding(partial(EventSourceResponse, source)), exception_handlers={HTTPError: handle}
    )
    exchange = await ask(app)
    assert (exchange.status, exchange.body) == (404, b"no such room")


@pytest.mark.parametrize("error", [Boom("late"), HTTPError(404, "late")], ids=["any", "http"])
async def test_an_error_after_the_head_truncates_the_body_and_is_raised(serve, error):
    source = Watched(b"x", then=error)
    exchange = Exchange()
    with pytest.raises(type(error)):
        await exchange.run(serve(responding(partial(StreamingResponse, source, head_wait=0))))
    assert exchange.body == b"x"
    assert not exchange.is_complete


def test_a_text_is_no_source():
    with pytest.raises(TypeError, match="for one chunk use Response"):
        StreamingResponse("hello")


# While the server goes down


def draining():
    drain = Drain(grace=5)
    drain.begin()
    return {STATE_KEY: drain}


@pytest.mark.parametrize("make", [StreamingResponse, EventSourceResponse])
async def test_a_stream_that_would_begin_in_a_drain_is_a_503(serve, make):
    source = Watched("x")
    exchange = await ask(serve(responding(partial(make, source))), state=draining())
    assert exchange.status == 503
    assert "retry-after" in exchange.headers
    assert exchange.headers["connection"] == "close"


async def test_a_file_is_sent_all_the_same(serve, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a")
    exchange = await ask(serve(responding(partial(FileResponse, path))), state=draining())
    assert exchange.status == 200


async def test_an_event_stream_says_farewell(serve):
    drain = Drain(grace=5)
    source = Watched("x", then=anyio.sleep_forever)
    exchange = Exchange(state={STATE_KEY: drain})
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.run, serve(responding(partial(EventSourceResponse, source))))
        await exchange.body_has(1)
        drain.begin()
    assert exchange.is_complete
    assert b": the server is going down" in exchange.body
    assert source.is_closed


# Behind layers


@pytest.mark.parametrize("name", ["starlette", "asgi_rt"])
@pytest.mark.parametrize("count", [1, 3])
async def test_behind_layers_it_is_sent_as_it_is(framework, name, count):
    async def adding(request, call_next):
        response = await call_next(request)
        response.headers["x-layer"] = "1"
        return response

    endpoint = responding(partial(EventSourceResponse, Watched("a", "b")))
    app = make_app(framework, load(name), endpoint, *[adding] * count)
    exchange = await ask(app)
    assert events_of(exchange.body) == ["data: a", "data: b"]
    assert exchange.headers["x-layer"] == "1"


async def test_a_client_that_leaves_is_seen_behind_layers_of_ours(serve):
    source = Watched("x", then=anyio.sleep_forever)
    exchange = Exchange()
    app = serve(responding(partial(EventSourceResponse, source)), through, through)
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.run, app)
        await exchange.body_has(1)
        exchange.leave()
    assert source.is_closed


async def test_one_may_be_returned_by_a_layer(framework):
    async def answer(request, call_next):
        return StreamingResponse([b"of the layer"])

    endpoint = responding(partial(StreamingResponse, [b"x"]))
    for name in ("starlette", "asgi_rt"):
        app = make_app(framework, load(name), endpoint, answer)
        assert (await ask(app)).body == b"of the layer"


async def test_gzip_compresses_a_stream_and_leaves_events(serve):
    zipped = [(b"accept-encoding", b"gzip")]
    for make, is_zipped in ((StreamingResponse, True), (EventSourceResponse, False)):
        app = serve(responding(partial(make, Watched("x" * 1000))))
        app.add_middleware(GZipMiddleware, minimum_size=10)
        exchange = await ask(app, headers=zipped)
        assert exchange.is_complete
        assert ("content-encoding" in exchange.headers) is is_zipped
        if is_zipped:
            assert gzip.decompress(exchange.body) == b"x" * 1000


# In place of a handshake


@pytest.mark.parametrize(
    "make",
    [
        partial(EmbeddedResponse, TextResponse("not you", 403)),
        partial(StreamingResponse, ["not ", "you"], 403),
    ],
    ids=["whole", "stream"],
)
async def test_a_handshake_is_denied_with_one(framework, make):
    async def endpoint(websocket):
        await websocket.receive()
        await websocket.send_denial_response(make())

    app = framework(routes=[WebSocketRoute("/", endpoint)])
    server = FakeWebSocketServer()
    await server.run(app)
    assert server.error is None
    assert (server.status, server.body) == (403, b"not you")


async def test_an_exception_handler_may_deny_a_handshake_with_one(framework):
    async def handle(websocket, error):
        return EmbeddedResponse(TextResponse(str(error), 403))

    async def endpoint(websocket):
        await websocket.receive()
        raise Boom("not you")

    app = framework(routes=[WebSocketRoute("/", endpoint)], exception_handlers={Boom: handle})
    server = FakeWebSocketServer()
    await server.run(app)
    assert server.error is None
    assert (server.status, server.body) == (403, b"not you")
