"""A program of FastAPI's on the adapter, to be asked over real sockets."""

from collections.abc import AsyncGenerator
from typing import Annotated

import anyio

from asgi_rt.fastapi import Depends, FastAPI, WebSocket
from asgi_rt.fastapi.sse import EventSourceResponse

app = FastAPI(grace=1)
left: list[str] = []


async def resource() -> AsyncGenerator[str, None]:
    yield "resource"
    left.append("resource")


@app.get("/items/{item_id}")
async def item(item_id: int, q: str = "none") -> dict[str, int | str]:
    return {"id": item_id, "q": q}


@app.get("/events", response_class=EventSourceResponse)
async def events(held: Annotated[str, Depends(resource)]) -> AsyncGenerator[dict[str, str], None]:
    while True:
        yield {"held": held}
        await anyio.sleep(0.01)


@app.get("/left")
async def what_was_left() -> list[str]:
    return left


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
