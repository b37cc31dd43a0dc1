"""The demo as a newcomer meets it: a real process, a first start, every endpoint, Ctrl-C."""

import csv
import hashlib
import io
import itertools
import json
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from server_process import RawClient, ServerProcess

from asgi_rt.demo.measurements import COLUMNS
from asgi_rt.sse import Decoder

ROWS = 100_000
LARGE_BYTES = 64 * 1024 * 1024
DEMO = ("-m", "asgi_rt", "demo", "--port")

pytestmark = pytest.mark.slow


def start_demo(caches: Path, *, port: int = 0) -> ServerProcess:
    return ServerProcess(*DEMO, str(port), cwd=caches, env={"XDG_CACHE_HOME": str(caches)})


def stop(server: ServerProcess) -> None:
    """As Ctrl-C does."""
    server.send_signal(signal.SIGINT, to_all=True)
    assert server.exit_status() == 0, str(server)
    assert "Traceback" not in server.output


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="module")
def server(caches):
    """A first start; it must end well after all the tests."""
    with start_demo(caches) as server:
        yield server
        stop(server)


@pytest.fixture(scope="module")
def client(server):
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        yield client


def test_it_tells_its_address_and_how_to_stop_it(server):
    server.wait_for(r"^The demo is at http://127\.0\.0\.1:\d+$")
    server.wait_for("Ctrl-C")


def test_its_files_are_in_the_cache_and_nowhere_else(server, caches):
    server.wait_for("Ctrl-C")
    made = sorted(str(path.relative_to(caches)) for path in caches.rglob("*") if path.is_file())
    # SQLite has files of its own beside a database that is in use.
    assert [each for each in made if not each.endswith(("-wal", "-shm"))] == [
        "asgi_rt/demo/journal-1.sqlite",
        "asgi_rt/demo/large-1.bin",
        "asgi_rt/demo/measurements-1.sqlite",
    ]


def test_the_page_and_all_it_needs_come_from_the_demo_itself(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    needed = re.findall(r'<(?:link|script)[^>]+(?:href|src)="([^"]+)"', page.text)
    assert len(needed) == 4
    assert not re.search(r'(?:href|src)="(?!/)|<style|\sstyle=|\son\w+=', page.text)
    for path in needed:
        assert client.get(path).status_code == 200


def test_every_path_that_the_page_names_is_there(client):
    texts = [client.get(path).text for path in ("/", "/page/page.js", "/page/live.js")]
    paths = set(re.findall(r'"(/[\w./-]*)"', "".join(texts))) - {"/upload", "/"}
    assert {"/metrics", "/journal", "/slow", "/api/stations", "/files/large.bin"} < paths
    for path in paths:
        assert client.head(path).status_code == 200, path


def test_health(client):
    assert client.get("/health").json() == {"status": "ok"}


def test_the_ndjson_stream_holds_every_measurement(client):
    with client.stream("GET", "/measurements.ndjson") as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        rows = [json.loads(line) for line in response.iter_lines()]
    assert [row["id"] for row in rows] == list(range(1, ROWS + 1))
    assert all(tuple(row) == COLUMNS for row in rows)


def test_the_csv_stream_holds_every_measurement(client):
    response = client.get("/measurements.csv")
    assert "measurements.csv" in response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert len(rows) == ROWS
    assert tuple(rows[0]) == COLUMNS


def test_measurements_are_the_same_on_every_machine(client):
    row = client.get("/measurements.ndjson?station=10&limit=1").json()
    assert row["time"] == "2024-01-01T00:00:00+00:00"
    assert (row["temperature_c"], row["humidity_percent"]) == (-13.3, 71)


def test_measurements_of_one_station(client):
    rows = client.get("/measurements.ndjson?station=3&limit=5").text.splitlines()
    assert [json.loads(row)["station"] for row in rows] == [3] * 5


def test_measurements_of_a_station_that_is_none_are_none(client):
    assert client.get("/measurements.ndjson?station=99").text == ""
    assert client.get("/measurements.csv?station=99").text == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "station=1e3", "limit=9999999999"])
def test_a_filter_that_is_no_number_is_a_400(client, query):
    response = client.get(f"/measurements.csv?{query}")
    assert response.status_code == 400
    assert "whole number" in response.json()["detail"]


def test_the_stations_and_each_of_them(client):
    stations = client.get("/api/stations").json()
    assert len(stations) == 10
    assert (
        sum(client.get(f"/api/stations/{each['id']}").json()["measurements"] for each in stations)
        == ROWS
    )
    assert client.get("/api/stations/3").json()["name"] == stations[2]["name"]


@pytest.mark.parametrize("path", ["/api/stations/99", "/api/stations/x", "/nothing"])
def test_what_is_not_there_is_a_404(client, path):
    assert client.get(path).status_code == 404


def test_the_large_file_has_its_size_and_its_name(client):
    head = client.head("/files/large.bin").headers
    assert int(head["content-length"]) == LARGE_BYTES
    assert "large.bin" in head["content-disposition"]


@pytest.mark.parametrize("first", [0, 1024 * 1024, LARGE_BYTES - 16])
def test_a_range_of_the_large_file_says_where_it_is(client, first):
    response = client.get("/files/large.bin", headers={"range": f"bytes={first}-{first + 15}"})
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {first}-{first + 15}/{LARGE_BYTES}"
    assert int(response.text) == first


def test_a_range_beyond_the_large_file_is_a_416(client):
    response = client.get("/files/large.bin", headers={"range": f"bytes={LARGE_BYTES}-"})
    assert response.status_code == 416


def test_slow_lines_come_one_at_a_time(server):
    with RawClient(server.address) as client:
        client.get("/slow")
        assert b"line 2" not in client.read_until(b"line 1\n")
        client.read_until(b"line 2\n")


def test_metrics_come_live_and_count_the_stream_they_are(client):
    with client.stream("GET", "/metrics.ndjson") as response:
        check_sample(json.loads(next(response.iter_lines())))


def test_metrics_come_as_events_too(client):
    with events_of(client, "/metrics") as events:
        samples = (json.loads(event.data) for event in events if event.data)
        # First come older ones, of when nobody was here yet.
        check_sample(next(sample for sample in samples if sample["open_requests"]))


def test_who_comes_later_is_given_the_samples_of_before(client):
    with events_of(client, "/metrics") as events:
        before = next(events)
    with events_of(client, "/metrics") as events:
        assert before in itertools.islice(events, 120)


def test_metrics_go_on_after_the_last_event_that_is_named(client):
    with events_of(client, "/metrics") as events:
        [first, second] = [next(events) for _ in range(2)]
    with events_of(client, "/metrics", headers={"last-event-id": first.id}) as events:
        assert next(events) == second


def check_sample(sample):
    assert sample["open_requests"] >= 1
    assert sample["requests"] >= 1
    assert sample["cpu_percent"] >= 0
    assert sample["loop_lag_ms"] >= 0
    assert sample["rss_mib"] is None or 10 < sample["rss_mib"] < 500


@contextmanager
def events_of(client, path, **options):
    """The events of a stream, as they come."""
    decoder = Decoder()
    with client.stream("GET", path, **options) as response:
        response.raise_for_status()
        yield (event for data in response.iter_raw() for event in decoder.feed(data))


def test_the_journal_goes_on_after_the_last_entry_that_is_named(client):
    with events_of(client, "/journal") as events:
        first = next(events)
    # Two more are written at least before the last of these is.
    with events_of(client, "/journal", headers={"last-event-id": first.id}) as events:
        entries = [json.loads(next(events).data) for _ in range(3)]
    assert json.loads(first.data)["number"] == int(first.id)
    assert [each["number"] - int(first.id) for each in entries] == [1, 2, 3]


def test_a_dropped_stream_is_broken_off_in_its_middle(client):
    token = "0123456789abcdef" * 2
    with events_of(client, f"/journal?token={token}") as events:
        next(events)
        assert client.post(f"/streams/{token}/drop").status_code == 204
        with pytest.raises(httpx2.RemoteProtocolError, match="incomplete chunked read"):
            list(events)
    assert client.post(f"/streams/{token}/drop").status_code == 404


@pytest.mark.parametrize("token", ["", "short", "0123456789ABCDEF" * 2, "0" * 33])
def test_a_token_that_could_be_guessed_is_a_400(client, token):
    assert client.get(f"/journal?token={token}").status_code == 400


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_an_upload_is_weighed_and_hashed(client, size):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    expected = {"bytes": size, "sha256": hashlib.sha256(content).hexdigest()}
    files = {"file": ("data.bin", content)}
    assert client.post("/upload", files=files).json() == {"filename": "data.bin", **expected}
    assert client.put("/upload", content=content).json() == expected


@pytest.mark.parametrize("form", [{"data": {"file": "text"}}, {"files": {"other": b"x"}}])
def test_an_upload_without_a_file_is_a_400(client, form):
    assert client.post("/upload", **form).status_code == 400


def test_a_second_start_on_a_taken_port_says_so_and_makes_nothing_anew(server, caches):
    server.wait_for("Ctrl-C")
    times = made_at(caches)
    port = server.address[1]
    with start_demo(caches, port=port) as second:
        second.wait_for(f"^Port {port} is taken")
        assert second.address[1] > port
        assert httpx2.get(f"{second.url}/health").status_code == 200
        stop(second)
    assert made_at(caches) == times


def made_at(caches):
    """When each file was written that is only written once."""
    paths = sorted(path for path in caches.rglob("*") if path.is_file())
    return {path: path.stat().st_mtime_ns for path in paths if "journal" not in path.name}


def test_two_first_starts_at_once_share_what_they_make(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start_demo(tmp_path, port=port) as one, start_demo(tmp_path, port=port) as other:
        assert one.url != other.url
        with ThreadPoolExecutor() as pool:
            counts = pool.map(
                lambda server: len(httpx2.get(f"{server.url}/measurements.csv").text.splitlines()),
                (one, other),
            )
        assert list(counts) == [ROWS + 1] * 2
        stop(one)
        stop(other)
    assert len(list((tmp_path / "asgi_rt" / "demo").iterdir())) == 3


def test_ctrl_c_ends_it_at_once_with_streams_open(caches, server):
    server.wait_for("Ctrl-C")  # what is made at the first start is made
    with start_demo(caches) as another, RawClient(another.address) as client:
        client.get("/slow")
        client.read_until(b"line 1\n")
        stop(another)
        assert client.read_rest().endswith(b"0\r\n\r\n")
