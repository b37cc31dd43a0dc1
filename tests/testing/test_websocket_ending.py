"""How a connection ends: by the client, the app, the network, the server, or an error."""

import asyncio

import anyio
import pytest

from asgi_rt.errors import WebSocketClosed
from asgi_rt.testing import (
    AppError,
    AsyncTestClient,
    ClientGoneError,
    CloseTimeoutError,
    ConnectionClosed,
    MessageError,
)

ACCEPT = {"type": "websocket.accept"}
HELLO = {"type": "websocket.send", "text": "hello"}
CLOSE = {"type": "websocket.close", "code": 4001, "reason": "enough"}


def connect(app, *, spec_version="2.4", **options):
    """A connection to one of these apps, none of which has a lifespan."""
    client = AsyncTestClient(app, lifespan=False, **options)
    return client.websocket_connect("/", spec_version=spec_version)


class ListeningApp:
    """Accepts, receives until the disconnect, then sends, and writes down what it saw."""

    def __init__(self):
        self.seen = []
        self.outcome = None

    async def __call__(self, scope, receive, send):
        await receive()
        await send(ACCEPT)
        await send(HELLO)
        while not self.seen or self.seen[-1]["type"] != "websocket.disconnect":
            self.seen.append(await receive())
        try:
            await send(HELLO)
            await send(CLOSE)
        except BaseException as error:
            self.outcome = error
            raise


async def test_a_close_frame_reaches_the_app_with_code_and_reason():
    app = ListeningApp()
    async with connect(app) as ws:
        await ws.send("first")
        await ws.close(4000, "bye")
        await ws.close(4001, "again")
        assert (ws.close_code, ws.close_reason) == (4000, "bye")
        assert await ws.receive() == "hello"
        with pytest.raises(ConnectionClosed, match=r"the client closed it \(4000\): bye") as caught:
            await ws.receive()
        assert caught.value.by == "client"
    assert app.seen == [
        {"type": "websocket.receive", "text": "first"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "bye"},
    ]


async def test_a_close_frame_without_a_code_is_a_1005_with_a_reason():
    app = ListeningApp()
    async with connect(app) as ws:
        await ws.close(None)
    assert app.seen == [{"type": "websocket.disconnect", "code": 1005, "reason": ""}]


async def test_before_spec_2_3_a_disconnect_has_no_reason():
    app = ListeningApp()
    async with connect(app, spec_version="2.2") as ws:
        await ws.close(4000, "bye")
    assert app.seen == [{"type": "websocket.disconnect", "code": 4000}]


@pytest.mark.parametrize(
    ("code", "reason", "complaint"),
    [(1006, "", "1006 is not a close code"), (1000, "é" * 62, "123 bytes at most")],
)
async def test_a_close_frame_that_cannot_be_sent_is_refused(code, reason, complaint):
    async with connect(ListeningApp()) as ws:
        with pytest.raises(ValueError, match=complaint):
            await ws.close(code, reason)
        assert not ws.is_closed


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("end", ["close", "disconnect", "server_close", "leave"])
async def test_sends_after_the_end_fail_as_the_spec_version_says(spec_version, end):
    app = ListeningApp()
    async with connect(app, spec_version=spec_version) as ws:
        if end == "close":
            await ws.close()
        elif end != "leave":
            getattr(ws, end)()
    if spec_version == "2.3":
        assert app.outcome is None
    else:
        assert isinstance(app.outcome, ClientGoneError)
        assert isinstance(app.outcome, OSError)


async def test_leaving_closes_with_1000_and_waits_for_the_app():
    app = ListeningApp()
    async with connect(app) as ws:
        pass
    assert ws.is_done
    assert ws.close_code == 1000
    assert app.seen == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


async def test_a_lost_connection_is_a_1005_without_a_reason_as_with_uvicorn():
    app = ListeningApp()
    async with connect(app) as ws:
        await ws.send("first")
        ws.disconnect()
        ws.disconnect()
        assert (ws.close_code, ws.close_reason) == (1006, "")
        with pytest.raises(ConnectionClosed, match=r"the connection was lost \(1006\)") as caught:
            await ws.receive()
        assert caught.value.by == "network"
        with pytest.raises(ConnectionClosed):
            await ws.send("second")
    assert app.seen == [
        {"type": "websocket.receive", "text": "first"},
        {"type": "websocket.disconnect", "code": 1005},
    ]


async def test_a_server_that_goes_down_is_a_1012_for_both():
    app = ListeningApp()
    async with connect(app) as ws:
        ws.server_close()
        assert await ws.receive() == "hello"
        with pytest.raises(ConnectionClosed, match=r"the server went down \(1012\)") as caught:
            await ws.receive()
        assert caught.value.by == "server"
    assert app.seen == [{"type": "websocket.disconnect", "code": 1012}]


async def test_a_server_may_go_down_with_another_code():
    async with connect(ListeningApp()) as ws:
        with pytest.raises(ValueError, match="not a close code"):
            ws.server_close(1006)
        ws.server_close(1001)
        assert (await ws.wait_closed()).code == 1001


class ClosingApp:
    """Accepts, closes, and writes down what it receives after that."""

    def __init__(self, *, then=None):
        self.seen = []
        self.then = then

    async def __call__(self, scope, receive, send):
        await receive()
        await send(ACCEPT)
        await send(HELLO)
        await send(CLOSE)
        self.seen.append(await receive())
        if self.then is not None:
            await send(self.then)


async def test_the_apps_own_close_comes_back_to_it_as_a_disconnect():
    app = ClosingApp()
    async with connect(app) as ws:
        closed = await ws.wait_closed()
        assert (closed.code, closed.reason, closed.by) == (4001, "enough", "server")
        assert await ws.receive() == "hello"
    assert app.seen == [{"type": "websocket.disconnect", "code": 4001, "reason": "enough"}]


async def test_after_the_apps_close_nothing_changes_its_end():
    app = ClosingApp()
    async with connect(app) as ws:
        await ws.wait_done()
        await ws.close(4000, "late")
        ws.disconnect()
        ws.server_close()
        assert (ws.close_code, ws.close_reason) == (4001, "enough")
        assert await ws.receive() == "hello"
    assert len(app.seen) == 1


@pytest.mark.parametrize("message", [HELLO, CLOSE, ACCEPT])
async def test_a_send_after_the_apps_own_close_is_an_error(message):
    complaint = f"sent {message['type']} when it had closed the connection"
    with pytest.raises(MessageError, match=complaint):
        async with connect(ClosingApp(then=message)):
            pass


async def test_one_disconnect_is_delivered_and_nothing_after_it():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        assert (await receive())["type"] == "websocket.disconnect"
        await receive()

    with pytest.raises(CloseTimeoutError, match=r"End it on websocket\.disconnect"):
        async with connect(app, close_timeout=0.02):
            pass


class EndingApp:
    """Accepts and sends, then returns or raises at once."""

    def __init__(self, error=None):
        self.error = error

    async def __call__(self, scope, receive, send):
        await send(ACCEPT)
        await send(HELLO)
        if self.error is not None:
            raise self.error


async def test_an_app_that_returns_without_closing_is_a_1006():
    async with connect(EndingApp()) as ws:
        assert await ws.receive() == "hello"
        with pytest.raises(ConnectionClosed) as caught:
            await ws.receive()
    assert (caught.value.code, caught.value.by) == (1006, "network")
    assert str(caught.value) == "WEBSOCKET /: the app ended without websocket.close (1006)"


@pytest.mark.parametrize("error", [KeyError("broken"), SystemExit(1)])
async def test_the_apps_error_is_raised_by_the_receive_that_meets_it_and_once(error):
    async with connect(EndingApp(error)) as ws:
        assert await ws.receive() == "hello"
        with pytest.raises(type(error)) as caught:
            await ws.receive()
        assert caught.value is error
        with pytest.raises(ConnectionClosed) as closed:
            await ws.receive()
        assert closed.value.code == 1006
        assert closed.value.__cause__ is error


@pytest.mark.parametrize("call", ["send", "wait_closed", "aiter"])
async def test_the_apps_error_is_raised_by_other_calls_too(call):
    error = KeyError("broken")

    async def make(ws):
        if call == "send":
            await ws.send("x")
        elif call == "wait_closed":
            await ws.wait_closed()
        else:
            assert [message async for message in ws] == ["hello"]

    async with connect(EndingApp(error)) as ws:
        await ws.wait_done()
        with pytest.raises(KeyError) as caught:
            await make(ws)
    assert caught.value is error


async def test_the_apps_error_is_raised_on_leaving_when_nobody_met_it():
    error = KeyError("broken")
    with pytest.raises(KeyError) as caught:
        async with connect(EndingApp(error)):
            pass
    assert caught.value is error


async def test_the_apps_error_is_a_1006_when_not_raised():
    error = KeyError("broken")
    async with connect(EndingApp(error), raise_server_exceptions=False) as ws:
        assert [message async for message in ws] == ["hello"]
        with pytest.raises(ConnectionClosed) as caught:
            await ws.receive()
        assert caught.value.code == 1006
        assert caught.value.__cause__ is error


class WebSocketDisconnect(Exception):
    """Stands for Starlette's."""


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(
    "error", [WebSocketDisconnect(1000), WebSocketClosed(1000, by="client"), None]
)
async def test_the_disconnect_itself_may_leave_the_app(error, grouped):
    async def end(send):
        if error is not None:
            raise error
        await send(HELLO)

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        if not grouped:
            await end(send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end, send)

    async with connect(app) as ws:
        pass
    assert ws.is_done


@pytest.mark.parametrize("error", [WebSocketDisconnect(1000), WebSocketClosed(1000, by="client")])
async def test_a_disconnect_out_of_an_open_connection_is_an_error(error):
    with pytest.raises(type(error)):
        async with connect(EndingApp(error)):
            pass


async def test_an_error_because_of_the_disconnect_is_raised_on_leaving():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        raise ValueError("could not clean up")

    with pytest.raises(ValueError, match="could not clean up"):
        async with connect(app):
            pass


async def test_an_app_that_does_not_end_is_cancelled():
    cleaned = []

    async def app(scope, receive, send):
        await send(ACCEPT)
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(True)

    with pytest.raises(
        CloseTimeoutError, match=r"WEBSOCKET /: the app was still running 0\.02 seconds after"
    ):
        async with connect(app, close_timeout=0.02):
            pass
    assert cleaned == [True]


async def test_the_close_timeout_of_a_connection_is_its_own():
    async def app(scope, receive, send):
        await send(ACCEPT)
        await anyio.sleep_forever()

    client = AsyncTestClient(app, lifespan=False)
    with pytest.raises(CloseTimeoutError):
        async with client.websocket_connect("/", close_timeout=0.02):
            pass


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_app_whose_task_was_cancelled_by_somebody_else_is_an_error():
    async def app(scope, receive, send):
        await send(ACCEPT)
        raise asyncio.CancelledError

    async with connect(app) as ws:
        with pytest.raises(AppError, match="was cancelled, and not by the client"):
            await ws.receive()


async def test_a_caller_that_is_cancelled_gets_no_error_of_the_apps():
    app = ListeningApp()

    async def failing(scope, receive, send):
        await app(scope, receive, send)
        raise ValueError("late")

    with anyio.CancelScope() as scope:
        async with connect(failing, spec_version="2.3"):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert app.seen == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


async def test_an_error_of_the_test_passes_and_the_app_is_told():
    app = ListeningApp()
    with pytest.raises(ZeroDivisionError):
        async with connect(app):
            raise ZeroDivisionError
    assert app.seen == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


@pytest.mark.parametrize("call", ["wait_closed", "wait_done", "wait_blocked"])
async def test_every_wait_has_a_timeout_that_says_what_the_app_does(call):
    async with connect(ListeningApp()) as ws:
        with pytest.raises(TimeoutError, match="the app is still running and waits in receive"):
            await getattr(ws, call)(timeout=0.02)
