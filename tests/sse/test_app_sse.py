"""Routes of events: `@app.sse`, what its handlers may return, and what they find in the request."""

import json

import anyio
import pytest
from fakes import FakeServer
from sse.wire import datas, events, frames

from asgi_rt import App, HTTPError, Response, RouteError
from asgi_rt.routing import Router
from asgi_rt.sse import Event, EventStream


async def serve(app, path="/events", **options):
    server = FakeServer(path=path, **options)
    with anyio.fail_after(10):
        await app(server.scope, server.receive, server.send)
    return server


def app_of(handler, **options):
    app = App()
    app.sse("/events", **options)(handler)
    return app


# Handlers


async def yields(request):
    yield Event("x", event="tick")


def yields_in_a_thread(request):
    yield Event("x", event="tick")


async def returns_a_list(request):
    return [Event("x", event="tick")]


def returns_a_generator(request):
    return (event for event in [Event("x", event="tick")])


async def returns_an_async_generator(request):
    return yields(request)


async def returns_a_stream(request):
    return EventStream([Event("x", event="tick")])


@pytest.mark.parametrize(
    "handler",
    [
        yields,
        yields_in_a_thread,
        returns_a_list,
        returns_a_generator,
        returns_an_async_generator,
        returns_a_stream,
    ],
)
async def test_a_handler_gives_events_in_any_way(handler):
    server = await serve(app_of(handler))
    assert server.status == 200
    assert server.headers["content-type"].startswith("text/event-stream")
    assert events(server) == [Event("x", event="tick")]
    assert server.is_complete


async def test_a_handler_may_answer_with_a_response_of_its_own():
    async def handler(request):
        return Response("busy", 503)

    server = await serve(app_of(handler))
    assert (server.status, server.body) == (503, b"busy")


async def test_none_is_a_204_on_which_a_client_stays_away():
    async def handler(request):
        return None

    server = await serve(app_of(handler))
    assert (server.status, server.body) == (204, b"")


@pytest.mark.parametrize("wait", [False, True], ids=["at once", "after a wait"])
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("error_events", [False, True])
async def test_an_http_error_before_the_first_event_is_a_response(sync, wait, error_events):
    async def handler(request):
        if wait:
            await anyio.lowlevel.checkpoint()
        raise HTTPError(403, "not yours")
        yield

    def sync_handler(request):
        raise HTTPError(403, "not yours")
        yield

    server = await serve(app_of(sync_handler if sync else handler, error_events=error_events))
    assert server.status == 403
    assert server.headers["content-type"] == "application/problem+json"
    assert json.loads(server.body)["detail"] == "not yours"
    assert server.is_complete


async def test_a_crash_before_the_first_event_is_a_500_without_internals():
    async def handler(request):
        raise ValueError("hunter2")
        yield

    server = FakeServer(path="/events")
    with pytest.raises(ValueError, match="hunter2"):
        await app_of(handler)(server.scope, server.receive, server.send)
    assert server.status == 500
    assert b"hunter2" not in server.body


async def test_a_head_request_does_not_begin_the_handler():
    begun = []

    async def handler(request):
        begun.append(True)
        yield "x"

    server = await serve(app_of(handler), method="HEAD")
    assert server.headers["content-type"].startswith("text/event-stream")
    assert server.is_complete
    assert server.body == b""
    assert not begun


# Methods and bodies


@pytest.mark.parametrize("method", ["POST", "PUT", "QUERY"])
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
async def test_any_method_may_stream_with_its_body_read_or_not(method, read):
    app = App()

    @app.sse("/events", methods=[method])
    async def handler(request):
        if read:
            yield (await request.json())["prompt"]
        yield "end"

    server = FakeServer(path="/events", method=method)
    pieces = [b'{"prompt":', b'"hello"}']

    async def receive():
        if pieces:
            body = pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(pieces)}
        return await server.receive_disconnect()

    with anyio.fail_after(10):
        await app(server.scope, receive, server.send)
    assert datas(server) == (["hello", "end"] if read else ["end"])
    assert server.is_complete


async def test_a_client_that_leaves_is_noticed_once_its_body_was_read():
    closed, waiting = [], anyio.Event()
    app = App()

    @app.sse("/events", methods=["POST"])
    async def handler(request):
        try:
            await request.body()
            yield "first"
            waiting.set()
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    server = FakeServer(path="/events", method="POST")
    async with anyio.create_task_group() as group:
        group.start_soon(app, server.scope, server.receive, server.send)
        await waiting.wait()
        server.leave()
    assert closed == [True]


async def test_a_route_of_events_answers_its_methods_alone():
    server = await serve(app_of(yields, methods=["POST"]))
    assert server.status == 405
    assert "POST" in server.headers["allow"]


# Last-Event-ID


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ([(b"last-event-id", b"7")], "", "7"),
        ([], "?last_event_id=8", "8"),
        ([(b"last-event-id", b"7")], "?last_event_id=8", "7"),
        ([(b"last-event-id", b"")], "?last_event_id=8", "8"),
        ([], "", None),
        ([(b"last-event-id", b"")], "", None),
        ([], "?last_event_id=", None),
        ([(b"last-event-id", "ü-1".encode())], "", "ü-1"),
        ([], "?last_event_id=%C3%BC-1", "ü-1"),
        ([(b"last-event-id", b"\xff")], "", "\N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_the_place_of_the_client_is_in_the_header_or_the_query(headers, query, expected):
    async def handler(request):
        yield {"place": request.last_event_id}

    server = await serve(app_of(handler), "/events" + query, headers=headers)
    assert [json.loads(data) for data in datas(server)] == [{"place": expected}]


# Options


OPTIONS = {"retry": None, "error_events": True, "ping": 0.001, "max_lifetime": 9, "head_wait": 0}


async def test_options_are_the_stream_s():
    async def handler(request):
        yield 1
        raise HTTPError(429)

    server = await serve(app_of(handler, **OPTIONS))
    assert [event.event for event in events(server)] == [None, "error"]
    assert frames(server)[0] == b"data: 1"


@pytest.mark.parametrize("handler", [yields, returns_a_list])
@pytest.mark.parametrize(
    "options",
    [
        {"pong": 1},
        {"ping": 0},
        {"ping": "15"},
        {"ping": float("nan")},
        {"retry": -1},
        {"retry": "2000"},
        {"retry": 10**18},
        {"farewell": "bye"},
        {"farewell": {"bye": 1}},
        {"farewell": Event(object())},
        {"max_lifetime": 0},
        {"max_lifetime": -1},
        {"send_timeout": -1},
        {"head_wait": -1},
    ],
    ids=str,
)
def test_options_are_checked_when_the_route_is_made(handler, options):
    with pytest.raises(RouteError, match="GET /events"):
        app_of(handler, **options)


def test_a_handler_that_takes_no_request_is_refused():
    async def handler():
        yield "x"

    with pytest.raises(RouteError, match="one argument"):
        app_of(handler)


def test_a_path_is_taken_once():
    app = app_of(yields)
    with pytest.raises(RouteError, match="registered already"):
        app.get("/events")(returns_a_list)


# Routers


async def test_a_route_of_events_keeps_its_nature_where_it_is_included():
    router, app = Router(), App()
    router.sse("/events", name="feed", **OPTIONS)(returns_a_list)
    app.include(router, "/below")
    server = await serve(app, "/below/events")
    assert events(server) == [Event("x", event="tick")]
    assert server.headers["content-type"].startswith("text/event-stream")
    assert app.path_for("feed") == "/below/events"


async def test_a_route_of_events_in_a_mounted_app():
    inner, outer = App(), App()
    inner.sse("/{room}/events")(yields)
    outer.mount("/inner", inner)
    server = await serve(outer, "/inner/red/events?last_event_id=3")
    assert events(server) == [Event("x", event="tick")]


async def test_a_client_that_leaves_a_mounted_stream_ends_it():
    inner, outer = App(), App()
    closed = []

    @inner.sse("/events")
    async def handler(request):
        try:
            yield "first"
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    outer.mount("/inner", inner)
    server = FakeServer(path="/inner/events")
    async with anyio.create_task_group() as group:
        group.start_soon(outer, server.scope, server.receive, server.send)
        await server.body_has(1)
        server.leave()
    assert closed == [True]


def test_the_decorated_function_stays_what_it_was():
    app = App()
    assert app.sse("/events")(yields) is yields
    (route,) = app.routes
    assert route.sse
    assert route.methods == ("GET",)
