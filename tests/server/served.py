"""The apps that the tests of the server serve. What they do is printed, for the test to see."""

import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from asgi_rt import App, Hub, Request, StreamingResponse

CHUNK = bytes(range(256)) * 256


def note(text: str) -> None:
    # In one write, as workers print into the same pipe.
    os.write(1, f"{text}\n".encode())


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    note("app started")
    yield
    note("app stopped")


app = App(lifespan=lifespan, grace=1)
inner = App()
app.mount("/inner", inner)


@inner.get("/leaf", name="leaf")
async def leaf(request: Request) -> str:
    return "leaf"


@app.get("/health")
async def health(request: Request) -> dict[str, Any]:
    return {"grace": app.grace, "background": app.background.grace, "inner": inner.grace}


@app.get("/client")
async def client(request: Request) -> Any:
    return {"client": request.client, "url": request.url}


@app.get("/endless")
async def endless(request: Request) -> AsyncIterator[str]:
    while True:
        yield "tick\n"
        await anyio.sleep(0.05)


@app.get("/hanging")
def hanging(request: Request) -> Iterator[str]:
    yield "tick\n"
    threading.Event().wait()


@app.get("/polite")
async def polite(request: Request) -> AsyncIterator[str]:
    assert request.drain is not None
    yield "tick\n"
    await request.drain.wait()
    yield "farewell\n"


@app.get("/waiting")
async def waiting(request: Request) -> AsyncIterator[str]:
    try:
        yield "tick\n"
        await anyio.sleep_forever()
    finally:
        note(f"waiting closed at {time.monotonic()}")


@app.get("/frozen", send_timeout=0.5)
async def frozen(request: Request) -> AsyncIterator[bytes]:
    try:
        while True:
            yield CHUNK
    finally:
        note("frozen closed")


@app.get("/flood/async")
async def flood(request: Request) -> AsyncIterator[bytes]:
    """Never awaits anything."""
    while True:
        yield CHUNK


@app.get("/flood/sync")
def sync_flood(request: Request) -> Iterator[bytes]:
    while True:
        yield CHUNK


async def foreign(scope: Any, receive: Any, send: Any) -> None:
    """A plain ASGI app that streams for ever and knows no lifespan."""
    assert scope["type"] == "http"

    async def ticks() -> AsyncIterator[bytes]:
        while True:
            yield b"tick\n"
            await anyio.sleep(0.05)

    await StreamingResponse(ticks())(scope, receive, send)


def make_app() -> App:
    return app


@asynccontextmanager
async def _failing(app: App) -> AsyncIterator[None]:
    raise RuntimeError("the database is away")
    yield


failing = App(lifespan=_failing)
number = 3


@app.sse("/events")
async def events(request: Request) -> AsyncIterator[str]:
    try:
        yield "hello"
        await anyio.sleep_forever()
    finally:
        note(f"events closed at {time.monotonic()}")


@app.sse("/events/pinged", ping=0.02)
async def pinged_events(request: Request) -> AsyncIterator[str]:
    yield "hello"
    await anyio.sleep_forever()


@app.sse("/events/flood", send_timeout=0.5)
@app.sse("/events/flood/patient", send_timeout=None)
async def event_flood(request: Request) -> AsyncIterator[str]:
    given_at = time.monotonic()
    try:
        while True:
            given_at = time.monotonic()
            yield "x" * 65536
            await anyio.lowlevel.checkpoint()
    finally:
        note(f"flood closed {time.monotonic() - given_at} s after its last event")


@app.sse("/events/posted", methods=["POST"])
async def posted_events(request: Request) -> AsyncIterator[Any]:
    try:
        if "read" in request.query:
            yield len(await request.body())
        yield "hello"
        await anyio.sleep_forever()
    finally:
        note(f"posted closed at {time.monotonic()}")


@app.sse("/events/finishing", finish_in_drain=True)
async def finishing_events(request: Request) -> AsyncIterator[str]:
    assert request.drain is not None
    yield "hello"
    await request.drain.wait()
    await anyio.sleep(0.05)
    yield "last words"


hub = Hub()


@asynccontextmanager
async def holding_a_hub_open(app: App) -> AsyncIterator[None]:
    async with hub:
        yield


with_a_hub = App(lifespan=holding_a_hub_open)
