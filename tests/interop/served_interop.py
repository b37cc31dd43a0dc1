"""For a server: this framework's app under the layers of others, and FastAPI's under its own.

What their handlers see is printed, and so is what the layers report.
"""

import os
from collections.abc import Sequence
from typing import Any

import sentry_sdk
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from asgi_rt import App
from interop.apps import fastapi_app, rt_app
from interop.layers import (
    add_all_of_ours,
    add_correlation,
    add_gzip,
    add_opentelemetry,
    add_sentry,
    add_session,
)


def note(text: str) -> None:
    # In one write, as the log goes into the same pipe.
    os.write(1, f"{text}\n".encode())


class Printed(Transport):
    """Prints what would be sent to Sentry."""

    def capture_envelope(self, envelope: Envelope) -> None:
        event: Any = envelope.get_event()
        if event is not None:
            note(f"reported {event['exception']['values'][-1]['value']}")


class PrintingExporter(SpanExporter):
    """Prints the spans of whole connections."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            if span.kind is SpanKind.SERVER:
                note(f"span {span.name}")
        return SpanExportResult.SUCCESS


def under_others() -> App:
    sentry_sdk.init(
        dsn="https://public@sentry.invalid/1",
        transport=Printed(),
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(PrintingExporter()))
    app = rt_app(note)
    for add in (add_gzip, add_session, add_sentry, add_correlation):
        add(app)
    add_opentelemetry(app, provider)
    return app


def under_ours() -> FastAPI:
    app = fastapi_app(note)
    add_all_of_ours(app)
    return app
