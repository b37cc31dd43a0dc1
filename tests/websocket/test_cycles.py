"""Connections that come and go, thousands of them, leave nothing behind."""

import asyncio
import gc
import sys

import anyio
import anyio.lowlevel
import pytest

from asgi_rt import App, HTTPError
from asgi_rt.http.pull import on_asyncio
from websocket.fake_server import KINDS, QUICK_BACKENDS, FakeServer, SteppedRounds

pytestmark = pytest.mark.slow

CYCLES = 10_000
CYCLES_ON_TRIO = 2_000
WARM_UP = 500
SLACK = 50
"""How many more objects there may be after all the cycles."""

kinds = pytest.mark.parametrize("kind", KINDS)
# Without the debug mode, which keeps where each object was made.
backends = pytest.mark.parametrize("anyio_backend", QUICK_BACKENDS)

app = App()


@app.websocket("/returns")
async def returns(ws):
    await ws.accept()
    await ws.send_text(await ws.receive_text())


@app.websocket("/echoes")
async def echoes(ws):
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


@app.websocket("/closes", idle_timeout=60, messages_per_second=100)
async def closes(ws):
    await ws.accept()
    await ws.receive()
    await ws.close(4000, "bye")
    await ws.wait_closed()


@app.websocket("/ticks")
async def ticks(ws):
    await ws.accept()
    async with ws.session() as session:
        session.start(ws.wait_closed)
        async for text in ws:
            session.start(ws.send_text, text)


@app.websocket("/gives-up")
async def gives_up(ws):
    await ws.accept()
    with anyio.move_on_after(0):
        await ws.receive()
    await ws.wait_closed()


@app.websocket("/denies")
async def denies(ws):
    raise HTTPError(403, "no")


PATHS = ["/returns", "/echoes", "/closes", "/ticks", "/gives-up", "/denies", "/nowhere"]


async def cycle(kind: type[FakeServer], number: int, rounds: SteppedRounds) -> None:
    """One connection, from the request to the end."""
    server = kind(path=PATHS[number % len(PATHS)])
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, app)
        await server.accepted()
        rounds.step()
        server.send_text("a")
        await anyio.lowlevel.checkpoint()
        rounds.step()
        if number % 3:
            server.leave(3000, "bye")
        else:
            server.lose()
        while not server.is_done:
            await anyio.lowlevel.checkpoint()
            rounds.step()
    assert server.error is None
    assert server.faults == []


def counts() -> dict[str, int]:
    """How much there is now."""
    gc.collect()
    return {
        "objects": len(gc.get_objects()),
        "blocks of memory": sys.getallocatedblocks(),
        "tasks": len(asyncio.all_tasks()) if on_asyncio() else 0,
    }


@pytest.mark.timeout(120)
@backends
@kinds
async def test_connections_that_come_and_go_leave_nothing(kind, monkeypatch):
    rounds = SteppedRounds()
    monkeypatch.setattr("asgi_rt.websocket.beside.rounds_of_this_loop", lambda: rounds)
    for number in range(WARM_UP):
        await cycle(kind, number, rounds)
    before = counts()
    cycles = CYCLES if on_asyncio() else CYCLES_ON_TRIO
    for number in range(cycles):
        await cycle(kind, number, rounds)
    more = {name: count - before[name] for name, count in counts().items()}
    assert more["tasks"] == 0
    assert more["objects"] <= SLACK
    # Of what the collector does not know: strings and numbers; the interpreter's own come and go.
    assert more["blocks of memory"] <= cycles // 4
