"""What a stream's sender and the response that it sends know of each other.

There are two senders, because one that is good on asyncio is not possible on trio, and the other
way round: `stepped_sender` for asyncio, uvloop included, and `group_sender` for trio.
"""

from typing import Any, ClassVar, Final, Protocol

from asgi_rt.asgi import Message
from asgi_rt.errors import HTTPError

__all__ = ["JOIN_BYTES", "TURN_SECONDS", "Body", "Sender"]

JOIN_BYTES: Final = 16 * 1024
"""What a source has ready is joined into one send of about this size: 16 KiB is where a larger one
no longer paid, and it is a quarter of what servers buffer before they make the sender wait.
"""
TURN_SECONDS: Final = 0.002
"""A source that never waits gets this long before it has to let others run."""


class Body(Protocol):
    """The response whose body is sent, as its sender sees it."""

    ends_cleanly: ClassVar[bool]
    """Whether a stream that is cut off ends as if its source had ended."""
    head_wait: float | None
    """Seconds that the head waits for the first item; None is however long it takes."""
    send_timeout: float | None
    """Seconds that the client may take nothing; None is for ever."""
    max_lifetime: float | None
    """Seconds that the stream may last; None is any number."""
    ping: float | None
    """Seconds without anything to send after which `encode_ping` is sent; None is never."""
    finish_in_drain: bool
    """Whether the source may go on after the farewell when the server goes down."""

    def unavailable(self) -> HTTPError:
        """What is raised where the stream was cut off before its head."""
        ...

    async def settle(self, sender: "Sender") -> None:
        """To be called when the sender is done, on every way out: what was opened is closed."""
        ...

    def close_seconds(self) -> float:
        """How long what is cancelled may take to end."""
        ...

    def head(self) -> Message:
        """The `http.response.start` message. Asked for once, after `encode` of the first item,
        unless that keeps the client waiting for more than `head_wait`.
        """
        ...

    def encode(self, item: Any) -> bytes:
        """The bytes of one item."""
        ...

    def encode_begin(self) -> bytes:
        """What goes before everything else."""
        ...

    def encode_end(self) -> bytes:
        """What follows the last item."""
        ...

    def encode_ping(self) -> bytes:
        """What shows that the stream is alive while the source is silent."""
        ...

    def encode_farewell(self) -> bytes:
        """What the client is told when the server goes down; b"" is nothing."""
        ...

    def encode_error(self, error: Exception) -> bytes | None:
        """What the client is told of an error of the source's; None truncates the body."""
        ...


class Sender(Protocol):
    """Drives one source to its end, or to the client's."""

    head_sent: bool
    """Whether the head was handed to the server: no other response is possible then."""
    is_complete: bool
    """Whether the source came to its end and the server took all of it."""

    @property
    def was_cut_off(self) -> bool:
        """Whether it ended for neither the source nor the client, nor an error."""
        ...

    async def run(self) -> None:
        """Send it all, and have the body settled. Returns when the source is exhausted, the client
        has left, or the stream was cut off, by `cancel` or at the end of its lifetime; raises what
        the source raised, and SendTimeout.
        """
        ...

    def cancel(self) -> None:
        """Cut the stream off, from any task of the loop."""
        ...

    def begin_drain(self) -> None:
        """Tell the client that the server goes down, and end unless the source may finish."""
        ...
