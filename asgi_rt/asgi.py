"""The ASGI contract as types.

Two kinds of type stand here. The aliases (`Scope`, `Message`, `Receive`, `Send`, `ASGIApp`) are
permissive: every ASGI framework's application fits them, so anything can be mounted and this
package's app fits anywhere. The names from `asgiref.typing` describe single messages exactly.

Specification: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from asgiref.typing import (
    ASGI2Application,
    ASGI3Application,
    HTTPDisconnectEvent,
    HTTPRequestEvent,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
    LifespanScope,
    WebSocketScope,
)

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""

AnyASGIApp: TypeAlias = ASGIApp | ASGI3Application | ASGI2Application
"""What can be mounted: ASGI 3 however it is typed, or an ASGI 2 double callable."""

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

__all__ = [
    "ASGIApp",
    "AnyASGIApp",
    "HTTPDisconnectEvent",
    "HTTPRequestEvent",
    "HTTPResponseBodyEvent",
    "HTTPResponseStartEvent",
    "HTTPScope",
    "LifespanScope",
    "Message",
    "RawHeaders",
    "Receive",
    "Scope",
    "Send",
    "WebSocketScope",
]
