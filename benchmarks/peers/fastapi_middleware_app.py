"""FastAPI behind layers of middleware: `base_http_5` has five of BaseHTTPMiddleware."""

from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from asgi_rt.embed.starlette import BaseHTTPMiddleware
from benchmarks.harness.layers import Layers
from benchmarks.harness.rows import MEDIA_TYPE, endless_rows, rows
from benchmarks.peers.middleware_layers import add_layers


async def hello() -> dict[str, str]:
    return {"message": "Hello, World!"}


async def stream() -> StreamingResponse:
    return StreamingResponse(rows(), media_type=MEDIA_TYPE)


async def endless(request: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        try:
            async for row in endless_rows():
                yield row
        finally:
            request.state.client.handler_ended()

    return StreamingResponse(body(), media_type=MEDIA_TYPE)


async def upload(request: Request) -> dict[str, int]:
    return {"bytes": len(await request.body())}


def build(layers: Layers) -> FastAPI:
    """The app with these layers around it."""
    made = FastAPI()
    made.get("/json")(hello)
    made.get("/stream")(stream)
    made.get("/endless")(endless)
    made.post("/upload")(upload)
    layered: FastAPI = add_layers(made, layers, BaseHTTPMiddleware)
    return layered


app = build(Layers())


def __getattr__(name: str) -> FastAPI:
    return build(Layers.of(name))
