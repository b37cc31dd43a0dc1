"""`dispatch(request, call_next)`: the request body, background work, context variables."""

from contextlib import nullcontext
from contextvars import ContextVar

import anyio
import pytest
from fakes import FakeServer
from middleware.dispatching import HEAD, chunk, exchange, from_child

from asgi_rt import App, BackgroundTask, HTTPError, Request, Response
from asgi_rt.errors import DispatchError
from asgi_rt.http.inbox import Inbox
from asgi_rt.http.servers import waits_for_futures
from asgi_rt.middleware.dispatch import DispatchedRequest, DispatchMiddleware
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

FORM = b"a=1&b=2"
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}


async def echo(scope, receive, send):
    """Answers with the pieces of the request body, as they came."""
    pieces = []
    more = True
    while more:
        message = await receive()
        pieces.append(message["body"])
        more = message["more_body"]
    await send(HEAD)
    await send(chunk(b"|".join(pieces), more=False))


async def deaf(scope, receive, send):
    await send(HEAD)
    await send(chunk(b"", more=False))


async def sent(client, *pieces, headers=None):
    async def body():
        for piece in pieces:
            yield piece

    return await client.post("/", content=body(), headers=headers)


def around(app, dispatch, layers=1):
    for _ in range(layers):
        app = DispatchMiddleware(app, dispatch=dispatch)
    return AsyncTestClient(app, lifespan=False)


@pytest.mark.parametrize("layers", [1, 3])
async def test_a_body_read_before_is_there_for_the_app_and_afterwards(layers):
    seen = []

    async def dispatch(request, call_next):
        seen.append(await request.body())
        response = await call_next(request)
        seen.append(await request.body())
        return response

    async with around(echo, dispatch, layers) as client:
        assert (await sent(client, b"ab", b"cd")).content == b"abcd"
    assert seen == [b"abcd"] * 2 * layers


async def test_a_body_that_the_app_has_read_can_be_read_afterwards():
    seen = []

    async def dispatch(request, call_next):
        response = await call_next(request)
        seen.append(await request.body())
        seen.append([piece async for piece in request.stream()])
        return response

    async with around(echo, dispatch) as client:
        assert (await sent(client, b"ab", b"cd")).content == b"ab|cd|"
    assert seen == [b"abcd", [b"abcd"]]


async def test_a_body_that_the_app_has_not_read_can_be_read_afterwards():
    seen = []

    async def dispatch(request, call_next):
        response = await call_next(request)
        seen.append(await request.body())
        return response

    async with around(deaf, dispatch) as client:
        await sent(client, b"ab", b"cd")
    assert seen == [b"abcd"]


async def test_more_than_is_kept_of_what_the_app_has_read_is_an_error_that_says_what_to_do():
    size = DispatchedRequest.KEPT_BYTES + 1

    async def dispatch(request, call_next):
        response = await call_next(request)
        with pytest.raises(DispatchError, match="read it before call_next"):
            await request.body()
        return response

    async with around(echo, dispatch) as client:
        assert len((await sent(client, b"x" * size)).content) == size + 1


async def test_what_is_not_kept_cannot_be_streamed_either():
    async def dispatch(request, call_next):
        response = await call_next(request)
        with pytest.raises(DispatchError, match="read it before call_next"):
            request.stream()
        return response

    async with around(echo, dispatch) as client:
        await sent(client, b"x" * (DispatchedRequest.KEPT_BYTES + 1), b"y")


async def test_what_the_app_reads_when_dispatch_has_returned_is_not_kept():
    async def app(scope, receive, send):
        await send(HEAD)
        await receive()
        await send(chunk(b"", more=False))

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.background = BackgroundTask(read, request)
        return response

    async def read(request):
        with pytest.raises(DispatchError, match="after dispatch had returned"):
            await request.body()
        tried.append(True)

    tried = []
    async with around(app, dispatch) as client:
        await sent(client, b"ab")
    assert tried == [True]


async def test_an_empty_body_read_before_is_the_end_for_the_app():
    async def dispatch(request, call_next):
        assert await request.body() == b""
        return await call_next(request)

    assert (await exchange(dispatch, echo)).body == b""


async def test_a_read_that_was_cancelled_on_its_way_leaves_all_to_the_app():
    class Halting(FakeServer):
        async def receive(self):
            if len(parts) == 2:
                await goes_on.wait()
            body, more = parts.pop(0)
            return {"type": "http.request", "body": body, "more_body": more}

    async def dispatch(request, call_next):
        async with anyio.create_task_group() as group:
            group.start_soon(request.body)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        goes_on.set()
        response = await call_next(request)
        seen.append(await request.body())
        return response

    parts = [(b"ab", True), (b"cd", True), (b"ef", False)]
    seen = []
    goes_on = anyio.Event()
    server = await exchange(dispatch, echo, server=Halting())
    assert server.body == b"ab|cd|ef"
    assert seen == [b"abcdef"]


async def test_what_stream_has_taken_is_gone_for_the_app():
    seen = []

    async def dispatch(request, call_next):
        seen.extend([piece async for piece in request.stream()])
        return await call_next(request)

    async with around(echo, dispatch) as client:
        assert (await sent(client, b"ab", b"cd")).content == b""
    assert b"".join(seen) == b"abcd"


@pytest.mark.parametrize("fails", [False, True])
async def test_the_files_of_a_form_read_before_are_closed(fails):
    files = []

    async def dispatch(request, call_next):
        files.append((await request.form())["file"])
        if fails:
            raise LookupError
        return await call_next(request)

    content = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\na\r\n--B--\r\n'
    )
    headers = {"content-type": "multipart/form-data; boundary=B"}
    async with around(deaf, dispatch) as client:
        with pytest.raises(LookupError) if fails else nullcontext():
            await sent(client, content, headers=headers)
    assert files[0].file.closed


async def test_a_form_read_before_is_there_for_the_app():
    app = App()

    @app.post("/")
    async def index(request):
        return dict((await request.form()).items())

    async def dispatch(request, call_next):
        assert (await request.form())["a"] == "1"
        return await call_next(request)

    app.add_middleware(DispatchMiddleware, dispatch=dispatch)
    async with AsyncTestClient(app) as client:
        assert (await client.post("/", content=FORM, headers=FORM_TYPE)).json() == {
            "a": "1",
            "b": "2",
        }


async def test_looking_for_the_disconnect_before_eats_no_body():
    async def dispatch(request, call_next):
        assert not await request.is_disconnected()
        return await call_next(request)

    async with around(echo, dispatch) as client:
        assert (await sent(client, b"ab", b"cd")).content.replace(b"|", b"") == b"abcd"


async def test_a_limit_on_the_body_in_dispatch_is_a_413():
    app = App()

    async def dispatch(request, call_next):
        await request.body(max_bytes=3)
        return await call_next(request)

    app.add_middleware(DispatchMiddleware, dispatch=dispatch)
    async with AsyncTestClient(app) as client:
        assert (await sent(client, b"ab", b"cd")).status_code == 413


def test_the_app_gets_a_receive_that_needs_no_task():
    class Server:
        __module__ = "uvicorn.protocols.http"

        async def receive(self):
            raise AssertionError

    request = DispatchedRequest({"type": "http"}, Server().receive)
    assert waits_for_futures(request.replay)
    assert isinstance(request.inbox, Inbox)
    assert not waits_for_futures(request.replay)


async def test_the_handler_sees_its_client_leave_through_five_layers():
    left = anyio.Event()
    app = App()

    @app.get("/")
    async def index(request: Request):
        await request.disconnected()
        assert await request.is_disconnected()
        left.set()

    async def dispatch(request, call_next):
        return await call_next(request)

    for _ in range(5):
        app.add_middleware(DispatchMiddleware, dispatch=dispatch)
    async with AsyncTestClient(app) as client, client.open("GET", "/") as opened:
        opened.disconnect()
        await left.wait()


# Background


@pytest.mark.parametrize("is_touched", [False, True])
async def test_background_of_dispatch_runs_when_the_app_has_ended(is_touched):
    events = []

    async def app(scope, receive, send):
        await send(HEAD)
        await send(chunk(b"x", more=False))
        events.append("app")

    async def dispatch(request, call_next):
        response = await call_next(request)
        if is_touched:
            response.body_iterator = same(response.body_iterator)
        response.background = BackgroundTask(note)
        return response

    async def same(chunks):
        async for piece in chunks:
            yield piece

    async def note(completed):
        events.append(("background", completed))

    server = await exchange(dispatch, app)
    assert server.is_complete
    assert events == ["app", ("background", True)]


async def test_background_learns_that_the_app_has_failed():
    events = []

    async def app(scope, receive, send):
        await send(HEAD)
        raise ValueError("app")

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.background = BackgroundTask(note)
        return response

    async def note(completed):
        events.append(completed)

    with pytest.raises(ValueError, match="app"):
        await exchange(dispatch, app)
    assert events == [False]


async def test_background_of_a_response_that_was_replaced_is_dropped():
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.background = BackgroundTask(lambda: 1 / 0)
        return Response("other")

    assert (await exchange(dispatch, deaf)).body == b"other"


# Context variables

VARIABLE: ContextVar[list[str]] = ContextVar("variable")
ANOTHER: ContextVar[int] = ContextVar("another")


async def test_context_variables_flow_both_ways():
    seen = []

    async def app(scope, receive, send):
        seen.append(VARIABLE.get())
        VARIABLE.set([*VARIABLE.get(), "app"])
        await send(HEAD)
        await send(chunk(b"", more=False))

    async def inner(request, call_next):
        VARIABLE.set([*VARIABLE.get(), "inner"])
        return await call_next(request)

    async def outer(request, call_next):
        VARIABLE.set(["outer"])
        response = await call_next(request)
        seen.append(VARIABLE.get())
        return response

    await exchange(outer, DispatchMiddleware(app, dispatch=inner))
    assert seen == [["outer", "inner"], ["outer", "inner", "app"]]


@pytest.mark.parametrize("app", [deaf, from_child])
@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_context_variable_can_be_reset_whatever_task_the_app_sends_from(app, is_replaced):
    seen = []

    async def dispatch(request, call_next):
        token = VARIABLE.set(["set"])
        try:
            response = await call_next(request)
            await anyio.lowlevel.checkpoint()
        finally:
            VARIABLE.reset(token)
        if is_replaced:
            VARIABLE.set(["after"])
            response.body_iterator = noting(response.body_iterator)
        return response

    async def noting(chunks):
        async for piece in chunks:
            seen.append(VARIABLE.get())
            yield piece

    async def outer(request, call_next):
        token = ANOTHER.set(1)
        response = await call_next(request)
        ANOTHER.reset(token)
        return response

    server = await exchange(outer, DispatchMiddleware(app, dispatch=dispatch))
    assert server.is_complete
    assert seen == ([["after"]] * 3 if is_replaced and app is from_child else [])


# WebSockets


class Gate(DispatchMiddleware):
    """Lets in who knows the word, and notes how it went."""

    def __init__(self, app, outcomes):
        super().__init__(app)
        self.outcomes = outcomes

    async def dispatch_websocket(self, websocket, call_next):
        word = websocket.query.get("word")
        if word == "raise":
            raise HTTPError(401, "say the word", headers={"www-authenticate": "Word"})
        if word == "answer":
            return Response("gone", 410)
        if word is not None:
            self.outcomes.append(await call_next(websocket))
        return None


def gated(outcomes):
    app = App()

    @app.websocket("/")
    async def index(ws):
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)
            if text == "bye":
                await ws.close(4001)

    app.add_middleware(Gate, outcomes=outcomes)
    return AsyncTestClient(app)


async def test_a_websocket_is_served_and_its_outcome_is_told():
    outcomes = []
    async with gated(outcomes) as client:
        async with client.websocket_connect("/?word=please") as ws:
            await ws.send_text("bye")
            assert await ws.receive_text() == "bye"
            await ws.wait_closed()
        (outcome,) = outcomes
    assert (outcome.status, outcome.code, outcome.disconnected) == (101, 4001, False)
    assert (outcome.messages_received, outcome.chunks) == (1, 1)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("/", 403, b"Forbidden"), ("/?word=raise", 401, b"the word"), ("/?word=answer", 410, b"gone")],
)
async def test_a_websocket_is_denied_with_what_was_answered(path, status, body):
    async with gated([]) as client:
        with pytest.raises(WebSocketDenied) as caught:
            async with client.websocket_connect(path):
                raise AssertionError("it was let in")
    assert caught.value.response.status_code == status
    assert body in caught.value.response.content


async def test_requests_pass_a_layer_that_is_for_websockets_alone():
    async def receive():
        raise AssertionError

    async def app(scope, receive_below, send):
        assert receive_below is receive

    await Gate(app, [])({"type": "http"}, receive, receive)
