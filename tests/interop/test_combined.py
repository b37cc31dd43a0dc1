"""An app of FastAPI under several of this project's layers at once."""

import gzip
import zlib

import anyio
import pytest
from fastapi import Depends, Request, WebSocket
from starlette.responses import StreamingResponse

from asgi_rt.middleware.request_id import request_id
from asgi_rt.testing import AsyncTestClient
from interop.apps import CHUNK, fastapi_app
from interop.layers import ORIGIN, add_all_of_ours

MINE = "abc-123"
ASKING = {"origin": ORIGIN, "x-request-id": MINE, "accept-encoding": "gzip"}


@pytest.fixture
def log():
    return []


@pytest.fixture
def gate():
    return anyio.Event()


@pytest.fixture
def app(log, gate):
    app = fastapi_app(log.append)

    async def resource():
        log.append("open")
        yield request_id.get()
        log.append("closed")

    @app.post("/id")
    async def read_id(request: Request, given: str = Depends(resource)):
        body = await request.json()
        return {"given": given, "state": request.state.request_id, "body": body}

    @app.get("/slow")
    async def slow():
        async def source():
            await gate.wait()
            yield CHUNK

        return StreamingResponse(source(), media_type="text/plain")

    @app.websocket("/id")
    async def live_id(ws: WebSocket):
        await ws.accept()
        await ws.send_text(request_id.get())
        await ws.close()

    add_all_of_ours(app)
    return app


@pytest.fixture
def client(app):
    return AsyncTestClient(app)


async def test_each_layer_has_its_part_in_an_answer(client):
    async with client, client.open("GET", "/json", headers=ASKING) as exchange:
        headers = (await exchange.head()).headers
        raw = b"".join([chunk async for chunk in exchange])
    assert headers["x-request-id"] == MINE
    assert headers["server-timing"].startswith("app;dur=")
    assert headers["x-dispatched"] == "/json"
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-expose-headers"] == "Server-Timing"
    assert {"origin", "accept-encoding"} <= set(headers["vary"].lower().replace(" ", "").split(","))
    assert (headers["content-encoding"], headers["content-length"]) == ("gzip", str(len(raw)))
    assert gzip.decompress(raw).startswith(b'{"values":[0,1,')


async def test_another_origin_is_told_of_none(client):
    async with client:
        answer = await client.get("/json", headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_is_answered_before_the_app(client, log):
    asking = {**ASKING, "access-control-request-method": "GET"}
    async with client:
        answer = await client.options("/id", headers=asking)
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["x-request-id"] == MINE
    assert "x-dispatched" not in answer.headers
    assert log == []


async def test_handlers_and_dependencies_have_the_id_and_the_body(client, log):
    async with client:
        answer = await client.post("/id", headers=ASKING, json=["body"])
    assert answer.json() == {"given": MINE, "state": MINE, "body": ["body"]}
    assert log == ["open", "closed"]


async def test_the_head_of_a_stream_does_not_wait_for_its_source(client, gate):
    async with client, client.open("GET", "/slow", headers=ASKING) as exchange:
        assert (await exchange.head()).headers["content-encoding"] == "gzip"
        gate.set()
        assert zlib.decompressobj(31).decompress(await exchange.read()) == CHUNK


async def test_each_event_can_be_read_when_it_comes_though_compressed(client, log):
    async with client, client.open("GET", "/events", headers=ASKING) as exchange:
        assert (await exchange.head()).headers["content-encoding"] == "gzip"
        decoder = zlib.decompressobj(31)
        text = b""
        while text.count(b"\n\n") < 2:
            text += decoder.decompress(await exchange.read())
        assert text == b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n"
    assert log == ["events closed"]


async def test_a_websocket_has_the_id_of_its_handshake(client):
    async with client, client.websocket_connect("/id", headers={"x-request-id": MINE}) as ws:
        assert ws.headers["x-request-id"] == MINE
        assert await ws.receive_text() == MINE


async def test_a_crash_is_raised_once_and_tells_the_id(client):
    async with client:
        with pytest.raises(RuntimeError, match="deliberate") as caught:
            await client.get("/crash", headers=ASKING)
    assert caught.value.__notes__ == [f"request id: {MINE}"]


async def test_an_error_of_validation_is_fastapis_own(client):
    async with client:
        answer = await client.get("/chunks/many", headers=ASKING)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["path", "count"]
    assert answer.headers["x-request-id"] == MINE
