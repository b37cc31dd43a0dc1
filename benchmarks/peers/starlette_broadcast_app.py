"""Starlette: a queue for every stream, and a loop over the WebSockets."""

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from benchmarks.harness.broadcast import EVENTS, SOCKETS, Publisher

queues: set[asyncio.Queue[bytes]] = set()
sockets: set[WebSocket] = set()


async def events(request: Request) -> StreamingResponse:
    return StreamingResponse(queued(), media_type="text/event-stream")


async def queued() -> AsyncIterator[bytes]:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


async def websocket(websocket: WebSocket) -> None:
    await websocket.accept()
    sockets.add(websocket)
    try:
        async for _ in websocket.iter_text():
            pass
    finally:
        sockets.discard(websocket)


async def publish(text: str) -> None:
    event = b"data: " + text.encode() + b"\n\n"
    for queue in queues:
        queue.put_nowait(event)
    for socket in list(sockets):
        await socket.send_text(text)


async def start(request: Request) -> PlainTextResponse:
    publisher.start(request.query_params)
    return PlainTextResponse("publishing")


async def subscribers(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(queues) + len(sockets)))


publisher = Publisher(publish)
app = Starlette(
    routes=[
        Route(EVENTS, events),
        WebSocketRoute(SOCKETS, websocket),
        Route("/publish", start),
        Route("/subscribers", subscribers),
    ],
)
