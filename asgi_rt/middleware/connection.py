"""A connection as one layer of middleware sees it."""

from collections.abc import Awaitable, Generator
from inspect import isawaitable
from typing import Any, Protocol

from asgi_rt.asgi import Message, Scope, Send
from asgi_rt.http.connection import HTTPConnection
from asgi_rt.middleware.head import HEADS, Head

__all__ = ["Connection", "Hooked", "ShownConnection", "show"]


class Hooked(Protocol):
    """Somebody who wants to see the head."""

    def head(self, connection: Any, head: Head) -> Any:
        """Called with it before it is sent; what is awaitable is awaited."""
        ...


class Connection(HTTPConnection):
    """The head of the request of an HTTP exchange or a WebSocket, before it is served.

    Each layer has its own, so that its hooks may keep things on it.
    """

    layer_steps: Generator[None, Any, Any] | None = None
    """Where a layer that is a generator stands."""
    layer_has_head: bool = False
    """Whether that was given the head."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    @property
    def is_websocket(self) -> bool:
        """Whether it asks for a WebSocket, and not for a response."""
        kind: str = self.scope["type"]
        return kind == "websocket"


class ShownConnection(Connection):
    """One whose head is shown to a hook: `send_shown` is the `send` of whatever is below.

    One object, and `show` without a call: each is 0.1 us of a layer's 1.2.
    """

    def __init__(self, scope: Scope, hooked: Hooked, send: Send) -> None:
        self.scope = scope
        self._hooked = hooked
        self.sends_on = send
        """For `sends_from_anywhere`."""
        self._is_shown = False

    def send_shown(self, message: Message) -> Awaitable[None]:
        """Send a message; a head as the hook would have it. To be awaited.

        No coroutine, which would take 0.1 us for each message, but where the hook is one.
        """
        if self._is_shown or message["type"] not in HEADS:
            return self.sends_on(message)
        head = Head(message)
        try:
            waiting = self._hooked.head(self, head)
        except OSError as error:
            raise failed(self._hooked) from error
        if waiting is not None and isawaitable(waiting):
            return self._send_after(waiting, head)
        self._is_shown = True
        return self.sends_on(head.message)

    async def _send_after(self, waiting: Awaitable[Any], head: Head) -> None:
        """Send a head when the hook is done with it."""
        try:
            await waiting
        except OSError as error:
            raise failed(self._hooked) from error
        self._is_shown = True
        await self.sends_on(head.message)


async def show(message: Message, hooked: Hooked, connection: Connection) -> Message:
    """The message of a head, as the hook would have it."""
    head = Head(message)
    try:
        waiting = hooked.head(connection, head)
        if waiting is not None and isawaitable(waiting):
            await waiting
    except OSError as error:
        raise failed(hooked) from error
    return head.message


def failed(hooked: Hooked) -> RuntimeError:
    """For OSError, which out of a `send` says that the client has left: it has not."""
    return RuntimeError(f"{type(hooked).__name__}.head has failed")
