"""Server-sent events in a test: events, frames, dropped connections; async and blocking."""

import zlib
from contextlib import aclosing

import anyio
import httpx2
import pytest

from asgi_rt import App
from asgi_rt.sse import Event, EventLog
from asgi_rt.sse.client import EventSourceError
from asgi_rt.testing import AsyncTestClient, ClientGoneError, StreamEndedError, TestClient

EVENT_STREAM = [(b"content-type", b"text/event-stream")]


class EventApp:
    """Sends `frames`, waits for the client to leave if it is `endless`, and notes what it saw."""

    def __init__(self, *frames, status=200, headers=EVENT_STREAM, endless=False, error=None):
        self.frames = frames
        self.status = status
        self.headers = headers
        self.endless = endless
        self.error = error
        self.ids = []
        self.scopes = []
        self.seen = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        self.ids.append(dict(scope["headers"]).get(b"last-event-id", b"").decode())
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        for frame in self.chosen():
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        if self.endless:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.seen.append("disconnect")
            return
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.body"})

    def chosen(self):
        return self.frames


class ReplayingApp(EventApp):
    """Three events, those after the last id, in one chunk; 204 when there are none left."""

    def chosen(self):
        begin = int(self.ids[-1] or 0)
        return [b"".join(b"id: %d\ndata: %d\n\n" % (each, each) for each in range(begin + 1, 4))]

    async def __call__(self, scope, receive, send):
        if dict(scope["headers"]).get(b"last-event-id") == b"3":
            self.ids.append("3")
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
        else:
            await super().__call__(scope, receive, send)


def connect(app, **options):
    return AsyncTestClient(app, lifespan=False, **options)


async def test_the_end_of_the_stream_ends_the_iteration():
    app = EventApp(b"data: 1\nid: a\n\n", b"event: x\ndata: 2\n\n")
    async with connect(app) as client, client.events("/prices") as events:
        assert [event async for event in events] == [Event("1", id="a"), Event("2", "x")]
        assert events.last_event_id == "a"
        assert events.response.headers["content-type"] == "text/event-stream"
    assert len(app.scopes) == 1
    assert app.scopes[0]["path"] == "/prices"


async def test_entering_waits_for_the_head_alone():
    app = EventApp(endless=True)
    async with connect(app) as client, client.events("/") as events:
        assert events.exchange.is_started
        assert not events.exchange.is_done
    assert app.seen == ["disconnect"]


async def test_next_event_says_what_came_instead():
    app = EventApp(b": ping\n\n", b"data: 1\n\n")
    async with connect(app) as client, client.events("/") as events:
        assert await events.next_event() == Event("1")
        with pytest.raises(StreamEndedError, match=r"2 frames were read.*GET /: done"):
            await events.next_event()


async def test_a_wait_that_times_out_loses_nothing():
    class Late(EventApp):
        async def __call__(self, scope, receive, send):
            self.go_on = anyio.Event()
            await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
            await send({"type": "http.response.body", "body": b"data: 1\n", "more_body": True})
            await self.go_on.wait()
            await send({"type": "http.response.body", "body": b"\ndata: 2\n\n"})

    app = Late()
    async with connect(app) as client, client.events("/") as events:
        with pytest.raises(TimeoutError, match=r"no event came in 0.01 seconds.*running"):
            await events.next_event(timeout=0.01)
        with pytest.raises(TimeoutError, match="no frame came"):
            await events.next_frame(timeout=0.01)
        app.go_on.set()
        assert await events.next_event() == Event("1")
        assert await events.next_frame() == b"data: 2\n\n"


async def test_frames_show_what_is_no_event():
    frames = [b": hello\n\n", b"retry: 10\n\n", b"data: 1\r\n\r\n", b": ping\n\n", b"data: 2\n\n"]
    async with connect(EventApp(*frames)) as client, client.events("/") as events:
        assert await events.next_frame() == b": hello\n\n"
        assert await events.next_event() == Event("1")
        assert events.frames == frames[:3]
        assert await events.next_frame() == b": ping\n\n"
        assert await events.next_frame() == b"data: 2\n\n"
        with pytest.raises(StreamEndedError, match="no frame came"):
            await events.next_frame()
        assert events.frames == frames


async def test_frames_are_whole_however_they_were_sent():
    sent = [b"data: 1\r", b"\n\r\n\r\n:", b" pi", b"ng\n", b"\ndata", b": 2\n\n: half"]
    async with connect(EventApp(*sent)) as client, client.events("/") as events:
        assert [event.data async for event in events] == ["1", "2"]
        assert events.frames == [b"data: 1\r\n\r\n", b": ping\n\n", b"data: 2\n\n"]


async def test_dropping_the_connection_ends_the_iteration():
    app = EventApp(b"data: 1\n\ndata: 2\n\n", endless=True)
    async with connect(app) as client, client.events("/") as events:
        assert await anext(events) == Event("1")
        events.drop()
        events.drop()
        with pytest.raises(StreamEndedError):
            await events.next_event()
        await events.exchange.wait_done()
    assert app.seen == ["disconnect"]


async def test_dropping_the_connection_brings_another_when_asked_to():
    app = ReplayingApp(endless=True)
    async with connect(app) as client, client.events("/", reconnect=True, retry=2) as events:
        assert (await events.next_event()).data == "1"
        events.drop()
        assert (await events.next_event()).data == "2"
        events.drop()
        assert (await events.next_event()).data == "3"
        events.drop()
        assert [event async for event in events] == []
        assert events.exchange.status == 204
        assert app.ids == ["", "1", "2", "3"]
        assert events.waits == [2, 2, 2]
    assert app.seen == ["disconnect"] * 3


async def test_dropping_reaches_a_task_that_waits():
    app = EventApp(endless=True)
    async with (
        connect(app) as client,
        client.events("/") as events,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(anext, events, None)
        await anyio.wait_all_tasks_blocked()
        events.drop()


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (EventApp(b"no such thing", status=404), "404 Not Found: 'no such thing'"),
        (EventApp(b"{}", headers=[(b"content-type", b"application/json")]), "application/json"),
    ],
)
async def test_an_answer_that_is_no_stream_is_told(app, message):
    async with connect(app) as client:
        with pytest.raises(EventSourceError, match=message):
            async with client.events("/"):
                raise AssertionError


async def test_what_the_app_raises_is_raised():
    app = EventApp(b"data: 1\n\n", error=ZeroDivisionError())
    async with connect(app) as client, client.events("/") as events:
        assert await events.next_event() == Event("1")
        with pytest.raises(ZeroDivisionError):
            await events.next_event()


async def test_a_stream_that_breaks_off_comes_back_when_asked_to():
    class Breaking(ReplayingApp):
        def chosen(self):
            return [*super().chosen(), b"data: unfinished"]

    app = Breaking(error=ZeroDivisionError())
    async with connect(app, raise_server_exceptions=False) as client:
        async with client.events("/", reconnect=True) as events:
            assert [event.data async for event in events] == ["1", "2", "3"]
        async with client.events("/", last_event_id="2") as events:
            assert await events.next_event() == Event("3", id="3")
            with pytest.raises(EventSourceError, match="breaks off"):
                await events.next_event()


async def test_an_app_that_never_answers_well_is_given_up():
    async with connect(EventApp(status=503)) as client:
        with pytest.raises(EventSourceError, match="503"):
            async with client.events("/", reconnect=True):
                raise AssertionError
    async with connect(app := EventApp(status=503)) as client:
        with pytest.raises(EventSourceError):
            async with client.events("/", reconnect=True, max_attempts=3):
                raise AssertionError
        assert len(app.scopes) == 3


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_leaving_a_generator_app_leaves_nothing(spec_version):
    async def numbers():
        number = 0
        while True:
            yield b"data: %d\n\n" % number
            number += 1

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        async with aclosing(numbers()) as frames:
            async for frame in frames:
                try:
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
                except ClientGoneError:
                    return
                if events.exchange.is_disconnected:
                    return

    async with connect(app, spec_version=spec_version, pipe_bytes=0) as client:
        events = client.events("/")
        async with events:
            assert [(await events.next_event()).data for _ in range(3)] == ["0", "1", "2"]


async def test_a_compressed_stream_is_decompressed_and_its_app_heard():
    compressor = zlib.compressobj(wbits=31)
    frame = compressor.compress(b"data: 1\n\n") + compressor.flush(zlib.Z_SYNC_FLUSH)
    headers = [*EVENT_STREAM, (b"content-encoding", b"gzip")]
    app = EventApp(frame, headers=headers, endless=True)
    async with connect(app) as client, client.events("/") as events:
        assert await events.next_event() == Event("1")
        assert events.frames == [b"data: 1\n\n"]
    assert app.seen == ["disconnect"]
    async with connect(EventApp(headers=headers, error=ZeroDivisionError())) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.events("/"):
                pass


async def test_requests_can_be_made_beside_the_stream():
    published = anyio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        if scope["path"] == "/publish":
            published.set()
        else:
            await published.wait()
        await send({"type": "http.response.body", "body": b"data: published\n\n"})

    async with connect(app) as client, client.events("/") as events:
        await client.post("/publish")
        assert (await events.next_event()).data == "published"


def test_the_blocking_client_has_the_same():
    app = EventApp(b": ping\n\n", b"id: a\ndata: 1\n\n", b"data: 2\n\n", b"data: 3\n\n")
    with (
        TestClient(app, lifespan=False, headers={"x-mine": "1"}) as client,
        client.events("/prices", params={"since": 3}) as events,
    ):
        assert events.next_frame() == b": ping\n\n"
        assert next(events) == Event("1", id="a")
        assert events.last_event_id == "a"
        assert events.next_event() == Event("2")
        assert list(events) == [Event("3")]
        with pytest.raises(StreamEndedError):
            events.next_event()
        assert len(events.frames) == 4
        assert events.response.status_code == 200
        assert events.exchange.is_complete
    scope = app.scopes[0]
    assert (b"x-mine", b"1") in scope["headers"]
    assert scope["query_string"] == b"since=3"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_blocking_client_drops_and_comes_back(backend):
    app = ReplayingApp(endless=True)
    with (
        TestClient(app, lifespan=False, backend=backend) as client,
        client.events("/", reconnect=True, last_event_id="1") as events,
    ):
        assert [next(events).data, events.next_event().data] == ["2", "3"]
        with pytest.raises(TimeoutError):
            events.next_event(timeout=0.01)
        events.drop()
        assert list(events) == []
        assert events.waits == [3]
    assert app.ids == ["1", "3"]
    assert app.seen == ["disconnect"]


def test_the_blocking_client_shares_its_cookies_and_its_timeout():
    headers = [*EVENT_STREAM, (b"set-cookie", b"session=1")]
    app = EventApp(b"data: 1\n\n", headers=headers)
    with TestClient(app, lifespan=False, auth=("me", "secret")) as client:
        with client.events("/"):
            pass
        assert client.cookies["session"] == "1"
        with client.events("/"):
            pass
        assert (b"cookie", b"session=1") in app.scopes[1]["headers"]
        assert (b"authorization", b"Basic bWU6c2VjcmV0") in app.scopes[1]["headers"]


def test_the_blocking_client_tells_an_answer_that_is_no_stream():
    with (
        TestClient(EventApp(b"gone", status=410), lifespan=False) as client,
        pytest.raises(EventSourceError, match=r"410 Gone: 'gone'"),
        client.events("/"),
    ):
        raise AssertionError


def test_the_blocking_client_raises_what_the_app_raises():
    with (
        TestClient(EventApp(error=ZeroDivisionError()), lifespan=False) as client,
        client.events("/") as events,
        pytest.raises(ZeroDivisionError),
    ):
        next(events)


def test_a_stream_ends_with_its_client():
    app = EventApp(b"data: 1\n\n", endless=True)
    client = TestClient(app, lifespan=False)
    events = client.events("/").__enter__()
    assert next(events) == Event("1")
    client.close()
    assert app.seen == ["disconnect"]


async def test_pings_of_a_route_can_be_waited_for():
    app = App()

    @app.sse("/prices", ping=0.01, retry=None)
    async def prices(request):
        yield {"price": 1.25}
        await anyio.sleep_forever()

    async with AsyncTestClient(app) as client, client.events("/prices") as events:
        assert (await events.next_event()).data == '{"price":1.25}'
        assert await events.next_frame() == b": ping\n\n"


async def test_a_log_gives_a_dropped_client_what_it_missed():
    log = EventLog()
    app = App()

    @app.sse("/news")
    def news(request):
        return log.follow(request.last_event_id)

    async with (
        AsyncTestClient(app) as client,
        client.events("/news", reconnect=True) as events,
        client.events("/news") as others,
    ):
        for number in range(3):
            log.append(str(number))
        assert (await events.next_event()).data == "0"
        events.drop()
        log.append("3")
        assert [(await events.next_event()).data for _ in range(3)] == ["1", "2", "3"]
        assert events.last_event_id == log.last_id
        assert [(await others.next_event()).data for _ in range(4)] == ["0", "1", "2", "3"]


async def test_events_need_an_exchange_to_show():
    async with connect(EventApp()) as client:
        events = client.events("/")
        events.drop()
        with pytest.raises(RuntimeError, match="enter the events first"):
            _ = events.exchange


async def test_read_timeout_is_a_loss_here_too():
    app = EventApp(b"data: 1\n\n", endless=True)
    async with connect(app) as client, client.events("/", read_timeout=0.01) as events:
        assert await events.next_event() == Event("1")
        with pytest.raises(EventSourceError) as caught:
            await events.next_event()
    assert isinstance(caught.value.__cause__, httpx2.ReadTimeout)
