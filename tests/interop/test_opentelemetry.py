"""Spans of OpenTelemetry's ASGI middleware, of an app of this framework."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from asgi_rt.testing import AsyncTestClient
from interop.apps import rt_app
from interop.layers import add_opentelemetry

TRACE, PARENT = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
TRACEPARENT = f"00-{TRACE:032x}-{PARENT:016x}-01"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def app(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = rt_app(lambda _: None)

    @app.get("/traced")
    async def traced(request):
        for _ in range(2):
            yield f"{trace.get_current_span().get_span_context().trace_id:x} "

    @app.get("/thread")
    def thread(request):
        return f"{trace.get_current_span().get_span_context().trace_id:x}"

    add_opentelemetry(app, provider)
    return app


def served(exporter):
    """The spans of whole connections; the others are of single messages."""
    return [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/json", 200, StatusCode.UNSET),
        ("/chunks/2", 200, StatusCode.UNSET),
        ("/refused", 403, StatusCode.UNSET),
        ("/nothing", 404, StatusCode.UNSET),
    ],
)
async def test_an_answer_is_one_span_with_its_status(app, exporter, path, status, code):
    async with AsyncTestClient(app) as client:
        await client.get(path)
    (span,) = served(exporter)
    assert (span.name, span.status.status_code) == (f"GET {path}", code)
    assert span.attributes["http.status_code"] == status
    assert span.events == ()


@pytest.mark.parametrize(("path", "times"), [("/traced", 2), ("/thread", 1)])
async def test_the_trace_of_the_client_goes_on_in_the_handler(app, exporter, path, times):
    async with AsyncTestClient(app) as client:
        answer = await client.get(path, headers={"traceparent": TRACEPARENT})
    assert answer.text.split() == [f"{TRACE:x}"] * times
    (span,) = served(exporter)
    assert (span.context.trace_id, span.parent.span_id) == (TRACE, PARENT)
    children = [each for each in exporter.get_finished_spans() if each is not span]
    assert {each.context.trace_id for each in children} == {TRACE}


async def test_a_crash_is_recorded_once(app, exporter):
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        await client.get("/crash")
    (span,) = served(exporter)
    assert span.status.status_code is StatusCode.ERROR
    (event,) = span.events
    assert event.attributes["exception.message"] == "a deliberate crash"


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_the_span_of_a_stream_ends_when_its_client_leaves(app, exporter, spec_version):
    async with AsyncTestClient(app, spec_version=spec_version) as client:
        async with client.open("GET", "/endless") as exchange:
            await exchange.read()
            assert served(exporter) == []
        await exchange.wait_done()
    (span,) = served(exporter)
    assert (span.attributes["http.status_code"], span.events) == (200, ())


async def test_a_websocket_is_one_span_from_the_handshake_to_the_end(app, exporter):
    async with AsyncTestClient(app) as client, client.websocket_connect("/echo") as ws:
        await ws.send_text("hello")
        await ws.receive_text()
        assert served(exporter) == []
        await ws.close(4001)
        await ws.wait_done()
    (span,) = served(exporter)
    assert (span.attributes["http.scheme"], span.attributes["http.target"]) == ("ws", "/echo")
    assert span.events == ()
    kinds = [
        each.attributes["asgi.event.type"]
        for each in exporter.get_finished_spans()
        if each is not span
    ]
    assert sorted(kinds) == [
        "websocket.accept",
        "websocket.connect",
        "websocket.disconnect",
        "websocket.receive",
        "websocket.send",
    ]
