"""An exchange in the hands of a caller without an event loop."""

from collections.abc import Callable, Iterator
from typing import Self

import httpx2

from asgi_rt.testing.exchange import EXTENSION, Exchange
from asgi_rt.testing.portal import LoopThread
from asgi_rt.testing.view import ExchangeView

__all__ = ["SyncExchange"]


class SyncExchange(ExchangeView):
    """An `Exchange` for callers without an event loop: the same controls, blocking.

    Every method may be called from any thread but the app's own, also while another one reads.
    """

    def __init__(
        self,
        exchange: Exchange,
        loop: LoopThread,
        on_response: Callable[[httpx2.Response], None] | None = None,
    ) -> None:
        super().__init__(exchange._parts)
        self._exchange = exchange
        self._loop = loop
        self._on_response = on_response
        self._response: httpx2.Response | None = None

    @classmethod
    def of(cls, response: httpx2.Response) -> Self:
        """The exchange behind a response of a `TestClient`. Raises `TypeError` for others."""
        exchange = response.extensions.get(EXTENSION)
        if not isinstance(exchange, cls):
            raise TypeError(f"{response!r} does not come from a TestClient")
        return exchange

    @property
    def response(self) -> httpx2.Response:
        """The response, once it has started; `head` waits for it. Its body is read from here."""
        if self._response is None:
            self._response = httpx2.Response(
                self.status,
                headers=self.headers,
                stream=_SyncBodyStream(self),
                request=self.request,
                extensions={"http_version": b"HTTP/1.1", EXTENSION: self},
            )
            if self._on_response is not None:
                self._on_response(self._response)
        return self._response

    def head(self) -> httpx2.Response:
        """The response, as soon as the app has sent its head. Raises as `Exchange.head` does."""
        self._loop.call(self._exchange.wait_head)
        return self.response

    def read(self, max_bytes: int | None = None) -> bytes:
        """The next chunk, or `max_bytes` of it; b"" at the end. Raises as `Exchange.read` does."""
        return self._loop.call(self._exchange.read, max_bytes)

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk

    def disconnect(self) -> None:
        """Leave abruptly: what is in the pipe is lost and the app is told. Again does nothing."""
        self._loop.run(self._exchange.disconnect)

    def freeze(self) -> None:
        """Stop reading, as a stalled client does: a `read` then waits whatever there is to read."""
        self._loop.run(self._exchange.freeze)

    def thaw(self) -> None:
        """Go on reading."""
        self._loop.run(self._exchange.thaw)

    def wait_blocked(self) -> None:
        """Wait until the app waits in `send` for room. Raises as `Exchange.wait_blocked` does."""
        self._loop.call(self._exchange.wait_blocked)

    def wait_done(self) -> None:
        """Wait until the app's task has ended."""
        self._loop.call(self._exchange.wait_done)

    def close(self) -> None:
        """Leave, and wait until the app's task has ended. Raises as `Exchange.aclose` does."""
        if self._loop.is_running:  # otherwise the client was closed, and ended everything
            self._loop.call(self._exchange.aclose)

    def leave(self) -> None:
        """As `close`, but nothing of the app's is raised."""
        if self._loop.is_running:
            self._loop.call(self._exchange.leave)


class _SyncBodyStream(httpx2.SyncByteStream):
    def __init__(self, exchange: SyncExchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._exchange)

    def close(self) -> None:
        self._exchange.close()
