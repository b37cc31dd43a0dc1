"""A server in memory that asks one endpoint, hears the first of what it says, and leaves."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.fastapi.seed_documents import Endpoint

__all__ = ["Heard", "ask"]

_DEADLINE = 20.0  # seconds; guards only against hanging
_QUIET = 0.1
_CHUNKS = 4
_MESSAGES = 6
_ASGI = {"version": "3.0", "spec_version": "2.3"}


@dataclass
class Heard:
    """What came of one endpoint."""

    status: int | None = None
    content_type: str | None = None
    body: bytes = b""
    is_whole: bool = False
    messages: list[list[str]] = field(default_factory=list)
    """Of a WebSocket, after each step: the handshake, and each message of the client."""
    error: str | None = None
    """The class of what the app raised."""

    @property
    def failed(self) -> str | None:
        """Why this is no use to anybody."""
        if self.error is not None:
            return self.error
        return None if self.status is None or self.status < 500 else f"status {self.status}"


async def ask(app: Any, endpoint: Endpoint, counts: list[int] | None = None) -> Heard:
    """Ask the endpoint within the app's lifespan.

    `counts` is how many messages a WebSocket is expected to send in each step; without it the step
    is over when nothing more comes for a while.
    """
    heard = Heard()
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    state: dict[str, Any] = {}
    begun, ended = asyncio.Event(), asyncio.Event()

    async def receive() -> Any:
        return await inbox.get()

    async def send(message: Any) -> None:
        if message["type"].endswith(("complete", "failed")):
            (begun if "startup" in message["type"] else ended).set()

    await inbox.put({"type": "lifespan.startup"})
    scope = {"type": "lifespan", "asgi": _ASGI, "state": state}
    lifespan = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.wait(
        [lifespan, asyncio.ensure_future(begun.wait())], return_when="FIRST_COMPLETED"
    )
    try:
        exchange = _Exchange(app, endpoint, dict(state), heard)
        await asyncio.wait_for(exchange.run(counts), _DEADLINE)
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        begun.set()
        try:
            await asyncio.wait_for(lifespan, _DEADLINE)
        except Exception as error:
            heard.error = heard.error or f"lifespan: {type(error).__name__}"
    return heard


class _Exchange:
    def __init__(self, app: Any, endpoint: Endpoint, state: dict[str, Any], heard: Heard) -> None:
        self._app = app
        self._endpoint = endpoint
        self._state = state
        self._heard = heard
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._chunks = 0
        self._is_over = False
        self._is_closed = False  # what an app says after its close, nobody hears

    async def run(self, counts: list[int] | None) -> None:
        is_socket = self._endpoint.method == "WEBSOCKET"
        serving = asyncio.ensure_future(self._serve())
        if is_socket:
            await self._converse(counts)
        else:
            body = self._endpoint.body
            await self._inbox.put({"type": "http.request", "body": body, "more_body": False})
            while not self._is_over and self._chunks < _CHUNKS:
                await self._wait()
        kind = "websocket.disconnect" if is_socket else "http.disconnect"
        for _ in range(3):
            await self._inbox.put({"type": kind, "code": 1000})
        await asyncio.wait([serving], timeout=5)
        if not serving.done():
            serving.cancel()
            await asyncio.wait([serving])

    async def _serve(self) -> None:
        endpoint = self._endpoint
        is_socket = endpoint.method == "WEBSOCKET"
        headers = [(b"host", b"testserver"), (b"content-length", b"%d" % len(endpoint.body))]
        if endpoint.content_type:
            headers.append((b"content-type", endpoint.content_type.encode()))
        scope = {
            "type": "websocket" if is_socket else "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "method": endpoint.method,
            "scheme": "ws" if is_socket else "http",
            "path": endpoint.path,
            "raw_path": endpoint.path.encode(),
            "query_string": endpoint.query.encode(),
            "root_path": "",
            "headers": headers,
            "subprotocols": [],
            "client": ("testclient", 50000),
            "server": ("testserver", 80),
            "state": self._state,
            "extensions": {},
        }
        try:
            await self._app(scope, self._inbox.get, self._send)
        except Exception as error:
            self._heard.error = type(error).__name__
        finally:
            self._is_over = True
            self._changed.set()

    async def _send(self, message: dict[str, Any]) -> None:
        heard = self._heard
        await asyncio.sleep(0)  # as to a socket: not everything is sent in one turn of the loop
        if self._is_closed:
            return
        match message["type"]:
            case "http.response.start":
                heard.status = message["status"]
                heard.content_type = dict(message["headers"]).get(b"content-type", b"").decode()
            case "http.response.body":
                heard.body += message.get("body", b"")
                self._chunks += bool(message.get("body"))
                heard.is_whole = not message.get("more_body", False)
                self._is_over = self._is_over or heard.is_whole
            case "websocket.send":
                heard.messages[-1].append(message.get("text") or repr(message.get("bytes")))
            case kind:
                heard.messages[-1].append(f"{kind} {message.get('code', '')}")
                self._is_closed = kind == "websocket.close"
        self._changed.set()

    async def _converse(self, counts: list[int] | None) -> None:
        await self._step({"type": "websocket.connect"}, counts)
        for text in self._endpoint.messages[: None if counts is None else len(counts) - 1]:
            if self._is_over:
                break
            await self._step({"type": "websocket.receive", "text": text}, counts)

    async def _step(self, message: dict[str, Any], counts: list[int] | None) -> None:
        said: list[str] = []
        index = len(self._heard.messages)
        self._heard.messages.append(said)
        await self._inbox.put(message)
        most = _MESSAGES if counts is None else counts[index]
        while len(said) < most and not self._is_over:
            if not await self._wait(_QUIET if counts is None else None):
                break

    async def _wait(self, seconds: float | None = None) -> bool:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return False
        return True
