"""Attached WebSockets on the servers there are, with a client that people use."""

import json
from pathlib import Path

import anyio
import pytest
from feeds.crowd import get
from server_process import TIMEOUT, ServerProcess
from websocket.clients import with_websockets

HERE = Path(__file__).parent
UVICORN = ("-m", "uvicorn", "served:app", "--port", "0")
COMMANDS = {
    "sansio": (*UVICORN, "--ws", "websockets-sansio"),
    "wsproto": (*UVICORN, "--ws", "wsproto", "--loop", "asyncio"),
    # In one process: with workers, even one, it serves from a child.
    "hypercorn": ("-m", "hypercorn", "served:app", "--bind", "127.0.0.1:0", "--workers", "0"),
    "hypercorn on trio": (
        *("-m", "hypercorn", "served:app", "--bind", "127.0.0.1:0"),
        *("--workers", "0", "--worker-class", "trio"),
    ),
}
COUNT = 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"]),
]


@pytest.fixture(scope="module", params=COMMANDS.values(), ids=COMMANDS)
def server(request):
    with ServerProcess(*request.param, cwd=HERE) as server:
        assert server.url
        yield server
        assert "Traceback" not in server.output, server.output


def url(server, query):
    return f"{server.url.replace('http', 'ws', 1)}/ws?{query}"


async def test_messages_come_in_order_and_the_client_is_heard(server):
    async with (
        with_websockets(url(server, "topics=a")) as one,
        with_websockets(url(server, "topics=>")) as other,
    ):
        await one.send("hello")
        await other.send("hello")
        # Who is answered is attached.
        assert await one.receive() == await other.receive() == "echo hello"
        await get(server, "/publish", topic="a", count=COUNT, interval=0.002)
        for client in (one, other):
            numbers = [int((await client.receive()).split()[0][1:]) for _ in range(COUNT)]
            assert numbers == list(range(COUNT))
        await one.close(1000, "bye")
    with anyio.fail_after(TIMEOUT):
        while (await get(server, "/snapshot"))["subscriptions"]:
            await anyio.sleep(0.01)


async def receive_data(client, count):
    told = [json.loads(await client.receive()) for _ in range(count)]
    return [int(each["data"].split()[0][1:]) for each in told], told[-1]["cursor"]


async def test_a_client_that_comes_back_with_its_cursor_misses_nothing(server):
    query = "kept=1&envelopes=1&topics=resumed"
    async with with_websockets(url(server, query)) as client:
        first = json.loads(await client.receive())
        assert (first["type"], first["recovered"]) == ("cursor", None)
        await get(server, "/publish", kept=1, topic="resumed", count=10)
        numbers, cursor = await receive_data(client, 4)
        assert numbers == [0, 1, 2, 3]
    await get(server, "/publish", kept=1, topic="resumed", count=3)
    async with with_websockets(url(server, f"{query}&cursor={cursor}")) as client:
        first = json.loads(await client.receive())
        assert (first["type"], first["recovered"]) == ("cursor", True)
        numbers, _ = await receive_data(client, 9)
        assert numbers == [4, 5, 6, 7, 8, 9, 0, 1, 2]
        await get(server, "/publish", kept=1, topic="resumed", count=1)
        assert (await receive_data(client, 1))[0] == [0]


async def test_a_client_with_an_unknown_cursor_is_told_so(server):
    async with with_websockets(url(server, "kept=1&envelopes=1&cursor=other-1")) as client:
        assert json.loads(await client.receive())["recovered"] is False
        assert json.loads(await client.receive())["reason"] == "unknown"
