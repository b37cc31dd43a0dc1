"""Litestar's channels, as its documentation uses them."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Request, WebSocket, get, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.response import ServerSentEvent

from benchmarks.harness.broadcast import EVENTS, SOCKETS, TOPIC, Publisher

plugin = ChannelsPlugin(backend=MemoryChannelsBackend(), channels=[TOPIC])
# The plugin does not tell how many subscribe.
present: set[object] = set()


@get(EVENTS)
async def events() -> ServerSentEvent:
    return ServerSentEvent(subscribed())


async def subscribed() -> AsyncIterator[bytes]:
    async with plugin.start_subscription([TOPIC]) as subscriber:
        present.add(subscriber)
        try:
            async for event in subscriber.iter_events():
                yield event
        finally:
            present.discard(subscriber)


@websocket(SOCKETS)
async def sockets(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    async with (
        plugin.start_subscription([TOPIC]) as subscriber,
        subscriber.run_in_background(socket.send_text, join=False),
    ):
        present.add(subscriber)
        try:
            async for _ in socket.iter_data("text"):
                pass
        finally:
            present.discard(subscriber)


async def publish(text: str) -> None:
    await plugin.wait_published(text, TOPIC)


@get("/publish")
async def start(request: Request[Any, Any, Any]) -> str:
    publisher.start(request.query_params)
    return "publishing"


@get("/subscribers")
async def subscribers() -> str:
    return str(len(present))


publisher = Publisher(publish)
app = Litestar(
    route_handlers=[events, sockets, start, subscribers],
    plugins=[plugin],
    openapi_config=None,
)
