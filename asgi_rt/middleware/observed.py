"""What goes through a layer of middleware: its head, shown to a hook, and how it went."""

import time
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from asgi_rt.asgi import Message, Receive, Scope, Send
from asgi_rt.errors import ClientDisconnected
from asgi_rt.middleware.head import HEADS, Head
from asgi_rt.middleware.outcome import Outcome
from asgi_rt.websocket.closing import ending_of

__all__ = ["HeadSender", "Observed"]

_clock = time.perf_counter
_ACCEPTED: Final = 101
_REFUSED: Final = 403


class _Connection(Protocol):
    scope: Scope


class _Hooked(Protocol):
    """Somebody who wants to see the head."""

    head_is_async: ClassVar[bool]

    def head(self, connection: Any, head: Head) -> Any: ...


class HeadSender:
    """A `send` that shows the head to a hook."""

    __slots__ = ("_connection", "_hooked", "_is_sent", "_send")

    def __init__(self, hooked: _Hooked, connection: _Connection, send: Send) -> None:
        self._hooked = hooked
        self._connection = connection
        self._send = send
        self._is_sent = False

    async def send(self, message: Message) -> None:
        if not self._is_sent and message["type"] in HEADS:
            self._is_sent = True
            head = Head(message)
            message = head.message
            if self._hooked.head_is_async:
                await self._hooked.head(self._connection, head)
            else:
                self._hooked.head(self._connection, head)
        await self._send(message)


class Observed:
    """The `receive` and `send` of a connection, for a layer that wants to know how it went.

    An HTTP exchange keeps the server's own `receive`; nothing is learned from it that matters here.
    """

    __slots__ = (
        "_connection",
        "_hooked",
        "_is_complete",
        "_outcome",
        "_send",
        "_started",
        "passes_on",
        "receive",
    )

    def __init__(
        self, hooked: _Hooked | None, connection: _Connection, receive: Receive, send: Send
    ) -> None:
        self._hooked = hooked
        self._connection = connection
        self._send = send
        self._outcome = Outcome()
        self._is_complete = False
        self.passes_on = receive
        """For `waits_for_futures`."""
        is_websocket = connection.scope["type"] == "websocket"
        self.receive: Receive = self._receive if is_websocket else receive
        self._started = _clock()

    async def _receive(self) -> Message:
        message = await self.passes_on()
        outcome = self._outcome
        if message["type"] == "websocket.receive":
            outcome.messages_received += 1
            outcome.bytes_received += _size(message)
        elif message["type"] == "websocket.disconnect" and outcome.code is None:
            spec_version: str = self._connection.scope.get("asgi", {}).get("spec_version", "2.0")
            outcome.code, _, by = ending_of(message, spec_version)
            outcome.disconnected = by != "server"
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in HEADS:
            if self._hooked is not None:
                head = Head(message)
                message = head.message
                if self._hooked.head_is_async:
                    await self._hooked.head(self._connection, head)
                else:
                    self._hooked.head(self._connection, head)
            self._outcome.seconds_to_head = _clock() - self._started
        try:
            await self._send(message)
        except OSError:  # how a server says that the client has left
            self._outcome.disconnected = True
            raise
        _NOTES.get(kind, _nothing)(self, message)

    def outcome(self, error: BaseException | None) -> Outcome:
        """How it went, now that it is over."""
        outcome = self._outcome
        outcome.seconds = _clock() - self._started
        outcome.error = error
        if isinstance(error, ClientDisconnected) or (error is None and not self._is_whole()):
            outcome.disconnected = True
        return outcome

    def _is_whole(self) -> bool:
        is_http = self._connection.scope["type"] == "http"
        return self._is_complete or (not is_http and self._outcome.status == _ACCEPTED)

    # What was sent

    def note_head(self, message: Message) -> None:
        self._outcome.status = message.get("status", _ACCEPTED)

    def note_body(self, message: Message) -> None:
        size = len(message.get("body", b""))
        if size:
            self._outcome.chunks += 1
            self._outcome.bytes_sent += size
        self._is_complete = not message.get("more_body", False)

    def note_message(self, message: Message) -> None:
        self._outcome.chunks += 1
        self._outcome.bytes_sent += _size(message)

    def note_close(self, message: Message) -> None:
        outcome = self._outcome
        if outcome.status is None:
            outcome.status = _REFUSED
            self._is_complete = True
        if outcome.code is None:
            outcome.code = message.get("code", 1000)


def _size(message: Message) -> int:
    """Of a WebSocket's message, in bytes; a text counts as many as it has in UTF-8."""
    data: str | bytes = message.get("text") or message.get("bytes") or b""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())


def _nothing(observed: Observed, message: Message) -> None:
    """For what is neither head nor body: trailers, early hints, what tells of a template."""


_NOTES: Final[dict[str, Callable[[Observed, Message], None]]] = {
    **dict.fromkeys(HEADS, Observed.note_head),
    "http.response.body": Observed.note_body,
    "http.response.zerocopysend": Observed.note_body,
    "http.response.pathsend": Observed.note_body,
    "websocket.http.response.body": Observed.note_body,
    "websocket.send": Observed.note_message,
    "websocket.close": Observed.note_close,
}
