"""A test client by Starlette's names, on `asgi_rt.testing`."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Literal, Self

import httpx2

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.errors import LifespanError
from asgi_rt.fastapi.websockets import WebSocketDisconnect
from asgi_rt.testing import ConnectionClosed, SyncExchange, SyncWebSocketConnection, WebSocketDenied
from asgi_rt.testing import TestClient as PlainTestClient

__all__ = ["TestClient", "WebSocketDenialResponse", "WebSocketTestSession"]

_SECONDS: Final = 60.0
"""How long a session waits for the app."""
_KEY: Final = "sec-websocket-key"


class WebSocketDenialResponse(WebSocketDisconnect):
    """The app answered a handshake with a response, whose attributes this has."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__()
        self.response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("response"), name)


class WebSocketTestSession(SyncWebSocketConnection):
    """One WebSocket connection. WebSocketDisconnect is raised where the app has closed it."""

    @classmethod
    def of(cls, connection: SyncWebSocketConnection) -> Self:
        """The same connection as this one."""
        return cls(connection._connection, connection._loop)

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol that the app has accepted."""
        return self.subprotocol

    @property
    def extra_headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields of the accepted handshake."""
        return self.headers.raw

    def send(self, message: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's are raw
        """Send what the app is to receive, as ASGI has it."""
        if message["type"] == "websocket.disconnect":
            self.close(message.get("code", 1000), message.get("reason") or "")
        else:
            text = message.get("text")
            super().send(message["bytes"] if text is None else text)

    def receive(self, timeout: float | None = _SECONDS) -> Any:
        """What the app has sent next, as ASGI has it."""
        try:
            data = super().receive(timeout)
        except ConnectionClosed as closed:
            return {"type": "websocket.close", "code": closed.code, "reason": closed.reason}
        return {"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data}

    def _receive(self, kind: str, timeout: float | None = _SECONDS) -> Any:
        message = self.receive(timeout)
        if message["type"] == "websocket.close":
            raise WebSocketDisconnect(message["code"], message["reason"])
        return message[kind]

    def receive_text(self, timeout: float | None = _SECONDS) -> str:
        """The next message, a text."""
        return str(self._receive("text", timeout))

    def receive_bytes(self, timeout: float | None = _SECONDS) -> bytes:
        """The next message, a binary one."""
        return bytes(self._receive("bytes", timeout))

    def send_json(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's names
        self, data: Any, mode: Literal["text", "binary"] = "text"
    ) -> None:
        """Send a value as JSON."""
        super().send_json(data, binary=mode == "binary")

    def receive_json(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's names
        self, mode: Literal["text", "binary"] = "text"
    ) -> Any:
        """The value of the next message."""
        return json.loads(self._receive("text" if mode == "text" else "bytes"))


class _Body(httpx2.SyncByteStream):
    """A body whose end is the end of the app's call."""

    def __init__(self, exchange: SyncExchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        yield from self._exchange
        self._exchange.wait_done()

    def close(self) -> None:
        self._exchange.close()


def _wait_for_app(response: httpx2.Response) -> None:
    response.stream = _Body(SyncExchange.of(response))


@contextmanager
def _as_the_app_raised_it() -> Generator[None, None, None]:
    try:
        yield
    except LifespanError as error:
        raise error.__cause__ or error from None


class TestClient(PlainTestClient):
    """An httpx2 client that talks to an app, which runs in a thread that lives as long.

    `with` runs the app's lifespan, each time in a loop of its own, and raises what it raises. A
    request returns when the app is done with it, background tasks included; `client.stream` returns
    at the head, and leaving it is a disconnect. It takes the options of
    `asgi_rt.testing.TestClient` as well.
    """

    __test__ = False

    def __init__(
        self,
        app: ASGIApp,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
        **options: Any,
    ) -> None:
        self._refusals: dict[str, Message] = {}
        super().__init__(
            self._noting(app),
            base_url=base_url,
            raise_server_exceptions=raise_server_exceptions,
            root_path=root_path,
            headers={"user-agent": "testclient", **(headers or {})},
            follow_redirects=follow_redirects,
            client=client,
            **options,
        )
        self.app = app
        self.event_hooks["response"].insert(0, _wait_for_app)

    def __enter__(self) -> Self:
        self._begin_anew()  # for it may have been used before
        with _as_the_app_raised_it():
            return super().__enter__()

    def __exit__(self, *error: object) -> None:
        try:
            with _as_the_app_raised_it():
                super().__exit__()
        finally:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._transport.close()
        self._transport = self._app_transport = self._make_transport()
        self._state = type(self._state).UNOPENED

    def _noting(self, app: ASGIApp) -> ASGIApp:
        """The app, whose close before it accepts a handshake is noted: a server sends a 403."""

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            root = scope.get("root_path", "")
            if root:  # which Starlette's has in no path that was not asked for with it
                scope["path"] = scope["path"][len(root) :]
                scope["raw_path"] = scope["raw_path"][len(root) :]

            async def note(message: Message) -> None:
                if message["type"] == "websocket.close":
                    self._refusals[dict(scope["headers"])[_KEY.encode()].decode()] = message
                await send(message)

            await app(scope, receive, note if scope["type"] == "websocket" else send)

        return noting

    @contextmanager
    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **options: Any
    ) -> Generator[WebSocketTestSession, None, None]:
        """A WebSocket connection, which is closed on leaving; what the app raises is raised there.

        Raises WebSocketDisconnect where the app closes it before it accepts, and
        WebSocketDenialResponse where it answers with a response.
        """
        options["headers"] = headers = dict(options.get("headers") or {})
        if cookies := options.pop("cookies", None):
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        opening = super().websocket_connect(url, subprotocols=subprotocols or (), **options)
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(opening)
            except WebSocketDenied as denied:
                closing = self._refusals.pop(denied.response.request.headers[_KEY], None)
                if closing is None:
                    raise WebSocketDenialResponse(denied.response) from None
                code, reason = closing.get("code", 1000), closing.get("reason")
                raise WebSocketDisconnect(code, reason) from None
            yield WebSocketTestSession.of(connection)
