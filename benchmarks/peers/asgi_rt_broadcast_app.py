"""asgi_rt's hub, as its own guide writes it."""

from typing import Any

from asgi_rt import App, Hub, WebSocket, attach, sse_feed
from benchmarks.harness.broadcast import EVENTS, SOCKETS, TOPIC, Publisher

hub = Hub()
app = App()


@app.get(EVENTS)
async def events(request: Any) -> Any:
    return sse_feed(hub, TOPIC)


@app.websocket(SOCKETS)
async def websocket(ws: WebSocket) -> None:
    await ws.accept()
    async with attach(ws, hub, TOPIC):
        async for _ in ws.iter_text():
            pass


async def publish(text: str) -> None:
    await hub.publish(TOPIC, text)


@app.get("/publish")
async def start(request: Any) -> str:
    publisher.start(request.query)
    return "publishing"


@app.get("/subscribers")
async def subscribers(request: Any) -> str:
    return str(hub.subscriber_count(TOPIC))


publisher = Publisher(publish)
