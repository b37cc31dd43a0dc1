"""A bound on the bodies of requests, for any app.

WebSockets are left alone: the size of their messages is an option of the route, or of the server.
"""

from collections.abc import Iterator
from typing import Final, cast

import anyio

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.http.headers import connection_close
from asgi_rt.http.response import problem_response
from asgi_rt.middleware.limit_options import check_count
from asgi_rt.middleware.progress import CUT_OFF

__all__ = ["BodyLimitMiddleware"]

_TOO_LARGE: Final = 413
_LENGTH_DIGITS: Final = 20  # more than any body has, fewer than int() takes long for
_LINGER_SECONDS: Final = 1.0


class BodyLimitMiddleware:
    """Answers requests with a body of more than `max_bytes` with a 413 (RFC 9110 section 15.5.14).

    A body whose Content-Length says so never reaches the app. Any other is counted while the app
    receives it, chunked ones too, and the app's `receive` raises HTTPError 413 at the message that
    goes beyond. What an app makes of that, an error or a response with another status, is replaced
    by the 413, unless its head was sent before: then the response is broken off where the app fails
    at it. A Content-Length that is no number, or more than one, is a 400 (RFC 9112 section 6.3).

    The connection is closed after a refusal, but read from for up to a second before, for a client
    that reads no answer until it has sent all. A body that the app does not ask for is not counted.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        """The next layer, or the app itself."""
        self._max_bytes = check_count("max_bytes", max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it; whatever is no HTTP goes straight to the app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            may_have_body = self._check_declared(scope)
        except HTTPError as error:
            await problem_response(error)(scope, receive, _Lingering(scope, receive, send).send)
            return
        if may_have_body:
            await _Exchange(scope, receive, send, max_bytes=self._max_bytes).serve(self.app)
        else:
            await self.app(scope, receive, send)

    def _check_declared(self, scope: Scope) -> bool:
        """Whether a body may come. Raises HTTPError where what the head says of it is refused."""
        lengths: list[bytes] = []
        is_chunked = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                lengths.append(value)
            elif name == b"transfer-encoding":
                is_chunked = True
        if is_chunked:
            return True  # and a length beside it says nothing
        if not lengths:
            return not scope.get("http_version", "1.1").startswith("1")
        length = _parsed(lengths)
        if length is None:
            headers = connection_close(scope)
            raise HTTPError(400, "the Content-Length is not one number", headers=headers)
        if length > self._max_bytes:
            raise _too_large(scope, self._max_bytes)
        return length > 0


def _parsed(lengths: list[bytes]) -> int | None:
    """The length, which may be repeated; None for what is no number, and for two of them."""
    first, *others = {part.strip(b" \t") for value in lengths for part in value.split(b",")}
    if others or not first.isdigit():
        return None
    return int(first.lstrip(b"0")[:_LENGTH_DIGITS] or b"0")


def _too_large(scope: Scope, max_bytes: int) -> HTTPError:
    detail = f"the request body is larger than {max_bytes} bytes"
    return HTTPError(_TOO_LARGE, detail, headers=connection_close(scope))


class _Exchange:
    """One request whose body is counted."""

    __slots__ = (
        "_has_all",
        "_head_sent",
        "_is_answered",
        "_left",
        "_max_bytes",
        "_overrun",
        "_scope",
        "_send",
        "passes_on",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, max_bytes: int) -> None:
        self._scope = scope
        self._send = send
        self._max_bytes = max_bytes
        self._left = max_bytes
        self._overrun: HTTPError | None = None
        self._has_all = False  # that the client will send
        self._head_sent = False
        self._is_answered = False
        self.passes_on = receive
        """For `waits_for_futures`."""

    async def serve(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except Exception as error:
            await self._settle()
            if self._overrun is None or not _holds(error, self._overrun):
                raise
            if self._head_sent:
                self._scope[CUT_OFF] = True
        else:
            await self._settle()
        finally:
            # By its traceback it knows frames that know this object.
            self._overrun = None

    async def receive(self) -> Message:
        if self._left < 0:
            raise self._overrun or _too_large(self._scope, self._max_bytes)
        message = await self.passes_on()
        if message["type"] == "http.request":
            self._has_all = not message.get("more_body", False)
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self._overrun = _too_large(self._scope, self._max_bytes)
                raise self._overrun
        return message

    async def send(self, message: Message) -> None:
        if self._is_answered:
            return
        if message["type"] == "http.response.start" and not self._head_sent:
            if self._overrun is not None:
                if message["status"] != _TOO_LARGE:
                    await self._settle()
                    return
                self._send = self._last_send()
            self._head_sent = True
        await self._send(message)

    async def _settle(self) -> None:
        """Answer what was refused, unless that has been done."""
        if self._overrun is not None and not self._head_sent and not self._is_answered:
            self._is_answered = True
            response = problem_response(self._overrun)
            await response(self._scope, self.passes_on, self._last_send())

    def _last_send(self) -> Send:
        if self._has_all:
            return self._send
        return _Lingering(self._scope, self.passes_on, self._send).send


class _Lingering:
    """A `send` that reads on for a moment before the response is over.

    The server closes the connection then. Where something lies there unread, that is a reset, which
    can take the response from a client that has not read it yet. Nobody waits for it who does read.
    """

    __slots__ = ("_receive", "_scope", "_send")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send

    async def send(self, message: Message) -> None:
        is_end = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_end and self._may_be_sending():
            await self._send({**message, "more_body": True})
            await self._discard()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    def _may_be_sending(self) -> bool:
        """Whether the client did not ask before it sends the body (RFC 9110 section 10.1.1).

        From HTTP/2 on what ends is no connection but a stream, and nothing is lost.
        """
        asks = any(name == b"expect" for name, _ in self._scope["headers"])
        return not asks and bool(connection_close(self._scope))

    async def _discard(self) -> None:
        with anyio.move_on_after(_LINGER_SECONDS):
            while True:
                message = await self._receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return


def _holds(error: BaseException, sought: BaseException) -> bool:
    """Whether an error is the one that is sought, or came of it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is sought:
            return True
        if id(each) not in seen:
            seen.add(id(each))
            waiting += _behind(each)
    return False


def _behind(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        yield from cast("BaseExceptionGroup[BaseException]", error).exceptions
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield other
