"""The page that Prometheus reads."""

import os
import re
from typing import Any, Final

import anyio.to_thread
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.http.response import Response, problem_response
from asgi_rt.middleware.answer import answer_instead
from asgi_rt.middleware.connection import Connection

__all__ = ["metrics_app"]

_MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
_BAD_VERSION: Final = re.compile(r"version\s*=(?!\d{1,4}(\.\d{1,4}){0,2}\s*(;|$))", re.ASCII)


def metrics_app(registry: CollectorRegistry | None = None) -> ASGIApp:
    """The page of metrics, as an ASGI app: to be mounted, or returned by a handler.

    Without a `registry` it is prometheus_client's own, or in its multiprocess mode the sum of all
    processes. OpenMetrics goes to whoever accepts it, and `?name[]=` picks metrics, as in
    prometheus_client. It is made in a worker thread, as that may take long; it is not meant for
    the public, for it tells the routes. Methods but GET and HEAD are a 405.
    """
    if registry is None:
        registry = REGISTRY
        if _MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            untyped: Any = MultiProcessCollector
            untyped(registry)
    return _Page(registry)


class _Page:
    """Not a function: Starlette's routes take one for a handler."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            raise RuntimeError(f"metrics_app serves http, not {scope['type']}")
        try:
            answer = await self._answer(scope)
        except HTTPError as error:
            answer = problem_response(error)
        await answer_instead(answer, scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        if scope["type"] == "websocket":
            raise HTTPError(404)
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPError(405, headers={"allow": "GET, HEAD"})
        connection = Connection(scope)
        names = connection.query.get_all("name[]")
        accept = ",".join(connection.headers.get_all("accept"))
        return await anyio.to_thread.run_sync(self._render, accept, names)

    def _render(self, accept: str, names: list[str]) -> Response:
        # One that is no number would raise in there, or come back in a header.
        ranges = [each for each in accept.split(",") if _BAD_VERSION.search(each) is None]
        encode, content_type = choose_encoder(",".join(ranges))
        chosen: Any = self._registry
        if names:
            chosen = self._registry.restricted_registry(names)
        return Response(encode(chosen), media_type=content_type)
