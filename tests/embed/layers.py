"""Apps behind layers, and the dispatch functions that every test knows."""

import functools
import importlib
from collections.abc import Callable, Iterable
from typing import Any, Self

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send

__all__ = [
    "MODULES",
    "Adding",
    "Bodies",
    "Boom",
    "Parts",
    "adding",
    "differing",
    "load",
    "make_app",
    "stack",
    "through",
]

MODULES = {"starlette": "starlette.middleware.base", "asgi_rt": "asgi_rt.embed.starlette"}
METHODS = ["GET", "HEAD", "POST", "PUT"]
ANY_PATH = "/{rest:path}"


class Boom(Exception):
    """What an app raises in a test."""


class Parts:
    """A source that has nothing to close, as Starlette's StreamingResponse would not close it."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


class Bodies:
    """Keeps the body of each response, as Starlette's class leaves some of them open."""

    def __init__(self) -> None:
        self.iterators: list[Any] = []

    async def keep(self, request: Any, call_next: Any) -> Any:
        """A dispatch function."""
        response = await call_next(request)
        self.iterators.append(response.body_iterator)
        return response

    @property
    def left_open(self) -> list[Any]:
        return [each for each in self.iterators if getattr(each, "ag_frame", None) is not None]

    async def close(self) -> None:
        for each in self.left_open:
            await each.aclose()


def load(name: str) -> type:
    """The BaseHTTPMiddleware of that package."""
    made: type = importlib.import_module(MODULES[name]).BaseHTTPMiddleware
    return made


def differing(starlette: Any, asgi_rt: Any) -> pytest.MarkDecorator:
    """Run a test with each class and what is `expected` of it."""
    return pytest.mark.parametrize(
        ("base", "expected"),
        [("starlette", starlette), ("asgi_rt", asgi_rt)],
        indirect=["base"],
        ids=list(MODULES),
    )


def make_app(
    framework: type[Starlette],
    base: type,
    endpoint: Callable[..., Any],
    *layers: Any,
    **options: Any,
) -> Starlette:
    """An app with one endpoint for every path. Layers are dispatch functions, outermost first, or
    whole entries.
    """
    entries = [
        each if isinstance(each, Middleware) else Middleware(base, dispatch=each) for each in layers
    ]
    if framework is FastAPI:
        app = FastAPI(middleware=entries, **options)
        app.api_route(ANY_PATH, methods=METHODS, response_model=None)(endpoint)
        return app
    return framework(
        routes=[Route(ANY_PATH, endpoint, methods=METHODS)], middleware=entries, **options
    )


def stack(base: type, app: ASGIApp, layers: Iterable[Any]) -> ASGIApp:
    """A bare ASGI app behind layers, outermost first."""
    return functools.reduce(lambda inner, layer: base(inner, layer), reversed(list(layers)), app)


async def through(request, call_next):
    return await call_next(request)


def adding(name: str) -> Callable[..., Any]:
    """A dispatch function that leaves its name in a header."""

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers.append("x-layers", name)
        return response

    return dispatch


class Adding:
    """The same as a hand-written ASGI layer."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-layers", self.name.encode())]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_header)
