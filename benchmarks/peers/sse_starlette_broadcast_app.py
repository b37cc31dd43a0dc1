"""sse-starlette, with a queue for every client."""

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.harness.broadcast import EVENTS, Publisher

queues: set[asyncio.Queue[str]] = set()


async def events(request: Request) -> EventSourceResponse:
    return EventSourceResponse(queued())


async def queued() -> AsyncIterator[dict[str, str]]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield {"data": await queue.get()}
    finally:
        queues.discard(queue)


async def publish(text: str) -> None:
    for queue in queues:
        queue.put_nowait(text)


async def start(request: Request) -> PlainTextResponse:
    publisher.start(request.query_params)
    return PlainTextResponse("publishing")


async def subscribers(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(queues)))


publisher = Publisher(publish)
app = Starlette(
    routes=[
        Route(EVENTS, events),
        Route("/publish", start),
        Route("/subscribers", subscribers),
    ],
)
