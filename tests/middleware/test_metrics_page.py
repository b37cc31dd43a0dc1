"""The page of metrics: its formats, what it refuses, and where it can be put."""

import anyio
import pytest
from fakes import http_scope
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from middleware.served_metrics import make
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from asgi_rt import App
from asgi_rt.middleware.metrics import metrics_app
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    Counter("apples", "Those eaten", ["kind"], registry=registry).labels("rénette").inc(3)
    Counter("pears", "Those eaten", registry=registry).inc(5)
    return registry


@pytest.fixture
def client(registry):
    return AsyncTestClient(metrics_app(registry), lifespan=False)


def samples(families):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


EATEN = {("apples_total", "rénette"): 3, ("pears_total",): 5}


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/plain;version=0.0.4"])
async def test_text_is_what_everybody_gets(client, accept):
    answer = await client.get("/", headers={"accept": accept})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert samples(parse_text(answer.text)) == EATEN


async def test_open_metrics_are_for_whoever_accepts_them(client):
    answer = await client.get("/", headers={"accept": f"{OPENMETRICS},text/plain;q=0.5"})
    assert answer.headers["content-type"].startswith(OPENMETRICS)
    assert answer.text.endswith("# EOF\n")
    assert samples(parse_openmetrics(answer.text)) == EATEN


async def test_the_metrics_can_be_chosen_by_name(client):
    answer = await client.get("/", params={"name[]": ["pears_total", "none"]})
    assert samples(parse_text(answer.text)) == {("pears_total",): 5}


async def test_a_query_that_cannot_be_read_is_a_400(client):
    assert (await client.get("/?name[]=%zz")).status_code == 400


async def test_a_head_request_gets_the_head(client):
    answer = await client.head("/")
    assert answer.content == b""
    assert int(answer.headers["content-length"]) == len((await client.get("/")).content)


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
async def test_another_method_is_a_405(client, method):
    answer = await client.request(method, "/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_websocket_is_denied(client):
    with pytest.raises(WebSocketDenied) as caught:
        async with client.websocket_connect("/"):
            pass
    assert caught.value.response.status_code == 404


TOKENS = st.sampled_from(
    ["application/openmetrics-text", "text/plain", "; version=", ";escaping=", ",", "1.0.0", "."]
)


@given(st.lists(TOKENS | st.text(st.characters(codec="latin-1"), max_size=5), max_size=12))
@example([OPENMETRICS, ".é\x01"])
@example(["application/openmetrics-text; version=abc"])
@example(["application/openmetrics-text;version=1.0.0\n.x"])
@example(["text/plain;version=٣"])
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_of_an_accept_header_comes_back_but_a_version(parts):
    page = metrics_app(CollectorRegistry())
    raw = "".join(parts).encode("utf-8", "replace")
    sent = []

    async def receive():
        raise AssertionError("nothing is to be received")

    async def send(message):
        sent.append(message)

    anyio.run(page, http_scope(headers=[(b"accept", raw)]), receive, send)
    assert sent[0]["status"] == 200
    content_type = dict(sent[0]["headers"])[b"content-type"].decode("ascii")
    kind, *rest = content_type.split("; ")
    assert kind in ("text/plain", "application/openmetrics-text")
    version = rest[0].removeprefix("version=")
    assert version.replace(".", "").isdigit()
    assert version.count(".") <= 2


# Where it stands


@pytest.mark.parametrize("kind", ["asgi_rt", "starlette", "fastapi"])
async def test_it_stands_in_the_app_that_it_tells_of(kind):
    registry = CollectorRegistry()
    async with AsyncTestClient(make(kind, registry)) as client:
        await client.get("/items/1")
        answer = await client.get("/metrics")
    found = samples(parse_text(answer.text))
    assert sum(count for (name, *_), count in found.items() if name == "asgi_requests_total") == 1
    assert found[("asgi_requests_in_progress",)] == 1


async def test_a_handler_may_return_it(registry):
    app = App()
    page = metrics_app(registry)

    @app.get("/metrics")
    async def metrics(request):
        return page

    async with AsyncTestClient(app) as client:
        assert samples(parse_text((await client.get("/metrics")).text)) == EATEN


async def test_it_is_mounted_without_a_lifespan_of_its_own(registry, caplog):
    app = App()
    app.mount("/metrics", metrics_app(registry))
    async with AsyncTestClient(app) as client:
        for path in ("/metrics", "/metrics/"):
            assert (await client.get(path)).status_code == 200
    assert caplog.records == []


async def test_the_loop_goes_on_while_it_is_made(registry):
    """A collector may take long, and may even wait for the loop."""
    token = anyio.lowlevel.current_token()
    asked = []

    class Slow:
        def collect(self):
            anyio.from_thread.run_sync(asked.append, "the loop", token=token)
            return []

    page = metrics_app(registry)
    registry.register(Slow())
    async with AsyncTestClient(page, lifespan=False) as client:
        await client.get("/")
    assert asked == ["the loop"]
