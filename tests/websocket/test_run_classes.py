"""A run of a handler with classes of its own: what the handler gets and what it meets."""

import pytest

from asgi_rt import WebSocket, WebSocketClosed
from asgi_rt.testing import AsyncTestClient
from asgi_rt.websocket.link import Link
from asgi_rt.websocket.serve import REFUSED, WebSocketRun


class OwnClosed(WebSocketClosed):
    pass


class OwnLink(Link):
    __slots__ = ()
    error_class = OwnClosed


class OwnWebSocket(WebSocket):
    pass


class OwnRun(WebSocketRun):
    __slots__ = ()
    link_class = OwnLink
    websocket_class = OwnWebSocket


async def test_the_handler_gets_them():
    seen: list[object] = []

    async def handler(ws: WebSocket) -> None:
        seen.append(type(ws))
        await ws.accept()
        with pytest.raises(OwnClosed) as closed:
            await ws.receive_text()
        seen.append(closed.value.code)

    async def app(scope, receive, send) -> None:
        await OwnRun(handler, REFUSED, scope, receive, send).run_in_group()

    async with (
        AsyncTestClient(app, lifespan=False) as client,
        client.websocket_connect("/") as ws,
    ):
        await ws.close(4000)
    assert seen == [OwnWebSocket, 4000]
