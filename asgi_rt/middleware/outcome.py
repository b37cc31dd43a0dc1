"""How one connection went, told to middleware when it is over."""

from dataclasses import dataclass

__all__ = ["Outcome"]


@dataclass(slots=True)
class Outcome:
    """How one HTTP exchange or one WebSocket went, as one layer of middleware has seen it."""

    status: int | None = None
    """The status that was sent: of the response, of a denial, 101 of a WebSocket that was accepted.
    None where there was none, as the client had left or the app has failed."""
    bytes_sent: int = 0
    """Bytes of body, or of messages; of a file that the server reads, its declared length."""
    chunks: int = 0
    """How many pieces of body that were not empty, or how many messages of a WebSocket."""
    seconds_to_head: float | None = None
    """From the call of this layer until the head was on its way; None where none was sent."""
    seconds: float = 0.0
    """From the call of this layer until everything below it was over; work after the response that
    the app does in a task of its own is not waited for."""
    error: BaseException | None = None
    """What was raised, and is raised again afterwards; a cancellation too."""
    disconnected: bool = False
    """Whether the client left before it had the whole response, as far as was noticed; of a
    WebSocket, whether the connection was lost or left by the client."""
    code: int | None = None
    """How a WebSocket was closed: the code of whoever closed it first, 1006 where it was lost. None
    where nobody has said."""
    bytes_received: int = 0
    """Bytes in the messages of a WebSocket's client."""
    messages_received: int = 0
    """How many messages a WebSocket's client has sent."""
