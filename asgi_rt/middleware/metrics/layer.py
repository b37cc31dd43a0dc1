"""The layer that counts."""

from collections.abc import Sequence
from typing import Any, cast

from prometheus_client import REGISTRY, CollectorRegistry

from asgi_rt.asgi import ASGIApp, Receive, Send
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.hooks import Middleware
from asgi_rt.middleware.metrics.collectors import LIFETIME_BUCKETS, SECONDS_BUCKETS, metrics_in
from asgi_rt.middleware.metrics.flow import Flow, HTTPFlow, WebSocketFlow
from asgi_rt.middleware.outcome import Outcome

__all__ = ["MetricsMiddleware"]


class MetricsMiddleware(Middleware):
    """Counts and times every request, stream and WebSocket, for Prometheus.

    - `registry`: the `prometheus_client.CollectorRegistry` that the metrics are in. Layers with the
      same registry and prefix count in the same metrics, so a connection that goes through two of
      them counts twice.
    - `prefix`: what the names begin with, before an underscore; "" for nothing.
    - `buckets`: upper bounds in seconds, rising, of the time to the first byte and of requests.
      `lifetime_buckets`: the same of streams and WebSockets.

    The `route` is the template that the app's router has left in `scope["route"]`, or "unmatched";
    a method that is not standard is "OTHER". So the number of series does not grow with what
    clients send. Bytes and messages of streams and WebSockets are counted as they go.

    Raises ValueError for a prefix or buckets that Prometheus does not take, and where the registry
    has other metrics of these names; TypeError for what is no registry. An instance may serve
    several loops and threads.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: CollectorRegistry = REGISTRY,
        prefix: str = "asgi",
        buckets: Sequence[float] = SECONDS_BUCKETS,
        lifetime_buckets: Sequence[float] = LIFETIME_BUCKETS,
    ) -> None:
        super().__init__(app)
        self._metrics = metrics_in(registry, prefix, buckets, lifetime_buckets)

    async def _observe(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Serve with the flow counted. What is counted as open no longer is, however it ends."""
        kind = WebSocketFlow if connection.is_websocket else HTTPFlow
        flow = kind(self._metrics, connection.scope, receive, send)
        cast("Any", connection).flow = flow
        flow.begin()
        try:
            receive = flow.receive if flow.is_received_through else receive
            await super()._observe(connection, receive, flow.send)
        finally:
            flow.leave()

    def head(self, connection: Any, head: Head) -> None:
        """Count the answer, and what is open from now on."""
        flow: Flow = connection.flow
        flow.answer(head)

    def done(self, connection: Any, outcome: Outcome) -> None:
        """Count how it went."""
        flow: Flow = connection.flow
        flow.finish(outcome)
