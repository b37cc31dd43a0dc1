"""Test clients for any ASGI 3 app, on httpx2's API: streams, slow readers and disconnects included.

`AsyncTestClient` runs the app in the caller's event loop, `TestClient` in one of its own:

```python
async with AsyncTestClient(app) as client:          # runs the lifespan
    assert (await client.get("/items/1")).json() == {"id": 1}

    async with client.stream("GET", "/endless") as response:    # returns at the head
        async for chunk in Exchange.of(response):
            break                                    # leaving is a disconnect

    async with client.open("GET", "/endless") as exchange:      # does not even wait for the head
        exchange.freeze()
        await exchange.wait_blocked()                # the app's send waits for the reader
        exchange.disconnect()

    async with client.events("/prices") as events:  # server-sent events
        assert (await events.next_event()).data == "1.25"

    async with client.websocket_connect("/chat", subprotocols=["json"]) as ws:
        await ws.send_json({"say": "hello"})
        assert await ws.receive_json() == {"said": "hello"}
```

`Exchange.of(response)`, and `SyncExchange.of(response)` with the blocking client, give the
controls of a response that httpx2 returned. Iterating an exchange leaves nothing open, while
httpx2's `aiter_*` are generators, to be closed with `contextlib.aclosing`.

Needs the extra: pip install "asgi-rt[testing]".
"""

from importlib import import_module

from asgi_rt.errors import MissingExtra

try:
    import_module("httpx2")  # before the imports below, whose own error names no extra
except ModuleNotFoundError as error:
    if error.name != "httpx2":
        raise
    raise MissingExtra("httpx2", "testing", "asgi_rt.testing") from error

from asgi_rt.testing.client import AsyncTestClient
from asgi_rt.testing.errors import (
    AppError,
    ClientGoneError,
    CloseTimeoutError,
    ConnectionClosed,
    IncompleteResponseError,
    MessageError,
    UnexpectedMessageError,
    WebSocketDenied,
)
from asgi_rt.testing.events import Events, StreamEndedError
from asgi_rt.testing.exchange import Exchange
from asgi_rt.testing.protocol import ServerPush
from asgi_rt.testing.sync import TestClient
from asgi_rt.testing.sync_events import SyncEvents
from asgi_rt.testing.sync_exchange import SyncExchange
from asgi_rt.testing.sync_websocket import SyncWebSocketConnection
from asgi_rt.testing.websocket import WebSocketConnection

__all__ = [
    "AppError",
    "AsyncTestClient",
    "ClientGoneError",
    "CloseTimeoutError",
    "ConnectionClosed",
    "Events",
    "Exchange",
    "IncompleteResponseError",
    "MessageError",
    "ServerPush",
    "StreamEndedError",
    "SyncEvents",
    "SyncExchange",
    "SyncWebSocketConnection",
    "TestClient",
    "UnexpectedMessageError",
    "WebSocketConnection",
    "WebSocketDenied",
]
