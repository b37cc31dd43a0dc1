"""What is scraped from real servers while streams and WebSockets are open, and afterwards."""

import time
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from server_process import TIMEOUT, RawClient, ServerProcess
from websockets.sync.client import connect

HERE = Path(__file__).parent
UVICORN = ("-m", "uvicorn", "served_metrics:make_served", "--factory", "--port", "0")
ITEMS = {"asgi_rt": "/items/{item_id:int}", "fastapi": "/items/{item_id}"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["asgi_rt", "starlette", "fastapi"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def server(kind):
    """One for all: each test counts what no other does, and leaves nothing open."""
    with ServerProcess(*UVICORN, cwd=HERE, env={"METERED": kind}) as server:
        yield server


def scrape(server):
    """The samples of the page, by name and labels."""
    page = httpx2.get(f"{server.url}/metrics").raise_for_status()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }


def settles(server, **expected):
    """The samples, as soon as those of the names have, over all labels, the values expected."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        samples = scrape(server)
        found = {
            name: sum(value for (each, *_), value in samples.items() if each == f"asgi_{name}")
            for name in expected
        }
        if found == expected:
            return samples
        assert time.monotonic() < deadline, f"{found} is not {expected}\n{server}"
        time.sleep(0.02)


def test_what_is_open_is_seen_and_falls_when_the_client_leaves(server):
    websocket_url = server.url.replace("http", "ws", 1)
    with RawClient(server.address) as stream, connect(f"{websocket_url}/echo/a") as ws:
        stream.get("/ticks")
        stream.read_until(b"tick\n")
        ws.send("hello")
        assert ws.recv() == "hello"
        # The scrape itself is in progress as well.
        samples = settles(server, streams_open=1, websockets_open=1, requests_in_progress=2)
        assert samples["asgi_streams_open", ("route", "/ticks")] == 1
        assert samples["asgi_bytes_sent_total", ("route", "/ticks")] == 5
        room = ("route", "/echo/{room}")
        assert samples["asgi_websockets_open", room] == 1
        assert samples["asgi_websocket_messages_received_total", room] == 1
    samples = settles(server, streams_open=0, websockets_open=0, requests_in_progress=1)
    left = (("protocol", "http"), ("route", "/ticks"))
    assert samples["asgi_client_disconnects_total", *left] == 1
    assert samples["asgi_websocket_closes_total", ("code", "1000"), room] == 1


def test_a_websocket_that_is_lost_falls_too(server):
    with connect(f"{server.url.replace('http', 'ws', 1)}/echo/a") as ws:
        settles(server, websockets_open=1)
        ws.socket.close()
        samples = settles(server, websockets_open=0)
    room = ("route", "/echo/{room}")
    assert samples["asgi_websocket_closes_total", ("code", "1006"), room] == 1


def test_a_crash_is_counted_as_what_the_client_got(server):
    assert httpx2.get(f"{server.url}/crash").status_code == 500
    crashed = (("method", "GET"), ("route", "/crash"), ("status", "500"))
    assert scrape(server)["asgi_requests_total", *crashed] == 1


@pytest.mark.parametrize("kind", ["asgi_rt", "fastapi"], indirect=True)
def test_several_workers_are_summed_whichever_is_asked(kind, tmp_path):
    env = {"METERED": kind, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with (
        ServerProcess(*UVICORN, "--workers", "2", cwd=HERE, env=env) as server,
        ExitStack() as stack,
    ):
        server.wait_for("Application startup complete", count=2)
        count = 0
        # One more at a time, until both workers have written theirs: the kernel hands them out.
        while count < 2 or len(list(tmp_path.glob("gauge_livesum_*.db"))) < 2:
            assert count < 200, "one of the workers gets no request"
            stream = stack.enter_context(RawClient(server.address))
            stream.get("/ticks")
            stream.read_until(b"tick\n")
            count += 1
        for number in range(10):
            assert httpx2.get(f"{server.url}/items/{number}").status_code == 200
        for _ in range(5):
            samples = settles(server, streams_open=count)
            item = (("method", "GET"), ("route", ITEMS[kind]), ("status", "200"))
            assert samples["asgi_requests_total", *item] == 10
        stack.close()
        settles(server, streams_open=0)
