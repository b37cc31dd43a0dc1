"""Access log: one record for each HTTP exchange and each WebSocket, written when it is over."""

import logging
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send
from asgi_rt.codec import dump_json
from asgi_rt.http.response import has_body
from asgi_rt.middleware.access_entry import Entry, Fields, default_level, line_of
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.hooks import Middleware
from asgi_rt.middleware.outcome import Outcome

__all__ = ["AccessLogMiddleware", "JSONFormatter", "Skip", "default_level"]

Skip: TypeAlias = Callable[[Connection], bool] | Iterable[str]
"""What is not logged: paths, or a function that says so of a connection."""

_SERVED: Final = frozenset({"http", "websocket"})
_ACCEPTED: Final = 101
_STANDARD: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "time", "logger", "level"}
)


class AccessLogMiddleware(Middleware):
    """Writes a record on the logger "asgi_rt.access" when a connection is over, however it ended.

    The message is one line, and the record has all that it tells as attributes:

    - `event`: "end", or "begin"; `type`: "http" or "websocket"; `client`, `method`, `path`
      (percent-encoded), `http_version`, `request_id` (None where there is none);
    - `status`: 101 of a WebSocket that was accepted, 499 where the client left before the head, 500
      where the app crashed before it;
    - `bytes_sent`, `chunks` (of a WebSocket, messages), `seconds` until the app has returned,
      `seconds_to_head`, `disconnected`, and `error`, the name of the class of what the app has
      raised. The error itself is not logged: the server does that;
    - of WebSockets `code`, `bytes_received` and `messages_received`;
    - `query` with `include_query`, and `user_agent` with `include_user_agent`. Neither is logged
      by default, as they may hold secrets; other headers never are.

    What a client has sent is escaped and cut, in the attributes as well.

    `level` gives the level of a record, None for no record; see `default_level`. `skip` holds
    paths, below the mount of this app, or says it of a connection. With `log_begin` what may go on
    for long, accepted WebSockets and bodies of unknown length, has a record of level INFO at its
    head too.

    Handlers of the logger run on the event loop: for one that may block, use a QueueHandler.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        logger: logging.Logger | str = "asgi_rt.access",
        level: Callable[[Connection, Outcome], int | None] = default_level,
        skip: Skip = (),
        include_query: bool = False,
        include_user_agent: bool = False,
        log_begin: bool = False,
    ) -> None:
        super().__init__(app)
        if not callable(level):
            raise TypeError(f"level is a function of a connection and its outcome, not {level!r}")
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level
        self._skips = _skipping(skip)
        self._entry = Entry(include_query, include_user_agent)
        # What is not asked for costs nothing.
        self.has_head = log_begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in _SERVED:
            if self._is_silent(scope):
                await self.app(scope, receive, send)
                return
            scope.setdefault("state", {})  # for the request id of a layer further in
        await super().__call__(scope, receive, send)

    def head(self, connection: Connection, head: Head) -> None:
        if self._logger.isEnabledFor(logging.INFO) and _may_last(connection, head):
            self._write(logging.INFO, self._entry.begin(connection, head.status))

    def done(self, connection: Connection, outcome: Outcome) -> None:
        level = self._level(connection, outcome)
        if level is not None and self._logger.isEnabledFor(level):
            self._write(level, self._entry.end(connection, outcome))

    def _is_silent(self, scope: Scope) -> bool:
        if not self._logger.isEnabledFor(logging.CRITICAL):
            return True
        return self._skips is not None and self._skips(Connection(scope))

    def _write(self, level: int, fields: Fields) -> None:
        logger = self._logger
        # Not `logger.log`, which walks the stack for the line it is called from: this one.
        line = line_of(fields)
        record = logger.makeRecord(logger.name, level, __file__, 0, line, (), None, "done")
        # Not as `extra`, which raises where a record factory has set one of these itself.
        vars(record).update(fields)
        logger.handle(record)


def _may_last(connection: Connection, head: Head) -> bool:
    if connection.is_websocket:
        return head.status == _ACCEPTED
    is_empty = connection.scope["method"] == "HEAD" or not has_body(head.status)
    return not is_empty and "content-length" not in head.headers


def _skipping(skip: Skip) -> Callable[[Connection], bool] | None:
    if callable(skip):
        return skip
    paths = frozenset([skip] if isinstance(skip, str) else skip)
    for path in paths:
        if not path.startswith("/"):
            raise ValueError(f"{path!r} in skip is not a path: it must begin with a slash")
    return (lambda connection: connection.path in paths) if paths else None


# What is no plain text to whoever reads the log line by line.
_UNPRINTABLE: Final = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class JSONFormatter(logging.Formatter):
    """Each record as one line of JSON, with whatever attributes it was given by `extra`.

    `time` (RFC 3339, UTC), `level`, `logger` and `message` come first, and `exception` and `stack`
    last, where there are any. A value that is not JSON is written as its `str`.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        given = vars(record)
        fields.update((name, given[name]) for name in given if name not in _STANDARD)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return _UNPRINTABLE.sub(_json_escape, _dumped(fields).decode())


def _dumped(fields: Fields) -> bytes:
    try:
        return dump_json(fields)
    except (TypeError, RecursionError):
        return dump_json({_valid(name): _dumpable(value) for name, value in fields.items()})


def _dumpable(value: Any) -> Any:
    try:
        dump_json(value)
    except (TypeError, RecursionError):
        return _valid(value)
    return value


def _valid(value: Any) -> str:
    """As text that UTF-8 can carry, which a lone surrogate is not."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def _json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
