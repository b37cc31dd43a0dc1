"""FastAPI's own server-sent events, with a declared type: its documentation's first example.

As events of its class, and as JSON Lines, the same objects come from `/events` and `/lines`.
"""

from collections.abc import AsyncIterable
from typing import NotRequired

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from typing_extensions import TypedDict

from benchmarks.harness.quotes import forever, quote, turn


class Quote(TypedDict):
    n: int
    price: float
    at: NotRequired[int]


app = FastAPI()


@app.get("/ready", response_class=EventSourceResponse)
async def ready(count: int) -> AsyncIterable[Quote]:
    for n in range(count):
        yield quote(n)


@app.get("/waiting", response_class=EventSourceResponse)
async def waiting(count: int) -> AsyncIterable[Quote]:
    for n in range(count):
        await turn()
        yield quote(n)


@app.get("/events", response_class=EventSourceResponse)
async def events(count: int) -> AsyncIterable[ServerSentEvent]:
    for n in range(count):
        yield ServerSentEvent(data=quote(n), event="quote", id=str(n))


@app.get("/lines")
async def lines(count: int) -> AsyncIterable[Quote]:
    for n in range(count):
        yield quote(n)


@app.get("/idle", response_class=EventSourceResponse)
async def idle() -> AsyncIterable[Quote]:
    yield quote(0)
    await forever()
