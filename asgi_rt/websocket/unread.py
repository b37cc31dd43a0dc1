"""Messages that have come and were not received yet."""

from collections import deque

from asgi_rt.websocket.guard import size_of
from asgi_rt.websocket.options import WebSocketOptions

__all__ = ["Unread"]


class Unread:
    """A queue of messages, bounded by their number and by their size."""

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_messages", "taken")

    def __init__(self, options: WebSocketOptions) -> None:
        self._messages: deque[str | bytes] = deque()
        self._bytes = 0
        self._max_messages = options.max_unread_messages
        self._max_bytes = options.max_unread_bytes
        self.taken = 0
        """How many were taken so far."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is to be put."""
        return len(self._messages) >= self._max_messages or self._bytes >= self._max_bytes

    def put(self, message: str | bytes) -> None:
        """Add a message; it may go beyond the bound by its own size."""
        self._messages.append(message)
        self._bytes += size_of(message)

    def take(self) -> str | bytes:
        """The oldest. Raises IndexError where there is none."""
        message = self._messages.popleft()
        self._bytes -= size_of(message)
        self.taken += 1
        return message
