"""What clients, and programs around a handler, can do to a connection that is not theirs to do."""

import anyio
import anyio.lowlevel
import pytest

from asgi_rt import App, HTTPError, RouteError, Router
from asgi_rt.errors import LifecycleError, WebSocketClosed
from asgi_rt.testing import AsyncTestClient


async def test_a_full_inbox_that_nobody_empties_ends_the_connection():
    app = App()
    ended = []

    @app.websocket("/", max_unread_messages=4, unread_timeout=0.05)
    async def wait(ws):
        await ws.accept()
        ended.append(await ws.wait_closed())

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        for n in range(10):
            await ws.send_text(str(n))
        closed = await ws.wait_closed()
    assert closed.code == 1013
    assert [(each.code, each.by) for each in ended] == [(1013, "server")]


async def test_a_full_inbox_that_is_emptied_slowly_does_not_end_the_connection():
    app = App()

    @app.websocket("/", max_unread_messages=2, unread_timeout=0.2)
    async def slow(ws):
        await ws.accept()
        for _ in range(8):
            await anyio.sleep(0.06)
            await ws.send_text(await ws.receive_text())

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        for n in range(8):
            await ws.send_text(str(n))
        assert [await ws.receive_text() for _ in range(8)] == [str(n) for n in range(8)]
        assert (await ws.wait_closed()).code == 1000


async def test_a_client_that_was_made_to_wait_has_not_been_idle():
    app = App()

    @app.websocket("/", max_unread_messages=2, idle_timeout=0.2)
    async def busy(ws):
        await ws.accept()
        await anyio.sleep(0.5)
        await ws.send_text(await ws.receive_text())

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        for n in range(4):
            await ws.send_text(str(n))
        assert await ws.receive_text() == "0"


async def test_a_client_that_was_made_to_wait_has_not_been_too_fast():
    app = App()

    @app.websocket("/", max_unread_messages=2, messages_per_second=100)
    async def busy(ws):
        await ws.accept()
        await anyio.sleep(0.6)
        for _ in range(140):
            await ws.receive_text()
        await ws.send_text("all")

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        for n in range(140):
            await ws.send_text(str(n))
        assert await ws.receive_text() == "all"


async def test_an_http_request_cannot_name_a_websocket_route():
    app = App()

    @app.websocket("/only")
    async def only(ws):
        raise AssertionError("it was called")

    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    for method in ("websocket", "WEBSOCKET"):
        scope = {"type": "http", "method": method, "path": "/only", "headers": []}
        await app(scope, receive, send)
    assert [each["status"] for each in sent if "status" in each] == [404, 404]


async def test_a_close_inside_a_session_is_sent_at_once():
    app = App()
    may_end = anyio.Event()

    @app.websocket("/")
    async def chat(ws):
        await ws.accept()
        async with ws.session():
            await ws.close(4000, "bye")
        await may_end.wait()

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        closed = await ws.wait_closed()
        may_end.set()
    assert (closed.code, closed.reason) == (4000, "bye")


class Breaks:
    """Middleware whose own work fails when something is sent."""

    def __init__(self, app, kind, error) -> None:
        self.app = app
        self.kind = kind
        self.error = error

    async def __call__(self, scope, receive, send):
        async def fail(message):
            if message["type"] == self.kind:
                raise self.error
            await send(message)

        await self.app(scope, receive, fail)


@pytest.mark.parametrize("kind", ["websocket.accept", "websocket.send"])
@pytest.mark.parametrize("error", [FileNotFoundError("audit.log"), RuntimeError("no database")])
async def test_an_error_of_middleware_in_send_is_that_error(kind, error):
    app = App()
    app.add_middleware(Breaks, kind=kind, error=error)
    seen = []

    @app.websocket("/")
    async def chat(ws):
        try:
            await ws.accept()
            await ws.send_text("x")
        except Exception as raised:
            seen.append(raised)
            raise

    with pytest.raises(type(error)):
        async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
            await ws.receive()
    assert seen == [error]


async def test_the_end_cannot_be_waited_for_before_the_connection_is_accepted():
    app = App()

    @app.websocket("/")
    async def chat(ws):
        with pytest.raises(LifecycleError, match="accept"):
            await ws.wait_closed()
        await ws.accept()

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        assert (await ws.wait_closed()).code == 1000


async def test_an_error_whose_detail_is_no_text_still_closes():
    app = App()

    @app.websocket("/")
    async def chat(ws):
        await ws.accept()
        raise HTTPError(400, {"field": 1})

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        closed = await ws.wait_closed()
    assert (closed.code, closed.reason) == (1008, "Bad Request")


@pytest.mark.parametrize(
    ("method", "value"), [("send_text", b"x"), ("send_bytes", "x"), ("send_text", None)]
)
async def test_what_is_of_the_other_kind_is_not_sent(method, value):
    app = App()

    @app.websocket("/")
    async def chat(ws):
        await ws.accept()
        with pytest.raises(TypeError, match=method):
            await getattr(ws, method)(value)
        await ws.send_text("lives")

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        assert await ws.receive() == "lives"


@pytest.mark.parametrize("code", [1000.0, "1000", None, 999, 1006, 5000])
async def test_a_code_that_cannot_be_sent_is_refused_early(code):
    app = App()

    @app.websocket("/")
    async def chat(ws):
        await ws.accept()
        with pytest.raises(ValueError, match="close code"):
            await ws.close(code)
        await ws.send_text("lives")

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        assert await ws.receive() == "lives"


@pytest.mark.parametrize("name", ["sec-websocket-protocol", "Sec-WebSocket-Accept"])
async def test_headers_of_the_handshake_are_the_servers(name):
    app = App()

    @app.websocket("/")
    async def chat(ws):
        with pytest.raises(ValueError, match="sec-websocket-"):
            await ws.accept(headers={name: "x"})
        await ws.accept(headers={"x-ok": "1"})

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        assert ws.headers["x-ok"] == "1"


@pytest.mark.parametrize("status", [101, 99, 600])
async def test_a_denial_has_a_final_status(status):
    app = App()

    @app.websocket("/")
    async def chat(ws):
        with pytest.raises(ValueError, match="status"):
            await ws.deny(status)
        await ws.accept()

    async with AsyncTestClient(app) as client, client.websocket_connect("/"):
        pass


@pytest.mark.parametrize(
    "options",
    [
        {"send_timeout": float("nan")},
        {"send_timeout": 0},
        {"unread_timeout": float("inf")},
        {"max_unread_messages": None},
        {"max_unread_bytes": 0},
        {"unread": "drop"},
        {"subprotocols": "chat"},
        {"origins": "example.com"},
        {"no_such": 1},
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_the_route(options):
    app = App()

    async def chat(ws):
        pass

    with pytest.raises(RouteError, match="websocket /chat"):
        app.websocket("/chat", **options)(chat)


async def test_an_included_route_keeps_what_its_iterators_gave():
    router = Router()

    @router.websocket("/", origins=iter(["https://a.example"]), subprotocols=iter(["b", "a"]))
    async def chat(ws):
        await ws.accept()

    app = App()
    app.include(router, "/chat")
    async with (
        AsyncTestClient(app) as client,
        client.websocket_connect(
            "/chat/", subprotocols=["a", "b"], headers={"origin": "https://a.example"}
        ) as ws,
    ):
        assert ws.subprotocol == "b"


async def test_the_bound_on_unread_bytes_counts_bytes():
    app = App()
    has_come = anyio.Event()

    @app.websocket("/", max_unread_bytes=8, unread="discard")
    async def chat(ws):
        await ws.accept()
        await has_come.wait()
        assert ws.discarded == 1
        await ws.send_json([await ws.receive_text(), await ws.receive_text()])

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        for _ in range(3):
            await ws.send_text("\u00e9\u00e9")
        await ws.wait_received()
        has_come.set()
        assert await ws.receive_json() == ["\u00e9\u00e9", "\u00e9\u00e9"]


def test_the_exceptions_are_the_packages():
    assert issubclass(LifecycleError, RuntimeError)
    assert str(WebSocketClosed(1006, by="network")) == "the connection was lost (1006)"
    assert str(WebSocketClosed(4000, "bye", by="client")) == "the client closed it (4000): bye"
