"""WebSockets by Starlette's names: arguments, raw messages, states, and how they end."""

from collections.abc import Callable
from typing import Any

import pytest

from asgi_rt.errors import LifecycleError
from asgi_rt.fastapi import FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from asgi_rt.fastapi.responses import JSONResponse
from asgi_rt.fastapi.testclient import TestClient, WebSocketDenialResponse
from asgi_rt.fastapi.websockets import WebSocketState


@pytest.fixture(params=["asyncio", "trio"])
def connect(request: pytest.FixtureRequest) -> Any:
    """Opens a connection to a handler."""
    clients: list[TestClient] = []

    def open_to(handler: Callable[[WebSocket], Any], **options: Any) -> Any:
        app = FastAPI()
        app.websocket("/ws")(handler)
        clients.append(TestClient(app, backend=request.param))
        return clients[-1].websocket_connect("/ws", **options)

    yield open_to
    for client in clients:
        client.close()


def test_messages_are_raw_by_receive_and_send(connect):
    seen: list[Any] = []

    async def handler(websocket: WebSocket) -> None:
        seen.append(await websocket.receive())
        await websocket.send({"type": "websocket.accept"})
        seen.append(await websocket.receive())
        seen.append(await websocket.receive())
        await websocket.send({"type": "websocket.send", "text": "t"})
        await websocket.send({"type": "websocket.send", "text": None, "bytes": b"b"})
        await websocket.send({"type": "websocket.close", "code": 4000, "reason": "over"})
        seen.append(await websocket.receive())
        with pytest.raises(RuntimeError):
            await websocket.receive()

    with connect(handler) as session:
        session.send({"type": "websocket.receive", "text": ""})
        session.send_bytes(b"b")
        assert session.receive() == {"type": "websocket.send", "text": "t"}
        assert session.receive() == {"type": "websocket.send", "bytes": b"b"}
        assert session.receive() == {"type": "websocket.close", "code": 4000, "reason": "over"}
    assert seen == [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b"b"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "over"},
    ]


def test_what_cannot_be_sent_by_hand_is_refused(connect):
    async def handler(websocket: WebSocket) -> None:
        with pytest.raises(LifecycleError, match="send_denial_response"):
            await websocket.send({"type": "websocket.http.response.start", "status": 200})
        await websocket.accept()

    with connect(handler) as session:
        assert session.receive()["code"] == 1000


def test_states_follow_the_connection(connect):
    states: list[tuple[WebSocketState, WebSocketState]] = []

    async def handler(websocket: WebSocket) -> None:
        def note() -> None:
            states.append((websocket.client_state, websocket.application_state))

        note()
        await websocket.accept()
        note()
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive_text()
        note()
        await websocket.close()

    with connect(handler) as session:
        session.close(3001, "enough")
    assert states == [
        (WebSocketState.CONNECTING, WebSocketState.CONNECTING),
        (WebSocketState.CONNECTED, WebSocketState.CONNECTED),
        (WebSocketState.DISCONNECTED, WebSocketState.DISCONNECTED),
    ]


def test_end_is_a_disconnect_with_code_and_reason(connect):
    ends: list[Any] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as error:
            ends.append((error.code, error.reason))

    with connect(handler) as session:
        session.close(3001, "enough")
    assert ends == [(3001, "enough")]


def test_json_goes_both_ways_in_both_kinds_of_message(connect):
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(await websocket.receive_json(), mode="binary")
        await websocket.send_json(await websocket.receive_json(mode="binary"))
        with pytest.raises(RuntimeError, match="mode"):
            await websocket.receive_json(mode="other")
        with pytest.raises(RuntimeError, match="mode"):
            await websocket.send_json(1, mode="other")

    with connect(handler) as session:
        session.send_json({"é": [1, None]})
        assert session.receive_json(mode="binary") == {"é": [1, None]}
        session.send_json([2], mode="binary")
        assert session.receive_json() == [2]


def test_message_that_is_no_json_leaves_the_connection_open(connect):
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(ValueError, match="Expecting property name"):
            await websocket.receive_json()
        await websocket.send_text("still here")

    with connect(handler) as session:
        session.send_text("{bad")
        assert session.receive_text() == "still here"


def test_messages_are_iterated_until_the_end(connect):
    seen: list[Any] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        seen.extend([value async for value in websocket.iter_json()])

    with connect(handler) as session:
        session.send_json(1)
        session.send_json({"a": 2})
    assert seen == [1, {"a": 2}]


@pytest.mark.parametrize("headers", [[(b"x-a", b"1")], {"x-a": "1"}, [("X-A", "1")]])
def test_accept_takes_subprotocol_and_headers(connect, headers):
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept("two", headers)

    with connect(handler, subprotocols=["one", "two"]) as session:
        assert session.accepted_subprotocol == "two"
        assert dict(session.extra_headers)[b"x-a"] == b"1"


def test_head_has_starlettes_names(connect):
    async def handler(websocket: WebSocket) -> None:
        websocket.state.user = "u"
        await websocket.accept()
        await websocket.send_json(
            [
                str(websocket.url),
                websocket.state.user,
                websocket.cookies,
                websocket.headers.getlist("x-a"),
                websocket["type"],
            ]
        )

    with connect(handler, headers={"x-a": "1"}, cookies={"c": "d"}) as session:
        url = "ws://testserver/ws"
        assert session.receive_json() == [url, "u", {"c": "d"}, ["1"], "websocket"]


def test_receiving_before_accept_is_out_of_turn(connect):
    async def handler(websocket: WebSocket) -> None:
        with pytest.raises(RuntimeError, match="accept"):
            await websocket.receive_text()
        await websocket.accept()

    with connect(handler) as session:
        assert session.receive()["code"] == 1000


def test_close_before_accept_refuses_the_handshake(connect):
    async def handler(websocket: WebSocket) -> None:
        await websocket.close(1008, "not you")

    with pytest.raises(WebSocketDisconnect) as refused, connect(handler):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, "not you")


def test_denial_is_a_response(connect):
    async def handler(websocket: WebSocket) -> None:
        await websocket.send_denial_response(JSONResponse({"a": 1}, 404, {"x-a": "b"}))

    with pytest.raises(WebSocketDenialResponse) as denied, connect(handler):
        pass
    assert (denied.value.status_code, denied.value.json()) == (404, {"a": 1})
    assert denied.value.headers["x-a"] == "b"


def test_denial_without_a_server_that_can_is_an_error(connect):
    errors: list[Exception] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            await websocket.send_denial_response(JSONResponse({}))
        except RuntimeError as error:
            errors.append(error)
        await websocket.close()

    with pytest.raises(WebSocketDisconnect), connect(handler, denial_response=False):
        pass
    assert "cannot send a response" in str(errors[0])


@pytest.mark.parametrize(("status", "code"), [(401, 1008), (403, 1008), (503, 1013), (418, 1008)])
def test_an_http_exception_after_the_handshake_closes_with_the_code_for_its_status(
    connect, status, code
):
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        raise HTTPException(status, "not you")

    with connect(handler) as session, pytest.raises(WebSocketDisconnect) as closed:
        session.receive_text()
    assert (closed.value.code, closed.value.reason) == (code, "not you")
