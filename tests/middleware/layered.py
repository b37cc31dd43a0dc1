"""Apps for layers to go around: raw ones that say each message, and one in each framework."""

from collections.abc import Callable
from typing import Any

import anyio
from fakes import FakeServer
from fastapi import FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.responses import StreamingResponse as StarletteStream
from starlette.routing import Route, WebSocketRoute

from asgi_rt import App, StreamingResponse
from asgi_rt.asgi import ASGIApp, Message
from asgi_rt.middleware import Middleware

HEAD: Message = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1")]}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sends(*messages: Message, then: BaseException | None = None) -> ASGIApp:
    """An app that sends these messages, and then returns or raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if then is not None:
            raise then

    return app


responds = sends(HEAD, body(b"hello"))


async def serve(app: ASGIApp, server: FakeServer | None = None, **scope: Any) -> FakeServer:
    """The server after one exchange with the app."""
    server = server or FakeServer(**scope)
    await app(server.scope, server.receive, server.send)
    return server


def told(outcomes: list[Any]) -> type[Middleware]:
    """A layer that puts the outcomes that it is told into a list."""

    class Told(Middleware):
        def done(self, connection: Any, outcome: Any) -> None:
            outcomes.append(outcome)

    return Told


async def chunks() -> Any:
    yield b"one"
    yield b"two"


async def ticks() -> Any:
    while True:
        yield b"tick"
        await anyio.sleep(0.01)


def in_asgi_rt() -> App:
    app = App()

    @app.get("/")
    async def hello(request: Any) -> str:
        return f"hello {request.state.get('who', '')}"

    @app.get("/stream")
    async def stream(request: Any) -> Any:
        yield b"one"
        yield b"two"

    @app.get("/endless")
    async def endless(request: Any) -> StreamingResponse:
        return StreamingResponse(ticks())

    @app.get("/crash")
    async def crash(request: Any) -> None:
        raise LookupError("crashed")

    @app.websocket("/echo")
    async def echo(ws: Any) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return app


async def _hello(request: Any) -> PlainTextResponse:
    return PlainTextResponse(f"hello {getattr(request.state, 'who', '')}")


async def _stream(request: Any) -> StarletteStream:
    return StarletteStream(chunks())


async def _endless(request: Any) -> StarletteStream:
    return StarletteStream(ticks())


async def _crash(request: Any) -> None:
    raise LookupError("crashed")


async def _echo(websocket: Any) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


def in_starlette() -> Starlette:
    return Starlette(
        routes=[
            Route("/", _hello),
            Route("/stream", _stream),
            Route("/endless", _endless),
            Route("/crash", _crash),
            WebSocketRoute("/echo", _echo),
        ]
    )


def in_fastapi() -> FastAPI:
    app = FastAPI()
    app.add_route("/", _hello)
    app.add_route("/stream", _stream)
    app.add_route("/endless", _endless)
    app.add_route("/crash", _crash)

    @app.websocket("/echo")
    async def echo(websocket: FastAPIWebSocket) -> None:
        await _echo(websocket)

    return app


MAKERS: dict[str, Callable[[], Any]] = {
    "asgi_rt": in_asgi_rt,
    "starlette": in_starlette,
    "fastapi": in_fastapi,
}
