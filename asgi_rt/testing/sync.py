"""The blocking test client: httpx2's `Client` in front of an app that runs in a loop thread."""

import contextlib
from collections.abc import Callable, Generator, Mapping
from typing import Any, Literal, Self, Unpack

import httpx2

from asgi_rt.asgi import ASGIApp
from asgi_rt.testing.events import EventOptions, Events
from asgi_rt.testing.options import (
    ClientOptions,
    RequestOptions,
    ServerOptions,
    WebSocketOptions,
)
from asgi_rt.testing.portal import LoopThread
from asgi_rt.testing.sync_events import SyncEvents
from asgi_rt.testing.sync_exchange import SyncExchange
from asgi_rt.testing.sync_websocket import SyncWebSocketConnection
from asgi_rt.testing.transport import AppTransport
from asgi_rt.testing.websocket_request import build_handshake

__all__ = ["TestClient"]


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
        exchange = self._loop.run(lambda: self.transport.open(request))
        return SyncExchange(exchange, self._loop, on_response)

    @contextlib.contextmanager
    def websocket_connect(
        self,
        request: httpx2.Request,
        options: WebSocketOptions,
        on_response: Callable[[httpx2.Response], None],
    ) -> Generator[SyncWebSocketConnection]:
        """A connection that has been accepted. Raises as `AsyncTestClient.websocket_connect`."""
        server = self.transport.options.for_websocket(options)
        connection = self._loop.run(
            lambda: self.transport.open_websocket(request, server, on_response)
        )
        try:
            self._loop.call(connection.connect, options.get("timeout", 5.0))
            yield SyncWebSocketConnection(connection, self._loop)
        finally:
            if self._loop.is_running:  # otherwise the client was closed, and ended everything
                self._loop.call(connection.aclose)

    def events(self, client: httpx2.Client, url: str, options: EventOptions) -> SyncEvents:
        """An event stream that is asked for by the client's settings, and kept in the loop."""
        twin = httpx2.AsyncClient(  # opens nothing by itself, so it is not to be closed
            transport=self.transport,
            auth=client.auth,
            params=client.params,
            headers=client.headers,
            cookies=client.cookies.jar,
            timeout=client.timeout,
            max_redirects=client.max_redirects,
            base_url=client.base_url,
            trust_env=False,
        )
        return SyncEvents(Events(url, client=twin, **options), self._loop)

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
        self._make_transport: Callable[[], SyncAppTransport] = lambda: SyncAppTransport(
            AppTransport(app, server, lifespan=lifespan),
            LoopThread(backend, backend_options),
            close_timeout,
        )
        self._app_transport = self._make_transport()
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
        request = self._authenticated(self.build_request(method, url, **options))
        exchange = self._app_transport.open(request, self.cookies.extract_cookies)
        try:
            yield exchange
        finally:
            exchange.close()

    def events(self, url: str, **options: Unpack[EventOptions]) -> SyncEvents:
        """The event stream at `url`; entering it connects. See `AsyncTestClient.events`.

        What applies of the client's settings is as in `open`; redirects are followed, though.
        """
        return self._app_transport.events(self, url, options)

    def websocket_connect(
        self, url: str, **options: Unpack[WebSocketOptions]
    ) -> contextlib.AbstractContextManager[SyncWebSocketConnection]:
        """A WebSocket connection, once the app has accepted it. It is closed on leaving.

        Options and errors are those of `AsyncTestClient.websocket_connect`. Several connections
        may be open at once, in one thread or in several: they share the client's loop.
        """
        request = self._authenticated(build_handshake(self.build_request, url, options))
        return self._app_transport.websocket_connect(request, options, self.cookies.extract_cookies)

    def _authenticated(self, request: httpx2.Request) -> httpx2.Request:
        return request if self.auth is None else next(self.auth.sync_auth_flow(request))
