"""The layers that the apps are put under: those of others, and this project's own."""

from collections.abc import Callable
from typing import Any

from asgi_correlation_id import CorrelationIdMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware

from asgi_rt.embed.starlette import BaseHTTPMiddleware
from asgi_rt.middleware import Middleware
from asgi_rt.middleware.compression import CompressionMiddleware
from asgi_rt.middleware.cors import CORSMiddleware
from asgi_rt.middleware.metrics import MetricsMiddleware
from asgi_rt.middleware.request_id import RequestIDMiddleware
from asgi_rt.middleware.timing import TimingMiddleware
from interop.apps import Note, fastapi_app, rt_app, starlette_app

ORIGIN = "https://app.example.com"


def add_correlation(app: Any) -> None:
    app.add_middleware(CorrelationIdMiddleware)


def add_opentelemetry(app: Any, tracer_provider: TracerProvider | None = None) -> None:
    app.add_middleware(
        OpenTelemetryMiddleware,
        tracer_provider=tracer_provider or TracerProvider(shutdown_on_exit=False),
        meter_provider=NoOpMeterProvider(),
    )


def add_sentry(app: Any) -> None:
    app.add_middleware(SentryAsgiMiddleware)


def add_session(app: Any) -> None:
    app.add_middleware(SessionMiddleware, secret_key="not a secret")


def add_gzip(app: Any) -> None:
    app.add_middleware(GZipMiddleware, minimum_size=100)


def add_all_of_others(app: Any) -> None:
    for add in (add_gzip, add_session, add_sentry, add_opentelemetry, add_correlation):
        add(app)


class Hooked(Middleware):
    """A layer with all its hooks, which marks the head."""

    def before(self, connection: Any) -> None:
        connection.state["mark"] = "hooked"

    def head(self, connection: Any, head: Any) -> None:
        head.headers["x-mark"] = connection.state["mark"]

    async def done(self, connection: Any, outcome: Any) -> None:
        pass


class Dispatching(BaseHTTPMiddleware):
    """A layer written for Starlette's BaseHTTPMiddleware, with the one that stands in for it."""

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-dispatched"] = request.url.path
        return response


def add_hooked(app: Any) -> None:
    app.add_middleware(Hooked)


def add_metrics(app: Any) -> None:
    app.add_middleware(MetricsMiddleware, registry=CollectorRegistry())


def add_all_of_ours(app: Any) -> None:
    app.add_middleware(Dispatching)
    app.add_middleware(CompressionMiddleware, minimum_size=100)
    app.add_middleware(CORSMiddleware, allow_origins=[ORIGIN], expose_headers=["Server-Timing"])
    app.add_middleware(TimingMiddleware)
    app.add_middleware(RequestIDMiddleware)


MAKERS: dict[str, Callable[[Note], Any]] = {
    "asgi_rt": rt_app,
    "starlette": starlette_app,
    "fastapi": fastapi_app,
}
OTHERS: dict[str, Callable[[Any], None]] = {
    "correlation": add_correlation,
    "opentelemetry": add_opentelemetry,
    "sentry": add_sentry,
    "session": add_session,
    "gzip": add_gzip,
    "all-of-others": add_all_of_others,
}
OURS: dict[str, Callable[[Any], None]] = {
    "hooked": add_hooked,
    "metrics": add_metrics,
    "all-of-ours": add_all_of_ours,
}
STACKS = [
    *(("asgi_rt", name) for name in (*OTHERS, "all-of-ours")),
    *((kind, name) for kind in ("starlette", "fastapi") for name in OURS),
]
"""The apps and the layers that are put together: ours under others, others under ours."""


def make(kind: str, layers: str, note: Note) -> Any:
    """The app of that framework, under those layers."""
    app = MAKERS[kind](note)
    {**OTHERS, **OURS}[layers](app)
    return app
