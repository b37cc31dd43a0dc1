"""Apps behind many layers, for the tests that count what layers cost on a real server.

The query says which: `?layer=head&count=20`. What happens is printed, for the test to see.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from asgi_rt import App, HTTPError, Request, WebSocket
from asgi_rt.asgi import ASGIApp
from asgi_rt.embed.starlette import BaseHTTPMiddleware
from asgi_rt.middleware import Head, Middleware, Outcome, middleware
from asgi_rt.middleware.access_log import AccessLogMiddleware
from asgi_rt.middleware.body_limit import BodyLimitMiddleware
from asgi_rt.middleware.compression import CompressionMiddleware
from asgi_rt.middleware.concurrency_limit import ConcurrencyLimitMiddleware
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.cors import CORSMiddleware
from asgi_rt.middleware.dispatch import DispatchMiddleware
from asgi_rt.middleware.metrics import MetricsMiddleware
from asgi_rt.middleware.rate_limit import RateLimitMiddleware
from asgi_rt.middleware.request_id import RequestIDMiddleware
from asgi_rt.middleware.security_headers import SecurityHeadersMiddleware
from asgi_rt.middleware.timeout import TimeoutMiddleware
from asgi_rt.middleware.timing import TimingMiddleware
from asgi_rt.middleware.trusted_host import TrustedHostMiddleware

MANY = 1_000_000
CHUNK = bytes(range(256)) * 256
TICK_SECONDS = 0.02


def note(text: str) -> None:
    # In one write, as the log goes into the same pipe.
    os.write(1, f"{text}\n".encode())


# The layers


class HeadLayer(Middleware):
    def head(self, connection: Connection, head: Head) -> None:
        head.headers.append("x-layer", "1")


class DoneLayer(Middleware):
    def before(self, connection: Connection) -> None:
        connection.state["layers"] = connection.state.get("layers", 0) + 1

    def done(self, connection: Connection, outcome: Outcome) -> None:
        assert outcome.seconds > 0


class AsyncLayer(Middleware):
    async def before(self, connection: Connection) -> None:
        await asyncio.sleep(0)

    async def head(self, connection: Connection, head: Head) -> None:
        head.headers.append("x-layer", "1")

    async def done(self, connection: Connection, outcome: Outcome) -> None:
        await asyncio.sleep(0)


@middleware
def function_layer(connection: Connection) -> Any:
    head = yield
    head.headers.append("x-layer", "1")
    outcome = yield
    assert outcome.seconds > 0


class DispatchLayer(DispatchMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers.append("x-layer", "1")
        return response

    async def dispatch_websocket(self, websocket: Connection, call_next: Any) -> None:
        await call_next(websocket)


class StarletteLayer(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        await request.body()
        response = await call_next(request)
        response.headers.append("x-layer", "1")
        return response


def stack(app: ASGIApp) -> ASGIApp:
    """The standard layers, all of them."""
    app = CompressionMiddleware(app)
    app = TimeoutMiddleware(app)
    app = BodyLimitMiddleware(app, max_bytes=MANY)
    app = ConcurrencyLimitMiddleware(app, max_concurrent=MANY, websockets=True)
    app = RateLimitMiddleware(app, rate=MANY)
    app = CORSMiddleware(app, allow_origins=["https://example.com"])
    app = SecurityHeadersMiddleware(app)
    app = TrustedHostMiddleware(app)
    app = TimingMiddleware(app)
    app = MetricsMiddleware(app)
    app = AccessLogMiddleware(app)
    return RequestIDMiddleware(app)


class Opaque:
    """What somebody else's middleware may be: it wraps `receive`, and nobody knows how."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def receive_through() -> Any:
            return await receive()

        await self.app(scope, receive_through, send)


LAYERS: dict[str, Any] = {
    "head": HeadLayer,
    "before-done": DoneLayer,
    "async": AsyncLayer,
    "function": function_layer,
    "dispatch": DispatchLayer,
    "starlette": StarletteLayer,
    "stack": stack,
    "opaque": Opaque,
}


# The app


def tasks() -> int:
    return len(asyncio.all_tasks())


@contextmanager
def noting_the_end(what: str) -> Iterator[None]:
    try:
        yield
    finally:
        note(f"{what} closed at {time.monotonic()}")


async def count_tasks(request: Request) -> dict[str, int]:
    await asyncio.sleep(TICK_SECONDS)
    return {"tasks": tasks()}


async def wait(request: Request) -> None:
    with noting_the_end("plain"):
        note("plain waits")
        await request.disconnected()


async def stream(request: Request) -> AsyncIterator[str]:
    with noting_the_end("stream"):
        while True:
            yield f"{tasks()}\n"
            await asyncio.sleep(TICK_SECONDS)


async def events(request: Request) -> AsyncIterator[str]:
    with noting_the_end("events"):
        while True:
            yield str(tasks())
            await asyncio.sleep(TICK_SECONDS)


async def send_only(ws: WebSocket) -> None:
    with noting_the_end("sender"):
        await ws.accept()
        while True:
            await ws.send_text(str(tasks()))
            await asyncio.sleep(TICK_SECONDS)


async def echo(ws: WebSocket) -> None:
    with noting_the_end("echo"):
        await ws.accept()
        async for _ in ws.iter_text():
            await asyncio.sleep(TICK_SECONDS)
            await ws.send_text(str(tasks()))


async def flood(request: Request) -> AsyncIterator[bytes]:
    while True:
        yield CHUNK


async def refuse(request: Request) -> None:
    raise HTTPError(409, "not now")


@cache
def layered(layer: str, count: int) -> App:
    """The app behind so many layers of a kind."""
    app = App()
    app.get("/tasks")(count_tasks)
    app.get("/wait")(wait)
    app.get("/stream")(stream)
    app.sse("/events")(events)
    app.get("/flood")(flood)
    app.get("/refuse")(refuse)
    app.websocket("/sender")(send_only)
    app.websocket("/echo")(echo)
    for _ in range(count):
        app.add_middleware(LAYERS[layer])
    return app


home = App()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await home(scope, receive, send)
        return
    query = parse_qs(scope["query_string"].decode())
    target = layered(query["layer"][0], int(query["count"][0]))
    await target(scope, receive, send)
