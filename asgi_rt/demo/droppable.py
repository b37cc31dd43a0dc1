"""Streams that can be broken off from outside, as a bad network does it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeVar

import anyio

from asgi_rt import ClientDisconnected

__all__ = ["DroppableStreams"]

T = TypeVar("T")

_MAX_STREAMS: Final = 1000


class DroppableStreams:
    """The open streams, each under the token that its client made up for it.

    Whoever knows a token can drop its streams, so it has to be a secret. Streams beyond
    `max_streams` are served as well; they only cannot be dropped.
    """

    def __init__(self, *, max_streams: int = _MAX_STREAMS) -> None:
        self._max_streams = max_streams
        self._tokens: dict[_Stream, str] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    async def guard(self, token: str, source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """What `source` gives, until `drop(token)`: then it raises ClientDisconnected.

        As if the client had left, the response then stays without its end; and that is how a
        client that is still there learns that the connection is broken. The source is closed on
        every way out.
        """
        stream = _Stream()
        if len(self._tokens) < self._max_streams:
            self._tokens[stream] = token
        try:
            async with aclosing(source):
                while True:
                    try:
                        item = await stream.next_of(source)
                    except StopAsyncIteration:
                        return
                    yield item
        finally:
            self._tokens.pop(stream, None)

    def drop(self, token: str) -> int:
        """Break off the streams with this token; how many there were."""
        dropped = [stream for stream, its in self._tokens.items() if its == token]
        for stream in dropped:
            stream.drop()
        return len(dropped)


class _Stream:
    """Waits for a source's items, until it is dropped, by any task of the event loop."""

    def __init__(self) -> None:
        self._is_dropped = False
        self._wait = anyio.CancelScope()

    async def next_of(self, source: AsyncGenerator[T, None]) -> T:
        if not self._is_dropped:
            # A scope for each item: a generator must not hold one open while it yields.
            with anyio.CancelScope() as self._wait:
                item = await anext(source)
                if not self._is_dropped:
                    return item
        raise ClientDisconnected

    def drop(self) -> None:
        self._is_dropped = True
        self._wait.cancel()
