"""Apps behind the compression middleware, whose sources wait for what another request gives them.

`/give/KEY?TEXT` gives the stream with `?KEY` its next item, and without a text its end.
"""

import asyncio
import json
import os
from collections import defaultdict

import fastapi
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

import asgi_rt
from asgi_rt import App, EventStream, NDJSONResponse
from asgi_rt.middleware.compression import CompressionMiddleware

WHOLE = {"text": "the same words again and again, " * 200}
LARGE = json.dumps([{"id": number, "of": number * 7919 % 9973} for number in range(400_000)])

given = defaultdict(asyncio.Queue)


def note(text):
    os.write(1, f"{text}\n".encode())


async def items(key):
    try:
        while item := await given[key].get():
            if item == "fail":
                raise RuntimeError("deliberate")
            yield item
    finally:
        note(f"closed {key}")


async def lines(key):
    async for item in items(key):
        yield json.dumps({"item": item}) + "\n"


async def events(key):
    async for item in items(key):
        yield f"data: {item}\n\n"


def of_asgi_rt():
    app = App()

    @app.get("/whole")
    async def whole(request):
        return WHOLE

    @app.get("/large")
    async def large(request):
        return asgi_rt.TextResponse(LARGE)

    @app.get("/lines")
    async def serve_lines(request):
        source = ({"item": item} async for item in items(request.scope["query_string"].decode()))
        return NDJSONResponse(source, head_wait=0)

    @app.get("/events")
    async def serve_events(request):
        key = request.scope["query_string"].decode()
        return EventStream(items(key), retry=None, head_wait=0)

    @app.post("/size")
    async def size(request):
        return len(await request.body())

    return app


async def whole(request: Request):
    return JSONResponse(WHOLE)


async def large(request: Request):
    return fastapi.Response(LARGE, media_type="text/plain")


async def serve_lines(request: Request):
    return StreamingResponse(lines(request.url.query), media_type="application/x-ndjson")


async def serve_events(request: Request):
    return StreamingResponse(events(request.url.query), media_type="text/event-stream")


async def size(request: Request):
    return JSONResponse(len(await request.body()))


HANDLERS = {"whole": whole, "large": large, "lines": serve_lines, "events": serve_events}


def of_starlette():
    routes = [Route(f"/{name}", handler) for name, handler in HANDLERS.items()]
    return Starlette(routes=[*routes, Route("/size", size, methods=["POST"])])


def of_fastapi():
    app = fastapi.FastAPI()
    for name, handler in HANDLERS.items():
        app.get(f"/{name}", response_model=None)(handler)
    app.post("/size", response_model=None)(size)
    return app


def giving(app):
    """The app, and beside it what tells its sources to go on, and how many tasks there are."""

    async def serve(scope, receive, send):
        path = scope.get("path", "")
        if path.startswith("/give/"):
            given[path.removeprefix("/give/")].put_nowait(scope["query_string"].decode())
            await asgi_rt.TextResponse("given")(scope, receive, send)
        elif path == "/tasks":
            await asgi_rt.JSONResponse(len(asyncio.all_tasks()))(scope, receive, send)
        else:
            await app(scope, receive, send)

    return serve


def compressed(app):
    app.add_middleware(CompressionMiddleware)
    return giving(app)


asgi_rt_app = compressed(of_asgi_rt())
starlette_app = compressed(of_starlette())
fastapi_app = compressed(of_fastapi())
plain_app = giving(of_asgi_rt())
