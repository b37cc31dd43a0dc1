"""What a router holds: routes and mounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asgi_rt.asgi import ASGIApp
from asgi_rt.routing.handlers import Endpoint, Handler
from asgi_rt.routing.patterns import Pattern
from asgi_rt.websocket.options import WebSocketOptions

__all__ = ["Mount", "Route"]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One pattern, its methods, and what answers them."""

    pattern: Pattern
    methods: tuple[str, ...]
    handler: Handler
    endpoint: Endpoint
    name: str
    options: Mapping[str, Any]
    sse: bool = False
    """Whether its answer is a stream of server-sent events."""
    websocket: WebSocketOptions | None = None
    """What holds for its connections, where it is for WebSockets."""

    @property
    def path(self) -> str:
        """The pattern as it was written: what one counts requests by."""
        return self.pattern.text

    def __str__(self) -> str:
        return f"{','.join(self.methods).strip()} {self.pattern.text}"


@dataclass(frozen=True, slots=True, eq=False)
class Mount:
    """An ASGI application under a prefix."""

    pattern: Pattern
    app: ASGIApp
    name: str
    lifespan: bool
    """Whether its lifespan runs within the lifespan of the app it is mounted in."""

    @property
    def path(self) -> str:
        """The prefix as it was written."""
        return self.pattern.text

    def __str__(self) -> str:
        return f"mount {self.pattern.text}"
