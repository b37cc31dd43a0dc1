"""The apps that are observed over real sockets: one of each framework, with the same routes.

What is logged is printed as JSON, with the id of its request.
"""

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import fastapi
import starlette.applications
import starlette.routing
from starlette.responses import JSONResponse, StreamingResponse
from starlette.websockets import WebSocket as ForeignWebSocket

import asgi_rt
from asgi_rt.middleware.access_log import AccessLogMiddleware, JSONFormatter
from asgi_rt.middleware.request_id import RequestIDFilter, RequestIDMiddleware, request_id
from asgi_rt.middleware.timing import TimingMiddleware, server_timing

_handler = logging.StreamHandler()
_handler.setFormatter(JSONFormatter())
_handler.addFilter(RequestIDFilter())
logging.basicConfig(handlers=[_handler], level=logging.INFO)
_logger = logging.getLogger("app")


def _name_in_thread() -> str | None:
    _logger.info("in a thread")
    return request_id.get()


async def _describe(state_id: str) -> dict[str, Any]:
    """What a handler sees of its id, after others had their turn."""
    with server_timing("think", description="others first"):
        await anyio.sleep(0.001)
    server_timing("db", 0.012)
    _logger.info("in the handler")
    in_thread = await anyio.to_thread.run_sync(_name_in_thread)
    return {"state": state_id, "variable": request_id.get(), "thread": in_thread}


async def _rows() -> AsyncIterator[bytes]:
    for number in range(3):
        await anyio.lowlevel.checkpoint()
        _logger.info("row %d", number)
        yield b"row\n"


async def _endless() -> AsyncIterator[bytes]:
    yield b"first\n"
    await anyio.sleep_forever()


def observe(app: Any) -> None:
    app.add_middleware(AccessLogMiddleware, skip=["/health"], log_begin=True)
    app.add_middleware(TimingMiddleware, process_time=True, allow_origins="*")
    app.add_middleware(RequestIDMiddleware)


# asgi_rt

app = asgi_rt.App()
observe(app)


@app.get("/plain")
async def plain(request: asgi_rt.Request) -> Any:
    return await _describe(request.state["request_id"])


@app.get("/health")
async def health(request: asgi_rt.Request) -> str:
    return "well"


@app.get("/rows")
async def rows(request: asgi_rt.Request) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(_rows()) as source:
        async for row in source:
            yield row


@app.get("/endless")
async def endless(request: asgi_rt.Request) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(_endless()) as source:
        async for chunk in source:
            yield chunk


@app.post("/upload")
async def upload(request: asgi_rt.Request) -> dict[str, int]:
    _logger.info("reading")
    return {"size": len(await request.body())}


@app.get("/crash")
async def crash(request: asgi_rt.Request) -> None:
    raise RuntimeError("a deliberate crash")


@app.websocket("/echo")
async def echo(ws: asgi_rt.WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        _logger.info("a message")
        await ws.send_text(text)


@app.websocket("/crash")
async def crashing(ws: asgi_rt.WebSocket) -> None:
    await ws.accept()
    raise RuntimeError("a deliberate crash")


# Starlette and FastAPI


async def foreign_plain(request: fastapi.Request) -> JSONResponse:
    return JSONResponse(await _describe(request.state.request_id))


async def foreign_health(request: fastapi.Request) -> JSONResponse:
    return JSONResponse("well")


async def foreign_rows(request: fastapi.Request) -> StreamingResponse:
    return StreamingResponse(_rows())


async def foreign_endless(request: fastapi.Request) -> StreamingResponse:
    return StreamingResponse(_endless())


async def foreign_upload(request: fastapi.Request) -> JSONResponse:
    _logger.info("reading")
    return JSONResponse({"size": len(await request.body())})


async def foreign_crash(request: fastapi.Request) -> None:
    raise RuntimeError("a deliberate crash")


async def foreign_echo(websocket: ForeignWebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        _logger.info("a message")
        await websocket.send_text(text)


async def foreign_crashing(websocket: ForeignWebSocket) -> None:
    await websocket.accept()
    raise RuntimeError("a deliberate crash")


_ROUTES: dict[str, Any] = {
    "/plain": foreign_plain,
    "/health": foreign_health,
    "/rows": foreign_rows,
    "/endless": foreign_endless,
    "/crash": foreign_crash,
}
_WEBSOCKETS: dict[str, Any] = {"/echo": foreign_echo, "/crash": foreign_crashing}

starlette_app = starlette.applications.Starlette(
    routes=[
        *(starlette.routing.Route(path, handler) for path, handler in _ROUTES.items()),
        starlette.routing.Route("/upload", foreign_upload, methods=["POST"]),
        *(starlette.routing.WebSocketRoute(*route) for route in _WEBSOCKETS.items()),
    ]
)
observe(starlette_app)

fastapi_app = fastapi.FastAPI()
for _path, _endpoint in _ROUTES.items():
    fastapi_app.get(_path, response_model=None)(_endpoint)
fastapi_app.post("/upload", response_model=None)(foreign_upload)
for _path, _endpoint in _WEBSOCKETS.items():
    fastapi_app.websocket(_path)(_endpoint)
observe(fastapi_app)
