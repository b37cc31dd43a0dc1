"""Starlette's StreamingResponse, which leaves the framing of events to its user."""

from collections.abc import AsyncIterator

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from benchmarks.harness.quotes import forever, quote, turn


async def ready_events(count: int) -> AsyncIterator[bytes]:
    for n in range(count):
        yield event(n)


async def waiting_events(count: int) -> AsyncIterator[bytes]:
    for n in range(count):
        await turn()
        yield event(n)


async def idle_events() -> AsyncIterator[bytes]:
    yield event(0)
    await forever()


def event(n: int) -> bytes:
    return b"data: " + orjson.dumps(quote(n)) + b"\n\n"


async def ready(request: Request) -> StreamingResponse:
    count = int(request.query_params["count"])
    return StreamingResponse(ready_events(count), media_type="text/event-stream")


async def waiting(request: Request) -> StreamingResponse:
    count = int(request.query_params["count"])
    return StreamingResponse(waiting_events(count), media_type="text/event-stream")


async def idle(request: Request) -> StreamingResponse:
    return StreamingResponse(idle_events(), media_type="text/event-stream")


app = Starlette(
    routes=[Route("/ready", ready), Route("/waiting", waiting), Route("/idle", idle)],
)
