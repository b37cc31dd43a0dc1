"""asgi_rt inside a Starlette or FastAPI app: its parts with their classes.

```python
from asgi_rt.embed import EventSourceResponse, hub_dependency, join_lifespans, sse_feed, wrap
from asgi_rt.embed.starlette import BaseHTTPMiddleware
```

Needs the extra: pip install "asgi-rt[starlette]".
"""

from importlib import import_module

from asgi_rt.errors import MissingExtra

try:
    import_module("starlette")  # before the imports below, whose own error names no extra
except ModuleNotFoundError as error:
    if error.name != "starlette":
        raise
    raise MissingExtra("starlette", "starlette", "asgi_rt.embed") from error

from asgi_rt.embed.hub import hub_dependency
from asgi_rt.embed.lifespans import join_lifespans
from asgi_rt.embed.responses import (
    EmbeddedResponse,
    EventSourceResponse,
    FileResponse,
    StreamingResponse,
    sse_feed,
)
from asgi_rt.embed.websocket import wrap

__all__ = [
    "EmbeddedResponse",
    "EventSourceResponse",
    "FileResponse",
    "StreamingResponse",
    "hub_dependency",
    "join_lifespans",
    "sse_feed",
    "wrap",
]
