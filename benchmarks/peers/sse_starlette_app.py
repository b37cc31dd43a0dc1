"""sse-starlette, as its documentation begins; its user makes the JSON, here with orjson."""

from collections.abc import AsyncIterator

import orjson
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from benchmarks.harness.quotes import forever, quote, turn


async def ready_events(count: int) -> AsyncIterator[dict[str, str]]:
    for n in range(count):
        yield event(n)


async def waiting_events(count: int) -> AsyncIterator[dict[str, str]]:
    for n in range(count):
        await turn()
        yield event(n)


async def idle_events() -> AsyncIterator[dict[str, str]]:
    yield event(0)
    await forever()


def event(n: int) -> dict[str, str]:
    return {"data": orjson.dumps(quote(n)).decode()}


async def ready(request: Request) -> EventSourceResponse:
    return EventSourceResponse(ready_events(int(request.query_params["count"])))


async def waiting(request: Request) -> EventSourceResponse:
    return EventSourceResponse(waiting_events(int(request.query_params["count"])))


async def idle(request: Request) -> EventSourceResponse:
    return EventSourceResponse(idle_events())


app = Starlette(
    routes=[Route("/ready", ready), Route("/waiting", waiting), Route("/idle", idle)],
)
