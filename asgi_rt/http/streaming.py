"""Responses whose body is made while it is sent."""

import csv
import io
import logging
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, TypeAlias, cast

import anyio

from asgi_rt.asgi import Message, Receive, Scope, Send
from asgi_rt.background import Background, run_background
from asgi_rt.codec import dump_json_line
from asgi_rt.drain import Drain, drain_of
from asgi_rt.errors import HTTPError
from asgi_rt.http.group_sender import GroupSender
from asgi_rt.http.headers import HeadersLike
from asgi_rt.http.inbox import Inbox
from asgi_rt.http.pull import (
    CLOSE_SECONDS,
    END,
    PlainPull,
    Pull,
    SteppedPull,
    is_finished,
    on_asyncio,
)
from asgi_rt.http.pulled_source import PulledSource
from asgi_rt.http.response import Response, has_body
from asgi_rt.http.sender import Sender
from asgi_rt.http.stepped_sender import SteppedSender
from asgi_rt.http.sync_pull import SyncPull

__all__ = ["CSVResponse", "NDJSONResponse", "Source", "StreamingResponse", "YieldResponse"]

Source: TypeAlias = AsyncIterable[Any] | Iterable[Any]

_LEAST_CLOSE_SECONDS: Final = 0.25
_RETRY_AFTER_SECONDS: Final = "2"
_LEAST_SECONDS: Final = 1e-6
_UNBUFFERED: Final = (b"x-accel-buffering", b"no")
_logger = logging.getLogger("asgi_rt.streaming")


class StreamingResponse(Response):
    """A response whose body comes from a source: an async or sync iterable of bytes, str or
    memoryview. An ASGI application, to be sent once.

    The head waits for the first item, at most `head_wait` seconds (0: not at all, None: however
    long it takes): an error until then is raised, so it can become another response. An error
    after the head is raised too and truncates the body, which the client can tell.

    The source is closed on every way out, also if it never started, and its clean-up has run (for
    at most five seconds) before sending returns. `send_timeout` is how many seconds a client may
    take nothing (None: for ever); `max_lifetime` how many the stream may last (None: any number).
    What the source has ready is joined into one send. Sync iterables are pulled in worker threads.

    A source that is an async generator must not hold a cancel scope or a task group of anyio's open
    over a `yield`; around its awaits it may.

    A client that leaves ends it quietly. `background` runs afterwards in every case, and a function
    with a `completed` parameter is told whether all of it was sent.
    """

    __slots__ = (
        "_drain",
        "_iterator",
        "_pull",
        "_scope",
        "head_sent",
        "head_wait",
        "max_lifetime",
        "send_timeout",
    )

    is_streamed: ClassVar[bool] = True
    default_headers: ClassVar[tuple[tuple[bytes, bytes], ...]] = (_UNBUFFERED,)
    """The fields that are sent unless they were given: by default one that asks proxies to pass the
    body on as it comes."""
    is_refused_in_drain: ClassVar[bool] = True
    """Whether it may not begin while the server goes down: it may have no end."""
    ends_cleanly: ClassVar[bool] = False
    """Whether it ends like a whole response when it is cut off: its client asks for the rest."""
    says_farewell: ClassVar[bool] = False
    """Whether the client is told, by `encode_farewell`, when the server goes down."""
    ping: float | None = None
    """Seconds without anything to send after which `encode_ping` is sent; None is never."""
    finish_in_drain: bool = True
    """Whether the source may go on, within the app's grace, when the server goes down."""

    def __init__(
        self,
        source: Source,
        status_code: int = 200,
        *,
        headers: HeadersLike | None = None,
        media_type: str | None = None,
        background: Background | None = None,
        head_wait: float | None = 0.25,
        send_timeout: float | None = 30.0,
        max_lifetime: float | None = None,
    ) -> None:
        super().__init__(
            b"", status_code, headers=headers, media_type=media_type, background=background
        )
        raw = self.headers.raw
        raw += [pair for pair in self.default_headers if pair[0] not in dict(raw)]
        for name, seconds, least in (
            ("head_wait", head_wait, 0.0),
            ("send_timeout", send_timeout, _LEAST_SECONDS),
            ("max_lifetime", max_lifetime, _LEAST_SECONDS),
        ):
            if seconds is not None and not seconds >= least:
                raise ValueError(f"{name} is a number of seconds, or None, and not {seconds!r}")
        self.head_wait = head_wait
        self.send_timeout = send_timeout
        self.max_lifetime = max_lifetime
        self.head_sent = False
        self._iterator = _iterator(source)
        self._drain: Drain | None = None
        self._pull: Any = None
        self._scope: Scope = {}

    def encode(self, item: Any) -> bytes:
        """The bytes that one item of the source stands for; a subclass may take other items."""
        if isinstance(item, bytes):
            return item
        if isinstance(item, str):
            return item.encode("utf-8")
        if isinstance(item, bytearray | memoryview):
            return bytes(cast("bytes", item))
        raise TypeError(
            f"a stream yields bytes, str or memoryview, not {type(item).__qualname__};"
            " use NDJSONResponse or CSVResponse for values"
        )

    def encode_begin(self) -> bytes:
        """What goes before the first item."""
        return b""

    def encode_end(self) -> bytes:
        """What follows the last item."""
        return b""

    def encode_ping(self) -> bytes:
        """What is sent when nothing else was for `ping` seconds."""
        return b""

    def encode_farewell(self) -> bytes:
        """What the client is told when the server goes down."""
        return b""

    def encode_error(self, error: Exception) -> bytes | None:
        """What the client is told of an error after the head; None truncates the body."""
        return None

    def unavailable(self) -> HTTPError:
        """Why it was cut off before its head: the server goes down, or it took too long."""
        if self._drain is None or not self._drain.is_draining:
            detail = "nothing was there to send within the time that this stream may last"
            return HTTPError(503, detail)
        headers = {"retry-after": _RETRY_AFTER_SECONDS, "connection": "close"}
        return HTTPError(503, "the server is shutting down", headers=headers)

    def close_seconds(self) -> float:
        """How long the source may take to close: when the server goes down, not past its grace."""
        drain = self._drain
        if drain is None or not drain.is_draining:
            return CLOSE_SECONDS
        return min(CLOSE_SECONDS, max(drain.remaining(), _LEAST_CLOSE_SECONDS))

    def head(self) -> Message:
        """The `http.response.start` message; asked for when it is sent."""
        return {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": list(self.headers.raw),
        }

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] - it only does without a frame
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        """Send it. Raises what the source raises, and SendTimeout for a frozen client.

        Cancelled, it closes the source first. While the server is going down it raises
        HTTPError 503 with Retry-After instead of starting.
        """
        if self._pull is not None:
            raise RuntimeError("this response was sent before; its source is used up")
        self._scope = scope
        drain = self._drain = drain_of(scope)
        stepped = on_asyncio()
        self._pull = pull = _pull(self._iterator, stepped=stepped)
        if scope["method"] == "HEAD" or not has_body(self.status_code):
            return self._send_only_head(send)
        if drain is not None and drain.is_draining and self.is_refused_in_drain:
            return self._refuse()
        # What sends is what is awaited: a coroutine between the two is 0.3 KiB for each stream.
        make_sender = SteppedSender if stepped else GroupSender
        sender = make_sender(pull, self, inbox=Inbox.of(receive), send=send)
        if isinstance(sender, SteppedSender) and isinstance(pull, PulledSource):
            pull.pushes_to(sender)
        if drain is not None:
            drain.add(sender, tells=self.says_farewell)
        return sender.run()

    async def send_in_step(self, scope: Scope, send: Send) -> None:
        """Send it item by item, and nothing beside: no ping, no limit of time, no watch.

        For an async source that waits for what only the task that sends it can produce.
        """
        self._scope = scope
        self._pull = pull = PlainPull(cast("AsyncIterator[Any]", self._iterator))
        if scope["method"] == "HEAD" or not has_body(self.status_code):
            await self._send_only_head(send)
            return
        completed = False
        try:
            await send(self.head())
            self.head_sent = True
            body = self.encode_begin()
            while (item := await pull.wait()) is not END:
                body += self.encode(item)
                await send({"type": "http.response.body", "body": body, "more_body": True})
                body = b""
            body += self.encode_end()
            await send({"type": "http.response.body", "body": body, "more_body": False})
            completed = True
        finally:
            await self.settle(None, completed=completed)

    @property
    def is_async(self) -> bool:
        """Whether its source is asynchronous."""
        return isinstance(self._iterator, AsyncIterator)

    async def settle(self, sender: Sender | None, *, completed: bool | None = None) -> None:
        """Close the source and run what is left to do, when it was sent as far as it could be."""
        if sender is not None:
            completed = sender.is_complete
            self.head_sent = sender.head_sent
            if self._drain is not None:
                self._drain.remove(sender)
        try:
            if not is_finished(self._iterator):
                await _close(self._pull, self.close_seconds())
        finally:
            if self.background is not None:
                await run_background(self.background, self._scope, completed=bool(completed))

    async def _refuse(self) -> None:
        try:
            raise self.unavailable()
        finally:
            await self.settle(None)

    async def _send_only_head(self, send: Send) -> None:
        self.head_sent = True
        completed = False
        try:
            await send(self.head())
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            completed = True
        except OSError:
            pass  # how a server says that the client has left (ASGI spec_version 2.4)
        finally:
            await self.settle(None, completed=completed)


class NDJSONResponse(StreamingResponse):
    """Each item of the source as one line of JSON: newline-delimited JSON."""

    __slots__ = ()
    media_type = "application/x-ndjson"

    def encode(self, item: Any) -> bytes:
        return dump_json_line(item)


class CSVResponse(StreamingResponse):
    """Each item of the source as one row of CSV (RFC 4180): sequences, or mappings with `columns`.

    `columns` is sent as the first row where it is given, and picks the values of a mapping.
    """

    __slots__ = ("_buffer", "_columns", "_has_header", "_writer")
    media_type = "text/csv"

    def __init__(
        self, source: Source, *, columns: Iterable[str] | None = None, **options: Any
    ) -> None:
        super().__init__(source, **options)
        self._columns = None if columns is None else list(columns)
        self._buffer = io.StringIO(newline="")
        self._writer = csv.writer(self._buffer)
        self._has_header = self._columns is None

    def encode(self, item: Any) -> bytes:
        header = b"" if self._has_header else self._take_header()
        return header + self._write(self._row(item))

    def encode_end(self) -> bytes:
        return b"" if self._has_header else self._take_header()

    def _take_header(self) -> bytes:
        assert self._columns is not None
        self._has_header = True
        return self._write(self._columns)

    def _write(self, row: Iterable[Any]) -> bytes:
        self._writer.writerow(row)
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text.encode("utf-8")

    def _row(self, item: Any) -> Iterable[Any]:
        if not isinstance(item, Mapping):
            return cast("Iterable[Any]", item)
        if self._columns is None:
            raise TypeError("rows that are mappings need `columns`, which says what goes where")
        return [item.get(column) for column in self._columns]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - isinstance cannot tell the parameters


class YieldResponse(StreamingResponse):
    """What a generator handler yields: bytes and str as they are, anything else as NDJSON.

    The first item decides the content type, unless one was given. A head that goes before the first
    item says `application/octet-stream`: nobody knows better then.
    """

    __slots__ = ()

    _DEFAULTS: ClassVar[dict[type[Any], str]] = {
        str: "text/plain; charset=utf-8",
        bytes: "application/octet-stream",
        bytearray: "application/octet-stream",
        memoryview: "application/octet-stream",
    }

    def head(self) -> Message:
        self.headers.setdefault("content-type", "application/octet-stream")
        return super().head()

    def encode(self, item: Any) -> bytes:
        if not self.head_sent and "content-type" not in self.headers:
            media_type = self._DEFAULTS.get(item.__class__, "application/x-ndjson")
            self.headers["content-type"] = media_type
        if isinstance(item, bytes | str | bytearray | memoryview):
            return super().encode(item)
        return dump_json_line(item)


def _iterator(source: Any) -> AsyncIterator[Any] | Iterator[Any]:
    if isinstance(source, bytes | str | bytearray | memoryview):
        raise TypeError("a stream's source is an iterable of chunks; for one chunk use Response")
    if hasattr(source, "__aiter__"):
        return cast("AsyncIterator[Any]", source.__aiter__())
    if hasattr(source, "__iter__"):
        return cast("Iterator[Any]", iter(source))
    raise TypeError(
        f"a stream's source is an async or sync iterable, not {type(source).__qualname__}"
    )


def _pull(iterator: AsyncIterator[Any] | Iterator[Any], *, stepped: bool) -> Any:
    if isinstance(iterator, Iterator):
        return SyncPull(iterator)
    if not stepped:
        return PlainPull(iterator)
    return iterator if isinstance(iterator, PulledSource) else SteppedPull(iterator)


async def _close(pull: Pull, seconds: float) -> None:
    # Before a scope is entered: the source may stand inside one of its own, and they must nest.
    is_closed = await pull.release(seconds)
    if is_closed:
        with anyio.move_on_after(seconds, shield=True) as scope:
            try:
                await pull.aclose()
            except Exception:
                _logger.exception("a stream's source failed while it was being closed")
        is_closed = not scope.cancelled_caught
    if not is_closed:
        _logger.warning("a stream's source did not close within %g s", seconds)
