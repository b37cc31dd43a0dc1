"""The async httpx2 transport: each request is one exchange with the app, on the caller's loop."""

from collections.abc import Callable
from typing import Any, Self

import anyio
import httpx2

from asgi_rt.asgi import ASGIApp
from asgi_rt.testing.exchange import Exchange
from asgi_rt.testing.lifespan import Lifespan
from asgi_rt.testing.options import ServerOptions
from asgi_rt.testing.websocket import WebSocketConnection
from asgi_rt.testing.websocket_exchange import WebSocketExchange

__all__ = ["AppTransport"]


class AppTransport(httpx2.AsyncBaseTransport):
    """Runs requests against an app, and its lifespan around them when it is entered.

    Requests may run at once. Nothing of the app's outlives `aclose`, save what refuses to be
    cancelled.
    """

    def __init__(self, app: ASGIApp, options: ServerOptions, *, lifespan: bool) -> None:
        self.state: dict[str, Any] = {}
        self.options = options
        self._app = app
        self._exchanges: set[Exchange | WebSocketExchange] = set()
        self._lifespan: Lifespan | None = None
        if lifespan:
            self._lifespan = Lifespan(app, timeout=options.lifespan_timeout, state=self.state)
        self._is_closed = False

    async def start(self) -> None:
        """Run the app's startup. Raises as `Lifespan.startup` does."""
        if self._lifespan is not None:
            await self._lifespan.startup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    def open(
        self,
        request: httpx2.Request,
        on_response: Callable[[httpx2.Response], None] | None = None,
    ) -> Exchange:
        """Begin an exchange, which the caller must close."""
        self._check_open()
        exchange = Exchange(
            self._app,
            request,
            self.options,
            state=self.state,
            on_response=on_response,
            on_closed=self._exchanges.discard,
        )
        self._exchanges.add(exchange)
        return exchange

    def open_websocket(
        self,
        request: httpx2.Request,
        options: ServerOptions,
        on_response: Callable[[httpx2.Response], None] | None = None,
    ) -> WebSocketConnection:
        """Begin a handshake. The caller must close the connection, whatever becomes of it."""
        self._check_open()
        connection = WebSocketConnection(
            self._app,
            request,
            options,
            state=self.state,
            on_response=on_response,
            on_closed=self._exchanges.discard,
        )
        self._exchanges.add(connection)
        return connection

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response as soon as its head is there. Raises as `Exchange.head` does."""
        exchange = self.open(request)
        try:
            return await exchange.head()
        except BaseException:
            await exchange.leave()
            raise

    async def aclose(self) -> None:
        """End every exchange, then shut the app down. Raises what they raise."""
        self._is_closed = True
        errors: list[BaseException] = []
        try:
            async with anyio.create_task_group() as closing:
                for exchange in tuple(self._exchanges):
                    closing.start_soon(_close, exchange, errors)
        finally:
            if self._lifespan is not None:
                await self._lifespan.shutdown()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("several requests were left open and ended badly", errors)

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the client is closed; make a new one for more requests")


async def _close(exchange: Exchange | WebSocketExchange, errors: list[BaseException]) -> None:
    try:
        await exchange.aclose()
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:
        errors.append(error)
