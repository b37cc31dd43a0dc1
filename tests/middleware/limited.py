"""What the tests of limits have in common: a clock to be set, and the server's side of things."""

from typing import Any

import anyio
from fakes import FakeServer
from websocket.fake_server import websocket_scope

from asgi_rt.asgi import ASGIApp, Message


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Handshake:
    """The server's side of a WebSocket whose client sends nothing, until it leaves."""

    def __init__(self, **scope: Any) -> None:
        self.scope = websocket_scope(**scope)
        self.sent: list[Message] = []
        self.left = anyio.Event()
        self.was_asked = False

    async def receive(self) -> Message:
        if not self.was_asked:
            self.was_asked = True
            return {"type": "websocket.connect"}
        await self.left.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def ask(app: ASGIApp, **scope: Any) -> FakeServer:
    """The server after one request."""
    server = FakeServer(**scope)
    await app(server.scope, server.receive, server.send)
    return server


async def shake_hands(app: ASGIApp, **scope: Any) -> list[Message]:
    """What was sent in answer to a handshake, when the app is done with it."""
    server = Handshake(**scope)
    await app(server.scope, server.receive, server.send)
    return server.sent
