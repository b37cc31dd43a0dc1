"""A stream of server-sent events in the hands of a test without an event loop."""

from collections.abc import Iterator
from typing import Self

import httpx2

from asgi_rt.sse.framing import Event
from asgi_rt.testing.events import Events
from asgi_rt.testing.portal import LoopThread
from asgi_rt.testing.sync_exchange import SyncExchange

__all__ = ["SyncEvents"]


class SyncEvents:
    """`Events`, blocking. One thread at a time may iterate; any but the app's may `drop`.

    Iterating and `next(events)` wait for ever; `next_event` has a timeout.
    """

    def __init__(self, events: Events, loop: LoopThread) -> None:
        self._events = events
        self._loop = loop

    def __enter__(self) -> Self:
        """Connect. Raises as `EventSource` does."""
        self._loop.call(self._events.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            return self._loop.call(self._events.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    @property
    def last_event_id(self) -> str:
        """As `EventSource.last_event_id`."""
        return self._events.last_event_id

    @property
    def frames(self) -> list[bytes]:
        """As `Events.frames`."""
        return self._events.frames

    @property
    def waits(self) -> list[float]:
        """As `Events.waits`."""
        return self._events.waits

    @property
    def exchange(self) -> SyncExchange:
        """As `Events.exchange`."""
        return SyncExchange(self._events.exchange, self._loop)

    @property
    def response(self) -> httpx2.Response:
        """The head of the newest response. Raises `RuntimeError` before there is one."""
        return self.exchange.response

    def next_event(self, timeout: float | None = 5.0) -> Event:
        """As `Events.next_event`."""
        return self._loop.call(self._events.next_event, timeout)

    def next_frame(self, timeout: float | None = 5.0) -> bytes:
        """As `Events.next_frame`."""
        return self._loop.call(self._events.next_frame, timeout)

    def drop(self) -> None:
        """As `Events.drop`."""
        self._loop.run(self._events.drop)

    def close(self) -> None:
        """Leave the stream and wait for the end of the app. Raises as `Exchange.aclose` does."""
        if self._loop.is_running:  # otherwise the client was closed, and ended everything
            self._loop.call(self._events.aclose)
