"""WebSockets, by Starlette's names."""

import json
from collections.abc import AsyncGenerator
from enum import Enum
from typing import Any, Final

from asgi_rt.asgi import Message, Scope
from asgi_rt.codec import dump_json
from asgi_rt.errors import LifecycleError
from asgi_rt.fastapi.exceptions import WebSocketDisconnect
from asgi_rt.fastapi.requests import HTTPConnection
from asgi_rt.http.response import Response
from asgi_rt.websocket.connection import WebSocket as PlainWebSocket
from asgi_rt.websocket.denial import deny, offers_denials
from asgi_rt.websocket.incoming import ANY, Messages
from asgi_rt.websocket.lifecycle import State
from asgi_rt.websocket.link import Link

__all__ = ["WebSocket", "WebSocketDisconnect", "WebSocketState"]


class WebSocketState(Enum):
    """How far one side of the connection is."""

    CONNECTING = 0
    CONNECTED = 1
    DISCONNECTED = 2
    RESPONSE = 3


_STATES: Final = {
    State.NEW: WebSocketState.CONNECTING,
    State.CONNECTING: WebSocketState.CONNECTING,
    State.OPEN: WebSocketState.CONNECTED,
    State.DENYING: WebSocketState.RESPONSE,
    State.CLOSED: WebSocketState.DISCONNECTED,
}


class WebSocket(HTTPConnection, PlainWebSocket):  # pyright: ignore[reportIncompatibleMethodOverride] - its state
    """One WebSocket connection: its handshake, its messages, its end.

    As `asgi_rt.websocket.connection.WebSocket`, with Starlette's arguments, and its messages raw by
    `receive` and `send`. When it is over, everything but `close` raises WebSocketDisconnect.
    """

    _is_introduced: bool = False
    _is_parted: bool = False

    def __init__(self, scope: Scope, link: Link) -> None:
        PlainWebSocket.__init__(self, scope, link)

    @property
    def client_state(self) -> WebSocketState:
        """How far the client is."""
        return _STATES[State.CLOSED if self.link.is_over else self.link.lifecycle.client]

    @property
    def application_state(self) -> WebSocketState:
        """How far the app is."""
        return _STATES[State.CLOSED if self.link.is_over else self.link.lifecycle.app]

    async def accept(  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's arguments
        self, subprotocol: str | None = None, headers: Any = None
    ) -> None:
        """Open the connection. Any subprotocol is taken, by default the first in common.

        `headers` are pairs, or a mapping, of bytes or str. Raises WebSocketDisconnect where the
        client has left, and RuntimeError where the handshake was answered before.
        """
        link = self.link
        link.require_unanswered("accept()")
        self.subprotocol = subprotocol or link.options.choose(self.offered_subprotocols)
        pairs = headers.items() if hasattr(headers, "items") else headers or ()
        raw = [(_raw(name).lower(), _raw(value)) for name, value in pairs]
        await self._outgoing.answer(
            {"type": "websocket.accept", "subprotocol": self.subprotocol, "headers": raw}
        )
        link.open()

    async def receive(self) -> Message:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's are raw
        """The next message as ASGI has it: the connect, what was received, the disconnect."""
        if not self._is_introduced:
            self._is_introduced = True
            if self.application_state is WebSocketState.CONNECTING:
                return {"type": "websocket.connect"}
        if self._is_parted:
            raise LifecycleError("the disconnect was received: there is nothing after it")
        try:
            data: Any = await Messages[Any](self._incoming, ANY, stops=False).__anext__()
        except WebSocketDisconnect as error:
            self._is_parted = True
            return {"type": "websocket.disconnect", "code": error.code, "reason": error.reason}
        return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}

    async def receive_json(self, mode: str = "text") -> Any:
        """The value of the next message, a text or, by its mode, a binary one.

        ValueError for what is no JSON; the connection stays open.
        """
        _check(mode)
        return json.loads(await (self.receive_text() if mode == "text" else self.receive_bytes()))

    async def iter_json(self) -> AsyncGenerator[Any, None]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's rules
        """The messages to come as `receive_json` gives them, until the connection is over."""
        async for text in self.iter_text():
            yield json.loads(text)

    async def send(self, message: Message) -> None:
        """Send a message as ASGI has it: an accept, a message, a close."""
        match message["type"]:
            case "websocket.accept":
                await self.accept(message.get("subprotocol"), message.get("headers"))
            case "websocket.send" if message.get("text") is not None:
                await self.send_text(message["text"])
            case "websocket.send":
                await self.send_bytes(message["bytes"])
            case "websocket.close":
                await self.close(message.get("code", 1000), message.get("reason"))
            case other:
                raise LifecycleError(f"{other} cannot be sent by hand; use send_denial_response()")

    async def send_json(  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's names
        self, data: Any, mode: str = "text"
    ) -> None:
        """Send a value as JSON, in a text or, by the mode, a binary message."""
        _check(mode)
        raw = dump_json(data)
        await (self.send_text(raw.decode()) if mode == "text" else self.send_bytes(raw))

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """End the connection; where it is over already, nothing. See the base class."""
        await super().close(code, reason or "")

    async def send_denial_response(self, response: Response) -> None:
        """Refuse the handshake with a response. RuntimeError where the server cannot send one."""
        if not offers_denials(self.scope):
            raise RuntimeError("this server cannot send a response in place of a handshake")
        self.link.require_unanswered("send_denial_response()")
        await deny(self.link, self.scope, response)


def _check(mode: str) -> None:
    if mode not in ("text", "binary"):
        raise RuntimeError('The "mode" argument should be "text" or "binary".')


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
