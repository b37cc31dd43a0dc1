"""The async test client: httpx2's `AsyncClient` in front of an app, on the caller's event loop."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Unpack

import httpx2

from asgi_rt.asgi import ASGIApp
from asgi_rt.testing.content import ThreadedContent
from asgi_rt.testing.events import EventOptions, Events
from asgi_rt.testing.exchange import Exchange
from asgi_rt.testing.options import (
    ClientOptions,
    RequestOptions,
    ServerOptions,
    WebSocketOptions,
)
from asgi_rt.testing.transport import AppTransport
from asgi_rt.testing.websocket import WebSocketConnection
from asgi_rt.testing.websocket_request import build_handshake

__all__ = ["AsyncTestClient"]


class AsyncTestClient(httpx2.AsyncClient):
    """An `httpx2.AsyncClient` that talks to any ASGI 3 app, endless responses included.

    Each request runs the app in one plain task on the caller's loop, with a copy of the caller's
    context variables. No cancel scope or task group is held open, so a fixture may open the client
    and another task close it. `async with` runs the app's lifespan; without it requests work too,
    and `aclose` ends what is left of them. Timeouts are off unless `timeout` is given.

    - `spec_version`: the HTTP spec version in the scope. From "2.4" on the app's `send` raises an
      OSError after a disconnect; before, it does nothing, as in uvicorn.
    - `extensions`: put into the scope. `http.response.pathsend`, `.trailers`, `.early_hint` and
      `.push` are understood.
    - `client`, `root_path`: as in the scope. `base_url`: what URLs are relative to.
    - `raise_server_exceptions`: raise here what the app raises. Otherwise it is a 500, or a body
      that breaks off with `httpx2.RemoteProtocolError`.
    - `pipe_bytes`: the app's `send` waits while more than this lies unread; None is no bound.
    - `close_timeout`: seconds the app has to end once its response was read or left; then it is
      cancelled and `CloseTimeoutError` is raised. None is no bound.
    - `lifespan`: whether `async with` runs the lifespan. `lifespan_timeout`: seconds that startup
      and shutdown may take each; None is no bound.

    The other options are httpx2's.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        base_url: str = "http://testserver",
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
        self._app_transport = AppTransport(app, server, lifespan=lifespan)
        options.setdefault("timeout", None)
        super().__init__(
            transport=self._app_transport, base_url=base_url, trust_env=False, **options
        )

    @property
    def state(self) -> dict[str, Any]:
        """The lifespan's state. Each request's `scope["state"]` is a shallow copy of it."""
        return self._app_transport.state

    @contextlib.asynccontextmanager
    async def open(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> AsyncGenerator[Exchange]:
        """An exchange that begins at once and is closed on leaving; the head is not waited for.

        The client's cookies, headers and authentication apply, as far as they need no answer of
        the server. Redirects are not followed and event hooks do not run.
        """
        request = await self._authenticated(self.build_request(method, url, **options))
        exchange = self._app_transport.open(request, self.cookies.extract_cookies)
        try:
            yield exchange
        finally:
            await exchange.aclose()

    def events(self, url: str, **options: Unpack[EventOptions]) -> Events:
        """The event stream at `url`; entering it connects, leaving it is a disconnect.

        The options are those of `EventSource`, with `reconnect=False` and `max_attempts=10`.
        """
        return Events(url, client=self, **options)

    @contextlib.asynccontextmanager
    async def websocket_connect(
        self, url: str, **options: Unpack[WebSocketOptions]
    ) -> AsyncGenerator[WebSocketConnection]:
        """A WebSocket connection, once the app has accepted it. It is closed on leaving.

        The options are `subprotocols`, `headers`, `params`, `origin`, `timeout`, `spec_version`,
        `denial_response`, `pipe_bytes` and `close_timeout`; see `WebSocketOptions`. The client's
        cookies, headers and authentication apply as in `open`. The URL may begin with ws:// or
        wss://; a relative one takes that from `base_url`.

        Raises `WebSocketDenied`, with the response, when the app does not accept; what the app
        raises; and `TimeoutError` when there is no answer for `timeout` seconds. On leaving, an
        open connection is closed with 1000 and the app has `close_timeout` seconds to end; then it
        is cancelled and `CloseTimeoutError` is raised. What the app raised is raised at the latest
        then, save the disconnect itself: a ClientGoneError, asgi_rt's `WebSocketClosed` and the
        `WebSocketDisconnect` of other frameworks, out of a connection that is over.
        """
        request = await self._authenticated(build_handshake(self.build_request, url, options))
        server = self._app_transport.options.for_websocket(options)
        connection = self._app_transport.open_websocket(
            request, server, self.cookies.extract_cookies
        )
        try:
            await connection.connect(options.get("timeout", 5.0))
            yield connection
        finally:
            await connection.aclose()

    def build_request(self, *args: Any, **kwargs: Any) -> httpx2.Request:
        """As httpx2's, but a blocking iterable is good as content too: a thread pulls it."""
        request = super().build_request(*args, **kwargs)
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            request.stream = ThreadedContent(request.stream)
        return request

    async def _authenticated(self, request: httpx2.Request) -> httpx2.Request:
        if self.auth is None:
            return request
        async with contextlib.aclosing(self.auth.async_auth_flow(request)) as flow:
            return await anext(flow)
