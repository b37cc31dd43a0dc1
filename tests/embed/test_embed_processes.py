"""asgi_rt in a FastAPI app under uvicorn: clients that leave, and a server that goes down."""

import itertools
import re
import signal
from pathlib import Path

import anyio.to_thread
import httpx2
import pytest
from server_process import RawClient, ServerProcess
from websocket.clients import CLOSE, TEXT, BareClient, Refused, with_websockets

from embed import served_fastapi as served

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent.parent
PROTOCOLS = ["websockets-sansio", "wsproto"]
_RECORD = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_ALARM = re.compile(r"^(WARNING|ERROR|CRITICAL)\b|Traceback|never retrieved|was destroyed")

_keys = (f"key-{number}" for number in itertools.count())


def serving(protocol, name="app", *options):
    app = f"embed.served_fastapi:{name}"
    return ServerProcess("-m", "uvicorn", app, "--port", "0", "--ws", protocol, *options, cwd=TESTS)


def alarms(server):
    """The records of what was logged beyond information, but for clients that were let go."""
    records = [""]
    for line in server.lines:
        if _RECORD.match(line):
            records.append(line)
        else:
            records[-1] += f"\n{line}"
    return [each for each in records if _ALARM.search(each) and "SendTimeout" not in each]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=PROTOCOLS)
def server(request):
    with serving(request.param) as server:
        yield server
        server.send_signal(signal.SIGTERM)
        assert server.exit_status() == 0
        assert alarms(server) == [], server.output


@pytest.fixture
def key():
    return next(_keys)


def websocket_url(server, path):
    return server.url.replace("http", "ws", 1) + path


async def told(server, pattern):
    return await anyio.to_thread.run_sync(server.wait_for, pattern)


# Streams


@pytest.mark.parametrize("path", ["events", "generated", "silent"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_stream_ends_when_its_client_leaves(server, key, path, how):
    client = BareClient(server.address, None)
    client.get(f"/{path}?key={key}")
    client.read_until(b"x" if path == "silent" else b"tick")
    getattr(client, how)()
    server.wait_for(f"^{key} closed")


def test_a_client_that_reads_nothing_is_let_go(server, key):
    with RawClient(server.address, receive_buffer_bytes=4096) as client:
        client.get(f"/flood?key={key}")
        server.wait_for(f"^{key} closed")


def test_a_file_is_sent_in_ranges(server):
    whole = Path(served.__file__).read_bytes()
    response = httpx2.get(f"{server.url}/file", headers={"range": "bytes=3-9"})
    assert (response.status_code, response.content) == (206, whole[3:10])
    assert httpx2.head(f"{server.url}/file").headers["content-length"] == str(len(whole))


async def test_a_room_reaches_streams_and_websockets(server, key):
    room = f"/rooms/{key}"
    async with (
        httpx2.AsyncClient(base_url=server.url, timeout=20) as client,
        client.stream("GET", room) as stream,
        with_websockets(websocket_url(server, room)) as ws,
    ):
        lines = stream.aiter_lines()
        await ws.send("talked")
        assert await ws.receive() == "talked"
        async for line in lines:
            if line == "data: talked":
                break
        await client.post(room, params={"text": "posted"})
        assert await ws.receive() == "posted"
        await lines.aclose()


# WebSockets


@pytest.mark.parametrize("path", ["reading", "sending", "waiting"])
async def test_the_end_of_a_websocket_is_seen(server, key, path):
    async with with_websockets(websocket_url(server, f"/{path}?key={key}")) as client:
        await told(server, f"^{key} begins")
        await client.close(4000, "")
    assert (await told(server, f"^{key} closed (.*)"))[1] == "4000 client"
    await told(server, f"^{key} left")


@pytest.mark.parametrize("path", ["reading", "sending", "waiting"])
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_websocket_that_is_lost_is_1006(server, key, path, how):
    client = BareClient(server.address, f"/{path}?key={key}")
    client.shake_hands()
    server.wait_for(f"^{key} begins")
    getattr(client, how)()
    assert server.wait_for(f"^{key} closed (.*)")[1] == "1006 network"


def test_a_close_frame_is_answered(server, key):
    with BareClient(server.address, f"/waiting?key={key}") as client:
        client.shake_hands()
        client.send(CLOSE)
        assert client.end() == (1005, "")


def test_an_http_error_in_the_block_is_its_code(server, key):
    with BareClient(server.address, f"/reading?key={key}") as client:
        client.shake_hands()
        client.send(TEXT, b"hello")
        assert client.end() == (1008, "no more")


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/refused", None, 402),
        ("/origins", "http://evil.example", 403),
    ],
)
async def test_a_handshake_that_is_refused_has_an_answer(server, key, path, origin, status):
    for _ in range(3):
        with pytest.raises(Refused) as refused:
            async with with_websockets(websocket_url(server, f"{path}?key={key}"), origin=origin):
                raise AssertionError
        assert refused.value.status == status


async def test_an_origin_that_is_allowed_is_let_in(server):
    url = websocket_url(server, "/origins")
    async with with_websockets(url, origin="http://elsewhere.example") as client:
        assert await client.end() == (1000, "")


# What is mounted


async def test_what_is_mounted_and_joined_is_served(server):
    assert httpx2.get(f"{server.url}/live/table").text == "of realtime"
    url = f"{server.url}/live/where"
    assert httpx2.get(url).json() == ["/live", url, url]
    async with with_websockets(websocket_url(server, "/live/echo")) as client:
        await client.send("a")
        assert await client.receive() == "a"
    assert not server.prints("was not run", within=0)


# Going down


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_goes_down_tells_everybody_and_ends_in_time(protocol, key):
    with serving(protocol) as server:
        stream, socket = (
            RawClient(server.address),
            BareClient(server.address, f"/reading?key={key}"),
        )
        silent, waiting = (
            RawClient(server.address),
            BareClient(server.address, f"/waiting?key={key}-w"),
        )
        with stream, socket, silent, waiting:
            stream.get(f"/events?key={key}-s")
            stream.read_until(b"tick")
            silent.get(f"/silent?key={key}-q")
            silent.read_until(b"x")
            socket.shake_hands()
            waiting.shake_hands()
            server.wait_for(f"^{key} begins")
            server.wait_for(f"^{key}-w begins")
            httpx2.get(f"{server.url}/work?key={key}-b")
            server.wait_for(f"^{key}-b works")
            server.send_signal(signal.SIGTERM)
            assert socket.end()[0] == waiting.end()[0] == 1012  # of uvicorn's, or of ours
            assert b": the server is going down" in stream.read_rest()
            assert server.exit_status() == 0
        ends = [each for each in server.lines if re.search(r"has worked|closes|stops", each)]
        assert ends == [f"{key}-b has worked", "realtime stops", "database closes"]
        server.wait_for(f"^{key}-s closed")
        server.wait_for(f"^{key}-q closed")


# Not joined


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_was_not_joined_is_started_late_and_cleaned_up(loop):
    with serving("auto", "unjoined", "--loop", loop) as server:
        assert httpx2.get(f"{server.url}/live/table").text == "of realtime"
        assert httpx2.get(f"{server.url}/live/table").text == "of realtime"
        server.send_signal(signal.SIGTERM)
        assert server.exit_status() == 0
        assert [each for each in server.lines if each.startswith("realtime")] == [
            "realtime starts",
            "realtime stops",
        ]
        (warning,) = alarms(server)
        assert "the app mounted at /live was not run" in warning


def test_the_root_path_of_the_server_is_part_of_the_urls():
    with serving("auto", "app", "--root-path", "/api") as server:
        root, _, url_for = httpx2.get(f"{server.url}/live/where").json()
        assert root == "/api/live"
        assert url_for == f"{server.url}/api/live/where"
        server.send_signal(signal.SIGTERM)
        assert server.exit_status() == 0
        assert not server.prints("was not run", within=0)
