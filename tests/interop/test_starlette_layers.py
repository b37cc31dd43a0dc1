"""Starlette's sessions and its gzip, around an app of this framework."""

import gzip
import json
import zlib

import pytest

from asgi_rt.testing import AsyncTestClient
from interop.apps import CHUNK, VALUES, rt_app
from interop.layers import add_gzip, add_session


@pytest.fixture
def visited():
    """Counts visits in the session."""
    app = rt_app(lambda _: None)

    @app.get("/visits")
    async def visits(request):
        session = request.scope["session"]
        session["visits"] = session.get("visits", 0) + 1
        return session["visits"]

    @app.get("/leave")
    async def leave(request):
        request.scope["session"].clear()

    @app.websocket("/visits")
    async def live(ws):
        await ws.accept()
        await ws.send_json(ws.scope["session"])
        await ws.close()

    add_session(app)
    return app


async def test_a_session_goes_from_request_to_request_and_into_websockets(visited):
    async with AsyncTestClient(visited) as client:
        assert [(await client.get("/visits")).json() for _ in range(3)] == [1, 2, 3]
        async with client.websocket_connect("/visits") as ws:
            assert await ws.receive_json() == {"visits": 3}
        await client.get("/leave")
        assert (await client.get("/visits")).json() == 1


async def test_sessions_are_apart(visited):
    async with AsyncTestClient(visited) as ann, AsyncTestClient(visited) as bob:
        await ann.get("/visits")
        assert (await bob.get("/visits")).json() == 1
        assert (await ann.get("/visits")).json() == 2


async def test_a_session_that_was_forged_is_empty(visited):
    async with AsyncTestClient(visited, cookies={"session": "e30=.forged"}) as client:
        assert (await client.get("/visits")).json() == 1


@pytest.fixture
def zipped():
    app = rt_app(lambda _: None)
    add_gzip(app)
    return AsyncTestClient(app, headers={"accept-encoding": "gzip"})


async def test_json_is_compressed_as_a_whole(zipped):
    async with zipped, zipped.open("GET", "/json") as exchange:
        answer = await exchange.head()
        raw = b"".join([chunk async for chunk in exchange])
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(raw)
    assert json.loads(gzip.decompress(raw)) == VALUES


async def test_each_chunk_of_a_stream_can_be_read_when_it_comes(zipped):
    async with zipped, zipped.open("GET", "/endless") as exchange:
        answer = await exchange.head()
        assert answer.headers["content-encoding"] == "gzip"
        assert "content-length" not in answer.headers
        assert zlib.decompressobj(31).decompress(await exchange.read()) == CHUNK


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_stream_ends_as_a_whole_gzip_file(zipped, count):
    async with zipped, zipped.open("GET", f"/chunks/{count}") as exchange:
        answer = await exchange.head()
        raw = b"".join([chunk async for chunk in exchange])
    if "content-encoding" in answer.headers:
        raw = gzip.decompress(raw)
    assert raw == CHUNK * count


async def test_events_are_left_as_they_are(zipped):
    async with zipped, zipped.events("/events") as events:
        assert (await events.next_event()).data == "1"
        assert "content-encoding" not in events.exchange.response.headers
