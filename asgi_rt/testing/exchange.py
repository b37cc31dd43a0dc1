"""One HTTP request run against an app, with the controls that a test needs."""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Generator
from contextvars import copy_context
from typing import Any, Self

import anyio
import httpx2

from asgi_rt.asgi import ASGIApp
from asgi_rt.testing.condition import Condition
from asgi_rt.testing.connection import Connection
from asgi_rt.testing.content import RequestBody
from asgi_rt.testing.errors import AppError
from asgi_rt.testing.options import ServerOptions
from asgi_rt.testing.outcome import Outcome
from asgi_rt.testing.pipe import Pipe
from asgi_rt.testing.protocol import ResponseHead, ResponseProtocol
from asgi_rt.testing.scope import http_scope
from asgi_rt.testing.task import PlainTask
from asgi_rt.testing.view import ExchangeParts, ExchangeView

__all__ = ["EXTENSION", "Exchange"]

EXTENSION = "asgi_rt.exchange"
"""The key of the exchange in `response.extensions`."""

_SERVER_ERROR = ResponseHead(500, [(b"content-type", b"text/plain; charset=utf-8")])


class Exchange(ExchangeView):
    """A request on its way through an app: its response, and control of the client's behaviour.

    It begins at once, in one plain task of its own. Every method may be called from any task of
    the event loop it was made on, also while another task reads; cancelling one loses nothing.
    One task at a time should read.

    What the app raises is raised once: by the first `head`, `read`, `wait_blocked` or `aclose`
    that meets it.
    """

    def __init__(
        self,
        app: ASGIApp,
        request: httpx2.Request,
        options: ServerOptions,
        *,
        state: dict[str, Any],
        on_response: Callable[[httpx2.Response], None] | None = None,
        on_closed: Callable[["Exchange"], None] | None = None,
    ) -> None:
        name = f"{request.method} {request.url.raw_path.decode('ascii')}"
        self._options = options
        self._on_response = on_response
        self._on_closed = on_closed
        self._timeout: float | None = request.extensions.get("timeout", {}).get("read")
        self._response: httpx2.Response | None = None
        self._outcome = Outcome(name, request, options)
        self._changed = Condition()
        context = copy_context()
        self._body = RequestBody(
            request, self._changed, context=context.copy(), on_error=self._upload_failed
        )
        scope = http_scope(request, options, state)
        protocol = ResponseProtocol(
            name=name, method=request.method, extensions=frozenset(scope.get("extensions", ()))
        )
        pipe = Pipe(options.pipe_bytes, self._changed)
        connection = Connection(
            name=name,
            protocol=protocol,
            body=self._body,
            pipe=pipe,
            changed=self._changed,
            raises_after_disconnect=options.raises_after_disconnect,
        )

        async def run() -> None:
            await app(scope, connection.receive, connection.send)

        task = PlainTask(run, name=name, context=context, on_done=self._app_ended)
        super().__init__(ExchangeParts(name, request, scope, protocol, pipe, connection, task))

    @classmethod
    def of(cls, response: httpx2.Response) -> Self:
        """The exchange behind a response of an `AsyncTestClient`. Raises `TypeError` for others."""
        exchange = response.extensions.get(EXTENSION)
        if not isinstance(exchange, cls):
            raise TypeError(f"{response!r} does not come from an AsyncTestClient")
        return exchange

    @property
    def response(self) -> httpx2.Response:
        """The response, once it has started; `head` waits for it. Its body is read from here."""
        if self._response is None:
            self._response = httpx2.Response(
                self.status,
                headers=self.headers,
                stream=_BodyStream(self),
                request=self.request,
                extensions={"http_version": b"HTTP/1.1", EXTENSION: self},
            )
            if self._on_response is not None:
                self._on_response(self._response)
        return self._response

    async def head(self) -> httpx2.Response:
        """The response, as soon as the app has sent its head; the body is not waited for.

        Raises what the app raised before it; `IncompleteResponseError` when it just ended;
        `httpx2.ReadError` after a disconnect; `httpx2.ReadTimeout` after the request's timeout.
        """
        await self.wait_head()
        return self.response

    async def wait_head(self) -> None:
        """Wait for the head of the response. Raises as `head` does."""
        connection = self._parts.connection
        with self._within_timeout():
            await self._changed.wait_until(
                lambda: connection.head is not None or self.is_done or self.is_disconnected
            )
        if connection.head is None:
            self._raise_broken_off()

    async def read(self, max_bytes: int | None = None) -> bytes:
        """The next chunk of the raw body as the app sent it, or `max_bytes` of it; b"" at the end.

        Waits for the head as well. Raises as `head` does, and `httpx2.RemoteProtocolError` for a
        body that breaks off when `raise_server_exceptions` is off.
        """
        await self.wait_head()
        if self.request.method == "HEAD":
            return b""
        with self._within_timeout():
            data = await self._parts.pipe.read(max_bytes)
        if not data and self._breaks_off():
            self._raise_broken_off()
        return data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk, as `read` gives it."""
        if data := await self.read():
            return data
        raise StopAsyncIteration

    def disconnect(self) -> None:
        """Leave abruptly: what is in the pipe is lost and the app is told. Again does nothing."""
        if not self.is_disconnected:
            self._parts.connection.disconnect()

    def freeze(self) -> None:
        """Stop reading, as a stalled client does: a `read` then waits whatever there is to read."""
        self._parts.pipe.freeze()

    def thaw(self) -> None:
        """Go on reading."""
        self._parts.pipe.thaw()

    async def wait_blocked(self) -> None:
        """Wait until the app waits in `send` for room.

        Raises what the app raised, or `AppError`, when it ends without having to.
        """
        await self._changed.wait_until(lambda: self.is_blocked or self.is_done)
        if not self.is_blocked:
            self._outcome.raise_once()
            raise AppError(
                f"{self._parts.name}: the app ended after {self.bytes_sent} bytes of body "
                "and was never held up"
            )

    async def wait_done(self) -> None:
        """Wait until the app's task has ended. What it raised is left for `head` or `aclose`."""
        await self._parts.task.wait()

    async def aclose(self) -> None:
        """Leave, and wait until the app's task has ended. May be called again, from any task.

        Unless the whole response has been read this is a disconnect. Raises what the app raised
        if nothing did so before, and `CloseTimeoutError` when the app had to be cancelled. A
        caller who is being cancelled gets that and no error of the app's.
        """
        ended_by_itself = await self.leave()
        if isinstance(sys.exception(), anyio.get_cancelled_exc_class()):
            return
        if not ended_by_itself:
            self._outcome.raise_close_timeout(self._parts.task)
        self._outcome.raise_once()

    async def leave(self) -> bool:
        """As `aclose`, but nothing of the app's is raised; returns whether it ended by itself.

        The caller's cancellation is held off for at most four times `close_timeout`.
        """
        if not self._has_all():
            self.disconnect()
        try:
            return await self._parts.task.end(self._options.close_timeout)
        finally:
            await self._body.aclose(self._options.close_timeout)
            if self.is_done and self._on_closed is not None:
                self._on_closed(self)

    def _upload_failed(self) -> None:
        if self._body.error is not None:
            self._outcome.upload_failed(self._body.error)
            self.disconnect()

    def _app_ended(self) -> None:
        is_excused = self.is_complete or self.is_disconnected
        self._outcome.app_ended(self._parts.task, is_excused=is_excused, sent=self._sent)
        owes_head = not self.is_started and not self.is_disconnected
        if owes_head and not self._options.raise_server_exceptions:
            self._parts.connection.head = _SERVER_ERROR
            self._parts.pipe.put(b"Internal Server Error")
        self._parts.pipe.finish()

    def _has_all(self) -> bool:
        """Whether the client needs nothing more: then its leaving is no disconnect."""
        if self.request.method == "HEAD":
            return self._parts.connection.head is not None
        return self._parts.pipe.is_finished and not self.bytes_buffered

    def _breaks_off(self) -> bool:
        if self._parts.connection.head is _SERVER_ERROR:
            return False
        return self.is_disconnected or not self.is_complete

    def _raise_broken_off(self) -> None:
        self._outcome.raise_broken_off(is_disconnected=self.is_disconnected, sent=self._sent)

    @property
    def _sent(self) -> str:
        if not self.is_started:
            return "nothing of a response"
        return f"the head and {self.bytes_sent} bytes of an incomplete body"

    @contextlib.contextmanager
    def _within_timeout(self) -> Generator[None]:
        try:
            with anyio.fail_after(self._timeout):
                yield
        except TimeoutError:
            raise httpx2.ReadTimeout(
                f"{self._parts.name}: nothing arrived from the app for {self._timeout} seconds",
                request=self.request,
            ) from None


class _BodyStream(httpx2.AsyncByteStream):
    """The body of an exchange as httpx2 reads it. Not a generator: leaving it needs no clean-up."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._exchange

    async def aclose(self) -> None:
        await self._exchange.aclose()
