"""What Sentry's ASGI middleware reports of an app of this framework: each crash once, no more."""

import pytest
import sentry_sdk
from sentry_sdk.transport import Transport

from asgi_rt.testing import AsyncTestClient
from interop.apps import rt_app
from interop.layers import add_sentry


class Captured(Transport):
    """Keeps what would be sent."""

    def __init__(self, options=None):
        super().__init__(options)
        self.envelopes = []

    def capture_envelope(self, envelope):
        self.envelopes.append(envelope)

    def of(self, kind):
        """The reports of that kind."""
        return [
            item.payload.json
            for envelope in self.envelopes
            for item in envelope.items
            if item.type == kind
        ]


@pytest.fixture
def sentry():
    """The SDK at work, without anything that it would patch or start."""
    transport = Captured()
    with sentry_sdk.isolation_scope(), sentry_sdk.new_scope() as scope:
        client = sentry_sdk.Client(
            dsn="https://public@sentry.invalid/1",
            transport=transport,
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            enable_backpressure_handling=False,
            traces_sample_rate=1.0,
        )
        scope.set_client(client)
        yield transport
        client.close()


@pytest.fixture
def app(sentry):
    app = rt_app(lambda _: None)

    @app.get("/tagged/{name}")
    async def tagged(request):
        sentry_sdk.set_tag("name", request.path_params["name"])
        raise ValueError(request.path_params["name"])

    add_sentry(app)
    return app


@pytest.fixture
def client(app):
    return AsyncTestClient(app, raise_server_exceptions=False)


def errors(sentry):
    return [event["exception"]["values"][-1]["value"] for event in sentry.of("event")]


async def test_a_crash_is_reported_once_with_its_request(client, sentry):
    assert (await client.get("/crash?a=1")).status_code == 500
    (event,) = sentry.of("event")
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("RuntimeError", "a deliberate crash")
    assert event["request"]["url"] == "http://testserver/crash"
    assert event["request"]["query_string"] == "a=1"


async def test_a_crash_in_a_stream_is_reported_once(client, sentry):
    async with client.open("GET", "/broken") as exchange:
        await exchange.wait_done()
    assert errors(sentry) == ["a deliberate crash"]


async def test_a_crash_of_a_websocket_is_reported_once(client, sentry):
    async with client.websocket_connect("/crash") as ws:
        assert (await ws.wait_closed()).code == 1011
    assert errors(sentry) == ["a deliberate crash"]


@pytest.mark.parametrize("path", ["/json", "/chunks/2", "/refused", "/nothing"])
async def test_an_answer_is_no_report(client, sentry, path):
    status = (await client.get(path)).status_code
    assert sentry.of("event") == []
    (transaction,) = sentry.of("transaction")
    assert transaction["contexts"]["response"]["status_code"] == status


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_client_that_leaves_is_no_report(app, sentry, spec_version):
    async with AsyncTestClient(app, spec_version=spec_version) as client:
        for path in ("/endless", "/flood", "/events"):
            async with client.open("GET", path) as exchange:
                await exchange.read()
            await exchange.wait_done()
        async with client.websocket_connect("/echo") as ws:
            ws.disconnect()
            await ws.wait_done()
    assert sentry.of("event") == []
    assert len(sentry.of("transaction")) == 4


async def test_what_a_handler_tells_of_itself_stays_with_its_request(client, sentry):
    for name in ("one", "two"):
        await client.get(f"/tagged/{name}")
    await client.get("/crash")
    assert [event.get("tags", {}).get("name") for event in sentry.of("event")] == [
        "one",
        "two",
        None,
    ]
