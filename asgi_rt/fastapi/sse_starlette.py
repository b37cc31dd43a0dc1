"""What sse-starlette offers, by its names and in its bytes, as a stream that is this project's."""

import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.background import BackgroundTask, plain_task_group
from asgi_rt.fastapi.sse import LINE_END, write_block
from asgi_rt.http.streaming import Source
from asgi_rt.sse.stream import EventStream

__all__ = ["EventSourceResponse", "JSONServerSentEvent", "ServerSentEvent", "ensure_bytes"]


class ServerSentEvent:
    """One event; `retry` is in milliseconds, and `sep` ends the lines. Anything but str is sent as
    `str` makes it.
    """

    def __init__(
        self,
        data: Any = None,
        *,
        event: str | None = None,
        id: str | None = None,  # noqa: A002 - the field's name
        retry: int | None = None,
        comment: str | None = None,
        sep: str | None = None,
    ) -> None:
        self.data, self.event, self.id, self.retry, self.comment = data, event, id, retry, comment
        self._sep = sep or "\r\n"

    def encode(self) -> bytes:
        """Its bytes, its blank line included. Raises TypeError for a `retry` that is no int."""
        if self.retry is not None and not isinstance(self.retry, int):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from apps
            raise TypeError("retry argument must be int")
        names = [("id", _joined(self.id)), ("event", _joined(self.event))]
        fields = [("", self.comment), *names, ("data", self.data), ("retry", self.retry)]
        return write_block(fields, self._sep)


def _joined(value: str | None) -> str | None:
    return None if value is None else LINE_END.sub("", value)


class JSONServerSentEvent(ServerSentEvent):
    """One event whose data is sent as JSON."""

    def __init__(self, data: Any = None, **fields: Any) -> None:
        dumped = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        super().__init__(None if data is None else dumped, **fields)


def ensure_bytes(data: Any, sep: str) -> bytes:
    """The bytes of what a stream may give: an event, its fields as a dict, its data, or bytes."""
    given: Any = data
    if isinstance(data, ServerSentEvent):
        return data.encode()
    if isinstance(data, bytes | memoryview):
        return bytes(given)
    fields: dict[str, Any] = given if isinstance(data, dict) else {"data": str(given)}
    fields = {**fields, "sep": sep}
    return ServerSentEvent(**fields).encode()


class EventSourceResponse(EventStream):
    """A stream of events, each of them what `ensure_bytes` takes.

    `ping` is in seconds, 15 by default; 0 is none. When the server goes down `shutdown_event` is
    set, and with a `shutdown_grace_period` the source may go on, within the app's grace.
    `data_sender_callable` runs beside the stream, `client_close_handler_callable` after a client
    left it. Further options are those of `asgi_rt.sse.stream.EventStream`.
    """

    default_headers: ClassVar = ((b"cache-control", b"no-store"),)
    DEFAULT_PING_INTERVAL: ClassVar[float] = 15
    DEFAULT_SEPARATOR: ClassVar[str] = "\r\n"

    def __init__(
        self,
        content: Source,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "text/event-stream",
        background: Any = None,
        ping: float | None = None,
        sep: str | None = None,
        ping_message_factory: Callable[[], ServerSentEvent] | None = None,
        data_sender_callable: Callable[[], Coroutine[Any, Any, None]] | None = None,
        client_close_handler_callable: Callable[[Any], Any] | None = None,
        shutdown_event: Any = None,
        shutdown_grace_period: float = 0,
        **options: Any,
    ) -> None:
        if sep not in (None, "\r\n", "\r", "\n"):
            raise ValueError(f"sep must be one of: \\r\\n, \\r, \\n, got: {sep}")
        options.pop("cleanup_timeout", None)  # a stream's own clean-up is bounded already
        options = {"finish_in_drain": shutdown_grace_period > 0, "retry": None, **options}
        ping = self.DEFAULT_PING_INTERVAL if ping is None else ping
        super().__init__(content, status_code, headers=headers, ping=ping or None, **options)
        self.headers["connection"] = "keep-alive"
        self.headers["x-accel-buffering"] = "no"
        self.headers["content-type"] = f"{media_type}; charset=utf-8"
        self.background = BackgroundTask(self._after)
        self.sep = sep or self.DEFAULT_SEPARATOR
        self._beside, self._then = data_sender_callable, background
        self._make_ping, self._on_close = ping_message_factory, client_close_handler_callable
        self._shutdown = shutdown_event

    def encode(self, item: Any) -> bytes:
        return ensure_bytes(item, self.sep)

    def encode_ping(self) -> bytes:
        if self._make_ping is not None:
            return self._make_ping().encode()
        return ServerSentEvent(comment=f"ping - {datetime.now(UTC)}", sep=self.sep).encode()

    def encode_farewell(self) -> bytes:
        if self._shutdown is not None:
            self._shutdown.set()
        return super().encode_farewell()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with plain_task_group() as beside:
            if self._beside is not None:
                beside.start_soon(self._beside)
            sending = super().__call__(scope, receive, send)
            self._scope = {}  # of no app: what is left to do is done here
            await sending

    async def _after(self, completed: bool) -> None:
        if self._on_close is not None and not completed:
            await self._on_close({"type": "http.disconnect"})
        if self._then is not None:
            await self._then()
