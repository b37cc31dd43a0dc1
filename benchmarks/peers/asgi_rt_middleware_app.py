"""asgi_rt behind layers of middleware: `dispatch_5` has five of DispatchMiddleware."""

from collections.abc import AsyncIterator
from typing import Any

from asgi_rt import App, StreamingResponse
from asgi_rt.middleware.dispatch import DispatchMiddleware
from benchmarks.harness.layers import Layers
from benchmarks.harness.rows import MEDIA_TYPE, endless_rows, rows
from benchmarks.peers.middleware_layers import add_layers


async def hello(request: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


async def stream(request: Any) -> StreamingResponse:
    return StreamingResponse(rows(), media_type=MEDIA_TYPE)


async def endless(request: Any) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        try:
            async for row in endless_rows():
                yield row
        finally:
            request.state["client"].handler_ended()

    return StreamingResponse(body(), media_type=MEDIA_TYPE)


async def upload(request: Any) -> dict[str, int]:
    return {"bytes": len(await request.body())}


def build(layers: Layers) -> App:
    """The app with these layers around it."""
    made = App()
    made.get("/json")(hello)
    made.get("/stream")(stream)
    made.get("/endless")(endless)
    made.post("/upload")(upload)
    layered: App = add_layers(made, layers, DispatchMiddleware)
    return layered


app = build(Layers())


def __getattr__(name: str) -> App:
    return build(Layers.of(name))
