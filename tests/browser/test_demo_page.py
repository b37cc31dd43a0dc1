"""The demo's page as somebody uses it, through lost connections and a killed server."""

import hashlib
import json
import re
import signal

import httpx2
import pytest
from server_process import ServerProcess

DEMO = ("-m", "asgi_rt", "demo", "--port")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


def start(caches, *, port=0):
    return ServerProcess(*DEMO, str(port), cwd=caches, env={"XDG_CACHE_HOME": str(caches)})


@pytest.fixture(scope="module")
def demo(caches):
    with start(caches) as demo:
        demo.wait_for("Ctrl-C")
        yield demo


@pytest.fixture
def problems(page):
    """What the page's console has of errors and warnings."""
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda said: problems.append(said.text) if said.type in ("error", "warning") else None,
    )
    return problems


@pytest.fixture
def demo_page(page, problems, demo):
    page.goto(demo.url)
    return DemoPage(page)


class DemoPage:
    """The sections of the page, and the numbers in them."""

    def __init__(self, page):
        self._page = page

    def section(self, name):
        return self._page.locator(f"#{name}")

    def button(self, section, name):
        return self.section(section).get_by_role("button", name=name, exact=True)

    def number(self, section, field):
        text = self.section(section).locator(f"[data-field={field}]").inner_text()
        return int(re.sub(r"\D", "", text))

    def counts(self, section="journal"):
        """All but what grows by itself."""
        fields = ("missed", "repeated", "reconnects", "gaps")
        return {field: self.number(section, field) for field in fields}

    def wait_until(self, section, field, condition):
        """Wait until the condition, in JavaScript, holds for the field's number `n`."""
        self._page.wait_for_function(
            f"""(selector) => {{
                const text = document.querySelector(selector).textContent.replace(/[^0-9]/g, "");
                const n = Number(text);
                return text !== "" && ({condition});
            }}""",
            arg=f"#{section} [data-field={field}]",
        )

    def wait_for_more(self, count=3):
        received = self.number("journal", "received")
        self.wait_until("journal", "received", f"n >= {received + count}")

    def wait_for_status(self, section, text):
        self.section(section).get_by_role("status").filter(has_text=text).wait_for()


def test_its_numbers_move_and_the_console_stays_empty(demo_page, problems, demo):
    demo_page.wait_until("metrics", "requests", "n > 0")
    requests = demo_page.number("metrics", "requests")
    httpx2.get(f"{demo.url}/health").raise_for_status()
    demo_page.wait_until("metrics", "requests", f"n > {requests}")
    demo_page.wait_for_more()
    demo_page.wait_for_status("metrics", "connected")
    assert demo_page.counts() == {"missed": 0, "repeated": 0, "reconnects": 0, "gaps": 0}
    assert problems == []


def test_its_curve_grows_with_the_samples(demo_page, page):
    points = "document.querySelector('#metrics polyline').getAttribute('points').split(' ')"
    page.wait_for_function(f"() => {points}.length >= 2")
    for x, y in (point.split(",") for point in page.evaluate(points)):
        assert 0 <= int(x) < 120
        assert 0 <= float(y) <= 100


def test_dropped_connections_resume_without_a_miss(demo_page):
    for drops in (1, 2):
        demo_page.wait_for_more()
        demo_page.button("journal", "Drop the connection").click()
        demo_page.wait_until("journal", "reconnects", f"n === {drops}")
    demo_page.wait_for_more()
    assert demo_page.counts() == {"missed": 0, "repeated": 0, "reconnects": 2, "gaps": 0}


def test_there_is_nothing_to_drop_when_it_is_stopped_and_starting_it_resumes(demo_page, page):
    demo_page.wait_for_more()
    demo_page.button("journal", "Stop").click()
    demo_page.wait_for_status("journal", "stopped")
    received = demo_page.number("journal", "received")
    drop = demo_page.button("journal", "Drop the connection")
    for _ in range(100):  # the server may yet have to see that the page has left
        with page.expect_response("**/drop") as answered:
            drop.click()
        if answered.value.status == 404:
            break
    demo_page.wait_for_status("journal", "there is no connection to drop")
    assert demo_page.number("journal", "received") == received
    demo_page.button("journal", "Start").click()
    demo_page.wait_for_more()
    assert demo_page.counts() == {"missed": 0, "repeated": 0, "reconnects": 1, "gaps": 0}


def test_an_answer_at_which_event_source_gives_up_does_not_end_it(demo_page, page):
    demo_page.wait_for_more()
    with page.expect_response(lambda response: response.status == 503):
        page.route("**/journal?*", lambda route: route.fulfill(status=503), times=1)
        demo_page.button("journal", "Drop the connection").click()
    with page.expect_request(lambda request: "last_event_id=" in request.url):
        demo_page.wait_until("journal", "reconnects", "n === 1")
    demo_page.wait_for_more()
    assert demo_page.counts() == {"missed": 0, "repeated": 0, "reconnects": 1, "gaps": 0}


def test_the_page_counts_what_is_missed_and_repeated(page, demo):
    page.goto(f"{demo.url}/health")
    figures = page.evaluate(
        """async () => {
            const { Tally } = await import("/page/live.js");
            const tally = new Tally();
            tally.connected();
            for (const number of [7, 8, 11, 11, 12]) tally.received(number);
            tally.connected();
            tally.gap(20);
            return tally.received(22);
        }"""
    )
    assert figures == {
        "received": 6,
        "missed": 3,
        "repeated": 1,
        "reconnects": 1,
        "gaps": 1,
        "last": 22,
    }


def test_measurements_lines_ranges_and_uploads_still_work(demo_page, page):
    demo_page.button("measurements", "Start").click()
    demo_page.wait_until("measurements", "rows", "n === 100000")
    demo_page.button("slow", "Start").click()
    demo_page.section("slow").locator("pre").filter(has_text="line 2").wait_for()
    demo_page.button("range", "Fetch").click()
    demo_page.wait_for_status("range", "206: bytes 1048576-1048639/67108864")
    assert demo_page.section("range").locator("pre").inner_text().startswith("000000001048576")
    content = b"weighed and hashed" * 1000
    file = {"name": "file.bin", "mimeType": "application/octet-stream", "buffer": content}
    page.set_input_files("#upload input[type=file]", file)
    demo_page.button("upload", "Upload").click()
    demo_page.wait_for_status("upload", "done")
    assert hashlib.sha256(content).hexdigest() in page.locator("#upload-result").inner_text()


def test_a_killed_server_costs_the_page_nothing_but_what_was_in_memory(caches, page):
    with start(caches) as demo:
        demo.wait_for("Ctrl-C")
        page.goto(demo.url)
        demo_page = DemoPage(page)
        demo_page.wait_for_more()
        demo_page.wait_until("metrics", "requests", "n > 0")
        demo.send_signal(signal.SIGKILL)
        demo_page.wait_for_status("journal", "reconnecting")
        demo_page.wait_for_status("metrics", "reconnecting")
    with start(caches, port=demo.address[1]) as again:
        assert again.url == demo.url
        demo_page.wait_for_more()
        demo_page.wait_until("metrics", "gaps", "n > 0")
        demo_page.wait_for_more()
        counts = demo_page.counts()
        assert counts.pop("reconnects") >= 1
        assert counts == {"missed": 0, "repeated": 0, "gaps": 0}
        assert demo_page.number("metrics", "gaps") == 1
        processes = demo_page.section("journal").locator("pre").inner_text()
        assert f"from process {again.process.pid}" in processes


def test_streams_after_a_kill_resume_from_the_table_and_tell_of_the_lost_memory(caches, page):
    def listen():
        page.evaluate("listen('/journal', ['gap']); window.journal = seen")
        page.evaluate("listen('/metrics', ['gap']); window.metrics = seen")

    def wait_for_more(count):
        for name in ("journal", "metrics"):
            had = page.evaluate(f"{name}.events.length")
            page.wait_for_function(f"() => {name}.events.length >= {had + count}")

    with start(caches) as demo:
        demo.wait_for("Ctrl-C")
        page.goto(f"{demo.url}/health")
        listen()
        wait_for_more(1)
        demo.send_signal(signal.SIGKILL)
        page.wait_for_function("() => journal.errors > 0 && metrics.errors > 0")
    with start(caches, port=demo.address[1]):
        wait_for_more(2)
        journal = page.evaluate("journal.events")
        numbers = [json.loads(each["data"])["number"] for each in journal]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        gaps = [each for each in page.evaluate("metrics.events") if each["type"] == "gap"]
        assert [json.loads(each["data"]) for each in gaps] == [
            {"reason": "unknown", "missed": None}
        ]


def test_an_id_that_is_none_of_the_journal_gives_one_gap(demo, page):
    page.goto(f"{demo.url}/health")
    page.evaluate("listen('/journal?last_event_id=garbage-5', ['gap'])")
    page.wait_for_function("() => seen.events.length >= 4")
    gap, *entries = page.evaluate("seen.events")
    assert (gap["type"], json.loads(gap["data"])["reason"]) == ("gap", "unknown")
    assert {each["type"] for each in entries} == {"message"}
    numbers = [json.loads(each["data"])["number"] for each in entries]
    assert numbers == list(range(int(gap["id"]) + 1, int(gap["id"]) + 1 + len(entries)))
