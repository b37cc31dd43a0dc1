"""What every app does whatever it stands under: ours under others' layers, others under ours."""

import logging
from contextlib import aclosing

import pytest

from asgi_rt.testing import AsyncTestClient, Exchange, WebSocketDenied
from interop.apps import CHUNK, VALUES
from interop.layers import STACKS, make


@pytest.fixture
def notes():
    return []


@pytest.fixture(params=STACKS, ids=" under ".join)
def stack(request):
    return request.param


@pytest.fixture
def app(stack, notes):
    return make(*stack, notes.append)


# By version 2.3 of the specification a send to a client that has left does nothing, by 2.4 it
# raises, and then Starlette's own responses do not look for a client that leaves.
SPECS = [
    pytest.param(stack, spec, id=f"{' under '.join(stack)}-{spec}")
    for stack in STACKS
    for spec in ("2.3", "2.4")
    if stack[0] == "asgi_rt" or spec == "2.3"
]
# Of Starlette's response nobody closes a source that does not wait itself.
OUR_SPECS = [each for each in SPECS if each.values[0][0] == "asgi_rt"]


@pytest.fixture(autouse=True)
def _nothing_logged(caplog):
    yield
    loud = [each for each in caplog.get_records("call") if each.levelno >= logging.ERROR]
    assert loud == []


async def test_json_comes_whole(app):
    async with AsyncTestClient(app) as client:
        answer = await client.get("/json")
    assert (answer.status_code, answer.json()) == (200, VALUES)


async def test_a_refusal_keeps_its_status(app):
    async with AsyncTestClient(app) as client:
        assert (await client.get("/refused")).status_code == 403


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_stream_comes_whole(app, count):
    async with AsyncTestClient(app) as client:
        answer = await client.get(f"/chunks/{count}")
    assert answer.content == CHUNK * count


@pytest.mark.parametrize(("stack", "spec_version"), SPECS, indirect=["stack"])
async def test_a_stream_is_seen_as_it_comes_and_closed_when_the_client_leaves(
    app, notes, spec_version
):
    async with AsyncTestClient(app, spec_version=spec_version) as client:
        async with (
            client.stream("GET", "/endless") as response,
            aclosing(response.aiter_bytes()) as parts,
        ):
            assert await anext(parts) == CHUNK
            assert notes == []
        await Exchange.of(response).wait_done()
    assert notes == ["stream closed"]


@pytest.mark.parametrize(("stack", "spec_version"), OUR_SPECS, indirect=["stack"])
async def test_a_flood_is_held_up_and_closed_when_the_client_leaves(app, notes, spec_version):
    async with AsyncTestClient(app, spec_version=spec_version, pipe_bytes=1000) as client:
        async with client.open("GET", "/flood", headers={"accept-encoding": "identity"}) as flood:
            await flood.wait_blocked()
            assert notes == []
        await flood.wait_done()
    assert notes == ["flood closed"]


async def test_events_come_one_by_one_and_are_closed_when_the_client_leaves(app, notes):
    async with AsyncTestClient(app) as client:
        async with client.events("/events") as events:
            for number in ("1", "2"):
                event = await events.next_event()
                assert (event.data, event.id) == (number, number)
            exchange = events.exchange
        await exchange.wait_done()
    assert notes == ["events closed"]


async def test_a_websocket_echoes_and_sees_the_code_of_its_client(app, notes):
    async with AsyncTestClient(app) as client, client.websocket_connect("/echo") as ws:
        for text in ("one", "zwölf"):
            await ws.send_text(text)
            assert await ws.receive_text() == text
        await ws.close(4001)
        await ws.wait_done()
    assert notes == ["websocket closed 4001"]


async def test_the_code_of_the_app_reaches_the_client(app):
    async with AsyncTestClient(app) as client, client.websocket_connect("/close/4002") as ws:
        closed = await ws.wait_closed()
    assert (closed.code, closed.reason) == (4002, "bye")


async def test_a_denied_handshake_keeps_its_status(app):
    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied) as caught:
            async with client.websocket_connect("/refused"):
                pass
    assert caught.value.response.status_code == 403


async def test_a_crash_is_a_500_and_raised_once(app):
    async with AsyncTestClient(app) as client:
        with pytest.raises(RuntimeError, match="deliberate"):
            await client.get("/crash")
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        answer = await client.get("/crash")
    assert answer.status_code == 500
    assert "deliberate" not in answer.text


async def test_a_crash_in_a_stream_comes_after_what_was_sent(app):
    async with AsyncTestClient(app) as client:
        with pytest.raises(RuntimeError, match="deliberate"):
            async with client.open("GET", "/broken") as exchange:
                await exchange.wait_done()
    assert exchange.status == 200
    assert exchange.bytes_sent
    assert not exchange.is_complete


async def test_a_crash_of_a_websocket_is_raised_once(app):
    async with AsyncTestClient(app) as client:
        with pytest.raises(RuntimeError, match="deliberate"):
            async with client.websocket_connect("/crash") as ws:
                await ws.receive()
