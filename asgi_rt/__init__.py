"""asgi_rt: a real-time ASGI framework with backpressure everywhere.

This is the whole face; everything else is an implementation detail or stands in a submodule that
is named in the documentation (`asgi_rt.testing`, `asgi_rt.middleware`, ...).
"""

from asgi_rt.app import App
from asgi_rt.background import BackgroundTask, BackgroundTasks
from asgi_rt.drain import Drain
from asgi_rt.errors import (
    AsgiRtError,
    BodyOverrun,
    ClientDisconnected,
    HTTPError,
    HubError,
    LifespanError,
    MissingExtra,
    ReverseError,
    RouteError,
    SendTimeout,
    WebSocketClosed,
)
from asgi_rt.feeds import attach, sse_feed
from asgi_rt.http.files import FileResponse
from asgi_rt.http.forms import FormLimits
from asgi_rt.http.request import Request
from asgi_rt.http.response import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    TextResponse,
)
from asgi_rt.http.static import StaticFiles
from asgi_rt.http.streaming import CSVResponse, NDJSONResponse, StreamingResponse
from asgi_rt.http.uploads import Upload
from asgi_rt.hub.hub import Hub
from asgi_rt.hub.mailbox import Overflow
from asgi_rt.routing import Converter, Precedence, Router
from asgi_rt.sse.framing import Event
from asgi_rt.sse.stream import EventStream
from asgi_rt.websocket.connection import WebSocket

__version__ = "0.1.0"

__all__ = [
    "App",
    "AsgiRtError",
    "BackgroundTask",
    "BackgroundTasks",
    "BodyOverrun",
    "CSVResponse",
    "ClientDisconnected",
    "Converter",
    "Drain",
    "Event",
    "EventStream",
    "FileResponse",
    "FormLimits",
    "HTMLResponse",
    "HTTPError",
    "Hub",
    "HubError",
    "JSONResponse",
    "LifespanError",
    "MissingExtra",
    "NDJSONResponse",
    "Overflow",
    "Precedence",
    "RedirectResponse",
    "Request",
    "Response",
    "ReverseError",
    "RouteError",
    "Router",
    "SendTimeout",
    "StaticFiles",
    "StreamingResponse",
    "TextResponse",
    "Upload",
    "WebSocket",
    "WebSocketClosed",
    "__version__",
    "attach",
    "sse_feed",
]
