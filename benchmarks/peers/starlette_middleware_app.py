"""Starlette behind layers of middleware: `base_http_5` has five of BaseHTTPMiddleware."""

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from asgi_rt.embed.starlette import BaseHTTPMiddleware
from benchmarks.harness.layers import Layers
from benchmarks.harness.rows import MEDIA_TYPE, endless_rows, rows
from benchmarks.peers.middleware_layers import add_layers


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"message": "Hello, World!"})


async def stream(request: Request) -> StreamingResponse:
    return StreamingResponse(rows(), media_type=MEDIA_TYPE)


async def endless(request: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        try:
            async for row in endless_rows():
                yield row
        finally:
            request.state.client.handler_ended()

    return StreamingResponse(body(), media_type=MEDIA_TYPE)


async def upload(request: Request) -> JSONResponse:
    return JSONResponse({"bytes": len(await request.body())})


def build(layers: Layers) -> Starlette:
    """The app with these layers around it."""
    routes = [
        Route("/json", hello),
        Route("/stream", stream),
        Route("/endless", endless),
        Route("/upload", upload, methods=["POST"]),
    ]
    made: Starlette = add_layers(Starlette(routes=routes), layers, BaseHTTPMiddleware)
    return made


app = build(Layers())


def __getattr__(name: str) -> Starlette:
    return build(Layers.of(name))
