"""`EventSource` on one connection: what it asks, what it takes, what it hands out, how it ends."""

import subprocess
import sys
import zlib

import anyio
import httpx2
import pytest
from sse.raw_server import events_of, serving

from asgi_rt.errors import AsgiRtError
from asgi_rt.sse import Event
from asgi_rt.sse.client import EventSource, EventSourceError
from asgi_rt.sse.client_response import split_blocks
from asgi_rt.sse.framing import EventTooLarge
from asgi_rt.testing import AsyncTestClient


def streaming(*chunks):
    async def script(connection):
        await connection.stream(*chunks)
        await connection.end()

    return script


async def all_of(server, **options):
    async with events_of(server, reconnect=False, **options) as events:
        return [event async for event in events]


async def test_events_come_as_the_decoder_has_them():
    async with serving(
        streaming(b": hello\n\nevent: a\ndata: 1\ndata: 2\nid: x\nretry: 5\n\n", b"data\r\n\r\n")
    ) as server:
        assert await all_of(server) == [Event("1\n2", "a", "x", 5), Event("")]


async def test_a_stream_may_be_cut_anywhere():
    stream = "\ufeffdata: größe € 𝄞\r\n\r\nid: ż\rdata: zwei\r\rdata: 3\n\n".encode()
    async with (
        serving(streaming(*(bytes([each]) for each in stream))) as server,
        events_of(server, reconnect=False) as events,
    ):
        assert [event.data async for event in events] == ["größe € 𝄞", "zwei", "3"]
        assert events.last_event_id == "ż"


async def test_entering_returns_at_the_head():
    async def script(connection):
        await connection.stream()
        await connection.gone()

    async with serving(script) as server, events_of(server) as events:
        assert events.response.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_an_event_is_handed_out_before_the_next_is_sent():
    handed_out = anyio.Event()

    async def script(connection):
        await connection.stream(b"data: 1\n\n")
        await handed_out.wait()
        await connection.send(b"data: 2\n\n")
        await connection.end()

    async with serving(script) as server, events_of(server, reconnect=False) as events:
        assert await anext(events) == Event("1")
        handed_out.set()
        assert await anext(events) == Event("2")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_event_is_handed_out_before_the_next_is_sent(encoding):
    handed_out = anyio.Event()
    compressor = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)

    def compressed(data):
        return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)

    async def script(connection):
        await connection.answer(
            200, "Content-Type: text/event-stream", f"Content-Encoding: {encoding}"
        )
        await connection.send(compressed(b"data: 1\n\n"))
        await handed_out.wait()
        await connection.send(compressed(b"data: 2\n\n") + compressor.flush())
        await connection.end()

    async with serving(script) as server, events_of(server, reconnect=False) as events:
        assert await anext(events) == Event("1")
        handed_out.set()
        assert [event async for event in events] == [Event("2")]


async def test_the_last_event_id_belongs_to_what_was_handed_out():
    stream = b"data: 1\nid: a\n\nid: b\n\ndata: 2\n\ndata: 3\nid: c\n\nid: d\n\ndata: 4\nid\n\n"
    async with (
        serving(streaming(stream)) as server,
        events_of(server, reconnect=False) as events,
    ):
        assert events.last_event_id == ""
        assert [(event.data, events.last_event_id) async for event in events] == [
            ("1", "a"),
            ("2", "b"),
            ("3", "c"),
            ("4", ""),
        ]


async def test_iterating_again_loses_and_repeats_nothing():
    async with serving(streaming(b"data: 1\n\ndata: 2\n\ndata: 3\n\n", b"data: 4\n\n")) as server:
        seen = []
        async with events_of(server, reconnect=False) as events:
            for _ in range(3):
                async for event in events:
                    seen.append(event.data)
                    break
            seen += [event.data async for event in events]
        assert seen == ["1", "2", "3", "4"]


async def test_the_request_says_what_it_wants():
    async with serving(streaming()) as server:
        await all_of(server, headers={"X-Token": "t", "cache-control": "no-cache"}, params={"a": 1})
        head = server.connections[0]
        assert head.head[0] == b"GET /events?a=1 HTTP/1.1"
        assert head.header(b"accept") == b"text/event-stream"
        assert head.header(b"x-token") == b"t"
        assert head.header(b"cache-control") == b"no-cache"
        assert head.header(b"last-event-id") is None


async def test_any_method_with_a_body_may_ask():
    async with serving(streaming(b"data: token\n\n")) as server:
        assert await all_of(server, method="post", json={"prompt": "?"}) == [Event("token")]
        assert server.connections[0].head[0].startswith(b"POST ")
        assert server.connections[0].body == b'{"prompt":"?"}'


@pytest.mark.parametrize(
    ("last_event_id", "sent"),
    [
        ("7", b"7"),
        ("größe-€", "größe-€".encode()),
        (" 7\t", b"7"),
        ("", None),
        (None, None),
    ],
)
async def test_the_first_request_resumes_where_it_is_told_to(last_event_id, sent):
    async with serving(streaming()) as server:
        await all_of(server, last_event_id=last_event_id)
        assert server.connections[0].header(b"last-event-id") == sent


async def test_the_newest_id_wins_over_a_header():
    async with serving(streaming()) as server:
        await all_of(server, last_event_id="7", headers={"last-event-id": "1"})
        await all_of(server, headers={"last-event-id": "1"})
        assert server.headers(b"last-event-id") == [b"7", b"1"]


async def test_204_ends_it_at_once():
    async def script(connection):
        await connection.answer(204, body=b"")

    async with serving(script) as server, events_of(server) as events:
        assert [event async for event in events] == []
        assert events.response.status_code == 204
        assert events.sleeps == []


@pytest.mark.parametrize(
    ("status", "lines", "message"),
    [
        (404, ["Content-Type: text/event-stream"], "the server answered 404"),
        (201, ["Content-Type: text/event-stream"], "the server answered 201"),
        (200, ["Content-Type: text/html"], "with the content type text/html where"),
        (200, [], "without a content type"),
        (200, ["Content-Type: text/event-streams"], "text/event-streams where"),
    ],
)
async def test_what_is_no_event_stream_is_told(status, lines, message):
    async def script(connection):
        await connection.answer(status, *lines, body="no größe".encode())

    async with serving(script) as server:
        with pytest.raises(EventSourceError, match=message) as caught:
            async with events_of(server):
                raise AssertionError
    assert caught.value.status == status
    assert caught.value.body == "no größe"
    assert caught.value.url == server.url
    assert "no größe" in str(caught.value)
    assert isinstance(caught.value, AsgiRtError)


async def test_a_refusal_leaves_no_connection_open():
    async def script(connection):
        await connection.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
        await connection.gone()

    async with serving(script) as server:
        with pytest.raises(EventSourceError, match="404 Not Found: 'no'"):
            await all_of(server)
        await server.all_closed()


@pytest.mark.parametrize("kind", ["TEXT/Event-Stream", "text/event-stream;charset=utf-8"])
async def test_the_content_type_may_be_written_as_it_pleases(kind):
    async def script(connection):
        await connection.answer(200, f"Content-Type: {kind}", body=b"data: 1\n\n")

    async with serving(script) as server:
        assert await all_of(server) == [Event("1")]


async def test_of_an_endless_refusal_only_the_beginning_is_read():
    async def script(connection):
        await connection.answer(400)
        await connection.send(b"x" * 3000)
        await connection.gone()

    async with serving(script) as server:
        with pytest.raises(EventSourceError) as caught:
            await all_of(server)
    assert caught.value.body == "x" * 1000


async def test_redirects_are_followed():
    async def moved(connection):
        await connection.answer(307, "Location: /elsewhere", body=b"")

    async with serving(moved, streaming(b"data: 1\n\n")) as server:
        assert await all_of(server, last_event_id="5") == [Event("1")]
        assert server.connections[1].head[0] == b"GET /elsewhere HTTP/1.1"
        assert server.connections[1].header(b"last-event-id") == b"5"


async def test_what_can_never_work_is_not_tried_again():
    with pytest.raises(httpx2.UnsupportedProtocol):
        async with events_of("ftp://127.0.0.1/"):
            raise AssertionError


async def test_an_event_that_is_too_large_ends_it():
    async with (
        serving(streaming(b"data: 1\n\n", b"data: " + b"x" * 100)) as server,
        events_of(server, max_event_bytes=50) as events,
    ):
        assert await anext(events) == Event("1")
        with pytest.raises(EventTooLarge):
            await anext(events)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


@pytest.mark.parametrize("leave", ["at the head", "after an event", "after two reads"])
async def test_leaving_closes_the_connection(leave):
    async def script(connection):
        await connection.stream(b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n")
        await connection.gone()

    async with serving(script) as server:
        async with events_of(server) as events:
            if leave != "at the head":
                assert await anext(events) == Event("1")
            if leave == "after two reads":
                assert await anext(events) == Event("2")
        await server.all_closed()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        await events.aclose()


async def test_aclose_ends_the_iteration_of_another_task():
    ended = []

    async def script(connection):
        await connection.stream(b"data: 1\n\n")
        await connection.gone()

    async def read(events, *, task_status):
        async for _ in events:
            task_status.started()
        ended.append(True)

    async with (
        serving(script) as server,
        anyio.create_task_group() as tasks,
        events_of(server) as events,
    ):
        await tasks.start(read, events)
        await anyio.wait_all_tasks_blocked()
        await events.aclose()
        await server.all_closed()
    assert ended == [True]


async def test_a_second_task_may_not_iterate():
    async def script(connection):
        await connection.stream()
        await connection.gone()

    async with (
        serving(script) as server,
        events_of(server) as events,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(anext, events, None)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="another task"):
            await anext(events)
        await events.aclose()


async def test_the_given_client_stays_open_and_its_settings_apply():
    async with serving(streaming(b"data: 1\n\n")) as server:
        async with httpx2.AsyncClient(headers={"X-Mine": "1"}, auth=("me", "secret")) as client:
            for _ in range(2):
                assert await all_of(server, client=client) == [Event("1")]
            assert not client.is_closed
        assert server.headers(b"x-mine") == [b"1", b"1"]
        assert server.headers(b"authorization") == [b"Basic bWU6c2VjcmV0"] * 2


async def test_a_stream_that_a_hook_has_read_is_taken_from_there():
    async def read(response):
        await response.aread()

    async with (
        serving(streaming(b"data: 1\n\n")) as server,
        httpx2.AsyncClient(event_hooks={"response": [read]}) as client,
    ):
        assert await all_of(server, client=client) == [Event("1")]


class Recorder(httpx2.AsyncBaseTransport):
    def __init__(self):
        self.timeouts = []

    async def handle_async_request(self, request):
        self.timeouts.append(request.extensions["timeout"])
        return httpx2.Response(204)


async def test_only_read_timeout_bounds_the_silence():
    transport = Recorder()
    async with httpx2.AsyncClient(timeout=2.0, transport=transport) as client:
        async with EventSource("http://host/", client=client):
            pass
        async with EventSource("http://host/", client=client, read_timeout=40):
            pass
    others = {"connect": 2.0, "write": 2.0, "pool": 2.0}
    assert transport.timeouts == [{"read": None, **others}, {"read": 40, **others}]


async def app_of_raw_frames(scope, receive, send):
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for frame in [b"data: 1\n", b"\n: ping\n\nda", b"ta: 2\n\n", b"data: unfinished\n"]:
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    await send({"type": "http.response.body"})


async def test_it_works_with_the_test_client_as_its_client():
    async with AsyncTestClient(app_of_raw_frames, lifespan=False) as client:
        async with EventSource("/", client=client, reconnect=False) as events:
            assert [event async for event in events] == [Event("1"), Event("2")]
        async with EventSource("/", client=client, reconnect=False) as events:
            assert await anext(events) == Event("1")


async def test_an_error_in_compression_is_raised():
    async def script(connection):
        await connection.answer(
            200,
            "Content-Type: text/event-stream",
            "Content-Encoding: gzip",
            body=b"data: not compressed\n\n",
        )

    async with serving(script) as server:
        with pytest.raises(httpx2.DecodingError):
            await all_of(server)


async def test_it_is_entered_once_before_it_is_iterated():
    async with serving(streaming()) as server:
        events = events_of(server, reconnect=False)
        with pytest.raises(RuntimeError, match="enter the EventSource first"):
            await anext(events)
        async with events:
            with pytest.raises(RuntimeError, match="entered once"):
                await events.__aenter__()


@pytest.mark.parametrize(
    "options",
    [
        {"retry": -1},
        {"max_retry": -1},
        {"max_attempts": 0},
        {"last_event_id": "a\nb"},
        {"last_event_id": "a\0b"},
        {"max_event_bytes": 0},
    ],
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options)).removeprefix("last_event_")):
        EventSource("http://host/", **options)


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"a\n\nb\n\n", [b"a\n\n", b"b\n\n"]),
        (b"a\n\nb", [b"a\n\n", b"b"]),
        (b"a\r\n\r\nb\r\n", [b"a\r\n\r\n", b"b\r\n"]),
        (b"a\r\rb\r", [b"a\r\r", b"b\r"]),
        (b"a\n\r\nb\r\n\r", [b"a\n\r\n", b"b\r\n\r"]),
        (b"\na\n\n\n", [b"\n", b"a\n\n", b"\n"]),
    ],
)
def test_each_piece_has_one_blank_line_at_most(data, pieces):
    assert split_blocks(data) == pieces


def test_without_httpx2_the_extra_is_named():
    script = "import sys; sys.modules['httpx2'] = None; import asgi_rt.sse.client"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert 'run pip install "asgi-rt[client]"' in done.stderr
