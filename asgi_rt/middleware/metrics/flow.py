"""What one connection adds to the metrics, from its beginning to its end.

Bytes and messages of what lasts are counted as they go, for it may last all day.
"""

import time
from typing import Final, Protocol

from asgi_rt.asgi import Message, Receive, Scope, Send
from asgi_rt.http.response import has_body
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.metrics.collectors import Metrics
from asgi_rt.middleware.metrics.labels import close_label, method_label, route_label, status_label
from asgi_rt.middleware.outcome import Outcome
from asgi_rt.websocket.guard import size_of

__all__ = ["Flow", "HTTPFlow", "WebSocketFlow"]

_clock = time.perf_counter
_ACCEPTED: Final = 101
# RFC 9110 section 9.3: content in these has no meaning, so their `receive` stays the server's own.
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"})


class _Tally(Protocol):
    def inc(self, amount: float = 1) -> None: ...


class _Gauge(_Tally, Protocol):
    def dec(self, amount: float = 1) -> None: ...


class Flow:
    """One connection: its `receive` and `send`, and what is known of it so far."""

    __slots__ = (
        "_began",
        "_method",
        "_metrics",
        "_open_in",
        "_route",
        "_scope",
        "passes_on",
        "sends_on",
    )

    def __init__(self, metrics: Metrics, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics = metrics
        self._scope = scope
        self.sends_on = send
        """For `sends_from_anywhere`."""
        self._method = method_label(scope)
        self._route: str | None = None
        self._open_in: _Gauge | None = None
        self.passes_on = receive
        """For `waits_for_futures`."""
        self._began = _clock()

    @property
    def is_received_through(self) -> bool:
        """Whether what is received must go through `receive`, to be counted."""
        return True

    async def receive(self) -> Message:
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        raise NotImplementedError

    def begin(self) -> None:
        """The app is about to be called."""

    def answer(self, head: Head) -> None:
        """The head of the answer is about to be sent."""
        route = self._route = route_label(self._scope)
        self._metrics.requests[self._method, route, head.status].inc()
        self._metrics.first_byte[self._method, route].observe(_clock() - self._began)
        self._open(route, head)

    def finish(self, outcome: Outcome) -> None:
        """It is over, in this way."""
        route = self._route
        if route is None:
            route = route_label(self._scope)
            self._metrics.requests[self._method, route, status_label(outcome)].inc()
        self._sum_up(route, outcome)
        if outcome.disconnected:
            self._metrics.disconnects[self._scope["type"], route].inc()

    def leave(self) -> None:
        """It is over; for what must not be missed."""
        if self._open_in is not None:
            self._open_in.dec()

    def _open(self, route: str, head: Head) -> None:
        """Count what lasts from here on."""
        raise NotImplementedError

    def _sum_up(self, route: str, outcome: Outcome) -> None:
        raise NotImplementedError

    def _stand_open(self, gauge: _Gauge) -> None:
        gauge.inc()
        self._open_in = gauge


class HTTPFlow(Flow):
    """One HTTP exchange."""

    __slots__ = ("_bytes_received", "_bytes_sent")

    def __init__(self, metrics: Metrics, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(metrics, scope, receive, send)
        self._bytes_received = 0
        self._bytes_sent: _Tally | None = None

    @property
    def is_received_through(self) -> bool:
        return self._method not in _BODILESS

    async def receive(self) -> Message:
        message = await self.passes_on()
        self._bytes_received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        # Before it is sent: what a server lets wait it has taken, though the wait be cancelled.
        if self._bytes_sent is not None:
            self._bytes_sent.inc(len(message.get("body", b"")))
        await self.sends_on(message)

    def begin(self) -> None:
        self._metrics.in_progress.inc()

    def leave(self) -> None:
        self._metrics.in_progress.dec()
        super().leave()

    def _open(self, route: str, head: Head) -> None:
        is_whole = "content-length" in head.headers or self._method == "HEAD"
        if not is_whole and has_body(head.status):
            self._bytes_sent = self._metrics.bytes_sent[(route,)]
            self._stand_open(self._metrics.streams[(route,)])

    def _sum_up(self, route: str, outcome: Outcome) -> None:
        metrics = self._metrics
        if self._bytes_received:
            metrics.bytes_received[(route,)].inc(self._bytes_received)
        if self._open_in is not None:
            metrics.stream_durations[(route,)].observe(outcome.seconds)
            return
        metrics.durations[self._method, route].observe(outcome.seconds)
        if outcome.bytes_sent:
            metrics.bytes_sent[(route,)].inc(outcome.bytes_sent)


class _Traffic:
    """What one direction of a WebSocket is counted in."""

    __slots__ = ("_messages", "_size")

    def __init__(self, messages: _Tally, size: _Tally) -> None:
        self._messages = messages
        self._size = size

    def count(self, message: Message) -> None:
        self._messages.inc()
        self._size.inc(size_of(message.get("text") or message.get("bytes") or b""))


class WebSocketFlow(Flow):
    """One WebSocket. What goes either way is counted from the time it is accepted."""

    __slots__ = ("_received", "_sent")

    def __init__(self, metrics: Metrics, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(metrics, scope, receive, send)
        self._received: _Traffic | None = None
        self._sent: _Traffic | None = None

    async def receive(self) -> Message:
        message = await self.passes_on()
        if self._received is not None and message["type"] == "websocket.receive":
            self._received.count(message)
        return message

    async def send(self, message: Message) -> None:
        if self._sent is not None and message["type"] == "websocket.send":
            self._sent.count(message)
        await self.sends_on(message)

    def _open(self, route: str, head: Head) -> None:
        if head.status != _ACCEPTED:
            return
        metrics, labels = self._metrics, (route,)
        self._received = _Traffic(metrics.messages_received[labels], metrics.bytes_received[labels])
        self._sent = _Traffic(metrics.messages_sent[labels], metrics.bytes_sent[labels])
        self._stand_open(metrics.websockets[labels])

    def _sum_up(self, route: str, outcome: Outcome) -> None:
        metrics = self._metrics
        if self._open_in is None:
            if outcome.bytes_sent:  # of a denial
                metrics.bytes_sent[(route,)].inc(outcome.bytes_sent)
            return
        metrics.websocket_durations[(route,)].observe(outcome.seconds)
        metrics.closes[route, close_label(outcome)].inc()
