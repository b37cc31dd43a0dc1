"""Server-Timing: how long the app took until its head, and what its handlers add to that.

Browsers show it beside the network's share, and pages read it. Specification: W3C Server Timing,
https://www.w3.org/TR/server-timing/
"""

import math
import re
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Final, Self

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send
from asgi_rt.http.headers import quote_value
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.hooks import Middleware

__all__ = ["Metric", "TimingMiddleware", "server_timing"]

_MAX_METRICS: Final = 100
_KEY: Final = "timings"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_QUOTABLE: Final = re.compile(r"[\t -~]*")
# As browsers write an origin; they compare it letter by letter.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\sA-Z/?#@,*]+")


class Metric:
    """One entry of `Server-Timing`. As a `with` block it measures, and each block adds to it."""

    __slots__ = ("_clock", "_entered", "description", "name", "seconds")

    def __init__(
        self,
        name: str,
        seconds: float | None = None,
        *,
        description: str | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        _check(name, seconds, description)
        self.name = name
        self.seconds = seconds
        self.description = description
        self._clock = clock
        self._entered = 0.0

    def __enter__(self) -> Self:
        self._entered = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = (self.seconds or 0.0) + self._clock() - self._entered

    def __str__(self) -> str:
        """As the field has it, the duration in milliseconds."""
        text = self.name
        if self.seconds is not None:
            text += f";dur={self.seconds * 1000:.3f}"
        if self.description is not None:
            text += f";desc={quote_value(self.description)}"
        return text


class _Timings:
    """What is measured of one connection, until its head is sent."""

    __slots__ = ("clock", "is_open", "metrics", "started")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.metrics: list[Metric] = []
        self.is_open = True
        self.started = clock()

    def add(self, metric: Metric) -> None:
        # A stream or a WebSocket may go on adding all day.
        if self.is_open and len(self.metrics) < _MAX_METRICS:
            self.metrics.append(metric)


_current: ContextVar[_Timings | None] = ContextVar("asgi_rt.server_timing", default=None)


def server_timing(
    name: str, seconds: float | None = None, *, description: str | None = None
) -> Metric:
    """Add an entry to the `Server-Timing` of the connection that is being served.

    `server_timing("db", 0.012)` tells a time, `server_timing("miss")` none, and the block of
    `with server_timing("db"):` is measured. Works in the handlers of any framework behind
    `TimingMiddleware`, sync ones in worker threads included. Where there is no such layer, after
    the head, and beyond 100 entries it does nothing.

    Raises ValueError for a name that is no token, for a description that holds anything but
    printable ASCII, and for seconds that are negative or not finite.
    """
    timings = _current.get()
    if timings is None:
        return Metric(name, seconds, description=description)
    metric = Metric(name, seconds, description=description, clock=timings.clock)
    timings.add(metric)
    return metric


class TimingMiddleware(Middleware):
    """Tells in `Server-Timing` the time from the call of this layer to the head of the answer.

    For responses, accepted WebSockets and denied ones. Entries that are there are kept, and those
    of `server_timing` are added. With `process_time` the seconds stand in `X-Process-Time` too.
    `allow_origins`, "*" or origins, lets pages of other sites read it, by `Timing-Allow-Origin`;
    where the app sends that field itself, the app's holds. What the timings reveal is public.

    Raises ValueError for a name or a description that `server_timing` refuses, and for an origin
    that is not one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        name: str = "app",
        description: str | None = None,
        process_time: bool = False,
        allow_origins: str | Iterable[str] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(app)
        _check(name, None, description)
        self._before_duration = f"{name};dur="
        self._after_duration = "" if description is None else f";desc={quote_value(description)}"
        self._process_time = process_time
        self._allowed = _allowed(allow_origins)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outer = _current.get()
        try:
            await super().__call__(scope, receive, send)
        finally:
            _current.set(outer)  # of whoever calls this app from a handler

    def before(self, connection: Connection) -> None:
        timings = _Timings(self._clock)
        vars(connection)[_KEY] = timings  # the head may be sent in another context
        _current.set(timings)

    def head(self, connection: Connection, head: Head) -> None:
        timings: _Timings = vars(connection)[_KEY]
        seconds = self._clock() - timings.started
        timings.is_open = False
        own = f"{self._before_duration}{seconds * 1000:.3f}{self._after_duration}"
        headers = head.headers
        headers.append("server-timing", ", ".join([*map(str, timings.metrics), own]))
        if self._process_time:
            headers["x-process-time"] = f"{seconds:.6f}"
        if self._allowed is not None:
            headers.setdefault("timing-allow-origin", self._allowed)


def _check(name: str, seconds: float | None, description: str | None) -> None:
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot name a timing: only letters, digits and !#$%&'*+-.^_`|~ can;"
            " anything else may stand in its description"
        )
    if seconds is not None and not 0 <= seconds < math.inf:
        raise ValueError(f"a timing takes 0 seconds or more, and not for ever, not {seconds}")
    if description is not None and _QUOTABLE.fullmatch(description) is None:
        raise ValueError(
            f"{description!r} cannot describe a timing: a header holds printable ASCII only"
        )


def _allowed(origins: str | Iterable[str] | None) -> str | None:
    """The value of Timing-Allow-Origin."""
    if origins is None:
        return None
    listed = [origins] if isinstance(origins, str) else [*origins]
    for origin in listed:
        if origin != "*" and _ORIGIN.fullmatch(origin) is None:
            raise ValueError(
                f"{origin!r} in allow_origins is not an origin: write '*', or a scheme and a host"
                " in lower case without a slash at the end, such as 'https://app.example.com'"
            )
    return ", ".join(listed) or None
