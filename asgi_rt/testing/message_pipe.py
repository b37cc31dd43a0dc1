"""The bounded pipe between the app's `send` and the client that receives WebSocket messages."""

from asgi_rt.testing.flow import Flow
from asgi_rt.testing.websocket_protocol import Frame

__all__ = ["MessagePipe"]


class MessagePipe(Flow[Frame]):
    """Messages on their way from one app to one client. An empty one counts as a byte.

    Unlike a response body's, a finished pipe holds no writer: the connection is over by then.
    A cancelled `read` loses nothing: the message stays in the pipe.
    """

    @property
    def is_full(self) -> bool:
        return super().is_full and not self.is_finished

    def put(self, frame: Frame) -> None:
        """Add a message for the reader."""
        self._add(frame, frame.size or 1)

    async def read(self) -> str | bytes | None:
        """The next message; None at the end and when broken. While frozen it waits for a thaw."""
        if not await self._wait_readable():
            return None
        frame = self._items.popleft()
        self._count_read(frame.size or 1)
        return frame.data
