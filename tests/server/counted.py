"""An app that counts its tasks and its open streams, as it is and behind plain ASGI middleware."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from served import note

from asgi_rt import App, Request

open_streams = 0


@asynccontextmanager
async def counted() -> AsyncIterator[None]:
    global open_streams
    open_streams += 1
    try:
        yield
    finally:
        open_streams -= 1
        note("stream closed")


app = App(grace=1)


@app.get("/counts")
async def counts(request: Request) -> dict[str, int]:
    return {"tasks": len(asyncio.all_tasks()), "streams": open_streams}


@app.sse("/idle")
async def idle(request: Request) -> AsyncIterator[str]:
    async with counted():
        yield "hello"
        await asyncio.sleep(3600)


@app.sse("/asking", methods=["GET", "POST"])
async def asking(request: Request) -> AsyncIterator[Any]:
    """Reads its body, and looks whether its client is there, while its stream is open."""
    async with counted():
        yield {"left": await request.is_disconnected()}
        await asyncio.sleep(0)  # a stream is watched from its source's first wait on
        yield {"left": await request.is_disconnected()}
        yield {"read": len(await request.body())}
        await asyncio.sleep(0)
        yield {"left": await request.is_disconnected()}
        try:
            await request.disconnected()
        finally:
            note(f"seen {await request.is_disconnected()}")


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """Middleware that sees each message which is received."""

    async def receive_through() -> Any:
        return await receive()

    await app(scope, receive_through, send)
