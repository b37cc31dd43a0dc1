"""What messages look like after a round trip through real servers."""

import anyio
import pytest

from websocket.clients import BINARY, CONNECTS, CONTINUATION, TEXT, BareClient
from websocket.servers import COMMANDS, serving

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
PING, PONG = 0x9, 0xA


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=COMMANDS)
def server(request):
    with serving(request.param) as server:
        yield server


@pytest.fixture(params=CONNECTS)
def connect(request):
    return CONNECTS[request.param]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize(
    "message",
    ["", b"", "grüße, 世界, 🚀\x00", bytes(range(256)), "x" * MIB, b"\x00" * MIB],
    ids=["empty-text", "empty-bytes", "unicode", "bytes", "long-text", "long-bytes"],
)
async def test_a_message_comes_back_as_it_was(server, connect, message, compress):
    async with connect(f"{server.websocket_url}/echo", compress=compress) as client:
        assert client.compresses is compress
        await client.send(message)
        assert await client.receive() == message


async def test_a_route_may_allow_larger_messages(server, connect):
    async with connect(f"{server.websocket_url}/large") as client:
        await client.send("x" * 8 * MIB)
        assert await client.receive() == "x" * 8 * MIB


async def test_messages_keep_their_order_on_each_of_many_connections(server, connect):
    async def talk(number):
        async with connect(f"{server.websocket_url}/echo") as client:
            for turn in range(20):
                await client.send(f"{number} {turn}")
            assert [await client.receive() for _ in range(20)] == [
                f"{number} {turn}" for turn in range(20)
            ]

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(talk, number)


@pytest.mark.parametrize(
    ("opcode", "parts", "whole"),
    [
        (TEXT, ["grü".encode()[:3], "grü".encode()[3:], b"", b"\xc3", b"\x9fe"], "grüße".encode()),
        (BINARY, [b"a", b"", b"bc"], b"abc"),
        (TEXT, [b"", b""], b""),
    ],
    ids=["within-characters", "bytes", "empty"],
)
def test_fragments_make_one_message_and_a_ping_between_them_is_answered(
    server, opcode, parts, whole
):
    with BareClient(server.address, "/echo") as client:
        client.shake_hands()
        first, *middle, last = parts
        client.send(opcode, first, is_last=False)
        for part in middle:
            client.send(CONTINUATION, part, is_last=False)
        client.send(PING, b"are you there")
        client.send(CONTINUATION, last)
        assert client.read_frame() == (PONG, b"are you there")
        assert client.read_frame() == (opcode, whole)
