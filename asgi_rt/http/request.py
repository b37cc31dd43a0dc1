"""What the client sent: one HTTP request."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final

import anyio

from asgi_rt.asgi import Receive, Scope
from asgi_rt.codec import load_json
from asgi_rt.errors import HTTPError
from asgi_rt.http.connection import HTTPConnection
from asgi_rt.http.headers import connection_close, parse_options
from asgi_rt.http.inbox import Inbox

if TYPE_CHECKING:
    from asgi_rt.http.forms import Form, FormLimits

__all__ = ["Request"]

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_LENGTH_DIGITS: Final = 20  # more than any body has, fewer than int() takes long for


class Request(HTTPConnection):
    """One HTTP request: its head at once, its body when asked for.

    Every task that serves the request may use it; several may wait for body or disconnect at
    once, and each chunk of the body goes to one of them. Cancelling a wait loses nothing.
    """

    # Set on the class, so that a request that asks for none of them pays for none of them.
    _inbox: Inbox | None = None
    _parts: list[bytes] | None = None
    _received: int = 0
    _is_streamed: bool = False
    _form: "Form | None" = None
    _form_lock: anyio.Lock | None = None
    _body: bytes
    """Missing until it was read: who wraps a request asks `hasattr` for it, as with Starlette's."""
    response: Any = None
    """What answers this request, once it is known. Its `head_sent` tells if it is too late."""
    has_form: bool = False
    """Whether a form was read, so that there is something to close."""
    mount_depth: int = 0
    """How many segments of the path the prefix of a mount took."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        """The ASGI receive; use `inbox` where others may wait for messages too."""

    @property
    def method(self) -> str:
        """The method, in upper case."""
        method: str = self.scope["method"]
        return method

    @property
    def content_type(self) -> str:
        """The media type of the body without its parameters; empty where none is declared."""
        return parse_options(self.headers.get("content-type", ""))[0]

    @property
    def last_event_id(self) -> str | None:
        """Where a client of server-sent events wants to go on; None where it does not say.

        It is the `Last-Event-ID` header, which browsers send when they reconnect, or else the
        parameter `last_event_id` of the query, for a page that knows its place before it connects.
        """
        header = self.headers.get("last-event-id")
        if not header:
            return self.query.get("last_event_id") or None
        # Browsers write the id as UTF-8, WHATWG HTML section 9.2.3; headers are read as Latin-1.
        return header.encode("latin-1").decode("utf-8", "replace")

    # What arrives

    @property
    def inbox(self) -> Inbox:
        """The messages of this exchange, shared with whoever else reads them."""
        if self._inbox is None:
            self._inbox = Inbox.of(self.receive)
        return self._inbox

    async def is_disconnected(self) -> bool:
        """Whether the client has left. Takes at most a millisecond; body that it meets is kept."""
        return await self.inbox.poll()

    async def disconnected(self) -> None:
        """Return when the client has left; see `Inbox` for what happens to body meanwhile."""
        await self.inbox.disconnected()

    async def stream(self, *, max_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        """The body, chunk by chunk, as it arrives; it can be read once, or after `body()` again.

        Raises HTTPError 413 as soon as more than `max_bytes` have come (None is no limit),
        ClientDisconnected when the client leaves first, and RuntimeError when it was read before.
        Cancelling it ends it: what had not come is not read by a second `stream()`.
        """
        if self._is_streamed:
            raise RuntimeError(
                "the request body was already read by stream(); use body() to read it twice"
            )
        self._refuse_declared(max_bytes)
        self._refuse_received(max_bytes)
        if hasattr(self, "_body"):
            if self._body:
                yield self._body
            return
        self._is_streamed = True
        parts, self._parts = self._parts or [], None
        for part in parts:
            yield part
        more = True
        try:
            while more:
                chunk, more = await self.inbox.chunk()
                self._received += len(chunk)
                self._refuse_received(max_bytes)
                if chunk:
                    yield chunk
        finally:
            if more:
                self.inbox.stop_reading()

    async def body(self, max_bytes: int | None = None) -> bytes:
        """The whole body; the same bytes at every call, and to every task that waits for it.

        `max_bytes` defaults to the app's `max_body_bytes` (16 MiB). Raises HTTPError 413 when the
        body is larger, before it is read where its length was declared, and ClientDisconnected.
        RuntimeError when `stream()` read it. After a wait that was cancelled it can be called
        again and has lost nothing.
        """
        if hasattr(self, "_body"):
            self._refuse_received(max_bytes)
            return self._body
        return await self._read_body(self._app_limit() if max_bytes is None else max_bytes)

    async def _read_body(self, max_bytes: int | None) -> bytes:
        inbox = self.inbox
        if self._parts is None:
            self._parts = []
        parts = self._parts  # the request's own, so that other readers and later calls go on
        self._refuse_declared(max_bytes)
        self._refuse_received(max_bytes)
        while not hasattr(self, "_body"):
            if self._is_streamed:
                raise RuntimeError("the request body was already read by stream()")
            chunk, more = await inbox.chunk()
            parts.append(chunk)
            self._received += len(chunk)
            self._refuse_received(max_bytes)
            if not more and not hasattr(self, "_body"):
                self._body = b"".join(parts)
                parts.clear()
        return self._body

    async def json(self, max_bytes: int | None = None) -> Any:
        """The value of the body as JSON. Raises HTTPError 400 if it is none, and as `body`."""
        body = await self.body(max_bytes)
        if not body:
            raise HTTPError(400, "the request body is empty where JSON was expected")
        try:
            return load_json(body)
        except ValueError as error:
            raise HTTPError(400, f"the request body is not JSON: {error}") from None

    async def form(self, limits: "FormLimits | None" = None) -> "Form":
        """The fields and files of a form, url-encoded or multipart; the same form at every call.

        Files are spooled to disk and closed when the handler is done. Raises HTTPError 415 for
        another content type, 400 for a malformed form and 413 beyond the limits.
        """
        if self._form_lock is None:
            self._form_lock = anyio.Lock()
        async with self._form_lock:
            if self._form is None:
                from asgi_rt.http.forms import read_form  # needs the extra `forms`

                self._form = await read_form(self, limits)
                self.has_form = True
            return self._form

    async def aclose(self) -> None:
        """Close the files of the form, if one was read. Called when the exchange is over."""
        if self._form is not None:
            await self._form.aclose()

    def _app_limit(self) -> int | None:
        app = self.scope.get("app")
        return getattr(app, "max_body_bytes", MAX_BODY_BYTES)

    def _refuse_declared(self, max_bytes: int | None) -> None:
        declared = self.headers.get("content-length", "")
        # Servers check the header's form; what is not a number is theirs to refuse.
        if max_bytes is not None and declared.isdecimal():
            self._refuse(max_bytes, int(declared[:_LENGTH_DIGITS]))

    def _refuse_received(self, max_bytes: int | None) -> None:
        if max_bytes is not None:
            self._refuse(max_bytes, self._received)

    def _refuse(self, max_bytes: int, size: int) -> None:
        if size > max_bytes:
            raise HTTPError(
                413,
                f"the request body is larger than {max_bytes} bytes",
                # Or the client would go on to upload what nobody wants.
                headers=connection_close(self.scope),
            )
