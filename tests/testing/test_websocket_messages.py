"""Messages in both directions, and what the test is told when none comes."""

import anyio
import pytest

from asgi_rt.errors import WebSocketClosed
from asgi_rt.testing import (
    AppError,
    AsyncTestClient,
    ConnectionClosed,
    UnexpectedMessageError,
)

ACCEPT = {"type": "websocket.accept"}


def connect(app, **options):
    """A connection to one of these apps, none of which has a lifespan."""
    return AsyncTestClient(app, lifespan=False).websocket_connect("/chat", **options)


class EchoApp:
    """Sends back what it receives, and keeps it."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        await receive()
        await send(ACCEPT)
        while (message := await receive())["type"] == "websocket.receive":
            self.seen.append(message)
            await send({**message, "type": "websocket.send"})


class SendingApp:
    """Sends messages, then closes if told to, then waits for the end."""

    def __init__(self, *messages, close=None):
        self.messages = messages
        self.close = close

    async def __call__(self, scope, receive, send):
        await send(ACCEPT)
        for message in self.messages:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
        if self.close is not None:
            await send({"type": "websocket.close", **self.close})
        while (await receive())["type"] != "websocket.disconnect":
            pass


async def test_messages_of_every_kind_go_both_ways():
    app = EchoApp()
    async with connect(app) as ws:
        await ws.send_text("é")
        assert await ws.receive_text() == "é"
        await ws.send_bytes(b"\0")
        assert await ws.receive_bytes() == b"\0"
        await ws.send_json({"a": [1, None]})
        assert await ws.receive_json() == {"a": [1, None]}
        await ws.send_json([2], binary=True)
        assert await ws.receive_json() == [2]
        await ws.send("text")
        assert await ws.receive() == "text"
        await ws.send(b"bytes")
        assert await ws.receive() == b"bytes"
        assert ws.messages_sent == 6
    assert app.seen == [
        {"type": "websocket.receive", "text": "é"},
        {"type": "websocket.receive", "bytes": b"\0"},
        {"type": "websocket.receive", "text": '{"a":[1,null]}'},
        {"type": "websocket.receive", "bytes": b"[2]"},
        {"type": "websocket.receive", "text": "text"},
        {"type": "websocket.receive", "bytes": b"bytes"},
    ]


async def test_empty_messages_are_messages():
    async with connect(EchoApp()) as ws:
        await ws.send("")
        await ws.send(b"")
        assert await ws.receive() == ""
        assert await ws.receive() == b""


@pytest.mark.parametrize(
    ("message", "call", "complaint"),
    [
        ("text", "receive_bytes", r"a binary message was expected, and 'text' came"),
        (b"data", "receive_text", r"a text message was expected, and b'data' came"),
        ("{no", "receive_json", r"JSON was expected, and '\{no' came"),
        (b"\xff", "receive_json", r"JSON was expected, and b'\\xff' came"),
        ("x" * 300, "receive_bytes", r"and 'x{200}'\.\.\. came"),
    ],
)
async def test_a_message_of_another_kind_is_a_clear_error(message, call, complaint):
    async with connect(SendingApp(message)) as ws:
        with pytest.raises(UnexpectedMessageError, match=complaint) as caught:
            await getattr(ws, call)()
    assert str(caught.value).startswith("WEBSOCKET /chat: ")
    assert caught.value.message == message
    assert isinstance(caught.value, AssertionError)


async def test_iterating_ends_with_the_connection():
    async with connect(SendingApp("a", b"b", close={"code": 1011})) as ws:
        assert [message async for message in ws] == ["a", b"b"]
        assert ws.close_code == 1011
        assert [message async for message in ws] == []


async def test_what_was_sent_before_the_close_comes_first():
    async with connect(SendingApp("a", "b", close={"code": 4000, "reason": "done"})) as ws:
        assert (ws.close_code, ws.close_reason) == (4000, "done")
        assert await ws.receive() == "a"
        assert await ws.receive() == "b"
        for _ in range(2):
            with pytest.raises(ConnectionClosed) as caught:
                await ws.receive()
    closed = caught.value
    assert (closed.code, closed.reason, closed.by) == (4000, "done", "server")
    assert str(closed) == "WEBSOCKET /chat: the app closed it (4000): done"
    assert isinstance(closed, WebSocketClosed)
    assert isinstance(closed, AssertionError)


async def test_a_silent_app_is_told_of_while_it_waits_in_receive():
    async with connect(SendingApp("a")) as ws:
        await ws.receive()
        with pytest.raises(
            TimeoutError,
            match=r"^WEBSOCKET /chat: no message came in 0\.02 seconds: the app is still running "
            "and waits in receive, 1 messages sent$",
        ):
            await ws.receive(timeout=0.02)


async def test_a_silent_app_is_told_of_while_it_does_something_else():
    go_on = anyio.Event()

    async def app(scope, receive, send):
        await send(ACCEPT)
        await go_on.wait()

    async with connect(app) as ws:
        with pytest.raises(TimeoutError, match="but neither in receive nor waiting in send"):
            await ws.receive(timeout=0.02)
        go_on.set()


async def test_a_frozen_client_that_receives_is_told_so():
    async with connect(SendingApp("a")) as ws:
        ws.freeze()
        with pytest.raises(TimeoutError, match=r"the client is frozen, thaw\(\) it first"):
            await ws.receive(timeout=0.02)
        ws.thaw()
        assert await ws.receive() == "a"


@pytest.mark.parametrize("call", ["receive_text", "receive_bytes", "receive_json"])
async def test_every_way_to_receive_has_a_timeout(call):
    async with connect(SendingApp()) as ws:
        with pytest.raises(TimeoutError, match="no message came"):
            await getattr(ws, call)(timeout=0.02)


async def test_a_receive_that_timed_out_or_was_cancelled_loses_nothing():
    go_on = anyio.Event()

    async def app(scope, receive, send):
        await send(ACCEPT)
        await go_on.wait()
        await send({"type": "websocket.send", "text": "late"})
        await receive()

    async with connect(app) as ws:
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.01)
        with anyio.move_on_after(0.01):
            await ws.receive()
        go_on.set()
        assert await ws.receive(timeout=None) == "late"


async def test_what_the_app_has_received_can_be_waited_for():
    go_on = anyio.Event()
    app = EchoApp()

    async def slow(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await go_on.wait()
        await app(scope, receive, accepted(send))

    async with connect(slow) as ws:
        await ws.send("a")
        await ws.send("b")
        assert ws.messages_unreceived == 2
        with pytest.raises(TimeoutError, match="the app has not received everything"):
            await ws.wait_received(timeout=0.01)
        go_on.set()
        await ws.wait_received()
        assert ws.messages_unreceived == 0


def accepted(send):
    """A `send` that leaves out the acceptance, which was sent before."""

    async def send_more(message):
        if message["type"] != "websocket.accept":
            await send(message)

    return send_more


async def test_waiting_for_the_app_to_receive_says_when_it_ended_instead():
    go_on = anyio.Event()

    async def app(scope, receive, send):
        await send(ACCEPT)
        await receive()
        await go_on.wait()
        await receive()

    async with connect(app) as ws:
        await ws.send("a")
        await ws.send("b")
        go_on.set()
        with pytest.raises(AppError, match="the app ended with 1 messages not received"):
            await ws.wait_received()


async def test_text_that_is_no_unicode_is_refused():
    async with connect(EchoApp()) as ws:
        with pytest.raises(UnicodeEncodeError):
            await ws.send_text("\ud800")


async def test_a_message_too_late_for_the_app_is_dropped_until_the_client_knows():
    async with connect(SendingApp("a", close={"code": 4000})) as ws:
        await ws.send("too late")
        await ws.wait_done()
        await ws.send("even later")
        assert await ws.receive() == "a"
        with pytest.raises(ConnectionClosed):
            await ws.receive()
        for call in (ws.send_text("x"), ws.send_bytes(b"x"), ws.send_json(1), ws.send("x")):
            with pytest.raises(ConnectionClosed, match=r"the app closed it \(4000\)"):
                await call


async def test_what_is_known_of_a_connection_is_in_its_repr():
    async with connect(SendingApp("a")) as ws:
        await ws.receive()
        assert "WEBSOCKET /chat: the app is still running and waits in receive" in repr(ws)
    assert "the app has ended, 1 messages sent" in repr(ws)
