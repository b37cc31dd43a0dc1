"""Checked by pyright and mypy, never run: the public API as a typed program sees it."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, assert_type

from asgiref.typing import ASGI3Application
from asgiref.typing import Scope as ASGIRefScope

from asgi_rt import (
    App,
    Event,
    EventStream,
    HTTPError,
    NDJSONResponse,
    Request,
    Response,
    StreamingResponse,
    WebSocket,
    WebSocketClosed,
)
from asgi_rt.asgi import ASGIApp
from asgi_rt.sse import Decoder, EventLog, encode
from asgi_rt.sse.client import EventSource
from asgi_rt.testing import AsyncTestClient, TestClient
from asgi_rt.websocket import Dispatcher


@asynccontextmanager
async def lifespan(app: App) -> AsyncGenerator[Mapping[str, Any], None]:
    yield {"database": object()}


app = App(lifespan=lifespan)
as_asgi: ASGIApp = app


@app.get("/items/{item_id:int}")
async def item(request: Request) -> dict[str, int]:
    assert_type(request.query.get_all("q"), list[str])
    assert_type(await request.body(), bytes)
    if await request.is_disconnected():
        raise HTTPError(400, "gone")
    return {"id": request.path_params["item_id"]}


@app.get("/rows")
async def rows(request: Request) -> AsyncIterator[str]:
    assert_type(request.path, str)
    yield "row"


@app.post("/stream")
def stream(request: Request) -> Response:
    if request.content_type == "text/csv":
        return StreamingResponse(["a", b"b"], head_wait=None, send_timeout=5.0)
    return NDJSONResponse({"n": n} for n in range(3))


def mount_what_asgiref_types(other: ASGI3Application, scope: ASGIRefScope) -> None:
    app.mount("/other", other)


@app.error_handler(LookupError)
def on_lookup(request: Request, error: LookupError) -> Response:
    return Response(status_code=404)


log = EventLog(max_count=100)


@app.sse("/prices", ping=5.0, methods=["GET", "POST"])
async def prices(request: Request) -> AsyncIterator[Event | str | dict[str, float]]:
    assert_type(request.last_event_id, str | None)
    yield Event({"price": 1.5}, event="price", id="1", retry=1000)
    yield "text"
    yield {"price": 2.5}


@app.sse("/log")
async def followed(request: Request) -> Response:
    assert_type(log.append({"price": 1.5}), str)
    response: ASGIApp = EventStream(log.follow(request.last_event_id), error_events=True)
    assert_type(encode(Event("x")), bytes)
    assert_type(Decoder().feed(b""), list[Event])
    return EventStream([response])


async def listen() -> None:
    async with EventSource("http://localhost/log", last_event_id="a-1") as events:
        async for event in events:
            assert_type(event, Event)


chat = Dispatcher()


@dataclass
class Join:
    room: str


@chat.on("join", Join)
async def join(ws: WebSocket, message: Join) -> dict[str, str]:
    return {"type": "joined", "room": message.room}


@app.websocket("/echo", origins=["same", "https://*.example.com"], idle_timeout=60, unread="close")
async def echo(ws: WebSocket) -> None:
    await ws.accept(headers={"x-room": "1"})
    assert_type(await ws.receive(), str | bytes)
    assert_type(await ws.receive_text(), str)
    assert_type(await ws.receive_bytes(), bytes)
    async for text in ws.iter_text():
        assert_type(text, str)
        await ws.send_text(text)
    async for message in ws:
        assert_type(message, str | bytes)
    assert_type(ws.subprotocol, str | None)
    assert_type(ws.closed, WebSocketClosed | None)
    async with ws.session() as session:
        session.start(ws.send_json, {"type": "hello"})
    closed = await ws.wait_closed()
    assert_type(closed.code, int)
    await chat.serve(ws)


@app.websocket("/members")
async def members(ws: WebSocket) -> None:
    if "token" not in ws.cookies:
        await ws.deny(401, headers={"www-authenticate": "Bearer"})
    await ws.accept()
    await ws.close(4000, "bye")


async def test_echo() -> None:
    async with (
        AsyncTestClient(app) as client,
        client.websocket_connect("/echo", subprotocols=["chat"]) as ws,
    ):
        await ws.send_text("hello")
        assert_type(await ws.receive(timeout=5), str | bytes)
        assert_type(ws.close_code, int | None)


def test_echo_without_a_loop() -> None:
    with TestClient(app) as client, client.websocket_connect("/echo") as ws:
        ws.send_text("hello")
        assert_type(ws.receive_text(), str)
