"""Starlette and FastAPI around the same endpoints."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import fastapi
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

Endpoints = Mapping[str, Callable[..., Any]]
Sockets = Mapping[str, Callable[[fastapi.WebSocket], Awaitable[None]]]


def starlette_of(endpoints: Endpoints, sockets: Sockets) -> Starlette:
    """An app of Starlette that answers GET at these paths, and WebSockets at those."""
    return Starlette(
        routes=[
            *(Route(path, endpoint) for path, endpoint in endpoints.items()),
            *(WebSocketRoute(path, endpoint) for path, endpoint in sockets.items()),
        ]
    )


def fastapi_of(endpoints: Endpoints, sockets: Sockets) -> fastapi.FastAPI:
    """The same in FastAPI."""
    app = fastapi.FastAPI()
    for path, endpoint in endpoints.items():
        app.get(path)(endpoint)
    for path, endpoint in sockets.items():
        app.websocket(path)(endpoint)
    return app
