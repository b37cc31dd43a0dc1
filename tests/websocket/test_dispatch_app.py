"""A dispatcher behind a route of an app, met by the test clients."""

from dataclasses import dataclass

import anyio
import pytest

from asgi_rt import App, HTTPError
from asgi_rt.testing import AsyncTestClient, TestClient
from asgi_rt.testing.errors import ConnectionClosed
from asgi_rt.websocket.dispatch import Dispatcher

chat = Dispatcher(max_errors=3)
jobs = Dispatcher()


@dataclass
class Join:
    room: str


@chat.on("join", Join)
async def join(ws, message):
    if message.room == "secret":
        raise HTTPError(403, "members only")
    return {"type": "joined", "room": message.room}


@chat.on("greet")
def greet(ws, message):
    return {"type": "greeting"}


@chat.on("kick")
async def kick(ws, message):
    await ws.close(4001, "kicked")


@chat.on("crash")
async def crash(ws, message):
    raise RuntimeError("deliberate")


@jobs.on("work")
async def begin_work(ws, message):
    ws.state["session"].start(work, ws, message)
    return {"type": "begun"}


@jobs.on("go on")
async def go_on(ws, message):
    ws.state["gate"].set()


async def work(ws, message):
    await ws.state["gate"].wait()
    await ws.send_json({"type": "done", "id": message["id"]})


def make_app(endings):
    app = App()

    @app.websocket("/chat")
    async def talk(ws):
        await ws.accept()
        await chat.serve(ws)
        endings.append(ws.closed.code)

    @app.websocket("/jobs")
    async def do_jobs(ws):
        await ws.accept()
        ws.state["gate"] = anyio.Event()
        async with ws.session() as session:
            ws.state["session"] = session
            await jobs.serve(ws)
        endings.append(ws.closed.code)

    return app


@pytest.fixture
def endings():
    return []


@pytest.fixture
async def client(endings):
    async with AsyncTestClient(make_app(endings), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
async def test_a_message_is_answered(client, endings, binary):
    async with client.websocket_connect("/chat") as ws:
        await ws.send_json({"type": "join", "room": "a", "id": 1}, binary=binary)
        assert await ws.receive_json() == {"type": "joined", "room": "a", "id": 1}
        await ws.send_json({"type": "greet"}, binary=binary)
        assert await ws.receive_text() == '{"type":"greeting"}'
    assert endings == [1000]


async def test_errors_are_answered_and_the_socket_lives_on(client):
    async with client.websocket_connect("/chat") as ws:
        for wrong, code in [
            (b"\xff", "malformed"),
            ('{"type": "shout"}', "unknown_type"),
            ('{"type": "join", "room": "secret"}', 403),
            ('{"type": "join"}', "invalid"),
            ("[]", "malformed"),
        ]:
            await ws.send(wrong)
            assert (await ws.receive_json())["code"] == code
        await ws.send_json({"type": "join", "room": "a"})
        assert await ws.receive_json() == {"type": "joined", "room": "a"}


async def test_too_many_wrong_messages_close_with_1008(client, endings):
    async with client.websocket_connect("/chat") as ws:
        for _ in range(3):
            await ws.send("no JSON")
            assert (await ws.receive_json())["code"] == "malformed"
        closed = await ws.wait_closed()
    assert (closed.code, closed.by) == (1008, "server")
    assert closed.reason == "3 messages in a row that could not be handled"
    assert endings == [1008]


async def test_a_handler_that_closes_the_socket_ends_it_with_its_code(client, endings):
    async with client.websocket_connect("/chat") as ws:
        await ws.send_json({"type": "kick"})
        await ws.send_json({"type": "greet"})
        closed = await ws.wait_closed()
    assert (closed.code, closed.reason, endings) == (4001, "kicked", [4001])


async def test_a_handler_that_crashes_ends_the_socket_with_1011(client, endings):
    async with client.websocket_connect("/chat") as ws:
        await ws.send_json({"type": "crash"})
        closed = await ws.wait_closed()
    assert (closed.code, closed.by) == (1011, "server")
    assert "deliberate" not in closed.reason
    assert endings == []


async def test_a_client_that_vanishes_ends_it_quietly(client, endings):
    async with client.websocket_connect("/chat") as ws:
        await ws.send_json({"type": "greet"})
        await ws.receive_json()
        ws.disconnect()
        await ws.wait_done()
    assert endings == [1006]


async def test_work_in_a_session_goes_on_beside_the_messages(client, endings):
    async with client.websocket_connect("/jobs") as ws:
        for number in (1, 2):
            await ws.send_json({"type": "work", "id": number})
            assert await ws.receive_json() == {"type": "begun", "id": number}
        await ws.send_json({"type": "go on"})
        done = [await ws.receive_json(), await ws.receive_json()]
        assert sorted(reply["id"] for reply in done) == [1, 2]
        await ws.send_json({"type": "shout"})
        assert (await ws.receive_json())["code"] == "unknown_type"
    assert endings == [1000]


async def test_work_in_a_session_ends_with_the_socket(client, endings):
    async with client.websocket_connect("/jobs") as ws:
        await ws.send_json({"type": "work", "id": 1})
        assert await ws.receive_json() == {"type": "begun", "id": 1}
        await ws.close(4000)
        await ws.wait_done()
    assert endings == [4000]


def test_the_sync_client_is_answered_too(endings):
    with TestClient(make_app(endings)) as client, client.websocket_connect("/chat") as ws:
        ws.send_json({"type": "join", "room": "a"})
        assert ws.receive_json() == {"type": "joined", "room": "a"}
        ws.send_json({"type": "kick"})
        with pytest.raises(ConnectionClosed) as raised:
            ws.receive()
    assert (raised.value.code, endings) == (4001, [4001])
