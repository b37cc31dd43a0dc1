"""One app three times, counted: with this framework, with Starlette and with FastAPI."""

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

from asgi_rt import App, Request, WebSocket
from asgi_rt.middleware.metrics import MetricsMiddleware, metrics_app

TICK = b"tick\n"


async def ticks() -> AsyncIterator[bytes]:
    yield TICK
    await anyio.sleep_forever()


async def crash(request: Any) -> Any:
    raise RuntimeError("a deliberate crash")


def with_asgi_rt(registry: CollectorRegistry | None) -> Any:
    app = App()

    @app.get("/items/{item_id:int}")
    async def item(request: Request) -> Any:
        return {"id": request.path_params["item_id"]}

    @app.get("/ticks")
    async def stream(request: Request) -> AsyncIterator[bytes]:
        async for tick in ticks():
            yield tick

    @app.post("/upload")
    async def upload(request: Request) -> Any:
        return {"bytes": len(await request.body())}

    @app.websocket("/echo/{room}")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    app.get("/crash")(crash)
    app.mount("/metrics", metrics_app(registry))
    return app


def with_starlette(registry: CollectorRegistry | None) -> Any:
    async def item(request: StarletteRequest) -> Response:
        return JSONResponse({"id": request.path_params["item_id"]})

    async def stream(request: StarletteRequest) -> Response:
        return StreamingResponse(ticks())

    async def upload(request: StarletteRequest) -> Response:
        return JSONResponse({"bytes": len(await request.body())})

    async def echo(ws: Any) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return Starlette(
        routes=[
            Route("/items/{item_id:int}", item),
            Route("/ticks", stream),
            Route("/upload", upload, methods=["POST"]),
            Route("/crash", crash),
            Route("/metrics", metrics_app(registry)),
            WebSocketRoute("/echo/{room}", echo),
            Mount("/mounted", routes=[Route("/items/{item_id}", item)]),
        ]
    )


def with_fastapi(registry: CollectorRegistry | None) -> Any:
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> Any:
        return {"id": item_id}

    @app.get("/ticks")
    async def stream() -> StreamingResponse:
        return StreamingResponse(ticks())

    @app.post("/upload")
    async def upload(request: StarletteRequest) -> Any:
        return {"bytes": len(await request.body())}

    @app.get("/crash")
    async def crashing() -> None:
        await crash(None)

    @app.websocket("/echo/{room}")
    async def echo(ws: FastAPIWebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    app.add_route("/metrics", metrics_app(registry))
    return app


MAKERS: dict[str, Callable[[CollectorRegistry | None], Any]] = {
    "asgi_rt": with_asgi_rt,
    "starlette": with_starlette,
    "fastapi": with_fastapi,
}


def make(kind: str, registry: CollectorRegistry | None = None) -> Any:
    """The app of that framework, behind the layer."""
    app = MAKERS[kind](registry)
    app.add_middleware(MetricsMiddleware, registry=registry or REGISTRY)
    return app


def make_served() -> Any:
    """For a server: the framework that the environment names, in prometheus_client's registry."""
    return make(os.environ["METERED"])
