"""Apps behind layers of both classes, for a real server.

A path begins with the class, the framework and the number of layers: `/asgi_rt/starlette/5/watch`.
What happens is printed, with the time of the system's monotonic clock.
"""

import time
from functools import cache
from typing import Any

import anyio
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse

from embed.layers import Parts, load, make_app

FRAMEWORKS = {"starlette": Starlette, "fastapi": FastAPI}
BACKGROUND_SECONDS = 0.5
BLIND_SECONDS = 1.0


def tell(request: Request, what: str) -> None:
    print(request.query_params["key"], what, time.monotonic(), flush=True)


async def dispatch(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers.append("x-layer", "1")
    return response


async def watch(request: Request) -> Any:
    """Asks every millisecond whether its client has left."""
    tell(request, "watches")
    with anyio.move_on_after(BLIND_SECONDS):
        while not await request.is_disconnected():
            await anyio.sleep(0.001)
        tell(request, "left")
        return PlainTextResponse("for nobody")
    tell(request, "blind")
    return PlainTextResponse("for nobody")


async def silent(request: Request) -> Any:
    """Waits for its client to leave."""
    tell(request, "waits")
    while (await request.receive())["type"] != "http.disconnect":
        pass
    tell(request, "left")
    return PlainTextResponse("for nobody")


async def work(request: Request, name: str) -> None:
    tell(request, f"begins {name}")
    await anyio.sleep(BACKGROUND_SECONDS)
    tell(request, f"ends {name}")


async def background(request: Request) -> Any:
    return PlainTextResponse("hello", background=BackgroundTask(work, request, "work"))


async def hello(request: Request) -> Any:
    return PlainTextResponse("hello")


async def echo(request: Request) -> Any:
    return PlainTextResponse(await request.body())


async def ticks(request: Request) -> Any:
    """One every so often, for ever."""

    async def endless() -> Any:
        try:
            while True:
                yield b"tick\n"
                await anyio.sleep(0.01)
        finally:
            tell(request, "closed")

    return StreamingResponse(endless())


async def breaks(request: Request) -> Any:
    def parts() -> Any:
        yield b"part"
        raise RuntimeError("deliberate")

    return StreamingResponse(Parts(parts()))


async def fails(request: Request) -> Any:
    raise RuntimeError(f"deliberate {request.query_params['key']}")


async def file(request: Request) -> Any:
    return FileResponse(__file__)


ANSWERING = (watch, silent, background, hello, echo, ticks, breaks, fails, file)
ENDPOINTS: dict[str, Any] = {each.__name__: each for each in ANSWERING}


async def endpoint(request: Request) -> Any:
    return await ENDPOINTS[request.path_params["rest"].rpartition("/")[2]](request)


@cache
def layered(name: str, framework: str, count: str) -> Any:
    return make_app(FRAMEWORKS[framework], load(name), endpoint, *[dispatch] * int(count))


async def app(scope: Any, receive: Any, send: Any) -> None:
    _, name, framework, count, _ = scope["path"].split("/")
    await layered(name, framework, count)(scope, receive, send)
