"""One app three times: with this framework, with Starlette and with FastAPI.

What their handlers see goes to `note`.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from asgi_rt import App, Event, HTTPError, WebSocket, WebSocketClosed

Note = Callable[[str], None]

VALUES = {"values": list(range(1000))}
CHUNK = b"x" * 600 + b"\n"


def crash() -> None:
    raise RuntimeError("a deliberate crash")


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield CHUNK


async def endless(note: Note) -> AsyncIterator[bytes]:
    try:
        yield CHUNK
        await anyio.sleep_forever()
    finally:
        note("stream closed")


async def broken() -> AsyncIterator[bytes]:
    yield CHUNK
    crash()


def rt_app(note: Note) -> App:
    app = App()

    @app.get("/json")
    async def json(request: Any) -> Any:
        return VALUES

    @app.get("/chunks/{count:int}")
    async def some(request: Any) -> AsyncIterator[bytes]:
        async for chunk in chunks(request.path_params["count"]):
            yield chunk

    @app.get("/endless")
    async def waiting(request: Any) -> AsyncIterator[bytes]:
        try:
            yield CHUNK
            await anyio.sleep_forever()
        finally:
            note("stream closed")

    @app.get("/flood")
    async def flooding(request: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield CHUNK
        finally:
            note("flood closed")

    @app.get("/broken")
    async def breaking(request: Any) -> AsyncIterator[bytes]:
        yield CHUNK
        crash()

    @app.sse("/events")
    async def events(request: Any) -> AsyncIterator[Event]:
        try:
            for number in (1, 2):
                yield Event(str(number), id=str(number))
            await anyio.sleep_forever()
        finally:
            note("events closed")

    @app.get("/crash")
    async def crashing(request: Any) -> None:
        crash()

    @app.get("/refused")
    async def refused(request: Any) -> None:
        raise HTTPError(403)

    @app.websocket("/echo")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                await ws.send_text(await ws.receive_text())
        except WebSocketClosed as closed:
            note(f"websocket closed {closed.code}")

    @app.websocket("/close/{code:int}")
    async def close(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(ws.path_params["code"], "bye")

    @app.websocket("/refused")
    async def refuse(ws: WebSocket) -> None:
        await ws.deny(403)

    @app.websocket("/crash")
    async def crash_open(ws: WebSocket) -> None:
        await ws.accept()
        crash()

    return app


class Handlers:
    """What the other two frameworks have in common."""

    def __init__(self, note: Note) -> None:
        self.note = note

    def json(self) -> Response:
        return JSONResponse(VALUES)

    def some(self, count: int) -> Response:
        return StreamingResponse(chunks(count), media_type="text/plain")

    def waiting(self) -> Response:
        return StreamingResponse(endless(self.note), media_type="text/plain")

    def breaking(self) -> Response:
        return StreamingResponse(broken(), media_type="text/plain")

    def events(self) -> Response:
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[str]:
        try:
            for number in (1, 2):
                yield f"id: {number}\ndata: {number}\n\n"
            await anyio.sleep_forever()
        finally:
            self.note("events closed")

    def crashing(self) -> Response:
        crash()
        raise AssertionError

    def refused(self) -> Response:
        raise HTTPException(403)

    async def echo(self, ws: Any) -> None:
        await ws.accept()
        try:
            while True:
                await ws.send_text(await ws.receive_text())
        except WebSocketDisconnect as disconnect:
            self.note(f"websocket closed {disconnect.code}")

    async def close(self, ws: Any) -> None:
        await ws.accept()
        await ws.close(int(ws.path_params["code"]), "bye")

    async def refuse(self, ws: Any) -> None:
        raise HTTPException(403)

    async def crash_open(self, ws: Any) -> None:
        await ws.accept()
        crash()


PAGES = {
    "/json": "json",
    "/endless": "waiting",
    "/broken": "breaking",
    "/events": "events",
    "/crash": "crashing",
    "/refused": "refused",
}
SOCKETS = {
    "/echo": "echo",
    "/close/{code}": "close",
    "/refused": "refuse",
    "/crash": "crash_open",
}


def starlette_app(note: Note) -> Starlette:
    handlers = Handlers(note)

    def page(name: str) -> Any:
        async def serve(request: Any) -> Response:
            response: Response = getattr(handlers, name)()
            return response

        return serve

    async def some(request: Any) -> Response:
        return handlers.some(request.path_params["count"])

    return Starlette(
        routes=[
            *(Route(path, page(name)) for path, name in PAGES.items()),
            Route("/chunks/{count:int}", some),
            *(WebSocketRoute(path, getattr(handlers, name)) for path, name in SOCKETS.items()),
        ]
    )


def fastapi_app(note: Note) -> FastAPI:
    app = FastAPI()
    handlers = Handlers(note)

    def page(name: str) -> Any:
        async def serve() -> Response:
            response: Response = getattr(handlers, name)()
            return response

        return serve

    def socket(name: str) -> Any:
        async def serve(ws: FastAPIWebSocket) -> None:
            await getattr(handlers, name)(ws)

        return serve

    @app.get("/chunks/{count}", response_model=None)
    async def some(count: int) -> Response:
        return handlers.some(count)

    for path, name in PAGES.items():
        app.get(path, response_model=None)(page(name))
    for path, name in SOCKETS.items():
        app.websocket(path)(socket(name))
    return app
