"""The app over hand-made scopes: what handlers return, errors, middleware, mounts."""

import contextlib
import contextvars
import gc
import json
import uuid
import weakref
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from fakes import FakeServer

from asgi_rt import (
    App,
    BackgroundTask,
    ClientDisconnected,
    HTTPError,
    JSONResponse,
    Response,
    RouteError,
    Router,
    StreamingResponse,
    TextResponse,
)


async def call(app: App, path: str = "/", **options: Any) -> FakeServer:
    """The answer to one request."""
    server = FakeServer(path=path, **options)
    with anyio.fail_after(10):
        await app(server.scope, server.receive, server.send)
    return server


async def crash(app: App, path: str = "/", **options: Any) -> tuple[FakeServer, Exception]:
    """The answer to one request of which the server sees an exception."""
    server = FakeServer(path=path, **options)
    with anyio.fail_after(10), pytest.raises(Exception) as caught:  # noqa: PT011 - any of them
        await app(server.scope, server.receive, server.send)
    return server, caught.value


@dataclass
class Point:
    x: int
    id: uuid.UUID


POINT = Point(1, uuid.UUID(int=7))

RETURNED: list[tuple[Any, int, str | None, bytes]] = [
    ({"a": 1}, 200, "application/json", b'{"a":1}'),
    ([1, 2], 200, "application/json", b"[1,2]"),
    ({1: {2}}, 200, "application/json", b'{"1":[2]}'),
    (True, 200, "application/json", b"true"),
    (1.5, 200, "application/json", b"1.5"),
    (POINT, 200, "application/json", b'{"x":1,"id":"00000000-0000-0000-0000-000000000007"}'),
    ("tëxt", 200, "text/plain; charset=utf-8", "tëxt".encode()),
    (b"bytes", 200, "application/octet-stream", b"bytes"),
    (None, 204, None, b""),
    (TextResponse("made", 201), 201, "text/plain; charset=utf-8", b"made"),
]


@pytest.mark.parametrize(("value", "status", "content_type", "body"), RETURNED)
@pytest.mark.parametrize("sync", [False, True])
async def test_what_a_handler_returns_becomes_a_response(value, status, content_type, body, sync):
    app = App()
    if sync:
        app.get("/")(lambda request: value)
    else:

        @app.get("/")
        async def handler(request):
            return value

    server = await call(app)
    assert server.status == status
    assert server.headers.get("content-type") == content_type
    assert server.body == body
    assert server.is_complete
    length = server.headers.get("content-length")
    assert length == (None if status == 204 else str(len(body)))


async def test_a_handler_may_return_any_asgi_application():
    app = App()

    async def application(scope, receive, send):
        await TextResponse("from below")(scope, receive, send)

    @app.get("/")
    async def handler(request):
        return application

    assert (await call(app)).body == b"from below"


@pytest.mark.parametrize("sync", [False, True])
async def test_a_handler_that_yields_streams(sync):
    app = App()
    if sync:

        @app.get("/")
        def sync_rows(request):
            yield {"row": 1}
            yield {"row": 2}
    else:

        @app.get("/")
        async def rows(request):
            yield {"row": 1}
            yield {"row": 2}

    server = await call(app)
    assert server.headers["content-type"] == "application/x-ndjson"
    assert server.body == b'{"row":1}\n{"row":2}\n'


async def test_a_handler_may_return_a_generator():
    app = App()

    @app.get("/")
    async def handler(request):
        return (str(number) for number in range(3))

    assert (await call(app)).body == b"012"


async def test_head_answers_as_get_without_the_body():
    app = App()

    @app.get("/dict")
    async def of_dict(request):
        return {"a": 1}

    @app.get("/text")
    async def of_text(request):
        return "text"

    for path, length in (("/dict", "7"), ("/text", "4")):
        server = await call(app, path, method="HEAD")
        assert server.headers["content-length"] == length
        assert server.body == b""
        assert server.is_complete


async def test_a_missing_path_is_a_problem_document():
    server = await call(App(), "/nowhere")
    assert server.status == 404
    assert server.headers["content-type"] == "application/problem+json"
    assert json.loads(server.body) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "nothing is found at this path",
    }


async def test_another_method_is_told_which_are_allowed():
    app = App()

    @app.post("/")
    async def handler(request): ...

    server = await call(app)
    assert server.status == 405
    assert server.headers["allow"] == "OPTIONS, POST"
    server = await call(app, method="OPTIONS")
    assert server.status == 204
    assert server.headers["allow"] == "OPTIONS, POST"


async def test_parameters_reach_the_handler():
    app = App()

    @app.get("/items/{item_id:int}")
    async def item(request):
        return {"id": request.path_params["item_id"], "q": request.query.get_all("q")}

    server = await call(app, "/items/42?q=1&q=2")
    assert json.loads(server.body) == {"id": 42, "q": ["1", "2"]}
    assert (await call(app, "/items/no")).status == 404


# Errors


async def test_an_http_error_becomes_its_response():
    app = App()

    @app.get("/")
    async def handler(request):
        raise HTTPError(409, "taken", headers={"x-a": "b"}, extensions={"owner": 3})

    server = await call(app)
    assert server.status == 409
    assert server.headers["x-a"] == "b"
    assert json.loads(server.body)["owner"] == 3


async def test_a_crash_is_a_plain_500_and_the_server_sees_it():
    app = App()

    @app.get("/")
    async def handler(request):
        raise LookupError("a secret")

    server, error = await crash(app)
    assert isinstance(error, LookupError)
    assert server.status == 500
    assert b"secret" not in server.body
    assert b"Lookup" not in server.body


async def test_a_crash_shows_its_traceback_only_in_debug():
    app = App(debug=True)

    @app.get("/")
    async def handler(request):
        raise LookupError("a secret")

    server, _ = await crash(app)
    assert server.status == 500
    assert b"LookupError: a secret" in server.body


async def test_what_cannot_be_written_as_json_is_a_500():
    app = App()

    @app.get("/")
    async def handler(request):
        return {"a": object()}

    server, error = await crash(app)
    assert server.status == 500
    assert "object" in str(error)


async def test_error_handlers_are_found_by_class_and_by_status():
    app = App()

    class Base(Exception):
        pass

    class Derived(Base):
        pass

    @app.error_handler(Base)
    async def on_base(request, error):
        return JSONResponse({"caught": type(error).__name__}, 418)

    @app.error_handler(404)
    def on_404(request, error):
        return "lost: " + request.path

    @app.get("/")
    async def handler(request):
        raise Derived

    server = await call(app)
    assert (server.status, server.body) == (418, b'{"caught":"Derived"}')
    assert (await call(app, "/x")).body == b"lost: /x"


@pytest.mark.parametrize("key", [500, Exception])
async def test_a_handler_for_crashes_answers_and_the_server_still_sees_the_crash(key):
    app = App()

    @app.error_handler(key)
    async def on_crash(request, error):
        return JSONResponse({"oops": True}, 500)

    @app.get("/")
    async def handler(request):
        raise LookupError

    server, error = await crash(app)
    assert isinstance(error, LookupError)
    assert json.loads(server.body) == {"oops": True}


async def test_an_error_handler_that_fails_gives_a_plain_500():
    app = App()

    @app.error_handler(LookupError)
    async def on_lookup(request, error):
        raise ValueError("while handling")

    @app.get("/")
    async def handler(request):
        raise LookupError("first")

    server, error = await crash(app)
    assert server.status == 500
    assert b"while handling" not in server.body
    assert isinstance(error, ValueError)
    assert isinstance(error.__context__, LookupError)


async def test_a_crash_handler_that_fails_gives_a_plain_500(caplog):
    app = App()

    @app.error_handler(500)
    async def on_crash(request, error):
        raise ValueError

    @app.get("/")
    async def handler(request):
        raise LookupError

    server, error = await crash(app)
    assert server.status == 500
    assert isinstance(error, LookupError)
    assert "the handler for status 500 failed" in caplog.text


def test_error_handlers_take_classes_and_statuses_only():
    app = App()
    with pytest.raises(ValueError, match="4xx or 5xx"):
        app.error_handler(200)(lambda request, error: None)
    with pytest.raises(TypeError, match="exception class or a status"):
        app.error_handler("x")(lambda request, error: None)  # type: ignore[arg-type]


async def test_a_stream_that_fails_before_its_first_item_is_a_real_error_response():
    app = App()

    @app.get("/")
    async def handler(request):
        raise HTTPError(403, "no")
        yield

    server = await call(app)
    assert server.status == 403


async def test_a_stream_that_fails_later_is_truncated_and_raised():
    app = App()

    @app.get("/")
    async def handler(request):
        yield "x"
        raise LookupError

    server, error = await crash(app)
    assert isinstance(error, LookupError)
    assert server.status == 200
    assert server.body == b"x"
    assert not server.is_complete


async def test_a_client_that_leaves_while_its_body_is_read_ends_it_quietly():
    app = App()

    @app.post("/")
    async def handler(request):
        return {"size": len(await request.body())}

    server = FakeServer(method="POST")

    async def receive():
        return {"type": "http.disconnect"}

    await app(server.scope, receive, server.send)
    assert server.messages == []


@pytest.mark.parametrize("value", [{"a": 1}, "text"])
async def test_a_client_that_left_before_the_answer_ends_it_quietly(value):
    app = App()

    @app.get("/")
    async def handler(request):
        return value

    server = FakeServer(spec_version="2.4")
    server.leave()
    await app(server.scope, server.receive, server.send)
    assert server.messages == []


async def test_an_os_error_of_the_handler_is_not_taken_for_a_disconnect():
    app = App()

    @app.get("/")
    async def handler(request):
        raise ConnectionResetError("the database")

    server, error = await crash(app)
    assert isinstance(error, ConnectionResetError)
    assert server.status == 500


async def test_an_error_handler_may_return_what_any_handler_may():
    app = App()

    @app.error_handler(LookupError)
    async def on_lookup(request, error):
        return None

    @app.get("/")
    async def handler(request):
        raise LookupError

    assert (await call(app)).status == 204


@pytest.mark.parametrize("key", [LookupError, 500])
async def test_an_answer_to_an_error_that_cannot_be_sent_gives_a_plain_500(key):
    app = App()

    @app.error_handler(key)
    async def on_error(request, error):
        return {"a": object()}

    @app.get("/")
    async def handler(request):
        raise LookupError

    server, _ = await crash(app)
    assert server.status == 500
    assert json.loads(server.body)["title"] == "Internal Server Error"


async def test_an_answer_to_an_error_that_fails_before_its_first_item_gives_a_plain_500():
    app = App()

    @app.error_handler(LookupError)
    async def on_error(request, error):
        raise ValueError
        yield

    @app.get("/")
    async def handler(request):
        raise LookupError

    server, _ = await crash(app)
    assert server.status == 500


async def test_an_error_answered_to_a_client_that_left_is_quiet():
    server = FakeServer(spec_version="2.4", path="/missing")
    server.leave()
    await App()(server.scope, server.receive, server.send)
    assert server.messages == []


async def test_a_crash_answered_to_a_client_that_left_is_still_raised():
    app = App()

    @app.get("/")
    async def handler(request):
        raise LookupError

    server = FakeServer(spec_version="2.4")
    server.leave()
    with pytest.raises(LookupError):
        await app(server.scope, server.receive, server.send)


async def test_a_mounted_app_that_lets_the_disconnect_out_is_quiet():
    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    app = App()
    app.mount("/inner", inner)
    server = FakeServer(spec_version="2.4", path="/inner/")
    server.leave()
    await app(server.scope, server.receive, server.send)
    assert server.messages == []


# Middleware


async def test_the_handler_for_crashes_gets_the_request_that_crashed():
    app = App()

    @app.post("/{name}")
    async def handler(request):
        await request.body()
        raise LookupError

    @app.error_handler(500)
    async def on_crash(request, error):
        return {"name": request.path_params["name"], "size": len(await request.body())}

    app.add_middleware(lambda inner: inner)
    server, _ = await crash(app, "/a", method="POST")
    assert json.loads(server.body) == {"name": "a", "size": 0}


class Tag:
    """Adds a header; the order of the values tells the order of the layers."""

    def __init__(self, app, tag: str) -> None:
        self.app = app
        self.tag = tag

    async def __call__(self, scope, receive, send):
        async def tagged(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-tag", self.tag.encode())]
            await send(message)

        await self.app(scope, receive, tagged)


async def test_the_middleware_added_last_is_the_outermost():
    app = App()
    app.add_middleware(Tag, tag="first")
    app.add_middleware(Tag, tag="second")

    @app.get("/")
    async def handler(request):
        return {}

    server = await call(app)
    tags = [value for name, value in server.messages[0]["headers"] if name == b"x-tag"]
    assert tags == [b"first", b"second"]
    with pytest.raises(RuntimeError, match="add middleware before"):
        app.add_middleware(Tag, tag="third")


async def test_expected_errors_are_answered_below_the_middleware():
    app = App()
    app.add_middleware(Tag, tag="seen")
    assert (await call(app)).headers["x-tag"] == "seen"


async def test_middleware_may_catch_a_crash_before_anything_is_sent():
    app = App()

    class CatchAll:
        def __init__(self, app) -> None:
            self.app = app

        async def __call__(self, scope, receive, send):
            try:
                await self.app(scope, receive, send)
            except LookupError:
                await TextResponse("caught", 503)(scope, receive, send)

    app.add_middleware(CatchAll)

    @app.get("/")
    async def handler(request):
        raise LookupError

    assert (await call(app)).body == b"caught"


async def test_a_crash_of_the_middleware_itself_is_a_500():
    app = App()

    class Broken:
        def __init__(self, app) -> None:
            self.app = app

        async def __call__(self, scope, receive, send):
            raise LookupError

    app.add_middleware(Broken)
    server, error = await crash(app)
    assert isinstance(error, LookupError)
    assert server.status == 500


async def test_an_http_error_of_the_middleware_is_its_response():
    app = App()

    class Refuses:
        def __init__(self, app) -> None:
            self.app = app

        async def __call__(self, scope, receive, send):
            raise HTTPError(401, "who are you?")

    app.add_middleware(Refuses)
    assert (await call(app)).status == 401


async def test_context_variables_set_by_the_handler_are_seen_by_the_middleware():
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []
    app = App()

    class Looks:
        def __init__(self, app) -> None:
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)
            seen.append(variable.get())

    app.add_middleware(Looks)

    @app.get("/")
    async def handler(request):
        variable.set("set")
        return {}

    await call(app)
    assert seen == ["set"]


# Mounts and routers


async def test_a_mounted_app_sees_its_root_path_and_the_whole_path():
    app, inner = App(), App()

    @inner.get("/users/{name}")
    async def user(request):
        scope = request.scope
        return [scope["root_path"], scope["path"], request.path, request.path_params["name"]]

    app.mount("/api/{version}", inner)
    server = await call(app, "/api/v1/users/ann")
    assert json.loads(server.body) == ["/api/v1", "/api/v1/users/ann", "/users/ann", "ann"]


async def test_a_crash_of_a_mounted_app_is_answered_once():
    app, inner = App(), App()

    @inner.get("/")
    async def handler(request):
        raise LookupError

    app.mount("/inner", inner)
    server, error = await crash(app, "/inner/")
    assert isinstance(error, LookupError)
    assert [message["type"] for message in server.messages] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_an_asgi_2_application_can_be_mounted():
    class Old:
        def __init__(self, scope) -> None:
            self.scope = scope

        async def __call__(self, receive, send):
            await TextResponse(self.scope["path"])(self.scope, receive, send)

    app = App()
    app.mount("/old", Old)
    assert (await call(app, "/old/x")).body == b"/old/x"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # asgiref's adapter is for asyncio
async def test_a_wsgi_application_can_be_mounted():
    from asgiref.wsgi import WsgiToAsgi

    def application(environ, start_response):
        start_response("200 OK", [("content-type", "text/plain")])
        return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]

    app = App()
    app.mount("/wsgi", WsgiToAsgi(application))
    assert (await call(app, "/wsgi/page")).body == b"/wsgi|/page"


async def test_a_websocket_goes_to_the_mount_at_its_path_and_is_refused_elsewhere():
    app = App()
    seen = []

    async def inner(scope, receive, send):
        seen.append((scope["type"], scope["root_path"]))

    app.mount("/ws", inner)
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    for path in ("/ws/x", "/other"):
        scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "root_path": ""}
        await app(scope, receive, send)
    assert seen == [("websocket", "/ws")]
    assert sent == ["websocket.close"]


async def test_middleware_sees_websockets_too():
    app = App()
    seen = []

    class Looks:
        def __init__(self, app) -> None:
            self.app = app

        async def __call__(self, scope, receive, send):
            seen.append(scope["type"])
            await self.app(scope, receive, send)

    async def inner(scope, receive, send):
        seen.append("inner")

    app.add_middleware(Looks)
    app.mount("/ws", inner)
    scope = {"type": "websocket", "path": "/ws", "raw_path": b"/ws", "root_path": ""}
    await app(scope, None, None)
    assert seen == ["websocket", "inner"]


async def test_an_included_router_is_served_under_its_prefix():
    router = Router()

    @router.get("/items/{n:int}", name="item")
    async def item(request):
        return {"url": request.url_for("item", n=2)}

    app = App()
    app.include(router, prefix="/v1")
    server = await call(app, "/v1/items/1", headers=[(b"host", b"example.org")])
    assert json.loads(server.body) == {"url": "http://example.org/v1/items/2"}


# What happens afterwards


async def test_background_work_runs_after_the_response():
    app = App()
    order = []

    async def work() -> None:
        order.append("background")

    @app.get("/")
    async def handler(request):
        return TextResponse("x", background=BackgroundTask(work))

    server = FakeServer()

    async def send(message):
        order.append(message["type"])

    await app(server.scope, server.receive, send)
    assert order == ["http.response.start", "http.response.body", "background"]


async def test_a_client_disconnected_raised_by_a_handler_is_quiet():
    app = App()

    @app.get("/")
    async def handler(request):
        raise ClientDisconnected

    assert (await call(app)).messages == []


async def test_a_streamed_echo_reads_the_body_while_it_answers():
    app = App()

    @app.post("/")
    async def echo(request):
        async for chunk in request.stream():
            yield chunk.upper()

    chunks = [b"one ", b"two ", b"three"]
    server = FakeServer(method="POST")
    given = iter(chunks)
    left = len(chunks)

    async def receive():
        nonlocal left
        if left:
            left -= 1
            return {"type": "http.request", "body": next(given), "more_body": left > 0}
        return await server.receive_disconnect()

    with anyio.fail_after(10):
        await app(server.scope, receive, server.send)
    assert server.body == b"ONE TWO THREE"
    assert server.is_complete


async def test_a_body_that_was_begun_and_left_does_not_hide_the_disconnect():
    app = App()
    closed = anyio.Event()
    server = FakeServer(method="POST")
    arriving = [{"type": "http.request", "body": b"x" * 70_000, "more_body": True}] * 3

    async def receive():
        return arriving.pop() if arriving else await server.receive_disconnect()

    @app.post("/")
    async def handler(request):
        stream = request.stream()
        await anext(stream)
        await stream.aclose()
        return StreamingResponse(endless())

    async def endless():
        try:
            while True:
                yield b"tick"
                await anyio.sleep(0.001)
        finally:
            closed.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(app, server.scope, receive, server.send)
            await server.sent(3)
            server.leave()
            await closed.wait()


@pytest.mark.parametrize("fails", ["handler", "stream"])
async def test_a_crash_leaves_nothing_for_the_garbage_collector(fails):
    class Held:
        pass

    app = App()
    alive: list[weakref.ref[Held]] = []

    @app.get("/handler")
    async def handler(request):
        request.held = Held()
        alive.append(weakref.ref(request.held))
        raise LookupError

    @app.get("/stream")
    async def stream(request):
        request.held = Held()
        alive.append(weakref.ref(request.held))
        yield b"x"
        raise LookupError

    gc.collect()
    gc.disable()
    try:
        server = FakeServer(path=f"/{fails}")
        with contextlib.suppress(LookupError):
            await app(server.scope, server.receive, server.send)
        assert alive[0]() is None
    finally:
        gc.enable()


async def test_a_response_subclass_is_taken_as_it_is():
    class Teapot(Response):
        media_type = "text/x-tea"

    app = App()

    @app.get("/")
    async def handler(request):
        return Teapot(b"tea", 418)

    server = await call(app)
    assert server.status == 418
    assert server.headers["content-type"] == "text/x-tea; charset=utf-8"


async def test_the_client_s_leave_is_seen_by_a_handler_that_works():
    app = App()
    server = FakeServer()
    seen = []

    @app.get("/")
    async def handler(request):
        assert not await request.is_disconnected()
        server.leave()
        await request.disconnected()
        seen.append(await request.is_disconnected())
        return {}

    with anyio.fail_after(10):
        await app(server.scope, server.receive, server.send)
    assert seen == [True]


def test_an_app_refuses_what_streaming_options_cannot_apply_to():
    app = App()
    with pytest.raises(RouteError, match=r"GET /.*send_timeout"):

        @app.get("/", send_timeout=1)
        async def handler(request): ...


async def test_streaming_options_of_a_route_reach_its_stream():
    app = App()

    @app.get("/", media_type="text/x-rows", head_wait=0)
    async def rows(request):
        yield "x"

    server = await call(app)
    assert server.headers["content-type"] == "text/x-rows; charset=utf-8"
    assert issubclass(StreamingResponse, Response)
