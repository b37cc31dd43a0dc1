"""A WebSocket connection in the hands of a test without an event loop."""

from collections.abc import Iterator
from typing import Any

from asgi_rt.testing.errors import ConnectionClosed
from asgi_rt.testing.portal import LoopThread
from asgi_rt.testing.websocket import WebSocketConnection
from asgi_rt.testing.websocket_view import WebSocketView

__all__ = ["SyncWebSocketConnection"]


class SyncWebSocketConnection(WebSocketView):
    """A `WebSocketConnection` for callers without an event loop: the same controls, blocking.

    Every method may be called from any thread but the app's own, also while another one receives.
    Several connections of one client share its loop. Timeouts are in seconds; None is no bound.
    """

    def __init__(self, connection: WebSocketConnection, loop: LoopThread) -> None:
        super().__init__(connection._parts, connection.response)
        self._connection = connection
        self._loop = loop

    def receive(self, timeout: float | None = 5.0) -> str | bytes:
        """The next message, str or bytes. Raises as `WebSocketConnection.receive` does."""
        return self._loop.call(self._connection.receive, timeout)

    def receive_text(self, timeout: float | None = 5.0) -> str:
        """As `receive`; raises `UnexpectedMessageError` for a binary message."""
        return self._loop.call(self._connection.receive_text, timeout)

    def receive_bytes(self, timeout: float | None = 5.0) -> bytes:
        """As `receive`; raises `UnexpectedMessageError` for a text message."""
        return self._loop.call(self._connection.receive_bytes, timeout)

    def receive_json(self, timeout: float | None = 5.0) -> Any:
        """The value of the next message; raises `UnexpectedMessageError` if it is not JSON."""
        return self._loop.call(self._connection.receive_json, timeout)

    def __iter__(self) -> Iterator[str | bytes]:
        return self

    def __next__(self) -> str | bytes:
        """The next message, until the connection is over, as `receive` gives it."""
        try:
            return self.receive()
        except ConnectionClosed:
            raise StopIteration from None

    def send(self, data: str | bytes) -> None:
        """Send a text message if `data` is a str, else a binary one, without waiting for the app.

        Raises as `WebSocketConnection.send` does.
        """
        self._loop.call(self._connection.send, data)

    def send_text(self, text: str) -> None:
        """Send a text message. Raises as `send` does."""
        self._loop.call(self._connection.send_text, text)

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message. Raises as `send` does."""
        self._loop.call(self._connection.send_bytes, data)

    def send_json(self, value: Any, *, binary: bool = False) -> None:
        """Send a value as JSON, in a text message unless `binary`. Raises as `send` does."""
        self._loop.call(lambda: self._connection.send_json(value, binary=binary))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a close frame. See `WebSocketConnection.close`."""
        self._loop.call(self._connection.close, code, reason)

    def disconnect(self) -> None:
        """Lose the connection, without a close frame. See `WebSocketConnection.disconnect`."""
        self._loop.run(self._connection.disconnect)

    def server_close(self, code: int = 1012) -> None:
        """Have the server go down. See `WebSocketConnection.server_close`."""
        self._loop.run(lambda: self._connection.server_close(code))

    def freeze(self) -> None:
        """Stop reading, as a stalled client does. See `WebSocketConnection.freeze`."""
        self._loop.run(self._connection.freeze)

    def thaw(self) -> None:
        """Go on reading."""
        self._loop.run(self._connection.thaw)

    def wait_blocked(self, timeout: float | None = 5.0) -> None:
        """Wait until the app waits in `send` for room. Raises as the async twin does."""
        self._loop.call(self._connection.wait_blocked, timeout)

    def wait_received(self, timeout: float | None = 5.0) -> None:
        """Wait until the app has received all that the client did. Raises as the async twin."""
        self._loop.call(self._connection.wait_received, timeout)

    def wait_closed(self, timeout: float | None = 5.0) -> ConnectionClosed:
        """How the connection ended, as soon as it did. Raises as the async twin does."""
        return self._loop.call(self._connection.wait_closed, timeout)

    def wait_done(self, timeout: float | None = 5.0) -> None:
        """Wait until the app's task has ended. Raises `TimeoutError`."""
        self._loop.call(self._connection.wait_done, timeout)
