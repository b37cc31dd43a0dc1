"""`dispatch(request, call_next)`: what can be done to a response, and what becomes of it."""

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from middleware.dispatching import HEAD, chunk, counting, exchange, from_child

from asgi_rt import App, Request, Response, StreamingResponse
from asgi_rt.errors import DispatchError
from asgi_rt.middleware.dispatch import DispatchMiddleware
from asgi_rt.testing import AsyncTestClient

apps = pytest.mark.parametrize("app", [counting, from_child])


async def call(request, call_next):
    return await call_next(request)


@apps
async def test_what_dispatch_leaves_alone_goes_straight_through(app):
    server = await exchange(call, app)
    assert server.messages == [HEAD, chunk(b"0"), chunk(b"1"), chunk(b"2"), chunk(b"", more=False)]


@apps
async def test_status_and_headers_can_be_changed(app):
    async def dispatch(request, call_next):
        response = await call_next(request)
        assert isinstance(response, Response)
        assert (response.status_code, response.headers["x-app"]) == (200, "1")
        response.status_code = 201
        response.headers["x-dispatch"] = "2"
        del response.headers["x-app"]
        response.set_cookie("a", "b")
        return response

    server = await exchange(dispatch, app)
    assert (server.status, server.body) == (201, b"012")
    assert server.headers == {"x-dispatch": "2", "set-cookie": "a=b; Path=/; SameSite=Lax"}
    assert HEAD["headers"] == [(b"x-app", b"1")]  # the app's own list


@apps
async def test_what_is_awaited_before_and_after_call_next_is_awaited(app):
    seen = []

    async def dispatch(request, call_next):
        await anyio.lowlevel.checkpoint()
        seen.append("before")
        response = await call_next(request)
        with anyio.CancelScope():
            await anyio.to_thread.run_sync(lambda: seen.append("after"))
        return response

    server = await exchange(dispatch, app)
    assert seen == ["before", "after"]
    assert server.body == b"012"


async def test_the_head_goes_out_when_dispatch_returns_and_no_chunk_is_waited_for():
    async def app(scope, receive, send):
        await send(HEAD)
        assert server.status == 200
        await send(chunk(b"x", more=False))

    server = FakeServer()
    await exchange(call, app, server=server)
    assert server.is_complete


@pytest.mark.parametrize(
    ("make", "status", "body"),
    [
        (lambda: Response("no", 403), 403, b"no"),
        (lambda: {"a": 1}, 200, b'{"a":1}'),
        (lambda: "text", 200, b"text"),
        (lambda: StreamingResponse(["a", "b"]), 200, b"ab"),
        (lambda: counting, 200, b"012"),
    ],
    ids=["Response", "dict", "str", "stream", "app"],
)
async def test_it_may_answer_without_the_app(make, status, body):
    async def app(scope, receive, send):
        raise AssertionError("the app is not to be called")

    async def dispatch(request, call_next):
        return make()

    server = await exchange(dispatch, app, method="GET")
    assert (server.status, server.body) == (status, body)


@apps
async def test_another_response_can_be_sent_for_that_of_the_app(app):
    async def dispatch(request, call_next):
        await call_next(request)
        return Response("other", 418)

    server = await exchange(dispatch, app)
    assert (server.status, server.body, server.is_complete) == (418, b"other", True)
    assert "x-app" not in server.headers


@apps
async def test_the_body_can_be_read(app):
    async def dispatch(request, call_next):
        response = await call_next(request)
        body = b"".join([piece async for piece in response.body_iterator])
        return Response(body[::-1], headers=response.headers)

    server = await exchange(dispatch, app)
    assert (server.body, server.headers["x-app"]) == (b"210", "1")
    assert server.headers["content-length"] == "3"


@apps
async def test_the_body_can_be_replaced_piece_by_piece(app):
    async def louder(chunks):
        async for piece in chunks:
            await anyio.lowlevel.checkpoint()
            yield piece + b"!"

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = louder(response.body_iterator)
        return response

    server = await exchange(dispatch, app)
    assert server.messages[1:] == [chunk(b"0!"), chunk(b"1!"), chunk(b"2!"), chunk(b"", more=False)]


@apps
async def test_a_body_that_was_read_in_part_goes_on_from_there(app):
    async def dispatch(request, call_next):
        response = await call_next(request)
        first = await anext(aiter(response.body_iterator))
        response.headers["x-first"] = first.decode()
        return response

    server = await exchange(dispatch, app)
    assert (server.headers["x-first"], server.body, server.is_complete) == ("0", b"12", True)


@apps
async def test_a_stream_can_be_made_of_the_body(app):
    async def numbered(chunks):
        async for piece in chunks:
            yield piece.decode() + ","

    async def dispatch(request, call_next):
        response = await call_next(request)
        return StreamingResponse(numbered(response.body_iterator), media_type="text/plain")

    server = await exchange(dispatch, app, method="GET")
    assert (server.body, server.is_complete) == (b"0,1,2,", True)


async def test_the_length_of_a_body_that_was_replaced_is_not_sent():
    async def app(scope, receive, send):
        await send({**HEAD, "headers": [(b"content-length", b"2")]})
        await send(chunk(b"ab", more=False))

    async def twice(chunks):
        async for piece in chunks:
            yield piece * 2

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = twice(response.body_iterator)
        return response

    server = await exchange(dispatch, app)
    assert (server.headers, server.body) == ({}, b"abab")


async def test_a_slow_reader_holds_up_the_app_through_a_replaced_body():
    sent = []

    async def app(scope, receive, send):
        await send(HEAD)
        for number in range(3):
            sent.append(number)
            await send(chunk(b"x"))
        await send(chunk(b"", more=False))

    async def same(chunks):
        async for piece in chunks:
            yield piece

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = same(response.body_iterator)
        return response

    server = FakeServer()
    async with anyio.create_task_group() as group:
        server.freeze()
        group.start_soon(lambda: exchange(dispatch, app, server=server))
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        assert sent == []  # the head is still on its way
        server.thaw()
    assert server.body == b"xxx"


async def test_early_hints_and_files_pass():
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
    file = {"type": "http.response.pathsend", "path": "/tmp/file"}

    async def app(scope, receive, send):
        await send(hint)
        await send(HEAD)
        await send(file)

    assert (await exchange(call, app)).messages == [hint, HEAD, file]


async def test_a_file_is_one_piece_of_the_body():
    file = {"type": "http.response.pathsend", "path": "/tmp/file"}
    pieces = []

    async def app(scope, receive, send):
        await send(HEAD)
        await send(file)

    async def noted(chunks):
        async for piece in chunks:
            pieces.append(piece)
            yield piece

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = noted(response.body_iterator)
        return response

    server = await exchange(dispatch, app)
    assert pieces == [file]
    assert server.messages[1:] == [file]


@pytest.mark.parametrize("layers", [1, 5])
@apps
async def test_layers_in_layers(app, layers):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers.append("x-layer", "1")
        return response

    for _ in range(layers - 1):
        app = DispatchMiddleware(app, dispatch=dispatch)
    server = await exchange(dispatch, app)
    assert server.messages[0]["headers"].count((b"x-layer", b"1")) == layers
    assert server.body == b"012"


async def test_a_subclass_of_an_app_of_ours_with_its_request():
    class Greeting(DispatchMiddleware):
        async def dispatch(self, request: Request, call_next):
            request.state["greeting"] = request.query.get("say", "nothing")
            return await call_next(request)

    app = App()
    app.add_middleware(Greeting)

    @app.get("/")
    async def index(request):
        return {"said": request.state["greeting"]}

    async with AsyncTestClient(app) as client:
        assert (await client.get("/?say=hello")).json() == {"said": "hello"}


async def test_lifespan_and_websockets_pass():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], receive, send))

    async def receive():
        raise AssertionError

    async def send(message):
        raise AssertionError

    layer = DispatchMiddleware(app, dispatch=call)
    await layer({"type": "lifespan"}, receive, send)
    await layer({"type": "websocket"}, receive, send)
    assert seen == [("lifespan", receive, send), ("websocket", receive, send)]


def test_a_layer_that_dispatches_nothing_is_refused():
    with pytest.raises(TypeError, match="give it dispatch="):
        DispatchMiddleware(counting)


@pytest.mark.parametrize("returned", [None])
async def test_returning_nothing_is_an_error_that_says_what_to_return(returned):
    async def dispatch(request, call_next):
        await call_next(request)

    with pytest.raises(DispatchError, match="return what call_next gave"):
        await exchange(dispatch)
