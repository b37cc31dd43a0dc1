"""What a browser's own EventSource makes of a stream."""

import json

import httpx2
import pytest

CLOSED = 2

pytestmark = pytest.mark.slow


@pytest.fixture
def page(page, server):
    page.goto(server.url)
    return page


def listen(page, path, *names):
    page.evaluate("([url, names]) => listen(url, names)", [path, names])


def wait_until(page, condition):
    page.wait_for_function(f"() => {condition}")


def is_closed(page):
    return page.evaluate("seen.source.readyState") == CLOSED


def event(number):
    """Of every kind, in turn."""
    data, name = [
        (f"plain {number}", None),
        (f"one\ntwo\n\nfour {number}", "lines"),
        (f"\u2028 \u0085 \x0b äöü 漢字 🚲 {number}", "ticks"),
        (f" spaces around, and a colon: {number} ", None),
        ("", "lines"),
        (json.dumps({"number": number}), None),
    ][number % 6]
    return {"data": data, "event": name, "id": f"é-{number}"}


def test_every_event_arrives_once_in_order_as_it_was_sent(page, server):
    script = [event(number) for number in range(3000)]
    httpx2.put(f"{server.url}/scripts/all", json=script).raise_for_status()
    listen(page, "/scripts/all", "lines", "ticks")
    wait_until(page, f"seen.source.readyState === {CLOSED}")
    assert page.evaluate("seen.events") == [
        {"type": each["event"] or "message", "data": each["data"], "id": each["id"]}
        for each in script
    ]


def test_a_204_ends_it_for_good(page, server):
    httpx2.put(f"{server.url}/scripts/short", json=[event(0)]).raise_for_status()
    with page.expect_response(lambda response: response.status == 204):
        listen(page, "/scripts/short")
    wait_until(page, f"seen.source.readyState === {CLOSED}")
    assert page.evaluate("[seen.opens, seen.events.length]") == [1, 1]


def test_a_refusal_is_a_real_4xx_and_ends_it_for_good(page):
    with page.expect_response("**/refused") as answered:
        listen(page, "/refused")
    wait_until(page, "seen.errors === 1")
    assert answered.value.status == 403
    assert answered.value.headers["content-type"] == "application/problem+json"
    assert is_closed(page)
    assert page.evaluate("seen.opens") == 0


def test_a_silent_source_is_open_before_it_gives_anything(page, server):
    listen(page, "/held/silent")
    wait_until(page, "seen.opens === 1")
    assert httpx2.get(f"{server.url}/held/silent/is-held").json() is True
    assert page.evaluate("seen.events") == []
    httpx2.post(f"{server.url}/held/silent/release").raise_for_status()
    wait_until(page, "seen.events.length === 1")
    assert page.evaluate("seen.events[0].data") == "released"


def test_an_error_event_tells_of_a_source_that_fails(page):
    listen(page, "/failing", "error")
    wait_until(page, f"seen.source.readyState === {CLOSED}")
    before, error = page.evaluate("seen.events")
    assert before["data"] == "before"
    assert error["type"] == "error"
    problem = json.loads(error["data"])
    assert (problem["status"], problem["detail"]) == (409, "the table is being moved")
    assert problem["title"] == "Conflict"
