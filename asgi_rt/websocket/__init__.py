"""WebSockets: one connection each, from the handshake to the right ending."""

from asgi_rt.websocket.connection import WebSocket
from asgi_rt.websocket.dispatch import Dispatcher
from asgi_rt.websocket.guard import OriginRule
from asgi_rt.websocket.options import WebSocketOptions

__all__ = ["Dispatcher", "OriginRule", "WebSocket", "WebSocketOptions"]
