"""The three hooks around WebSockets: the same ones, for accepted, denied and refused handshakes."""

import functools

import anyio
import anyio.lowlevel
import pytest
from middleware.layered import MAKERS
from starlette.responses import JSONResponse as StarletteJSON
from websocket.fake_server import FakeServer, UvicornServer, no_errors_logged

from asgi_rt import App, HTTPError, Response, StreamingResponse
from asgi_rt.asgi import ASGIApp
from asgi_rt.http.servers import waits_for_futures
from asgi_rt.middleware import Middleware
from asgi_rt.testing import AsyncTestClient, WebSocketDenied
from asgi_rt.websocket import denial

SERVERS = pytest.mark.parametrize("kind", [FakeServer, UvicornServer])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """What a server has not told of a denial soon, these tell never."""
    monkeypatch.setattr(denial, "_SETTLE_SECONDS", 0.01)


class Noted(Middleware):
    """Says what was called, and answers as it is told to."""

    def __init__(self, app: ASGIApp, *, calls: list[str], name: str = "", answer=None) -> None:
        super().__init__(app)
        self.calls = calls
        self.name = name
        self.answer = answer

    def before(self, connection):
        assert connection.is_websocket
        self.calls.append(f"before {self.name}".strip())
        if isinstance(self.answer, BaseException):
            raise self.answer
        is_made = callable(self.answer) and not isinstance(self.answer, Response)
        return self.answer() if is_made else self.answer

    def head(self, connection, head):
        self.calls.append(f"head {self.name or head.status}")

    def done(self, connection, outcome):
        self.calls.append(f"done {self.name or outcome.status}")


class Awaiting(Noted):
    """The same, with async hooks."""

    async def before(self, connection):
        await anyio.lowlevel.checkpoint()
        return super().before(connection)

    async def head(self, connection, head):
        await anyio.lowlevel.checkpoint()
        super().head(connection, head)

    async def done(self, connection, outcome):
        await anyio.lowlevel.checkpoint()
        super().done(connection, outcome)


LAYERS = pytest.mark.parametrize("layer", [Noted, Awaiting])


def echo_app():
    app = App()

    @app.websocket("/")
    async def echo(ws):
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return app


async def converse(app, act=None, kind=FakeServer, **scope):
    """One WebSocket, to whose client something happens; the server when the app has ended."""
    server = kind(**scope)
    with no_errors_logged():
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, app)
            if act is not None:
                await act(server)
            await server.done()
    assert server.faults == []
    if server.error is not None:
        raise server.error
    return server


async def talk(server):
    await server.accepted()
    server.send_text("a", "b")
    await server.has_sent(2)
    server.leave()


@SERVERS
@LAYERS
async def test_layers_are_called_like_brackets_around_an_accepted_handshake(kind, layer):
    calls = []
    app = echo_app()
    for name in "ba":
        app = layer(app, calls=calls, name=name)
    server = await converse(app, talk, kind)
    assert server.data == ["a", "b"]
    assert calls == ["before a", "before b", "head b", "head a", "done b", "done a"]


async def test_messages_and_receive_are_the_server_s_own_where_done_is_not_asked_for():
    seen = []

    async def app(scope, receive, send):
        seen.append(receive)

    class Headed(Middleware):
        def before(self, connection):
            return None

        def head(self, connection, head):
            pass

    server = FakeServer()
    await Headed(app)(server.scope, server.receive, server.send)
    assert seen == [server.receive]


@SERVERS
async def test_a_receive_behind_done_waits_for_futures_where_the_server_s_own_does(kind):
    seen = []

    async def app(scope, receive, send):
        seen.append(waits_for_futures(receive))

    layer = functools.partial(Noted, calls=[])
    server = kind()
    await layer(layer(app))(server.scope, server.receive, server.send)
    assert seen == [kind is UvicornServer]


# Answers in place of the app


async def chunks():
    yield "one"
    yield "two"


async def asgi_app(scope, receive, send):
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"app"})


ANSWERS = {
    "str": (lambda: "text", 200, b"text"),
    "dict": (lambda: {"a": 1}, 200, b'{"a":1}'),
    "false": (lambda: False, 200, b"false"),
    "Response": (lambda: Response("no", 402), 402, b"no"),
    "Starlette's": (lambda: StarletteJSON({"b": 2}, 401), 401, b'{"b":2}'),
    "app": (lambda: asgi_app, 418, b"app"),
    "stream": (lambda: StreamingResponse(chunks(), 503), 503, b"onetwo"),
    "async generator": (chunks, 200, b"onetwo"),
    "HTTPError": (
        HTTPError(401),
        401,
        b'{"type":"about:blank","title":"Unauthorized","status":401}',
    ),
}
answers = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)


@SERVERS
@LAYERS
@answers
async def test_an_answer_denies_the_handshake_where_the_server_can_send_it(kind, layer, answer):
    value, status, content = answer
    calls = []
    server = await converse(layer(None, calls=calls, answer=value), None, kind)
    assert (server.status, server.body) == (status, content)
    assert calls == ["before", f"head {status}", f"done {status}"]


@SERVERS
@LAYERS
@answers
async def test_an_answer_refuses_the_handshake_where_the_server_cannot_send_it(kind, layer, answer):
    calls = []
    denies = layer(None, calls=calls, answer=answer[0])
    server = await converse(denies, None, kind, extensions={})
    assert server.messages == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    assert calls == ["before", "done 403"]


@pytest.mark.parametrize("extensions", [{}, None])
async def test_extensions_may_be_none(extensions):
    denies = Noted(None, calls=[], answer="no")
    server = await converse(denies, extensions=extensions)
    assert server.close == (1008, "")


@SERVERS
@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}], ids=["close", "deny"])
@pytest.mark.parametrize("raises", [False, True])
async def test_a_client_that_has_left_by_then_ends_it_quietly(kind, extensions, raises):
    """The server tells of it only by what is sent, if at all."""

    class Late(Noted):
        async def before(self, connection):
            server.vanish()
            return "no"

    calls = []
    server = kind(raises=raises, extensions=extensions)
    await Late(None, calls=calls)(server.scope, server.receive, server.send)
    assert calls[-1].startswith("done")
    assert server.messages == []


async def test_a_client_that_has_left_before_the_handshake_gets_no_answer():
    calls = []
    server = FakeServer()
    await server.receive()
    server.lose()
    await Noted(None, calls=calls, answer="no")(server.scope, server.receive, server.send)
    assert server.messages == []
    assert calls == ["before", "done None"]


async def test_a_layer_that_denies_everything_denies_websockets_too():
    class DenyAll(Middleware):
        def before(self, connection):
            raise HTTPError(403, "nobody may")

    app = echo_app()
    app.add_middleware(DenyAll)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).status_code == 403
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/"):
                pass
    assert denied.value.response.json()["detail"] == "nobody may"


# Errors


@SERVERS
@pytest.mark.parametrize("is_observed", [False, True])
async def test_an_error_of_head_refuses_the_handshake_and_is_raised(kind, is_observed):
    class Fails(Middleware):
        def head(self, connection, head):
            if head.status == 101:
                raise LookupError("broken")

    layer = type("Observed", (Fails,), {"done": lambda *_: None}) if is_observed else Fails
    server = kind()
    await server.run(layer(echo_app()))
    assert isinstance(server.error, LookupError)
    assert [message["type"] for message in server.messages] == ["websocket.close"]


async def test_what_before_raises_is_raised():
    with pytest.raises(LookupError):
        await converse(Noted(None, calls=[], answer=LookupError("broken")))


async def test_done_runs_to_its_end_when_the_connection_is_cancelled():
    calls = []
    server = FakeServer()
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, Awaiting(echo_app(), calls=calls))
        await server.accepted()
        group.cancel_scope.cancel()
    assert calls == ["before", "head 101", "done 101"]


# In frameworks


class Guard(Middleware):
    """Lets in who has a token, and says who it was."""

    def __init__(self, app: ASGIApp, *, token: str, calls: list[str]) -> None:
        super().__init__(app)
        self.token = token
        self.calls = calls

    def before(self, connection):
        if connection.query.get("token") != self.token:
            raise HTTPError(401, headers={"www-authenticate": "Bearer"})

    def head(self, connection, head):
        head.headers["x-guard"] = "1"

    def done(self, connection, outcome):
        self.calls.append(f"{outcome.status} {outcome.messages_received} {outcome.chunks}")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
async def test_add_middleware_takes_it_in_every_framework(make):
    app, calls = make(), []
    app.add_middleware(Guard, token="t", calls=calls)
    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/echo"):
                pass
        async with client.websocket_connect("/echo?token=t") as ws:
            assert ws.response.headers["x-guard"] == "1"
            await ws.send_text("hello")
            assert await ws.receive_text() == "hello"
    assert denied.value.response.status_code == 401
    assert denied.value.response.headers["www-authenticate"] == "Bearer"
    assert denied.value.response.headers["x-guard"] == "1"
    assert calls == ["401 0 1", "101 1 1"]
