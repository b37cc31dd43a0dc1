"""A FastAPI app with parts of asgi_rt in it, for a real server.

`app` has joined what it mounts, `unjoined` has not. What happens is printed; a line begins with
the `key` of the request, where it has one.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import Depends, FastAPI
from fastapi import WebSocket as FastAPIWebSocket

from asgi_rt import App, BackgroundTask, HTTPError, Hub, WebSocket, WebSocketClosed, attach
from asgi_rt.embed import (
    EventSourceResponse,
    FileResponse,
    StreamingResponse,
    hub_dependency,
    join_lifespans,
    sse_feed,
    wrap,
)

GRACE = 2
WORK_SECONDS = 0.5

logging.basicConfig(format="%(levelname)s: %(name)s: %(message)s", level=logging.INFO)


def note(text: str) -> None:
    # In one write, as the log goes into the same pipe.
    os.write(1, f"{text}\n".encode())


def make_realtime() -> App:
    realtime = App(grace=GRACE)

    @realtime.add_lifespan
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        note("realtime starts")
        yield {"table": "of realtime"}
        await anyio.sleep(0.01)
        note("realtime stops")

    @realtime.get("/table")
    async def table(request: Any) -> str:
        return str(request.state["table"])

    @realtime.get("/where")
    async def where(request: Any) -> list[str]:
        return [request.scope["root_path"], request.url, request.url_for("where")]

    @realtime.websocket("/echo")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return realtime


async def open_database(app: FastAPI) -> AsyncIterator[None]:
    note("database opens")
    yield
    note("database closes")


realtime, unjoined_realtime = make_realtime(), make_realtime()
app = FastAPI(lifespan=join_lifespans(open_database, Hub(), realtime, grace=GRACE))
app.mount("/live", realtime)
unjoined = FastAPI()
unjoined.mount("/live", unjoined_realtime)


async def ticks(key: str) -> AsyncIterator[str]:
    try:
        while True:
            yield "tick"
            await anyio.sleep(0.01)
    finally:
        note(f"{key} closed")


@app.get("/events")
async def events(key: str) -> Any:
    return EventSourceResponse(ticks(key))


@app.get("/generated", response_class=EventSourceResponse)
async def generated(key: str) -> AsyncIterator[str]:
    async for tick in ticks(key):
        yield tick


@app.get("/silent")
async def silent(key: str) -> Any:
    async def source() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await anyio.sleep_forever()
        finally:
            note(f"{key} closed")

    return StreamingResponse(source())


@app.get("/flood")
async def flood(key: str) -> Any:
    async def source() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            note(f"{key} closed")

    return StreamingResponse(source(), send_timeout=0.5)


@app.api_route("/file", methods=["GET", "HEAD"])
async def file() -> Any:
    return FileResponse(Path(__file__))


@app.get("/work")
async def work(key: str) -> Any:
    async def long() -> None:
        note(f"{key} works")
        await anyio.sleep(WORK_SECONDS)
        note(f"{key} has worked")

    return StreamingResponse([b"x"], background=BackgroundTask(long))


TheHub = Annotated[Hub, Depends(hub_dependency)]


@app.get("/rooms/{room}")
async def listen(room: str, hub: TheHub) -> Any:
    return sse_feed(hub, f"rooms.{room}")


@app.post("/rooms/{room}")
async def say(room: str, text: str, hub: TheHub) -> None:
    await hub.publish(f"rooms.{room}", text)


@app.websocket("/rooms/{room}")
async def talk(websocket: FastAPIWebSocket, room: str, hub: TheHub) -> None:
    async with wrap(websocket) as ws:
        await ws.accept()
        async with attach(ws, hub, f"rooms.{room}"):
            async for text in ws.iter_text():
                await hub.publish(f"rooms.{room}", text)


@contextmanager
def noting_the_end(ws: WebSocket) -> Any:
    key = ws.query["key"]
    note(f"{key} begins")
    try:
        yield
    except WebSocketClosed as closed:
        note(f"{key} closed {closed.code} {closed.by}")
        raise
    finally:
        note(f"{key} left")


@app.websocket("/reading")
async def reading(websocket: FastAPIWebSocket) -> None:
    async with wrap(websocket) as ws:
        await ws.accept()
        with noting_the_end(ws):
            await ws.receive()
            raise HTTPError(404, "no more")


@app.websocket("/sending")
async def sending(websocket: FastAPIWebSocket) -> None:
    async with wrap(websocket) as ws:
        await ws.accept()
        with noting_the_end(ws):
            while True:
                await ws.send_text("tick")
                await anyio.sleep(0.01)


@app.websocket("/waiting")
async def waiting(websocket: FastAPIWebSocket) -> None:
    await websocket.accept()
    async with wrap(websocket) as ws:
        with noting_the_end(ws):
            await ws.wait_closed()
            await ws.receive()


@app.websocket("/refused")
async def refused(websocket: FastAPIWebSocket) -> None:
    async with wrap(websocket) as ws:
        raise HTTPError(402, f"pay first, {ws.query['key']}")


@app.websocket("/origins")
async def origins(websocket: FastAPIWebSocket) -> None:
    async with wrap(websocket, origins=["http://elsewhere.example"]) as ws:
        await ws.accept()
