"""A stream's source that is made for it, and whose items others may send."""

from collections.abc import AsyncIterator
from typing import Any

__all__ = ["PulledSource"]


class PulledSource(AsyncIterator[bytes]):
    """A source that is its own `SteppablePull` on asyncio; anywhere else an async iterator."""

    __slots__ = ()

    def pushes_to(self, sender: Any) -> None:
        """The stream is sent by a `SteppedSender`; told before anything is asked of the source.

        While it allows pushes, others may send by its `server_send`. A send that then waits is the
        sender's to `carry_on`, and what one raises its to `fail` with.
        """
        raise NotImplementedError

    def allow_pushes(self) -> None:
        """Nothing else is due: until the wait for the source is over, if there is one, others may
        send.
        """
        raise NotImplementedError

    def stop_pushes(self) -> None:
        """Something else is due: they may not, until it is allowed again."""
        raise NotImplementedError

    @property
    def pushed_at(self) -> float:
        """When they last did, by `time.perf_counter`."""
        raise NotImplementedError

    def wake(self) -> None:
        """The stream has something else to do: end its wait for the source."""
        raise NotImplementedError
