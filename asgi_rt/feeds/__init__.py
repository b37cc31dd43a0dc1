"""Where a hub meets connections: hub to server-sent events, hub to WebSocket."""

from asgi_rt.feeds.sse import HubStream, sse_feed
from asgi_rt.feeds.websocket import Attachment, attach

__all__ = ["Attachment", "HubStream", "attach", "sse_feed"]
