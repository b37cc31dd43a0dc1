"""The head of a response before it is sent, as middleware sees and changes it."""

from typing import Final

from asgi_rt.asgi import Message
from asgi_rt.http.headers import MutableHeaders

__all__ = ["HEADS", "Head"]

HEADS: Final = frozenset(
    {"http.response.start", "websocket.accept", "websocket.http.response.start"}
)
"""The messages that hold one: of a response, of an accepted handshake, and of a denied one."""
_SWITCHING_PROTOCOLS: Final = 101


class Head:
    """Status and header fields that are about to be sent. What is changed here is what is sent.

    It holds a copy: an app may send the same message, or the same list of fields, again and again.
    """

    __slots__ = ("headers", "message")

    def __init__(self, message: Message) -> None:
        raw = [*message["headers"]] if "headers" in message else []
        # Not `dict(message)`, which takes twice as long.
        self.message: Message = {**message, "headers": raw}
        """The ASGI message that will be sent."""
        self.headers: Final = MutableHeaders(raw)
        """The header fields, to be changed in place."""

    @property
    def status(self) -> int:
        """The status; 101 for a WebSocket that is accepted. It can be set, but for that one."""
        status: int = self.message.get("status", _SWITCHING_PROTOCOLS)
        return status

    @status.setter
    def status(self, status: int) -> None:
        if "status" not in self.message:
            raise ValueError("a handshake that was accepted has the status 101, and no other")
        self.message["status"] = status
