"""Entering: accepted, denied, failed, unanswered."""

import base64
import contextlib
import gc
import hashlib
import weakref

import anyio
import httpx2
import pytest

from asgi_rt.testing import (
    AppError,
    AsyncTestClient,
    CloseTimeoutError,
    IncompleteResponseError,
    MessageError,
    WebSocketDenied,
)


def client_of(app, **options):
    """A client for these apps, none of which has a lifespan."""
    return AsyncTestClient(app, lifespan=False, **options)


ACCEPT = {"type": "websocket.accept"}
START = {
    "type": "websocket.http.response.start",
    "status": 401,
    "headers": [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")],
}
BODY = {"type": "websocket.http.response.body"}


class ScriptedApp:
    """Sends `messages`, then raises `error` if there is one, or writes down what it receives."""

    def __init__(self, *messages, error=None, receives=True):
        self.messages = messages
        self.error = error
        self.receives = receives
        self.seen = []

    async def __call__(self, scope, receive, send):
        self.seen.append(await receive())
        for message in self.messages:
            await send(message)
        if self.error is not None:
            raise self.error
        if self.receives:
            self.seen.append(await receive())


async def test_an_accepted_handshake_has_subprotocol_and_headers():
    app = ScriptedApp({**ACCEPT, "subprotocol": "b", "headers": [(b"x-a", b"1"), (b"x-a", b"2")]})
    async with (
        client_of(app) as client,
        client.websocket_connect("/", subprotocols=["a", "b"]) as ws,
    ):
        assert ws.subprotocol == "b"
        assert ws.headers.get_list("x-a") == ["1", "2"]
        assert ws.headers["sec-websocket-protocol"] == "b"
        assert ws.headers["upgrade"] == "websocket"
        key = ws.request.headers["sec-websocket-key"].encode()
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert ws.headers["sec-websocket-accept"].encode() == base64.b64encode(digest)
        assert ws.response.status_code == 101
        assert not ws.is_closed
        assert ws.close_code is None
        assert ws.close_reason is None
    assert app.seen[0] == {"type": "websocket.connect"}


async def test_without_a_subprotocol_there_is_none():
    async with client_of(ScriptedApp(ACCEPT)) as client, client.websocket_connect("/") as ws:
        assert ws.subprotocol is None
        assert "sec-websocket-protocol" not in ws.headers


async def test_a_close_before_the_acceptance_is_a_403():
    app = ScriptedApp({"type": "websocket.close", "code": 4000, "reason": "secret"})
    async with client_of(app) as client:
        with pytest.raises(WebSocketDenied, match="denied the handshake: 403 Forbidden") as caught:
            async with client.websocket_connect("/"):
                raise AssertionError("this block may not be entered")
    assert caught.value.response.status_code == 403
    assert caught.value.response.content == b""
    assert isinstance(caught.value, httpx2.HTTPStatusError)
    assert caught.value.request.url.path == "/"
    assert app.seen == [
        {"type": "websocket.connect"},
        {"type": "websocket.disconnect", "code": 1006},
    ]


async def test_a_denial_response_is_given_whole():
    app = ScriptedApp(START, {**BODY, "body": b"no ", "more_body": True}, {**BODY, "body": b"way"})
    async with client_of(app) as client:
        with pytest.raises(WebSocketDenied) as caught:
            await client.websocket_connect("/").__aenter__()
    response = caught.value.response
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.text == "no way"
    assert app.seen[-1] == {"type": "websocket.disconnect", "code": 1006}


async def test_a_denial_without_a_body():
    async with client_of(ScriptedApp(START, BODY)) as client:
        with pytest.raises(WebSocketDenied) as caught:
            await client.websocket_connect("/").__aenter__()
    assert caught.value.response.content == b""


async def test_the_cookies_of_a_denial_are_kept():
    start = {**START, "headers": [(b"set-cookie", b"seen=1")]}
    async with client_of(ScriptedApp(start, BODY)) as client:
        with pytest.raises(WebSocketDenied):
            await client.websocket_connect("/").__aenter__()
        assert client.cookies["seen"] == "1"


async def test_a_denial_that_is_not_offered_is_an_error():
    async with client_of(ScriptedApp(START)) as client:
        with pytest.raises(MessageError, match="an extension that scope"):
            await client.websocket_connect("/", denial_response=False).__aenter__()


async def test_an_error_before_the_answer_is_raised():
    error = KeyError("broken")
    async with client_of(ScriptedApp(error=error)) as client:
        with pytest.raises(KeyError) as caught:
            await client.websocket_connect("/").__aenter__()
    assert caught.value is error


@pytest.mark.parametrize("app", [ScriptedApp(error=KeyError()), ScriptedApp(receives=False)])
async def test_a_handshake_that_was_not_answered_is_a_500_when_not_raised(app):
    async with client_of(app, raise_server_exceptions=False) as client:
        with pytest.raises(WebSocketDenied) as caught:
            await client.websocket_connect("/").__aenter__()
    assert caught.value.response.status_code == 500
    assert caught.value.response.text == "Internal Server Error"


async def test_an_app_that_ends_without_an_answer_is_an_error():
    async with client_of(ScriptedApp(receives=False)) as client:
        with pytest.raises(IncompleteResponseError, match="ended after no answer to the handshake"):
            await client.websocket_connect("/").__aenter__()


async def test_an_app_that_ends_within_a_denial_is_an_error():
    app = ScriptedApp(START, {**BODY, "body": b"half", "more_body": True}, receives=False)
    async with client_of(app) as client:
        with pytest.raises(IncompleteResponseError, match="after 4 bytes of an incomplete denial"):
            await client.websocket_connect("/").__aenter__()
    async with client_of(app, raise_server_exceptions=False) as client:
        with pytest.raises(httpx2.RemoteProtocolError, match="4 bytes of an incomplete denial"):
            await client.websocket_connect("/").__aenter__()


async def test_an_error_after_a_denial_is_raised_in_place_of_it():
    app = ScriptedApp(START, BODY, error=ValueError("late"))
    async with client_of(app) as client:
        with pytest.raises(ValueError, match="late") as caught:
            await client.websocket_connect("/").__aenter__()
    assert isinstance(caught.value.__context__, WebSocketDenied)


async def test_an_app_that_goes_on_after_a_denial_is_cancelled():
    async def app(scope, receive, send):
        await send(START)
        await send(BODY)
        await anyio.sleep_forever()

    async with client_of(app, close_timeout=0.02) as client:
        with pytest.raises(CloseTimeoutError, match=r"End it on websocket\.disconnect"):
            await client.websocket_connect("/").__aenter__()


async def test_a_handshake_that_is_not_answered_in_time_fails_and_says_what_the_app_does():
    app = ScriptedApp()
    async with client_of(app) as client:
        with pytest.raises(
            TimeoutError,
            match=r"/slow: the handshake was not answered in 0\.02 seconds: "
            "the app is still running and waits in receive",
        ):
            await client.websocket_connect("/slow", timeout=0.02).__aenter__()
    assert app.seen[-1] == {"type": "websocket.disconnect", "code": 1006}


async def test_an_endless_denial_runs_into_the_timeout():
    async def app(scope, receive, send):
        await send(START)
        while True:
            await send({**BODY, "body": b"x", "more_body": True})

    async with client_of(app) as client:
        with pytest.raises(TimeoutError, match="the handshake was not answered"):
            await client.websocket_connect("/", timeout=0.02).__aenter__()


async def test_no_timeout_for_the_handshake():
    go_on = anyio.Event()

    async def app(scope, receive, send):
        await go_on.wait()
        await send(ACCEPT)

    async with client_of(app) as client, anyio.create_task_group() as tasks:

        async def enter():
            async with client.websocket_connect("/", timeout=None):
                pass

        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        go_on.set()


async def test_a_cancelled_handshake_ends_the_app():
    app = ScriptedApp()
    async with client_of(app) as client:
        with anyio.move_on_after(0.02):
            await client.websocket_connect("/").__aenter__()
        assert app.seen[-1] == {"type": "websocket.disconnect", "code": 1006}


async def test_a_client_that_is_closed_ends_a_handshake():
    app = ScriptedApp()
    client = client_of(app)
    async with client, anyio.create_task_group() as tasks:

        async def enter():
            with pytest.raises(httpx2.ReadError, match="the client has disconnected"):
                await client.websocket_connect("/").__aenter__()

        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()
    with pytest.raises(RuntimeError, match="client"):
        await client.websocket_connect("/").__aenter__()


async def test_a_client_that_is_closed_closes_its_connections():
    app = ScriptedApp(ACCEPT)
    client = client_of(app)
    async with client.websocket_connect("/") as ws:
        await client.aclose()
        assert ws.is_done
    assert app.seen[-1] == {"type": "websocket.disconnect", "code": 1000, "reason": ""}


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"type": "websocket.send", "text": "x"}, "sent websocket.send when the handshake was not"),
        ({"type": "websocket.unknown"}, "unknown type 'websocket.unknown'"),
        ({"type": "websocket.accept", "headers": [("a", "b")]}, "must be bytes"),
        ({"type": "websocket.accept", "subprotocol": "c"}, "accepted the subprotocol 'c'"),
    ],
)
async def test_a_message_that_breaks_the_protocol_is_raised(message, complaint):
    async with client_of(ScriptedApp(message)) as client:
        with pytest.raises(MessageError, match=complaint) as caught:
            await client.websocket_connect("/").__aenter__()
    assert isinstance(caught.value, AppError)
    assert isinstance(caught.value, AssertionError)


async def test_nothing_of_a_connection_stays_with_the_client():
    class Marker:
        pass

    markers = []

    async def app(scope, receive, send):
        scope["marker"] = marker = Marker()
        markers.append(weakref.ref(marker))
        await receive()
        if scope["path"] == "/denied":
            await send({"type": "websocket.close"})
            return
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "unread"})
        await receive()

    async def use(client, path):
        with contextlib.suppress(WebSocketDenied):
            async with client.websocket_connect(path) as ws:
                assert ws.scope["marker"] is not None

    async with client_of(app) as client:
        for path in ("/open", "/denied") * 50:
            await use(client, path)
        gc.collect()
        assert len(markers) == 100
        assert [each for each in markers if each() is not None] == []
