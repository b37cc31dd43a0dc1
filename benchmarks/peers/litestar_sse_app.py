"""Litestar's ServerSentEvent, as its documentation begins; the JSON is made with orjson."""

from collections.abc import AsyncIterator

import orjson
from litestar import Litestar, get
from litestar.response import ServerSentEvent, ServerSentEventMessage

from benchmarks.harness.quotes import forever, quote, turn


async def ready_events(count: int) -> AsyncIterator[ServerSentEventMessage]:
    for n in range(count):
        yield event(n)


async def waiting_events(count: int) -> AsyncIterator[ServerSentEventMessage]:
    for n in range(count):
        await turn()
        yield event(n)


async def idle_events() -> AsyncIterator[ServerSentEventMessage]:
    yield event(0)
    await forever()


def event(n: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(data=orjson.dumps(quote(n)))


@get("/ready")
async def ready(count: int) -> ServerSentEvent:
    return ServerSentEvent(ready_events(count))


@get("/waiting")
async def waiting(count: int) -> ServerSentEvent:
    return ServerSentEvent(waiting_events(count))


@get("/idle")
async def idle() -> ServerSentEvent:
    return ServerSentEvent(idle_events())


app = Litestar(route_handlers=[ready, waiting, idle], openapi_config=None)
