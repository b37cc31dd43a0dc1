"""What can be seen of a WebSocket connection, from either kind of client."""

from dataclasses import dataclass

import httpx2

from asgi_rt.asgi import Scope
from asgi_rt.testing.message_pipe import MessagePipe
from asgi_rt.testing.task import PlainTask
from asgi_rt.testing.websocket_link import WebSocketLink

__all__ = ["WebSocketParts", "WebSocketView"]


@dataclass(frozen=True, slots=True)
class WebSocketParts:
    """What one WebSocket connection is made of."""

    name: str
    request: httpx2.Request
    scope: Scope
    pipe: MessagePipe
    link: WebSocketLink
    task: PlainTask


class WebSocketView:
    """The state of a connection at this moment. Reading it waits for nothing."""

    def __init__(self, parts: WebSocketParts, response: httpx2.Response | None = None) -> None:
        self._parts = parts
        self._response = response

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._parts.name}: {self._state}>"

    @property
    def request(self) -> httpx2.Request:
        """The request of the handshake."""
        return self._parts.request

    @property
    def scope(self) -> Scope:
        """The scope the app was called with; what the app puts into it can be seen."""
        return self._parts.scope

    @property
    def response(self) -> httpx2.Response:
        """The response to the handshake. Raises `RuntimeError` before there is one."""
        if self._response is None:
            raise RuntimeError(f"{self._parts.name}: the handshake is not answered yet")
        return self._response

    @property
    def headers(self) -> httpx2.Headers:
        """The headers of that response: the server's and those that the app accepted with."""
        return self.response.headers

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the app has accepted."""
        accepted = self._parts.link.accepted
        return None if accepted is None else accepted.subprotocol

    @property
    def close_code(self) -> int | None:
        """The code that the connection has ended with; None while it is open.

        1006 if it was lost, also because the app ended without closing it. The end is seen here
        before what was sent ahead of it has been received.
        """
        ending = self._parts.link.ending
        return None if ending is None else ending.code

    @property
    def close_reason(self) -> str | None:
        """The reason that came with `close_code`, "" for none; None while it is open."""
        ending = self._parts.link.ending
        return None if ending is None else ending.reason

    @property
    def is_closed(self) -> bool:
        """Whether the connection is over."""
        return self._parts.link.ending is not None

    @property
    def is_blocked(self) -> bool:
        """Whether the app waits in `send` for room in the pipe."""
        return self._parts.pipe.is_blocked

    @property
    def is_frozen(self) -> bool:
        """Whether the client is frozen."""
        return self._parts.pipe.is_frozen

    @property
    def is_done(self) -> bool:
        """Whether the app's task has ended."""
        return self._parts.task.is_done

    @property
    def messages_sent(self) -> int:
        """How many messages the app has sent to a client that was there."""
        return self._parts.link.messages_sent

    @property
    def bytes_buffered(self) -> int:
        """How many bytes of those messages are not received yet."""
        return self._parts.pipe.bytes_buffered

    @property
    def messages_unreceived(self) -> int:
        """How much of what the client did the app has not received, `websocket.disconnect` too."""
        return self._parts.link.unreceived

    @property
    def _state(self) -> str:
        """What the app is doing, for the messages of errors."""
        link = self._parts.link
        if self.is_done:
            doing = "the app has ended"
        elif self.is_blocked:
            doing = "the app is still running and waits in send for room in the pipe"
        elif link.receivers:
            doing = "the app is still running and waits in receive"
        else:
            doing = "the app is still running, but neither in receive nor waiting in send"
        frozen = "; the client is frozen, thaw() it first" if self.is_frozen else ""
        return f"{doing}, {link.messages_sent} messages sent{frozen}"
