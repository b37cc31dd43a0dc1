"""A WebSocket whose client sends what the test gives, then leaves."""

import json
from collections import deque
from typing import Any, Literal

import anyio.lowlevel

from asgi_rt.errors import WebSocketClosed
from asgi_rt.websocket.dispatch import Dispatcher


class MessageSocket:
    """The side of a WebSocket that a dispatcher sees. What is no str or bytes is sent as JSON."""

    def __init__(self, *messages: Any) -> None:
        self.sent: list[Any] = []
        self._ending: tuple[int, str, Literal["client", "server"]] | None = None
        self._frames = deque(
            message if isinstance(message, str | bytes) else json.dumps(message)
            for message in messages
        )

    @property
    def closed(self) -> WebSocketClosed | None:
        if self._ending is None:
            return None
        code, reason, by = self._ending
        return WebSocketClosed(code, reason, by=by)

    @property
    def unread(self) -> int:
        return len(self._frames)

    def leave(self) -> None:
        """The client closes the connection."""
        self._ending = self._ending or (1000, "", "client")

    async def receive(self) -> str | bytes:
        await anyio.lowlevel.checkpoint()
        if not self._frames:
            self.leave()
        if self._ending is not None:
            raise self.closed
        return self._frames.popleft()

    async def send_json(self, value: Any, /) -> None:
        await anyio.lowlevel.checkpoint()
        if self._ending is not None:
            raise self.closed
        self.sent.append(json.loads(json.dumps(value)))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self._ending = self._ending or (code, reason, "server")


async def answers(dispatcher: Dispatcher, *messages: Any) -> list[Any]:
    """What a client is sent for its messages."""
    ws = MessageSocket(*messages)
    await dispatcher.serve(ws)
    return ws.sent
