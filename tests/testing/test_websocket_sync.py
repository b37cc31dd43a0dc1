"""The blocking client: several connections on one event loop in a thread."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from asgi_rt.testing import (
    CloseTimeoutError,
    ConnectionClosed,
    SyncWebSocketConnection,
    TestClient,
    UnexpectedMessageError,
    WebSocketDenied,
)

ACCEPT = {"type": "websocket.accept"}


@pytest.fixture(
    params=[
        pytest.param({"backend": "asyncio"}, id="asyncio"),
        pytest.param({"backend_options": {"use_uvloop": True}}, id="uvloop"),
        pytest.param({"backend": "trio"}, id="trio"),
    ]
)
def connect(request):
    """Makes clients on each backend; none of the apps has a lifespan."""
    clients = []

    def make(app, **options):
        clients.append(TestClient(app, lifespan=False, **request.param, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class EchoApp:
    """Sends back what it receives; writes down how it ended."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        await receive()
        await send({**ACCEPT, "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        self.seen.append(message)


async def flood(scope, receive, send):
    await send(ACCEPT)
    while True:
        await send({"type": "websocket.send", "bytes": b"x" * 1000})


def test_messages_go_both_ways(connect):
    app = EchoApp()
    with connect(app).websocket_connect("/", subprotocols=["a"], headers={"x": "1"}) as ws:
        assert isinstance(ws, SyncWebSocketConnection)
        assert ws.subprotocol == "a"
        assert ws.response.status_code == 101
        assert (b"x", b"1") in ws.scope["headers"]
        ws.send("text")
        assert ws.receive() == "text"
        ws.send_text("text")
        assert ws.receive_text() == "text"
        ws.send_bytes(b"data")
        assert ws.receive_bytes() == b"data"
        ws.send_json({"a": 1}, binary=True)
        assert ws.receive_json() == {"a": 1}
        ws.send("text")
        with pytest.raises(UnexpectedMessageError):
            ws.receive_bytes()
        ws.wait_received()
    assert ws.is_done
    assert app.seen == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


def test_a_silent_app_is_told_of(connect):
    with connect(EchoApp()).websocket_connect("/") as ws:
        with pytest.raises(TimeoutError, match=r"no message came .* waits in receive"):
            ws.receive(timeout=0.02)
        with pytest.raises(TimeoutError):
            ws.wait_closed(timeout=0.02)
        with pytest.raises(TimeoutError):
            ws.wait_done(timeout=0.02)


@pytest.mark.parametrize("end", ["close", "disconnect", "server_close"])
def test_every_end(connect, end):
    app = EchoApp()
    with connect(app).websocket_connect("/") as ws:
        getattr(ws, end)()
        closed = ws.wait_closed()
        assert ws.close_code == closed.code
        assert list(ws) == []
        with pytest.raises(ConnectionClosed):
            ws.receive()
        with pytest.raises(ConnectionClosed):
            ws.send("late")
    codes = {"close": (1000, 1000), "disconnect": (1006, 1005), "server_close": (1012, 1012)}
    assert (closed.code, app.seen[0]["code"]) == codes[end]


def test_iterating_ends_with_the_connection(connect):
    async def app(scope, receive, send):
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "a"})
        await send({"type": "websocket.close", "code": 4000, "reason": "done"})

    with connect(app).websocket_connect("/") as ws:
        assert list(ws) == ["a"]
        assert (ws.close_code, ws.close_reason) == (4000, "done")


def test_a_frozen_client_holds_the_app(connect):
    with connect(flood, pipe_bytes=5000).websocket_connect("/") as ws:
        ws.freeze()
        ws.wait_blocked()
        assert ws.messages_sent == 6
        with pytest.raises(TimeoutError, match=r"thaw\(\) it first"):
            ws.receive(timeout=0.02)
        ws.thaw()
        assert ws.receive() == b"x" * 1000
    assert ws.is_done


def test_a_denial_is_raised_with_its_response(connect):
    async def app(scope, receive, send):
        start = {"type": "websocket.http.response.start", "status": 429}
        await send({**start, "headers": [(b"retry-after", b"5"), (b"set-cookie", b"seen=1")]})
        await send({"type": "websocket.http.response.body", "body": b"wait"})

    client = connect(app)
    with pytest.raises(WebSocketDenied) as caught, client.websocket_connect("/"):
        pass
    assert caught.value.response.status_code == 429
    assert caught.value.response.text == "wait"
    assert client.cookies["seen"] == "1"


def test_the_apps_error_is_raised_and_the_loop_lives_on(connect):
    error = KeyError("broken")

    async def app(scope, receive, send):
        if scope["path"] == "/early":
            raise error
        await send(ACCEPT)
        if scope["path"] == "/late":
            raise error
        await receive()
        await receive()

    client = connect(app)
    for path in ("/early", "/late"):
        with pytest.raises(KeyError) as caught, client.websocket_connect(path) as ws:
            ws.receive()
        assert caught.value is error
    with client.websocket_connect("/fine") as ws:
        assert not ws.is_closed


def test_an_app_that_does_not_end_is_cancelled(connect):
    async def app(scope, receive, send):
        await send(ACCEPT)
        await anyio.sleep_forever()

    client = connect(app, close_timeout=0.05)
    with pytest.raises(CloseTimeoutError), client.websocket_connect("/"):
        pass


def test_a_handshake_that_is_not_answered_fails_in_time(connect):
    async def app(scope, receive, send):
        while (await receive())["type"] != "websocket.disconnect":
            pass

    with pytest.raises(TimeoutError), connect(app).websocket_connect("/", timeout=0.05):
        pass


def test_a_receive_in_another_thread_ends_with_the_connection(connect):
    with connect(EchoApp()).websocket_connect("/") as ws, ThreadPoolExecutor(1) as pool:
        receiving = pool.submit(ws.receive, None)
        ws.close(4000)
        with pytest.raises(ConnectionClosed, match=r"the client closed it \(4000\)"):
            receiving.result(5)


@pytest.mark.parametrize("in_threads", [False, True])
def test_two_connections_share_a_lock_a_thousand_times(connect, in_threads):
    lock = anyio.Lock()
    inside = []

    async def endpoint(websocket):
        await websocket.accept()
        async for _ in websocket.iter_text():
            async with lock:
                inside.append(1)
                assert len(inside) == 1
                await anyio.lowlevel.checkpoint()
                inside.pop()
            await websocket.send_text("done")

    def use(ws):
        for _ in range(1000):
            ws.send("go")
            assert ws.receive() == "done"

    client = connect(Starlette(routes=[WebSocketRoute("/", endpoint)]))
    with client.websocket_connect("/") as first, client.websocket_connect("/") as second:
        if in_threads:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(use, [first, second]))
        else:
            for _ in range(1000):
                first.send("go")
                second.send("go")
                assert [first.receive(), second.receive()] == ["done", "done"]


@pytest.mark.parametrize("backend_options", [{}, {"use_uvloop": True}])
def test_one_connection_holds_a_lock_of_asyncio_while_another_waits_for_it(backend_options):
    lock = asyncio.Lock()

    async def endpoint(websocket):
        await websocket.accept()
        async with lock:
            await websocket.send_text("held")
            await websocket.receive_text()
        await websocket.send_text("released")

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    client = TestClient(app, backend_options=backend_options)
    with client, client.websocket_connect("/") as first, client.websocket_connect("/") as second:
        assert first.receive() == "held"
        with pytest.raises(TimeoutError):
            second.receive(timeout=0.02)
        first.send("release")
        assert first.receive() == "released"
        assert second.receive() == "held"
        second.send("release")


def client_threads():
    return {each for each in threading.enumerate() if each.name == "asgi_rt test client"}


def test_a_client_that_is_closed_closes_its_connections_and_its_thread(connect):
    app = EchoApp()
    before = client_threads()
    client = connect(app)
    with client.websocket_connect("/") as ws:
        assert len(client_threads() - before) == 1
        client.close()
        assert ws.is_done
        with pytest.raises(RuntimeError, match="the client is closed"):
            ws.receive()
    assert app.seen == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]
    assert client_threads() <= before  # others may have left theirs to the garbage collector
