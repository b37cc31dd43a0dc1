"""A stream of server-sent events in the hands of a test."""

from typing import Any, TypedDict, Unpack

import anyio
import anyio.lowlevel
import httpx2

from asgi_rt.errors import AsgiRtError
from asgi_rt.sse.client import EventSource
from asgi_rt.sse.client_request import Headers, Params
from asgi_rt.sse.client_response import EventResponse
from asgi_rt.sse.framing import Event
from asgi_rt.testing.exchange import Exchange

__all__ = ["EventOptions", "Events", "StreamEndedError"]


class EventOptions(TypedDict, total=False):
    """What `EventSource` takes, and so do the test clients. See there for the meaning."""

    method: str
    params: Params | None
    headers: Headers | None
    content: str | bytes | None
    json: Any
    last_event_id: str | None
    reconnect: bool | None
    retry: float
    max_retry: float
    max_attempts: int | None
    read_timeout: float | None
    max_event_bytes: int | None


class StreamEndedError(AsgiRtError, AssertionError):
    """The stream ended where a test waited for more of it."""


class Events(EventSource):
    """The events of an app under test, one exchange at a time. Entering it connects.

    As an `EventSource`, with these differences: it does not reconnect unless told to; it never
    sleeps, and `waits` shows how long it would have; and a cancelled or timed out wait for an event
    closes nothing and loses nothing, except with a compressed response.

    Besides what `EventSource` raises, what the app raises is raised here, as by `Exchange`.
    """

    def __init__(
        self, url: str, *, client: httpx2.AsyncClient, **options: Unpack[EventOptions]
    ) -> None:
        options.setdefault("reconnect", False)
        options.setdefault("max_attempts", 10)
        super().__init__(url, client=client, **options)
        self.frames: list[bytes] = []
        """Each block as it was sent, blank line included, comments and pings too, up to the newest
        event that was handed out or frame that was waited for."""
        self.waits: list[float] = []
        """The least seconds that a client would have waited before each attempt to reconnect."""
        self._frame = b""
        self._reconnection.replace_clock(sleep=self._skip_wait, now=lambda: 0.0, chance=lambda: 0.0)

    @property
    def exchange(self) -> Exchange:
        """The exchange that brings the events, with its controls. The newest, if there were more.

        Raises `RuntimeError` before there is one.
        """
        if self.response is None:
            raise RuntimeError("there is no exchange yet; enter the events first")
        return Exchange.of(self.response)

    async def next_event(self, timeout: float | None = 5.0) -> Event:
        """The next event. Raises `TimeoutError` when none comes for `timeout` seconds,
        `StreamEndedError` when there are no more.
        """
        try:
            with anyio.fail_after(timeout):
                return await anext(self)
        except StopAsyncIteration:
            raise StreamEndedError(f"no event came: {self._state}") from None
        except TimeoutError:
            raise TimeoutError(f"no event came in {timeout} seconds: {self._state}") from None

    async def next_frame(self, timeout: float | None = 5.0) -> bytes:
        """The next block as it was sent: an event, a comment or a ping, blank line included.

        An event that is met here is not handed out again. Raises as `next_event` does.
        """
        seen = len(self.frames)
        try:
            with anyio.fail_after(timeout):
                while len(self.frames) == seen:
                    await self._take_piece()
        except TimeoutError:
            raise TimeoutError(f"no frame came in {timeout} seconds: {self._state}") from None
        return self.frames[seen]

    def drop(self) -> None:
        """Break the connection: what was not handed out is lost, and the app is told.

        The next iteration reconnects, or ends if that is off. Without a connection it does nothing.
        """
        if self._connection is None:
            return
        self._pieces.clear()
        self._is_over = not self._reconnection.is_enabled
        self.exchange.disconnect()

    async def _take_piece(self) -> None:
        if self._pieces:
            self._decode(self._pieces.popleft())
        elif self._is_over:
            raise StreamEndedError(f"no frame came: {self._state}")
        else:
            await self._advance()

    def _decode(self, piece: bytes) -> Event | None:
        self._frame += piece
        lines = self._frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if lines.endswith(b"\n\n"):
            self.frames.append(self._frame)
            self._frame = b""
        elif lines == b"\n":
            self._frame = b""
        return super()._decode(piece)

    def _open(self, response: httpx2.Response) -> EventResponse:
        self._frame = b""
        return _ExchangeResponse(response)

    async def _skip_wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        await anyio.lowlevel.checkpoint()

    @property
    def _state(self) -> str:
        of_exchange = "" if self.response is None else f", {self.exchange!r}"
        return f"{len(self.frames)} frames were read{of_exchange}"


class _ExchangeResponse(EventResponse):
    """Reads from the exchange itself, which unlike httpx2 goes on after a read was cancelled."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response)
        self._exchange = Exchange.of(response)
        self._is_encoded = "content-encoding" in response.headers

    async def read(self) -> bytes:
        return await (super().read() if self._is_encoded else self._exchange.read())

    async def aclose(self) -> None:
        if self._is_encoded:
            await super().aclose()
        self.is_closed = True
        await self._exchange.aclose()
