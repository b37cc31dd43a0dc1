"""A response that is a stream of server-sent events."""

import random
from typing import ClassVar, Final

from asgi_rt.background import Background
from asgi_rt.errors import HTTPError
from asgi_rt.http.headers import HeadersLike
from asgi_rt.http.streaming import Source, StreamingResponse
from asgi_rt.sse.framing import Event, encode, encode_comment, encode_item

__all__ = ["EventStream"]

_PING: Final = encode_comment("ping")
_GOING_DOWN: Final = Event(comment="the server is going down")


class EventStream(StreamingResponse):
    """Server-sent events from a source: an async or sync iterable of events. An ASGI application,
    to be sent once, in answer to any method.

    An item is an `Event`, or the data of one: str as it is, any other value as JSON. Bytes are
    frames that `encode` has made, so an event for many is encoded once.

    - `ping`: seconds without anything to send after which a comment goes out, so that no proxy
      takes the connection for dead; None is never. It does not disturb the source.
    - `retry`: milliseconds that the client is told, before anything else, to wait until it
      reconnects; from half to one and a half times that, so that they do not all come back at
      once. None leaves it to the client.
    - `error_events`: whether an error after the head is told to the client, as an event named
      `error` whose data is the problem document (RFC 9457). Otherwise the response is truncated.
    - `farewell`: what the client is told when the server goes down; a comment by default. A
      `retry` of one to three times the hint goes before it.
    - `finish_in_drain`: whether the source may go on after the farewell, until the app's grace is
      over. Otherwise it is closed then, and the response ends.
    - `max_lifetime`: seconds that the stream may last, or up to a tenth less. It ends as if the
      source had, and clients reconnect.
    - `head_wait`, `send_timeout`, `background`: as in `StreamingResponse`.

    An error that the source raises before the head is raised, and so can become a response with a
    status of its own, which ends an EventSource for good.
    """

    __slots__ = ("_error_events", "_farewell", "_retry", "finish_in_drain", "ping")

    media_type = "text/event-stream"
    default_headers = (*StreamingResponse.default_headers, (b"cache-control", b"no-cache"))
    ends_cleanly: ClassVar[bool] = True
    says_farewell: ClassVar[bool] = True

    def __init__(
        self,
        source: Source,
        status_code: int = 200,
        *,
        headers: HeadersLike | None = None,
        background: Background | None = None,
        ping: float | None = 15.0,
        retry: int | None = 2000,
        error_events: bool = False,
        farewell: Event | None = None,
        finish_in_drain: bool = False,
        head_wait: float | None = 0.25,
        send_timeout: float | None = 30.0,
        max_lifetime: float | None = None,
    ) -> None:
        if ping is not None and not ping > 0:
            raise ValueError(f"ping is a number of seconds above 0, or None for none, not {ping!r}")
        if retry is not None:
            Event(retry=retry * 3)  # raises for what cannot be sent
        if farewell is not None:
            if not isinstance(farewell, Event):  # pyright: ignore[reportUnnecessaryIsInstance] - else it is not seen before the server goes down
                raise TypeError(f"a farewell is an Event, not {farewell!r}")
            encode(farewell)
        if isinstance(source, dict):
            raise TypeError("a stream's source is an iterable of events, not a dict: yield it")
        super().__init__(
            source,
            status_code,
            headers=headers,
            background=background,
            head_wait=head_wait,
            send_timeout=send_timeout,
            max_lifetime=None if max_lifetime is None else max_lifetime * random.uniform(0.9, 1),
        )
        self.ping = ping
        self.finish_in_drain = finish_in_drain
        self._retry = retry
        self._error_events = error_events
        self._farewell = farewell

    # Static, as it needs nothing of the stream, which is a tenth of the time of a small event.
    encode = staticmethod(encode_item)  # pyright: ignore[reportAssignmentType] - both call it alike

    def encode_begin(self) -> bytes:
        return b"" if self._retry is None else _retry_within(self._retry, 0.5, 1.5)

    def encode_ping(self) -> bytes:
        return _PING

    def encode_farewell(self) -> bytes:
        hint = b"" if self._retry is None else _retry_within(self._retry, 1.0, 3.0)
        return hint + encode(self._farewell or _GOING_DOWN)

    def encode_error(self, error: Exception) -> bytes | None:
        if not self._error_events:
            return None
        known = error if isinstance(error, HTTPError) else HTTPError(500)
        return encode(Event(known.problem(), event="error"))


def _retry_within(milliseconds: int, low: float, high: float) -> bytes:
    return encode(Event(retry=round(milliseconds * random.uniform(low, high))))
