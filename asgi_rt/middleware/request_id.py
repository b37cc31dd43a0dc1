"""An id for every request: in its answer, in its handler, and in each log record of its making."""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Final
from uuid import uuid4

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send
from asgi_rt.http.headers import encode_header
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.hooks import Middleware

__all__ = ["STATE_KEY", "RequestIDFilter", "RequestIDMiddleware", "request_id"]

STATE_KEY: Final = "request_id"
"""Where the id stands in the state of a connection."""
_SCOPE_KEY: Final = "asgi_rt.request_id"
_SERVED: Final = frozenset({"http", "websocket"})
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
# What may be echoed and logged at all, whoever has found it valid.
_HARMLESS: Final = re.compile(r"[!-~]{1,1024}")
_NOTE: Final = "request id: "

request_id: ContextVar[str | None] = ContextVar("asgi_rt.request_id", default=None)
"""The id of the request that is being served; None outside of requests.

It goes where context variables go: into tasks that are started, background tasks included, and
into worker threads of anyio and asyncio, but not into a `threading.Thread`.
"""


class _Served(str):
    """The id of a request, which knows when that is over.

    Contexts are copied where nobody asks for it: on asyncio, the callbacks of a connection run in
    that of the task that has made it read on, so that its next request may begin with an old id.
    """

    is_over = False


class RequestIDMiddleware(Middleware):
    """Gives every HTTP exchange and every WebSocket an id, and sends it in the answer.

    It is the client's own, where `trust` is set and the client has sent the `header` once, with a
    value for which `is_valid` is true: by default 1 to 128 letters, digits, ".", "_" and "-". Else
    `generate` makes one. Whatever `is_valid` says, or raises as ValueError, nothing but printable
    ASCII without spaces, of at most 1024 characters, is ever taken.

    The id is in `request_id` while the request is served, in `connection.state["request_id"]` (of
    Starlette: `request.state.request_id`), in the `header` of the response, the accepted handshake
    or the denial, whatever the app has put there, and in a note on what the app raises, which a
    traceback shows. A layer further in, of a mounted app for instance, keeps the id that is there.

    Raises ValueError for a header that is no name of one. Per request, ValueError where `generate`
    gives what cannot be sent.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        header: str = "X-Request-ID",
        trust: bool = True,
        is_valid: Callable[[str], object] | None = None,
        generate: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(app)
        self._header = header
        self._raw_name = encode_header(header, "")[0]
        self._trust = trust
        self._is_valid = _ID.fullmatch if is_valid is None else is_valid
        self._generate = _new_id if generate is None else generate
        for option in (self._is_valid, self._generate):
            if not callable(option):
                raise TypeError(f"is_valid and generate are functions, not {option!r}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _SERVED or _SCOPE_KEY in scope:
            await self.app(scope, receive, send)
            return
        value = self._sent_id(scope) or self._made_id()
        scope[_SCOPE_KEY] = value
        scope.setdefault("state", {})[STATE_KEY] = value
        outer = request_id.get()
        served = _Served(value)
        request_id.set(served)
        try:
            await super().__call__(scope, receive, send)
        except Exception as error:
            _note(error, value)
            raise
        finally:
            served.is_over = True
            is_stale = isinstance(outer, _Served) and outer.is_over
            request_id.set(None if is_stale else outer)

    def head(self, connection: Connection, head: Head) -> None:
        # Not from the context: the head may be sent in another one.
        head.headers[self._header] = connection.scope[_SCOPE_KEY]

    def _sent_id(self, scope: Scope) -> str | None:
        """The client's id, if it sent one, and one that can be taken."""
        if not self._trust:
            return None
        sent = [value for name, value in scope["headers"] if name == self._raw_name]
        if len(sent) != 1:
            return None
        value: str = sent[0].decode("latin-1")
        return value if _HARMLESS.fullmatch(value) and self._takes(value) else None

    def _takes(self, value: str) -> bool:
        try:
            return bool(self._is_valid(value))
        except ValueError:  # what parsers say of what they do not take
            return False

    def _made_id(self) -> str:
        value = self._generate()
        if _HARMLESS.fullmatch(value) is None:
            raise ValueError(
                f"generate gave {value!r:.80}: an id is 1 to 1024 characters of printable ASCII,"
                " without spaces"
            )
        return value


class RequestIDFilter(logging.Filter):
    """Sets `request_id` on each log record, for `%(request_id)s` in a format: "-" where none is.

    Put it on handlers: a logger's own filters do not see what comes from the loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, STATE_KEY, None) is None:
            record.request_id = str(request_id.get() or "-")
        return True


def _new_id() -> str:
    return uuid4().hex


def _note(error: Exception, value: str) -> None:
    """Have the error's traceback tell the id: the server logs it when the request is over."""
    notes: list[object] = getattr(error, "__notes__", [])
    with suppress(Exception):  # some errors are frozen, and stay what they are
        # Instead of one that is there, as an app may raise the same object again and again.
        error.__notes__ = [str(note) for note in notes if not str(note).startswith(_NOTE)]
        error.add_note(_NOTE + value)
