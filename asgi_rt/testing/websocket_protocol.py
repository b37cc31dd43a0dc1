"""What an app may send over a WebSocket connection, and when. No I/O.

`WebSocketProtocol` is a strict server's view of what the app does: `receive` takes the app's
messages one by one and turns each into an event, or refuses it with a `MessageError`. It has a
table of its own instead of `asgi_rt.websocket.lifecycle`, so that no mistake there passes here.

Specification: https://asgi.readthedocs.io/en/latest/specs/www.html#websocket
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from asgi_rt.asgi import Message, RawHeaders
from asgi_rt.testing.fields import Fields
from asgi_rt.testing.protocol import BodyPart, ResponseHead, ResponseProtocol
from asgi_rt.websocket.closing import MAX_REASON_BYTES, check_code

__all__ = ["DENIAL", "Accepted", "Closed", "Frame", "Stage", "WebSocketEvent", "WebSocketProtocol"]

DENIAL: Final = "websocket.http.response"
"""The extension with which an app answers a handshake with an HTTP response of its own."""


@dataclass(frozen=True, slots=True)
class Accepted:
    subprotocol: str | None
    headers: RawHeaders


@dataclass(frozen=True, slots=True)
class Frame:
    """One message for the client; `size` is its length in bytes."""

    data: str | bytes
    size: int


@dataclass(frozen=True, slots=True)
class Closed:
    code: int
    reason: str


WebSocketEvent: TypeAlias = Accepted | Frame | Closed | ResponseHead | BodyPart


class Stage(Enum):
    """How far the app is. The value reads after "when"."""

    HANDSHAKE = "the handshake was not answered yet"
    OPEN = "the handshake was accepted"
    DENIAL = "it was denying the handshake"
    END = "it had closed the connection or denied it"


_ACCEPT: Final = "websocket.accept"
_SEND: Final = "websocket.send"
_CLOSE: Final = "websocket.close"
_START: Final = "websocket.http.response.start"
_BODY: Final = "websocket.http.response.body"

# A type that is not in the row of the stage is the error.
_ALLOWED: Final[dict[Stage, frozenset[str]]] = {
    Stage.HANDSHAKE: frozenset({_ACCEPT, _CLOSE, _START}),
    Stage.OPEN: frozenset({_SEND, _CLOSE}),
    Stage.DENIAL: frozenset({_BODY}),
    Stage.END: frozenset(),
}


class WebSocketProtocol:
    """The app's side of one connection. `offered` are the subprotocols that the client offers."""

    def __init__(self, *, name: str, offered: Collection[str], extensions: Collection[str]) -> None:
        self.stage = Stage.HANDSHAKE
        self._offered = offered
        self._extensions = extensions
        self._fields = Fields(name)
        self._denial = ResponseProtocol(name=name, method="GET")
        self._readers: dict[str, Callable[[Message], WebSocketEvent]] = {
            _ACCEPT: self._accept,
            _SEND: self._send,
            _CLOSE: self._close,
            _START: self._deny,
            _BODY: self._deny,
        }

    def receive(self, message: Message) -> WebSocketEvent:
        """What the app's `message` means; moves the connection on. Raises `MessageError`."""
        kind = message.get("type")
        if not isinstance(kind, str) or kind not in self._readers:
            self._fields.refuse(f"the app sent a message of the unknown type {kind!r}")
        if kind.startswith(DENIAL) and DENIAL not in self._extensions:
            self._fields.refuse(f"the app sent {kind}, an extension that scope['extensions'] lacks")
        if kind not in _ALLOWED[self.stage]:
            self._fields.refuse(f"the app sent {kind} when {self.stage.value}")
        return self._readers[kind](message)

    def _accept(self, message: Message) -> Accepted:
        subprotocol = message.get("subprotocol")
        if not isinstance(subprotocol, str | None):
            self._fields.refuse(f"subprotocol must be a str or None, not {subprotocol!r}")
        if subprotocol is not None and subprotocol not in self._offered:
            self._fields.refuse(
                f"the app accepted the subprotocol {subprotocol!r}; the client offers "
                f"{list(self._offered)!r} and has to fail the connection"
            )
        headers = self._fields.headers(message)
        if any(name == b"sec-websocket-protocol" for name, _ in headers):
            self._fields.refuse("sec-websocket-protocol goes into subprotocol, not into headers")
        self.stage = Stage.OPEN
        return Accepted(subprotocol, headers)

    def _send(self, message: Message) -> Frame:
        text: object = message.get("text")
        data: object = message.get("bytes")
        if (text is None) == (data is None):
            which = "both are None" if text is None else "neither is None"
            self._fields.refuse(
                f"exactly one of text and bytes must be given in websocket.send; {which}"
            )
        if text is None:
            if not isinstance(data, bytes):
                self._fields.refuse(f"bytes must be bytes, not {type(data).__name__}")
            return Frame(data, len(data))
        if not isinstance(text, str):
            self._fields.refuse(f"text must be a str, not {type(text).__name__}")
        try:
            return Frame(text, len(text.encode()))
        except UnicodeEncodeError as error:
            self._fields.refuse(f"text cannot be written as UTF-8: {error}")

    def _close(self, message: Message) -> Closed:
        code: Any = message.get("code", 1000)
        reason: Any = message.get("reason")
        if not isinstance(code, int) or isinstance(code, bool):
            self._fields.refuse(f"code must be an int, not {code!r}")
        if not isinstance(reason, str | None):
            self._fields.refuse(f"reason must be a str or None, not {reason!r}")
        if self.stage is Stage.OPEN:  # otherwise neither reaches the client
            self._check_close(code, reason or "")
        self.stage = Stage.END
        return Closed(int(code), reason or "")

    def _check_close(self, code: int, reason: str) -> None:
        try:
            check_code(code)
            size = len(reason.encode())
        except ValueError as error:
            self._fields.refuse(f"the app sent a websocket.close that cannot be sent: {error}")
        if size > MAX_REASON_BYTES:
            self._fields.refuse(
                f"a close frame holds a reason of {MAX_REASON_BYTES} bytes at most, not of {size}"
            )

    def _deny(self, message: Message) -> ResponseHead | BodyPart:
        kind = message["type"].removeprefix("websocket.")
        event = self._denial.receive({**message, "type": kind})
        self.stage = Stage.END if self._denial.is_complete else Stage.DENIAL
        if not isinstance(event, ResponseHead | BodyPart):
            raise TypeError(f"a denial has a head and a body, and no {event!r}")
        return event
