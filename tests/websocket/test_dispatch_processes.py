"""Typed messages over real sockets of a real server."""

import json
from pathlib import Path

import pytest
from server_process import ServerProcess

from websocket.clients import with_websockets

pytestmark = pytest.mark.slow

COMMAND = ("-m", "uvicorn", "served_dispatch:app", "--port", "0", "--ws", "websockets-sansio")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def url():
    with ServerProcess(*COMMAND, cwd=Path(__file__).parent) as server:
        yield f"{server.url.replace('http', 'ws', 1)}/chat"
        assert "ERROR" not in server.output, server.output
        assert "Traceback" not in server.output, server.output


async def test_messages_are_answered_in_their_order(url):
    async with with_websockets(url) as client:
        for number in range(100):
            kind = "whisper" if number % 10 == 0 else "say"
            message = json.dumps({"type": kind, "text": f"T{number}", "id": number})
            await client.send(message.encode() if number % 2 else message)
        replies = [json.loads(await client.receive()) for _ in range(100)]
    assert [reply["id"] for reply in replies] == list(range(100))
    assert [reply["text"].upper() for reply in replies] == [f"T{n}" for n in range(100)]


async def test_wrong_messages_are_answered_until_they_are_too_many(url):
    async with with_websockets(url) as client:
        await client.send(json.dumps({"type": "say", "text": 1, "id": "a"}))
        assert json.loads(await client.receive()) == {
            "type": "error",
            "code": "invalid",
            "detail": 'the message "say" is not valid at text: must be a string',
            "errors": [{"loc": ["text"], "msg": "must be a string", "type": "wrong_type"}],
            "id": "a",
        }
        for _ in range(9):
            await client.send(b"\xff" * 100_000)
        assert await client.end() == (1008, "10 messages in a row that could not be handled")


async def test_a_client_that_leaves_is_an_ordinary_end(url):
    async with with_websockets(url) as client:
        await client.send(json.dumps({"type": "say", "text": "a"}))
        assert json.loads(await client.receive()) == {"type": "said", "text": "a"}
        await client.close(4000, "bye")
