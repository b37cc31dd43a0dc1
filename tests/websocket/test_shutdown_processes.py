"""Real servers go down cleanly with WebSockets open: every client hears 1012.

The bounds in seconds are the requirement; the clock starts with the signal.
"""

import itertools
import re
import signal
import time
from contextlib import AsyncExitStack, ExitStack

import anyio
import anyio.to_thread
import pytest

from websocket.clients import BareClient, with_aiohttp, with_websockets
from websocket.servers import COMMANDS, WebSocketServer

pytestmark = pytest.mark.slow

GRACE = 1
"""As in `served.py`."""
HANDLERS = ("echo", "stuck", "ticking", "event")
SOCKETS = 20
GIVEN_UP = re.compile(r"Cancel \d+ running task\(s\), timeout graceful shutdown exceeded$")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def start():
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(WebSocketServer(*arguments))


async def open_sockets(stack, server, handlers, count):
    """Open them, half with each client, and see that their handlers run."""
    clients = []
    connects = itertools.cycle([with_websockets, with_aiohttp])
    for number, handler, connect in zip(range(count), itertools.cycle(handlers), connects):
        url = f"{server.websocket_url}/{handler}?key=key-{number}"
        clients.append(await stack.enter_async_context(connect(url)))
    return clients


async def endings_of(clients):
    """How each connection ends."""
    endings = {}

    async def wait(number, client):
        endings[number] = await client.end()

    async with anyio.create_task_group() as tasks:
        for number, client in enumerate(clients):
            tasks.start_soon(wait, number, client)
    return [endings[number] for number in range(len(clients))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", [*COMMANDS, "asgi-rt"])
async def test_every_client_hears_1012_and_the_server_ends_in_time(start, kind, number):
    options = ("--grace", str(GRACE)) if kind == "asgi-rt" else ()
    server = start(kind, *options)
    await server.told("app started")
    async with AsyncExitStack() as stack:
        clients = await open_sockets(stack, server, HANDLERS, SOCKETS)
        began = time.monotonic()
        server.send_signal(number)
        endings = await endings_of(clients)
        assert await anyio.to_thread.run_sync(server.exit_status) == 0, str(server)
        assert time.monotonic() - began < GRACE + 1, str(server)
    assert [code for code, _ in endings] == [1012] * SOCKETS
    assert server.lines.count("app stopped") == 1
    assert not server.alarms(), str(server)


@pytest.mark.parametrize("kind", [*COMMANDS, "asgi-rt"])
async def test_handlers_that_end_with_their_socket_hold_nothing_up(start, kind):
    """They leave the grace to others; 20 seconds of it are asked for where they can be."""
    server = start(kind, *(("--grace", "20") if kind == "asgi-rt" else ()))
    await server.told("app started")
    async with AsyncExitStack() as stack:
        clients = await open_sockets(stack, server, ("echo", "ticking", "event"), SOCKETS)
        server.send_signal(signal.SIGTERM)
        endings = await endings_of(clients)
        assert await anyio.to_thread.run_sync(server.exit_status) == 0, str(server)
    assert [code for code, _ in endings] == [1012] * SOCKETS
    assert "the grace is over" not in server.output
    assert not server.alarms(), str(server)


def test_a_frozen_client_does_not_hold_the_drain_up(start):
    """Under the package's own runner alone: no app can end a connection that others hold open for
    what is still to be written, as uvicorn does where it was given no timeout, and hypercorn.
    """
    server = start("asgi-rt", "--grace", str(GRACE))
    path = "/frozen/for-ever?key=frozen"
    with BareClient(server.address, path, receive_buffer_bytes=4096) as client:
        client.shake_hands()
        client.read_frame()
        began = time.monotonic()
        assert server.stop() == 0, str(server)
        assert time.monotonic() - began < GRACE + 1, str(server)
    assert server.prints("^frozen left", within=0)
    # uvicorn's word about the connection, which it gives up.
    alarms = [each for each in server.alarms() if not GIVEN_UP.search(each)]
    assert not alarms, str(server)
