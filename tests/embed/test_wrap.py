"""asgi_rt's WebSocket in the handlers of Starlette and FastAPI."""

import contextlib
from typing import Annotated

import anyio
import pytest
from fastapi import Depends, FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from starlette.applications import Starlette
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware.base import BaseHTTPMiddleware as StarlettesLayer
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect, WebSocketState
from websocket.fake_server import KINDS, FakeServer, UvicornServer, no_errors_logged

from asgi_rt import HTTPError, Hub, WebSocket, WebSocketClosed, attach
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.embed import wrap
from asgi_rt.embed.starlette import BaseHTTPMiddleware

kinds = pytest.mark.parametrize("kind", KINDS, ids=["plain", "uvicorn"])


class Boom(Exception):
    """What a handler raises in a test."""


def make_app(framework, handler, **options):
    if framework is FastAPI:
        app = FastAPI(**options)
        # By its name, as FastAPI reads the annotation.
        handler.__annotations__["websocket"] = FastAPIWebSocket
        app.websocket("/")(handler)
        return app
    return Starlette(routes=[WebSocketRoute("/", handler)], **options)


@pytest.fixture
def connection(framework):
    """Runs a handler of `framework` for a client. What it raises is `server.error`."""

    @contextlib.asynccontextmanager
    async def connect(handler, kind=FakeServer, *, server=None, app_options=None, wrapped=True):
        fake = kind(**(server or {}))
        app = make_app(framework, in_block(handler) if wrapped else handler, **(app_options or {}))
        with no_errors_logged():
            async with anyio.create_task_group() as group:
                group.start_soon(fake.run, app)
                yield fake
                await fake.done()
        assert fake.faults == []

    return connect


def in_block(handler, **options):
    async def handle(websocket):
        async with wrap(websocket, **options) as ws:
            await handler(ws)

    return handle


async def echo(ws):
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


# Open


@kinds
async def test_messages_go_to_and_fro(connection, kind):
    async with connection(echo, kind) as server:
        await server.accepted()
        server.send_text("a", "b")
        await server.has_sent(2)
        server.leave()
    assert server.error is None
    assert server.data == ["a", "b"]


@kinds
async def test_a_connection_that_was_accepted_before_is_open_at_once(connection, kind):
    async def handler(websocket):
        await websocket.accept("json")
        await websocket.send_text("hello")
        assert await websocket.receive_text() == "early"
        async with wrap(websocket) as ws:
            assert ws.is_open
            await ws.send_text(await ws.receive_text())

    async with connection(handler, kind, wrapped=False) as server:
        server.send_text("early", "late")
    assert server.error is None
    assert [each["type"] for each in server.messages].count("websocket.accept") == 1
    assert server.data == ["hello", "late"]
    assert server.close == (1000, "")


async def test_a_connection_that_only_was_received_from_is_accepted_in_the_block(connection):
    async def handler(websocket):
        assert (await websocket.receive())["type"] == "websocket.connect"
        async with wrap(websocket) as ws:
            assert not ws.is_open
            await ws.accept()

    async with connection(handler, wrapped=False) as server:
        pass
    assert server.error is None
    assert server.close == (1000, "")


async def test_subprotocol_and_options_are_those_of_a_route_of_ours(connection):
    async def handler(websocket):
        async with wrap(websocket, subprotocols=["b", "a"], max_message_bytes=3) as ws:
            await ws.accept()
            async for text in ws.iter_text():
                await ws.send_text(text)

    server = {"subprotocols": ["a", "b"]}
    async with connection(handler, wrapped=False, server=server) as server:
        server.send_text("abc")
        await server.has_sent(1)
        server.send_text("abcd")
    assert server.messages[0]["subprotocol"] == "b"
    assert server.data == ["abc"]
    assert server.close[0] == 1009


async def test_an_option_that_is_none_is_an_error_before_the_block(connection):
    async def handler(websocket):
        with pytest.raises(TypeError):
            await wrap(websocket, nothing=1).__aenter__()
        await websocket.accept()

    async with connection(handler, wrapped=False):
        pass


# Endings


async def returns(ws):
    await ws.accept()


async def closes(ws):
    await ws.accept()
    await ws.close(4001, "enough")


async def raises_http(ws):
    await ws.accept()
    raise HTTPError(403, "not yours")


async def raises_http_exception(ws):
    await ws.accept()
    raise HTTPException(403, "not yours")


async def raises_websocket_exception(ws):
    await ws.accept()
    raise WebSocketException(4005, "not so")


async def raises_closed(ws):
    await ws.accept()
    await ws.close(4002, "so be it")
    await ws.receive()


async def raises_from_tasks(ws):
    await ws.accept()
    async with anyio.create_task_group() as group:
        group.start_soon(ws.close, 4003)
        group.start_soon(ws.receive)
        group.start_soon(ws.receive)


async def wants_text(ws):
    await ws.accept()
    await ws.receive_text()


async def wants_json(ws):
    await ws.accept()
    await ws.receive_json()


ENDINGS = {
    "returns": (returns, 1000, ""),
    "closes": (closes, 4001, "enough"),
    "http-error": (raises_http, 1008, "not yours"),
    "http-exception": (raises_http_exception, 1008, "not yours"),
    "websocket-exception": (raises_websocket_exception, 4005, "not so"),
    "closed": (raises_closed, 4002, "so be it"),
    "closed-in-tasks": (raises_from_tasks, 4003, ""),
    "binary": (wants_text, 1003, "a text message was expected, a binary one came"),
    "no-json": (wants_json, 1007, "the message is not JSON"),
}


@kinds
@pytest.mark.parametrize(("handler", "code", "reason"), ENDINGS.values(), ids=ENDINGS)
async def test_an_ordinary_ending_has_its_code_and_is_nobodys_error(
    connection, kind, handler, code, reason
):
    states = []

    async def noting(websocket):
        async with wrap(websocket) as ws:
            await handler(ws)
        states.append((websocket.application_state, websocket.client_state))

    async with connection(noting, kind, wrapped=False) as server:
        server.send_bytes(b"\xff")
    assert server.error is None
    assert server.close == (code, reason)
    assert states[0][0] is WebSocketState.DISCONNECTED


@kinds
async def test_a_crash_is_1011_and_raised(connection, kind):
    async def handler(ws):
        await ws.accept()
        raise Boom("a secret")

    async with connection(handler, kind) as server:
        pass
    assert isinstance(server.error, Boom)
    assert server.close == (1011, "internal error")


@kinds
@pytest.mark.parametrize("waits", [WebSocket.receive, WebSocket.wait_closed])
@pytest.mark.parametrize("accepted_before", [False, True])
async def test_a_client_that_closes_ends_the_block_quietly(
    connection, kind, waits, accepted_before
):
    seen = []

    async def handler(websocket):
        if accepted_before:
            await websocket.accept()
        async with wrap(websocket) as ws:
            if not accepted_before:
                await ws.accept()
            try:
                await waits(ws)
            finally:
                seen.append((ws.closed.code, ws.closed.reason, ws.closed.by))
        seen.append(websocket.client_state)

    async with connection(handler, kind, wrapped=False) as server:
        await server.accepted()
        server.leave(4004, "bye")
    assert server.error is None
    assert seen == [(4004, "bye", "client"), WebSocketState.DISCONNECTED]


@kinds
async def test_a_handler_that_only_sends_sees_the_end(connection, kind):
    seen = []

    async def handler(ws):
        await ws.accept()
        try:
            while True:
                await ws.send_text("tick")
                await anyio.sleep(0.001)
        except WebSocketClosed as closed:
            seen.append(closed.code)
            raise

    async with connection(handler, kind) as server:
        await server.has_sent(3)
        server.leave(1001)
    assert server.error is None
    assert seen == [1001]


@kinds
async def test_a_client_that_is_lost_while_a_send_waits_ends_it(connection, kind):
    seen = []

    async def handler(ws):
        await ws.accept()
        try:
            while True:
                await ws.send_text("x")
        except WebSocketClosed as closed:
            seen.append(closed.code)
            raise

    async with connection(handler, kind) as server:
        server.freeze(2)
        await server.blocked()
        server.lose()
    assert server.error is None
    assert seen == [1006]


@pytest.mark.parametrize("raises", [True, False])
async def test_a_client_that_only_sends_would_tell_of_is_seen_when_something_is_sent(
    connection, raises
):
    async def handler(ws):
        await ws.accept()
        with contextlib.suppress(HTTPError):
            while True:
                await ws.send_text("x")
                await anyio.sleep(0.001)

    async with connection(handler, server={"raises": raises}) as server:
        await server.has_sent(1)
        server.vanish()
        await server.until(lambda: server.is_done or server.sends_begun > 9)
        server.lose()
    assert server.error is None


@kinds
async def test_a_client_that_has_left_before_the_handshake_is_answered(connection, kind):
    seen = []

    async def handler(ws):
        await server.until(lambda: gone)
        try:
            await ws.accept()
            await ws.receive()
        except WebSocketClosed as closed:
            seen.append(closed.code)
            raise

    gone = []
    async with connection(handler, kind) as server:
        await server.until(lambda: server.receives_begun)
        server.lose()
        gone.append(True)
        server._changed()
    assert server.error is None
    assert seen == [1006]


@kinds
async def test_a_wrapped_socket_that_is_over_ends_the_block_at_its_first_use(connection, kind):
    async def handler(websocket):
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await websocket.receive_text()
        async with wrap(websocket) as ws:
            await ws.receive()
            raise AssertionError("nothing can come")

    async with connection(handler, kind, wrapped=False) as server:
        await server.accepted()
        server.leave()
    assert server.error is None


# Refusals


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}], ids=["not", "offers"])
@pytest.mark.parametrize(
    ("error", "status"),
    [(HTTPError(404, "no such room"), 404), (HTTPException(404, "no such room"), 404)],
    ids=["ours", "starlettes"],
)
async def test_an_http_error_before_accept_denies_the_handshake(
    connection, error, status, extensions
):
    async def handler(ws):
        raise error

    async with connection(handler, server={"extensions": extensions}) as server:
        pass
    assert server.error is None
    if extensions:
        assert server.status == status
        assert b"no such room" in server.body
    else:
        assert server.close[0] == 1008


async def test_leaving_before_accept_refuses(connection):
    async def handler(ws):
        return

    async with connection(handler) as server:
        pass
    assert server.error is None
    assert [each["type"] for each in server.messages] == ["websocket.close"]


async def test_deny_denies(connection):
    async def handler(ws):
        await ws.deny(418, {"tea": True})

    async with connection(handler) as server:
        pass
    assert server.error is None
    assert (server.status, server.body) == (418, b'{"tea":true}')


FOREIGN = [(b"host", b"localhost"), (b"origin", b"http://evil.example")]


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}], ids=["not", "offers"])
async def test_a_page_of_another_origin_is_refused_before_the_block(connection, extensions):
    server = {"headers": FOREIGN, "extensions": extensions}
    async with connection(echo, server=server) as server:
        pass
    assert server.error is None
    if extensions:
        assert server.status == 403
    else:
        assert [each["type"] for each in server.messages] == ["websocket.close"]


async def test_and_closed_where_it_was_accepted_before(connection):
    async def handler(websocket):
        await websocket.accept()
        async with wrap(websocket):
            raise AssertionError

    async with connection(handler, wrapped=False, server={"headers": FOREIGN}) as server:
        pass
    assert server.error is None
    assert server.close[0] == 1008


async def test_origins_that_are_allowed_are_let_in(connection):
    async def handler(websocket):
        async with wrap(websocket, origins=["http://evil.example"]) as ws:
            await ws.accept()

    async with connection(handler, wrapped=False, server={"headers": FOREIGN}) as server:
        pass
    assert server.close == (1000, "")


# Drain


def draining(*, begun=True, grace=0.1):
    drain = Drain(grace=grace)
    if begun:
        drain.begin()
    return drain


async def test_while_the_server_goes_down_a_handshake_is_a_503(connection):
    server = {"state": {STATE_KEY: draining()}}
    async with connection(echo, server=server) as server:
        pass
    assert server.error is None
    assert server.status == 503
    assert (b"retry-after", b"5") in server.messages[0]["headers"]


@kinds
@pytest.mark.parametrize("accepted_before", [False, True])
async def test_what_is_open_when_it_goes_down_is_closed_with_1012(
    connection, kind, accepted_before
):
    drain = draining(begun=False)

    async def handler(websocket):
        if accepted_before:
            await websocket.accept()
        async with wrap(websocket) as ws:
            if not accepted_before:
                await ws.accept()
            await ws.send_text("open")
            await ws.receive()

    server = {"state": {STATE_KEY: drain}}
    async with connection(handler, kind, wrapped=False, server=server) as server:
        await server.has_sent(1)
        drain.begin()
    assert server.error is None
    assert server.close == (1012, "the server is going down")


async def test_a_handler_that_does_not_end_is_cut_off_after_the_grace(connection):
    drain = draining(begun=False)

    async def handler(ws):
        await ws.accept()
        await anyio.sleep_forever()

    async with connection(handler, server={"state": {STATE_KEY: drain}}) as server:
        await server.accepted()
        async with anyio.create_task_group() as group:
            group.start_soon(drain.enforce)
            drain.begin()
            await server.done()
    assert server.error is None
    assert server.close == (1012, "the server is going down")


# Cancelled


WAITS = {
    "before accept": lambda ws: anyio.sleep_forever(),
    "receive": WebSocket.receive,
    "sleep": lambda ws: anyio.sleep_forever(),
    "wait_closed": WebSocket.wait_closed,
}


@kinds
@pytest.mark.parametrize("wait", WAITS)
async def test_a_handler_that_is_cancelled_closes_the_connection(framework, kind, wait):
    server = kind()
    events = []

    async def handler(websocket):
        try:
            async with wrap(websocket) as ws:
                if wait != "before accept":
                    await ws.accept()
                events.append("waits")
                server._changed()
                await WAITS[wait](ws)
        finally:
            events.append(websocket.application_state)

    with no_errors_logged():
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, make_app(framework, handler))
            await server.until(lambda: events)
            group.cancel_scope.cancel()
    assert events == ["waits", WebSocketState.DISCONNECTED]
    assert server.close == (1011, "the connection was cut off")
    assert server.faults == []


async def test_a_send_that_waits_may_be_cancelled(framework):
    server = FakeServer()

    async def handler(ws):
        await ws.accept()
        while True:
            await ws.send_text("x")

    with no_errors_logged():
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, make_app(framework, in_block(handler)))
            server.freeze(1)
            await server.blocked()
            group.cancel_scope.cancel()
            server.thaw()
    assert server.faults == []


# Around it


@kinds
async def test_a_hub_is_attached_inside(connection, kind):
    hub = Hub()

    async def handler(ws):
        await ws.accept()
        async with attach(ws, hub, "rooms.a"):
            async for text in ws.iter_text():
                await hub.publish("rooms.a", text)

    async with hub, connection(handler, kind) as server:
        await server.accepted()
        server.send_text("hello")
        await server.has_sent(1)
        server.leave()
    assert server.error is None
    assert "hello" in server.data[0]


async def test_it_may_stand_in_a_dependency():
    left = []

    async def connected(websocket: FastAPIWebSocket):
        async with wrap(websocket) as ws:
            await ws.accept()
            yield ws
        left.append(websocket.client_state)

    async def handler(websocket: FastAPIWebSocket, ws: Annotated[WebSocket, Depends(connected)]):
        await ws.send_text(await ws.receive_text())
        await ws.receive_text()

    app = FastAPI()
    app.websocket("/")(handler)
    server = FakeServer()
    with no_errors_logged():
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, app)
            await server.accepted()
            server.send_text("hello")
            await server.has_sent(1)
            server.leave()
    assert server.error is None
    assert server.data == ["hello"]
    assert left == [WebSocketState.DISCONNECTED]


async def test_dependencies_with_yield_are_left_after_the_block():
    events = []

    async def session():
        events.append("enter")
        yield "session"
        events.append("exit")

    async def handler(websocket: FastAPIWebSocket, with_: Annotated[str, Depends(session)]):
        async with wrap(websocket) as ws:
            await ws.accept()
            await ws.send_text(with_)
        events.append("over")

    app = FastAPI()
    app.websocket("/")(handler)
    server = FakeServer()
    await server.run(app)
    assert server.error is None
    assert server.data == ["session"]
    assert events == ["enter", "over", "exit"]


@kinds
@pytest.mark.parametrize("is_accepted", [False, True])
async def test_an_exception_handler_of_the_app_says_how_it_ends(connection, kind, is_accepted):
    seen = []

    async def handle(websocket, error):
        seen.append((str(error), websocket.application_state is WebSocketState.CONNECTED))
        await websocket.close(4401, "log in")

    async def handler(ws):
        if is_accepted:
            await ws.accept()
        raise Boom("crashed")

    options = {"exception_handlers": {Boom: handle}}
    async with connection(handler, kind, app_options=options) as server:
        pass
    assert server.error is None
    assert server.close == (4401, "log in")
    assert seen == [("crashed", is_accepted)]


async def test_one_for_every_exception_is_none_of_those(connection):
    """Starlette calls it for HTTP only."""

    async def handle(websocket, error):
        raise AssertionError

    async def handler(ws):
        await ws.accept()
        raise Boom("crashed")

    options = {"exception_handlers": {Exception: handle}}
    async with connection(handler, app_options=options) as server:
        pass
    assert isinstance(server.error, Boom)
    assert server.close == (1011, "internal error")


async def connected(websocket: FastAPIWebSocket):
    async with wrap(websocket) as ws:
        yield ws


Connected = Annotated[WebSocket, Depends(connected)]


@pytest.mark.parametrize(
    ("server", "status"),
    [
        ({"path": "/?number=many"}, None),
        ({"path": "/?number=1", "headers": FOREIGN}, 403),
        ({"path": "/?number=1", "state": {STATE_KEY: draining()}}, 503),
    ],
    ids=["parameter", "origin", "drain"],
)
async def test_a_dependency_may_be_refused(server, status):
    async def handler(ws: Connected, number: int):
        raise AssertionError

    app = FastAPI()
    app.websocket("/")(handler)
    server = FakeServer(**server)
    with no_errors_logged():
        await server.run(app)
    assert server.error is None
    assert server.status == status
    if status is None:
        assert server.close[0] == 1008
    assert server.faults == []


@pytest.mark.parametrize("layer", [StarlettesLayer, BaseHTTPMiddleware])
async def test_it_works_behind_layers(framework, layer):
    async def dispatch(request, call_next):
        return await call_next(request)

    app = make_app(framework, in_block(echo))
    app.add_middleware(layer, dispatch=dispatch)
    server = UvicornServer()
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, app)
        await server.accepted()
        server.send_text("a")
        await server.has_sent(1)
        server.leave()
    assert server.error is None
    assert server.data == ["a"]
