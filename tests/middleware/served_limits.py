"""The apps that are limited over real sockets: one of each framework, with the same routes.

Each kind of limit stands around an app of its own that is mounted. What handlers see is printed.
"""

import os
import threading
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import anyio
import fastapi
from starlette.applications import Starlette
from starlette.background import BackgroundTask as ForeignTask
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

import asgi_rt
from asgi_rt.background import BackgroundTask
from asgi_rt.middleware.body_limit import BodyLimitMiddleware
from asgi_rt.middleware.concurrency_limit import ConcurrencyLimitMiddleware
from asgi_rt.middleware.places import PlacesCounters
from asgi_rt.middleware.rate_limit import RateLimitMiddleware
from asgi_rt.middleware.timeout import TimeoutMiddleware

counters = PlacesCounters()
gates: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
thread_gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)


def note(text: str) -> None:
    # In one write, as the log goes into the same pipe.
    os.write(1, f"{text}\n".encode())


def client_key(connection: Any) -> str | None:
    return connection.headers.get("x-client")


LIMITS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "/body": (BodyLimitMiddleware, {"max_bytes": 100_000}),
    "/head": (TimeoutMiddleware, {"head": 0.1, "total": 20.0}),
    "/total": (TimeoutMiddleware, {"head": 0.5, "total": 0.5}),
    "/rate": (RateLimitMiddleware, {"rate": 2, "period": 3600, "key": client_key}),
    "/places": (
        ConcurrencyLimitMiddleware,
        {"max_concurrent": 1, "max_queued": 2, "queue_timeout": 20.0, "counters": counters},
    ),
    "/impatient": (
        ConcurrencyLimitMiddleware,
        {"max_concurrent": 1, "max_queued": 1, "queue_timeout": 0.05, "websockets": True},
    ),
}


async def silence(key: str) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        note(f"{key} is cancelled")


async def gated(key: str) -> str:
    note(f"{key} begins")
    await gates[key].wait()
    return key


async def rows(key: str) -> AsyncIterator[str]:
    yield "first\n"
    await silence(key)


async def work(key: str) -> None:
    await gated(key)
    note(f"{key} has worked")


def gated_in_thread(key: str) -> str:
    gate = thread_gates[key]
    note(f"{key} begins")
    gate.wait(20.0)
    return "too late"


def open_gates(key: str) -> None:
    gates[key].set()
    thread_gates[key].set()


def count() -> dict[str, int]:
    return {"active": counters.active, "queued": counters.queued, "left": counters.left}


# asgi_rt

app = asgi_rt.App()
apps = {path: asgi_rt.App() for path in LIMITS}


@app.get("/count")
async def _count(request: asgi_rt.Request) -> dict[str, int]:
    return count()


@app.get("/open/{key}")
async def _open(request: asgi_rt.Request) -> None:
    open_gates(request.path_params["key"])


@apps["/body"].post("/upload")
async def _upload(request: asgi_rt.Request) -> dict[str, int]:
    note(f"{request.headers['x-client']} begins")
    return {"size": len(await request.json())}


@apps["/head"].get("/silent/{key}")
async def _silent(request: asgi_rt.Request) -> None:
    await silence(request.path_params["key"])


@apps["/total"].get("/rows/{key}")
async def _rows(request: asgi_rt.Request) -> AsyncIterator[str]:
    async for row in rows(request.path_params["key"]):
        yield row


@apps["/total"].get("/work/{key}")
async def _work(request: asgi_rt.Request) -> asgi_rt.Response:
    task = BackgroundTask(work, request.path_params["key"])
    return asgi_rt.Response(b"working", background=task)


@apps["/head"].get("/thread/{key}")
def _thread(request: asgi_rt.Request) -> str:
    return gated_in_thread(request.path_params["key"])


@apps["/head"].websocket("/silent/{key}")
async def _silent_ws(ws: asgi_rt.WebSocket) -> None:
    await silence(ws.path_params["key"])


@apps["/total"].websocket("/echo")
@apps["/rate"].websocket("/echo")
@apps["/impatient"].websocket("/echo")
async def _echo(ws: asgi_rt.WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


@apps["/rate"].get("/hello")
async def _hello(request: asgi_rt.Request) -> str:
    return "hello"


@apps["/places"].get("/gated/{key}")
@apps["/impatient"].get("/gated/{key}")
async def _gated(request: asgi_rt.Request) -> str:
    return await gated(request.path_params["key"])


for _path, _app in apps.items():
    _limit, _options = LIMITS[_path]
    _app.add_middleware(_limit, **_options)
    app.mount(_path, _app)


# Starlette and FastAPI


async def foreign_count(request: fastapi.Request) -> JSONResponse:
    return JSONResponse(count())


async def foreign_open(request: fastapi.Request) -> PlainTextResponse:
    open_gates(request.path_params["key"])
    return PlainTextResponse("")


async def foreign_upload(request: fastapi.Request) -> JSONResponse:
    note(f"{request.headers['x-client']} begins")
    return JSONResponse({"size": len(await request.json())})


async def foreign_silent(request: fastapi.Request) -> None:
    await silence(request.path_params["key"])


async def foreign_rows(request: fastapi.Request) -> StreamingResponse:
    return StreamingResponse(rows(request.path_params["key"]))


async def foreign_work(request: fastapi.Request) -> PlainTextResponse:
    task = ForeignTask(work, request.path_params["key"])
    return PlainTextResponse("working", background=task)


def foreign_thread(request: fastapi.Request) -> PlainTextResponse:
    return PlainTextResponse(gated_in_thread(request.path_params["key"]))


async def foreign_silent_ws(websocket: fastapi.WebSocket) -> None:
    await silence(websocket.path_params["key"])


async def foreign_echo(websocket: fastapi.WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def foreign_hello(request: fastapi.Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def foreign_gated(request: fastapi.Request) -> PlainTextResponse:
    return PlainTextResponse(await gated(request.path_params["key"]))


_ROUTES: dict[str, dict[str, Any]] = {
    "/body": {},
    "/head": {"/silent/{key}": foreign_silent, "/thread/{key}": foreign_thread},
    "/total": {"/rows/{key}": foreign_rows, "/work/{key}": foreign_work},
    "/rate": {"/hello": foreign_hello},
    "/places": {"/gated/{key}": foreign_gated},
    "/impatient": {"/gated/{key}": foreign_gated},
}
_WEBSOCKETS: dict[str, dict[str, Any]] = {
    "/head": {"/silent/{key}": foreign_silent_ws},
    "/total": {"/echo": foreign_echo},
    "/rate": {"/echo": foreign_echo},
    "/impatient": {"/echo": foreign_echo},
}


def _starlette_part(path: str) -> Starlette:
    routes: list[Any] = [Route(*each) for each in _ROUTES[path].items()]
    routes += [WebSocketRoute(*each) for each in _WEBSOCKETS.get(path, {}).items()]
    if path == "/body":
        routes.append(Route("/upload", foreign_upload, methods=["POST"]))
    part = Starlette(routes=routes)
    limit, options = LIMITS[path]
    part.add_middleware(limit, **options)
    return part


starlette_app = Starlette(
    routes=[
        Route("/count", foreign_count),
        Route("/open/{key}", foreign_open),
        *(Mount(path, _starlette_part(path)) for path in LIMITS),
    ]
)


def _fastapi_part(path: str) -> fastapi.FastAPI:
    part = fastapi.FastAPI()
    for route, endpoint in _ROUTES[path].items():
        part.add_route(route, endpoint)
    for route, endpoint in _WEBSOCKETS.get(path, {}).items():
        part.websocket(route)(endpoint)
    if path == "/body":

        @part.post("/upload")
        async def upload(text: str = fastapi.Body()) -> dict[str, int]:
            return {"size": len(text)}

    limit, options = LIMITS[path]
    part.add_middleware(limit, **options)
    return part


fastapi_app = fastapi.FastAPI()
fastapi_app.add_route("/count", foreign_count)
fastapi_app.add_route("/open/{key}", foreign_open)
for _path in LIMITS:
    fastapi_app.mount(_path, _fastapi_part(_path))
