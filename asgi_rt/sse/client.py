"""`EventSource`: the events of a server, over as many connections as it takes.

```python
async with EventSource("https://example.org/prices") as events:
    async for event in events:
        print(event.event or "message", event.data, events.last_event_id)
```

Needs the extra: pip install "asgi-rt[client]".
"""

import time
from collections import deque
from importlib import import_module
from typing import Any, Final, Self

import anyio

from asgi_rt.errors import MissingExtra
from asgi_rt.sse.backoff import retry_after_seconds
from asgi_rt.sse.framing import Decoder, Event
from asgi_rt.sse.reconnection import Reconnection

try:
    import_module("httpx2")  # before the imports below, whose own error names no extra
except ModuleNotFoundError as error:
    if error.name != "httpx2":
        raise
    raise MissingExtra("httpx2", "client", "asgi_rt.sse.client") from error

import httpx2

from asgi_rt.sse.client_request import EventRequest, Headers, Params
from asgi_rt.sse.client_response import (
    EventResponse,
    EventSourceError,
    is_event_stream,
    refusal,
    split_blocks,
)

__all__ = ["EventSource", "EventSourceError"]

_TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
# Raised by httpx2 for requests that fail however often they are made.
_HOPELESS: Final = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
# Seconds for a connection to be made, and for a request to be written, by a client of our own.
_OWN_TIMEOUT: Final = 10.0
_CLOSE_TIMEOUT: Final = 5.0


class EventSource:
    """The events of a server, as the `EventSource` of a browser has them: it reconnects by itself.

    Entering it makes the first connection, and returns when the server has sent the head of the
    response. Leaving it closes the connection. Between events, what was decoded waits here, and the
    server waits for the reader.

    - `client`: makes the requests, and stays open; its headers, cookies, authentication and its
      timeouts to connect and write apply. Without one, one is made and closed here.
    - `method`, `params`, `headers`, `content`, `json`: the request, as in httpx2. The body can be
      repeated, so it is no iterable.
    - `last_event_id`: where to resume. Each request sends the newest as Last-Event-ID.
    - `reconnect`: whether a connection that failed, was lost or ended is followed by another. By
      default so for GET alone: any other request might do its work twice. If False there is one
      request: its end ends the iteration, and whatever fails is raised.
    - `retry`: seconds to wait then, until the server says otherwise. The wait doubles, up to
      `max_retry`, with each further attempt that brings not one byte, and up to half is added by
      chance. Retry-After is honoured.
    - `max_attempts`: how many such attempts in a row until the last failure is raised; None is no
      bound.
    - `read_timeout`: seconds of silence, also before the head, after which a connection counts as
      lost. None, the default, waits for ever, also for a server that has vanished from the
      network: where the server sends pings, set it to two or three of their intervals.
    - `max_event_bytes`: beyond it an event raises `EventTooLarge`. None is no bound.

    An answer 204 ends the iteration. Connections that fail and the statuses 429, 500, 502, 503, 504
    are tried again. Redirects are followed. Any other answer but a 200 with text/event-stream
    raises `EventSourceError`; so does what is not to be tried (again). A request that can never
    work raises what httpx2 raises for it. An error ends the iteration.

    One task at a time may iterate; any may call `aclose`. No event is lost or repeated by leaving
    the loop and iterating again, nor in any other way by this class: `last_event_id` belongs to
    exactly the events handed out so far. A cancelled `__anext__` closes the connection, though,
    since httpx2 cannot go on after that: the next one makes a new connection, at once, and the
    server has to know what comes after `last_event_id`. Without `reconnect` it raises.

    Specification: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    def __init__(
        self,
        url: str,
        *,
        client: httpx2.AsyncClient | None = None,
        method: str = "GET",
        params: Params | None = None,
        headers: Headers | None = None,
        content: str | bytes | None = None,
        json: Any = None,
        last_event_id: str | None = None,
        reconnect: bool | None = None,
        retry: float = 3.0,
        max_retry: float = 60.0,
        max_attempts: int | None = None,
        read_timeout: float | None = None,
        max_event_bytes: int | None = 16 * 1024 * 1024,
    ) -> None:
        Event(id=last_event_id or "")  # raises for what can be no id
        is_get = method.upper() == "GET"
        self._reconnection = Reconnection(
            is_enabled=is_get if reconnect is None else reconnect,
            retry=retry,
            max_retry=max_retry,
            max_attempts=max_attempts,
        )
        self._request = EventRequest(
            method=method,
            url=url,
            params=params,
            headers=headers,
            content=content,
            json=json,
            read_timeout=read_timeout,
        )
        self._client = client
        self._own_client: httpx2.AsyncClient | None = None
        self._last_event_id = last_event_id or ""
        self._max_event_bytes = max_event_bytes
        self._decoder = Decoder(max_event_bytes=max_event_bytes)
        self._pieces: deque[bytes] = deque()
        self._response: httpx2.Response | None = None
        self._connection: EventResponse | None = None
        self._is_entered = False
        self._is_over = False
        self._step: anyio.CancelScope | None = None
        self._step_left: anyio.Event | None = None

    @property
    def last_event_id(self) -> str:
        """The id that belongs to the newest event handed out, "" without one."""
        return self._last_event_id

    @property
    def response(self) -> httpx2.Response | None:
        """The newest response that was a stream, or the 204; its headers can be looked at."""
        return self._response

    async def __aenter__(self) -> Self:
        """Connect. Waits and tries again as later on, and raises the same."""
        if self._is_entered or self._is_over:
            raise RuntimeError("an EventSource can be entered once; make a new one")
        self._is_entered = True
        if self._client is None:
            self._client = self._own_client = httpx2.AsyncClient(timeout=_OWN_TIMEOUT)
        try:
            while self._connection is None and not self._is_over:
                await self._advance()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Its `id` is that of its own block. Raises as the class says."""
        if not self._is_entered:
            raise RuntimeError("enter the EventSource first: async with EventSource(...) as events")
        while (event := self._take()) is None:
            if self._is_over:
                raise StopAsyncIteration
            await self._advance()
        return event

    async def aclose(self) -> None:
        """End the iteration, in whatever task it is, and close the connection. Again does nothing.

        The caller's cancellation is held off for some seconds at most.
        """
        self._is_over = True
        self._pieces.clear()
        if self._step is not None:
            self._step.cancel()
            self._step_left = self._step_left or anyio.Event()
            with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                await self._step_left.wait()
        connection, self._connection = self._connection, None
        own_client, self._own_client = self._own_client, None
        try:
            if connection is not None:
                await connection.aclose()
        finally:
            if own_client is not None:
                with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                    await own_client.aclose()

    def _take(self) -> Event | None:
        """The next event of what has been read."""
        while self._pieces:
            if (event := self._decode(self._pieces.popleft())) is not None:
                return event
        return None

    def _decode(self, piece: bytes) -> Event | None:
        try:
            found = self._decoder.feed(piece)
        except ValueError:
            self._is_over = True
            raise
        self._last_event_id = self._decoder.last_event_id
        return found[0] if found else None

    async def _advance(self) -> None:
        """Read, or do what must be done before there is something to read."""
        if self._step is not None:
            raise RuntimeError("another task iterates over this EventSource; one at a time may")
        try:
            with anyio.CancelScope() as self._step:
                if self._connection is None:
                    await self._connect()
                elif self._connection.is_closed:
                    self._resume()
                else:
                    await self._read(self._connection)
        except Exception:
            self._is_over = True
            raise
        finally:
            self._step = None
            if self._step_left is not None:
                self._step_left.set()

    async def _connect(self) -> None:
        """Make one attempt, when it is time for it."""
        assert self._client is not None
        await self._reconnection.wait()
        request = self._request.build(self._client, self._last_event_id)
        try:
            response = await self._client.send(request, stream=True, follow_redirects=True)
        except _HOPELESS:
            raise
        except httpx2.TransportError as error:
            self._reconnection.plan(self._failure("the connection failed", error))
        else:
            await self._judge(response)

    async def _judge(self, response: httpx2.Response) -> None:
        """Take the response for the connection it should be, or see what it is instead."""
        connection = self._open(response)
        if response.status_code == 204:
            self._response = response
            self._is_over = True
            await connection.aclose()
        elif is_event_stream(response):
            self._response = response
            self._connection = connection
            self._decoder = Decoder(max_event_bytes=self._max_event_bytes)
            # Ids outlast the connection, as they do in browsers.
            self._decoder.last_event_id = self._last_event_id
        else:
            error = await refusal(connection)
            if response.status_code not in _TEMPORARY:
                raise error
            asked = retry_after_seconds(response.headers.get("retry-after"), time.time())
            self._reconnection.plan(error, retry_after=asked)

    def _open(self, response: httpx2.Response) -> EventResponse:
        return EventResponse(response)

    async def _read(self, connection: EventResponse) -> None:
        try:
            data = await connection.read()
        except httpx2.TransportError as error:
            await self._lose(connection, error)
        else:
            if data:
                self._reconnection.received()
                self._pieces.extend(split_blocks(data))
            else:
                await self._lose(connection, None)

    async def _lose(self, connection: EventResponse, error: httpx2.TransportError | None) -> None:
        """The connection has ended, or broken off with an error."""
        self._connection = None
        try:
            if self._decoder.retry is not None:
                self._reconnection.retry = self._decoder.retry / 1000
            if error is None and not self._reconnection.is_enabled:
                self._is_over = True
            elif not self._is_over:
                what = "the server ended the stream" if error is None else "the connection was lost"
                self._reconnection.plan(self._failure(what, error))
        finally:
            await connection.aclose()

    def _resume(self) -> None:
        """The connection was closed when a read was cancelled: that is no failure of anyone's."""
        self._connection = None
        if not self._reconnection.is_enabled:
            raise self._failure("the connection was closed when `__anext__` was cancelled", None)

    def _failure(self, what: str, cause: Exception | None) -> EventSourceError:
        reason = what if cause is None else f"{what}: {str(cause) or type(cause).__name__}"
        error = EventSourceError(reason, url=self._request.url)
        error.__cause__ = cause
        return error
