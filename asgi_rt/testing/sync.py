"""The blocking test client: httpx2's `Client` in front of an app that runs in a loop thread."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Literal, Self, TypeVar, Unpack

import httpx2

from asgi_rt.asgi import ASGIApp
from asgi_rt.testing.exchange import EXTENSION, Exchange
from asgi_rt.testing.options import ClientOptions, RequestOptions, ServerOptions
from asgi_rt.testing.portal import LoopThread
from asgi_rt.testing.transport import AppTransport
from asgi_rt.testing.view import ExchangeView

__all__ = ["SyncExchange", "TestClient"]

T = TypeVar("T")


class SyncExchange(ExchangeView):
    """An `Exchange` for callers without an event loop: the same controls, blocking.

    Every method may be called from any thread but the app's own, also while another one reads.
    """

    def __init__(
        self,
        exchange: Exchange,
        loop: LoopThread,
        on_response: Callable[[httpx2.Response], None] | None = None,
    ) -> None:
        super().__init__(exchange._parts)
        self._exchange = exchange
        self._loop = loop
        self._on_response = on_response
        self._response: httpx2.Response | None = None

    @classmethod
    def of(cls, response: httpx2.Response) -> Self:
        """The exchange behind a response of a `TestClient`. Raises `TypeError` for others."""
        exchange = response.extensions.get(EXTENSION)
        if not isinstance(exchange, cls):
            raise TypeError(f"{response!r} does not come from a TestClient")
        return exchange

    @property
    def response(self) -> httpx2.Response:
        """The response, once it has started; `head` waits for it. Its body is read from here."""
        if self._response is None:
            self._response = httpx2.Response(
                self.status,
                headers=self.headers,
                stream=_SyncBodyStream(self),
                request=self.request,
                extensions={"http_version": b"HTTP/1.1", EXTENSION: self},
            )
            if self._on_response is not None:
                self._on_response(self._response)
        return self._response

    def head(self) -> httpx2.Response:
        """The response, as soon as the app has sent its head. Raises as `Exchange.head` does."""
        self._loop.call(self._exchange.wait_head)
        return self.response

    def read(self, max_bytes: int | None = None) -> bytes:
        """The next chunk, or `max_bytes` of it; b"" at the end. Raises as `Exchange.read` does."""
        return self._loop.call(self._exchange.read, max_bytes)

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk

    def disconnect(self) -> None:
        """Leave abruptly: what is in the pipe is lost and the app is told. Again does nothing."""
        self._loop.call(_run, self._exchange.disconnect)

    def freeze(self) -> None:
        """Stop reading, as a stalled client does: a `read` then waits whatever there is to read."""
        self._loop.call(_run, self._exchange.freeze)

    def thaw(self) -> None:
        """Go on reading."""
        self._loop.call(_run, self._exchange.thaw)

    def wait_blocked(self) -> None:
        """Wait until the app waits in `send` for room. Raises as `Exchange.wait_blocked` does."""
        self._loop.call(self._exchange.wait_blocked)

    def wait_done(self) -> None:
        """Wait until the app's task has ended."""
        self._loop.call(self._exchange.wait_done)

    def close(self) -> None:
        """Leave, and wait until the app's task has ended. Raises as `Exchange.aclose` does."""
        self._loop.call(self._exchange.aclose)

    def leave(self) -> None:
        """As `close`, but nothing of the app's is raised."""
        self._loop.call(self._exchange.leave)


class _SyncBodyStream(httpx2.SyncByteStream):
    def __init__(self, exchange: SyncExchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._exchange)

    def close(self) -> None:
        self._exchange.close()


class SyncAppTransport(httpx2.BaseTransport):
    """An `AppTransport` on a loop thread of its own, for callers without an event loop."""

    def __init__(self, transport: AppTransport, loop: LoopThread, timeout: float | None) -> None:
        self.transport = transport
        self._loop = loop
        self._timeout = timeout

    def __enter__(self) -> Self:
        """Run the app's startup. Raises as `Lifespan.startup` does."""
        try:
            self._loop.call(self.transport.start)
        except BaseException:
            self._loop.close(self._timeout)
            raise
        return self

    def open(
        self,
        request: httpx2.Request,
        on_response: Callable[[httpx2.Response], None] | None = None,
    ) -> SyncExchange:
        """Begin an exchange, which the caller must close."""
        exchange = self._loop.call(_run, lambda: self.transport.open(request))
        return SyncExchange(exchange, self._loop, on_response)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response as soon as its head is there. Raises as `Exchange.head` does."""
        exchange = self.open(request)
        try:
            return exchange.head()
        except BaseException:
            exchange.leave()
            raise

    def close(self) -> None:
        """End every exchange, shut the app down, end the thread."""
        try:
            if self._loop.is_running:
                self._loop.call(self.transport.aclose)
        finally:
            self._loop.close(self._timeout)


class TestClient(httpx2.Client):
    """An `httpx2.Client` that talks to any ASGI 3 app, endless responses included.

    The app runs in one event loop, in a daemon thread that lives as long as the client: requests
    may share locks, and may be made from several threads at once. `backend` is "asyncio" or
    "trio"; `backend_options` are anyio's, such as `{"use_uvloop": True}`. `with` runs the app's
    lifespan; without it requests work too. The thread ends with `close`, or with the client.

    The other options are those of `AsyncTestClient`.
    """

    __test__ = False  # pytest would take the name for that of a test

    def __init__(
        self,
        app: ASGIApp,
        *,
        base_url: str = "http://testserver",
        backend: Literal["asyncio", "trio"] = "asyncio",
        backend_options: dict[str, Any] | None = None,
        spec_version: str = "2.3",
        extensions: Mapping[str, Mapping[str, Any]] | None = None,
        client: tuple[str, int] | None = ("127.0.0.1", 50000),
        root_path: str = "",
        raise_server_exceptions: bool = True,
        pipe_bytes: int | None = 65_536,
        close_timeout: float | None = 5.0,
        lifespan: bool = True,
        lifespan_timeout: float | None = 30.0,
        **options: Unpack[ClientOptions],
    ) -> None:
        server = ServerOptions(
            spec_version=spec_version,
            extensions=extensions,
            client=client,
            root_path=root_path,
            raise_server_exceptions=raise_server_exceptions,
            pipe_bytes=pipe_bytes,
            close_timeout=close_timeout,
            lifespan_timeout=lifespan_timeout,
        )
        self.app = app
        self._app_transport = SyncAppTransport(
            AppTransport(app, server, lifespan=lifespan),
            LoopThread(backend, backend_options),
            close_timeout,
        )
        options.setdefault("timeout", None)
        super().__init__(
            transport=self._app_transport, base_url=base_url, trust_env=False, **options
        )

    @property
    def state(self) -> dict[str, Any]:
        """The lifespan's state. Each request's `scope["state"]` is a shallow copy of it."""
        return self._app_transport.transport.state

    @contextlib.contextmanager
    def open(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> Generator[SyncExchange]:
        """An exchange that begins at once and is closed on leaving; the head is not waited for.

        What applies of the client's settings is as in `AsyncTestClient.open`.
        """
        request = self.build_request(method, url, **options)
        if self.auth is not None:
            request = next(self.auth.sync_auth_flow(request))
        exchange = self._app_transport.open(request, self.cookies.extract_cookies)
        try:
            yield exchange
        finally:
            exchange.close()


async def _run(function: Callable[[], T]) -> T:
    return function()
