"""The demo's slow reader: what each policy does to it, and that the healthy one does not notice."""

import json
from contextlib import asynccontextmanager

import anyio
import pytest

from asgi_rt import App
from asgi_rt.demo import slow_reader
from asgi_rt.demo.ticks import MAX_WAITING, TickSessions
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

KEYS = 10


def app_with(sessions):
    @asynccontextmanager
    async def lifespan(app):
        yield {"tick_sessions": sessions}

    app = App(lifespan=lifespan)
    app.include(slow_reader.router)
    return app


@pytest.fixture
def sessions():
    return TickSessions(max_sessions=2, ticks_per_second=1000)


@pytest.fixture
async def client(sessions):
    async with AsyncTestClient(app_with(sessions)) as client:
        yield client


def watch(client, policy="drop_oldest"):
    return client.websocket_connect("/slow-reader", params={"policy": policy}, pipe_bytes=None)


class Watched:
    """A session: its healthy reader, and its slow one, which reads only what a test reads."""

    def __init__(self, client, healthy, path):
        self.healthy = healthy
        self.slow = None
        self.path = path
        self._client = client
        self._read_bytes = 0

    async def counters_when(self, condition):
        """The first counters that are so."""
        with anyio.fail_after(10):
            async with self._client.events(f"{self.path}/counters") as events:
                while True:
                    counters = json.loads((await events.next_event()).data)
                    if condition(counters):
                        return counters

    async def read(self, count):
        """The next events of the slow one, which says how far it is as it goes."""
        events = []
        for number in range(count):
            if number % 8 == 0:
                await self.healthy.send_json({"type": "read", "bytes": self._read_bytes})
            events.append(await self.slow.next_event())
            self._read_bytes = sum(map(len, self.slow.frames))
        return events


@asynccontextmanager
async def watched(client, policy="drop_oldest"):
    async with watch(client, policy) as healthy:
        session = await healthy.receive_json()
        assert session["type"] == "session"
        path = f"/slow-reader/{session['token']}"
        watched = Watched(client, healthy, path)
        async with client.events(f"{path}/ticks") as watched.slow:
            yield watched


def is_full(counters):
    return counters["slow"]["pending"] == MAX_WAITING


def has_dropped(counters):
    return counters["slow"]["dropped"] > 10


def check_healthy(counters):
    """It got all that was published, and nothing was lost for it."""
    healthy = counters["healthy"]
    assert healthy["dropped"] == healthy["disconnected"] == healthy["replayed"] == 0
    assert healthy["published"] == healthy["delivered"] + healthy["pending"]
    assert healthy["published"] == counters["published"]


# What each policy does


async def test_the_oldest_are_dropped_and_the_reader_is_told(client):
    async with watched(client, "drop_oldest") as session:
        counters = await session.counters_when(has_dropped)
        assert counters["slow"]["pending"] == MAX_WAITING
        assert counters["slow"]["coalesced"] == 0
        check_healthy(counters)
        before, gap, after = around_gap(await session.read(60))
        assert gap["reason"] == "overflow"
        assert after[0] == before[-1] + gap["missed"] + 1
        assert len(before) < MAX_WAITING


def around_gap(events):
    """The numbers before the first gap, the gap, and the numbers behind it."""
    at = [event.event for event in events].index("gap")
    before, after = (
        [json.loads(each.data)["number"] for each in some if each.event != "gap"]
        for some in (events[:at], events[at:])
    )
    assert before == list(range(before[0], before[-1] + 1))
    return before, json.loads(events[at].data), after


async def test_the_newest_are_dropped(client):
    async with watched(client, "drop_newest") as session:
        counters = await session.counters_when(has_dropped)
        assert counters["slow"]["pending"] == MAX_WAITING
        check_healthy(counters)
        before, gap, after = around_gap(await session.read(MAX_WAITING + 60))
        assert gap["reason"] == "overflow"
        assert after[0] == before[-1] + gap["missed"] + 1
        assert len(before) >= MAX_WAITING


async def test_of_each_key_the_newest_waits(client):
    async with watched(client, "coalesce") as session:
        counters = await session.counters_when(has_dropped)
        assert counters["slow"]["coalesced"] == counters["slow"]["dropped"]
        assert counters["slow"]["pending"] == KEYS
        check_healthy(counters)


async def test_who_is_sent_away_comes_back_behind_the_last_that_they_have(client):
    async with watched(client, "disconnect") as session:
        counters = await session.counters_when(lambda each: each["slow"]["disconnected"])
        assert counters["slow"]["pending"] == 0
        check_healthy(counters)
        first = await session.slow.next_event()
        headers = {"last-event-id": first.id}
        async with client.events(f"{session.path}/ticks", headers=headers) as again:
            assert (await again.next_event()).id
            counters = await session.counters_when(lambda each: each["slow"]["replayed"])
            assert counters["slow"]["dropped"] > MAX_WAITING


async def test_a_publisher_that_waits_holds_the_healthy_reader_up(client):
    async with watched(client, "block") as session:
        full = await session.counters_when(is_full)
        later = await session.counters_when(is_full)
        assert later["published"] <= full["published"] + 1
        assert later["slow"]["dropped"] == 0
        await session.read(40)
        await session.counters_when(lambda each: each["published"] > later["published"] + 1)


# How a session ends


@pytest.mark.parametrize("policy", ["drop_oldest", "block"])
async def test_when_the_page_leaves_everything_ends(client, sessions, policy):
    async with watched(client, policy) as session:
        await session.counters_when(is_full)
        found = sessions.find(session.path.rpartition("/")[2])
        async with client.events(f"{session.path}/counters") as counters:
            await counters.next_event()
            await session.healthy.close()
            await session.healthy.wait_done()
            assert len(sessions) == 0
            assert found.hub.snapshot().subscriptions == []
            await read_to_the_end(session.slow)
            await read_to_the_end(counters)


async def read_to_the_end(events):
    with anyio.fail_after(10):
        async for _ in events:
            pass
    await events.exchange.wait_done()


async def test_the_slow_reader_can_leave_alone(client, sessions):
    async with watched(client, "block") as session:
        full = await session.counters_when(is_full)
        session.slow.drop()
        await session.counters_when(lambda each: each["published"] > full["published"] + 10)


async def test_a_second_slow_reader_ends_the_first(client):
    async with watched(client) as session:
        await session.counters_when(is_full)
        async with client.events(f"{session.path}/ticks") as second:
            await second.next_event()
            await read_to_the_end(session.slow)


async def test_there_are_not_too_many_sessions(client, sessions):
    async with watched(client), watched(client), watch(client) as ws:
        closed = await ws.wait_closed()
        assert closed.code == 1013
        assert "too many" in closed.reason
        assert len(sessions) == 2
    assert len(sessions) == 0


# What cannot be asked for


async def test_a_policy_that_is_none_is_a_400(client):
    with pytest.raises(WebSocketDenied) as caught:
        async with watch(client, "forget"):
            pass
    assert caught.value.response.status_code == 400


@pytest.mark.parametrize("stream", ["ticks", "counters"])
async def test_a_session_that_is_none_is_a_404(client, stream):
    assert (await client.get(f"/slow-reader/{'0' * 32}/{stream}")).status_code == 404


async def test_pages_from_elsewhere_cannot_watch(client):
    with pytest.raises(WebSocketDenied) as caught:
        async with client.websocket_connect("/slow-reader", origin="https://evil.example"):
            pass
    assert caught.value.response.status_code == 403
