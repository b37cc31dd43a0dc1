"""A browser that loses its connection gets what it missed, once, or is told of a gap."""

import itertools
import json

import httpx2
import pytest

pytestmark = pytest.mark.slow

DROPS = 4
NAMES = itertools.count(1)  # one for each test: the connections of the last one may still be there


class Topic:
    """A log in the server, to be followed by the page."""

    def __init__(self, url):
        self._url = url
        self.path = httpx2.URL(url).path

    def put(self, **options):
        return self._send("PUT", "", options)["last_id"]

    def append(self, count):
        return self._send("POST", "/append", count)["last_id"]

    def drop(self, how):
        self._send("POST", "/drop", how)

    def start(self):
        self._send("POST", "/start")

    def stop(self):
        return self._send("POST", "/stop")

    def last_event_ids(self):
        return self._send("GET", "/last-event-ids")

    def _send(self, method, path, value=None):
        response = httpx2.request(method, self._url + path, json=value)
        response.raise_for_status()
        return response.json() if response.content else None


@pytest.fixture
def topic(server):
    topic = Topic(f"{server.url}/topics/{next(NAMES)}")
    topic.put(max_count=50_000)
    return topic


@pytest.fixture
def page(page, server):
    page.goto(server.url)
    return page


def listen(page, path):
    page.evaluate("(url) => listen(url, ['gap'])", path)


def wait_until(page, condition):
    page.wait_for_function(f"() => {condition}")


def numbers(page):
    return [int(each["data"]) for each in page.evaluate("seen.events")]


@pytest.mark.parametrize("how", ["truncate", "end"])
def test_drops_while_events_are_published_lose_and_repeat_nothing(page, topic, how):
    topic.start()
    listen(page, topic.path)
    for drops in range(DROPS):
        wait_until(page, f"seen.opens === {drops + 1}")
        seen = page.evaluate("seen.events.length")
        wait_until(page, f"seen.events.length > {seen + 20}")
        topic.drop(how)
    wait_until(page, f"seen.opens === {DROPS + 1}")
    topic.stop()
    topic.append(1)
    last = topic.stop() - 1
    wait_until(page, f"seen.events.at(-1).data === '{last}'")
    found = numbers(page)
    assert found == list(range(found[0], last + 1))
    first, *others = topic.last_event_ids()
    assert first is None
    assert len(others) == DROPS
    assert all(others)


@pytest.mark.parametrize("how", ["truncate", "end"])
def test_a_drop_before_the_first_event_loses_nothing(page, topic, how):
    """What it has then is an id from a block without data: EventSource must take it as well."""
    before = topic.append(5)
    listen(page, topic.path)
    wait_until(page, "seen.opens === 1")
    topic.drop(how)
    wait_until(page, "seen.events.length === 3")
    assert numbers(page) == [5, 6, 7]
    assert topic.last_event_ids() == [None, before]


@pytest.mark.parametrize(
    ("last_event_id", "expected"),
    [
        ("{epoch}-1", {"reason": "expired", "missed": 19}),
        ("garbage-5", {"reason": "unknown", "missed": None}),
        ("{epoch}-21", {"reason": "unknown", "missed": None}),
    ],
    ids=["stale", "foreign", "future"],
)
def test_an_id_that_cannot_be_resumed_from_gives_one_gap(page, topic, last_event_id, expected):
    topic.put(max_count=5)
    last_id = topic.append(20)
    epoch = last_id.rpartition("-")[0]
    listen(page, f"{topic.path}?last_event_id={last_event_id.format(epoch=epoch)}")
    wait_until(page, "seen.events.length === 1")
    topic.append(3)
    wait_until(page, "seen.events.length === 4")
    gap, *others = page.evaluate("seen.events")
    assert gap["type"] == "gap"
    assert json.loads(gap["data"]) == expected
    assert gap["id"] == last_id
    assert [(each["type"], each["data"]) for each in others] == [
        ("message", "20"),
        ("message", "21"),
        ("message", "22"),
    ]


def test_the_id_of_a_reconnect_goes_before_the_one_in_the_url(page, topic):
    stale = topic.append(2)
    topic.append(2)
    listen(page, f"{topic.path}?last_event_id={stale}")
    wait_until(page, "seen.events.length === 2")
    topic.drop("truncate")
    wait_until(page, "seen.events.length === 5")
    assert numbers(page) == [2, 3, 4, 5, 6]
