"""What goes through a layer of middleware, and so how it went."""

import time
from collections.abc import Callable
from typing import Final

from asgi_rt.asgi import Message, Receive, Send
from asgi_rt.errors import ClientDisconnected
from asgi_rt.middleware.connection import Connection, Hooked, show
from asgi_rt.middleware.head import HEADS
from asgi_rt.middleware.outcome import Outcome
from asgi_rt.middleware.progress import CUT_OFF
from asgi_rt.websocket.closing import ending_of

__all__ = ["Observed"]

_clock = time.perf_counter
_ACCEPTED: Final = 101
_REFUSED: Final = 403
_FILE_EXTENSIONS: Final = ("http.response.pathsend", "http.response.zerocopysend")


class Observed:
    """The `receive` and `send` of a connection, for a layer that wants to know how it went.

    `receive` is that of a WebSocket. An HTTP exchange keeps the server's own; nothing is learned
    from it that matters here.
    """

    __slots__ = (
        "_connection",
        "_file_bytes",
        "_head_at",
        "_hooked",
        "_is_complete",
        "_outcome",
        "_started",
        "passes_on",
        "sends_on",
    )

    def __init__(
        self, hooked: Hooked | None, connection: Connection, receive: Receive, send: Send
    ) -> None:
        self._hooked = hooked
        self._connection = connection
        self.sends_on = send
        """For `sends_from_anywhere`."""
        self._outcome = Outcome()
        self._is_complete = False
        self._head_at: float | None = None
        self._file_bytes = 0
        self.passes_on = receive
        """For `waits_for_futures`."""
        self._started = _clock()

    async def receive(self) -> Message:
        message = await self.passes_on()
        outcome = self._outcome
        if message["type"] == "websocket.receive":
            outcome.messages_received += 1
            outcome.bytes_received += _size(message)
        elif message["type"] == "websocket.disconnect":
            self._note_disconnect(message)
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in HEADS and self._head_at is None:
            if self._hooked is not None:
                message = await show(message, self._hooked, self._connection)
            self._head_at = _clock()
        try:
            await self.sends_on(message)
        except BaseException as error:
            if isinstance(error, OSError):  # how a server says that the client has left
                self._outcome.disconnected = True
            elif not isinstance(error, Exception):
                # Cancelled, as the send of a last message is by those who wait for the end of the
                # response. So the server has taken it, as far as can be told.
                _NOTES.get(kind, _nothing)(self, message)
            raise
        _NOTES.get(kind, _nothing)(self, message)

    def outcome(self, error: BaseException | None) -> Outcome:
        """How it went, now that it is over."""
        outcome = self._outcome
        outcome.seconds = _clock() - self._started
        if error is not None:
            outcome.error = error
            self._outcome = Outcome()  # that one knows, by the error, frames that know this object
        if isinstance(error, ClientDisconnected) or (error is None and self._is_left_open()):
            outcome.disconnected = True
        return outcome

    def _is_left_open(self) -> bool:
        """Whether an end is missing, and by nobody's doing on this side."""
        scope = self._connection.scope
        if self._is_complete or CUT_OFF in scope:
            return False
        return scope["type"] == "http" or self._outcome.status != _ACCEPTED

    def _note_disconnect(self, message: Message) -> None:
        """Unless it is but the server's word that what the app has ended is over."""
        outcome = self._outcome
        if outcome.code is None and not self._is_complete:
            spec_version: str = self._connection.scope.get("asgi", {}).get("spec_version", "2.0")
            outcome.code, _, by = ending_of(message, spec_version)
            outcome.disconnected = by != "server"

    # What was sent

    def note_head(self, message: Message) -> None:
        outcome = self._outcome
        outcome.status = message.get("status", _ACCEPTED)
        if self._head_at is not None:
            outcome.seconds_to_head = self._head_at - self._started
        extensions = self._connection.scope.get("extensions")
        if extensions and any(name in extensions for name in _FILE_EXTENSIONS):
            self._file_bytes = _declared_length(message)

    def note_body(self, message: Message) -> None:
        size = len(message.get("body", b""))
        if size:
            self._outcome.chunks += 1
            self._outcome.bytes_sent += size
        self._is_complete = not message.get("more_body", False)

    def note_file(self, message: Message) -> None:
        """The server reads it: so many bytes of it, or the whole."""
        self.note_body(message)
        size: int | None = message.get("count")
        if size is None:
            size = self._file_bytes
        if size:
            self._outcome.chunks += 1
            self._outcome.bytes_sent += size

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
    text: str | None = message.get("text")
    if text:
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return len(message.get("bytes") or b"")


def _declared_length(head: Message) -> int:
    for name, value in head.get("headers", ()):
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _nothing(observed: Observed, message: Message) -> None:
    """For what is neither head nor body: trailers, early hints, what tells of a template."""


_NOTES: Final[dict[str, Callable[[Observed, Message], None]]] = {
    **dict.fromkeys(HEADS, Observed.note_head),
    "http.response.body": Observed.note_body,
    "http.response.zerocopysend": Observed.note_file,
    "http.response.pathsend": Observed.note_file,
    "websocket.http.response.body": Observed.note_body,
    "websocket.send": Observed.note_message,
    "websocket.close": Observed.note_close,
}
