"""The app that the tests of WebSockets serve. What its handlers see is printed, for the test to
see: in one line that begins with the `key` of the request, where it has one.
"""

import logging
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio

from asgi_rt import App, HTTPError, Request, WebSocket, WebSocketClosed

GRACE = 1
TICK = 0.01
CHUNK = "x" * 65536

# Under uvicorn and hypercorn nothing else prints what the package and asyncio log.
logging.basicConfig(format="%(levelname)s: %(name)s: %(message)s", level=logging.INFO)


def note(text: str) -> None:
    # In one write, as the log goes into the same pipe.
    os.write(1, f"{text}\n".encode())


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    note("app started")
    yield
    note("app stopped")


app = App(lifespan=lifespan, grace=GRACE)
gates: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)


@app.get("/open/{key}")
async def open_gate(request: Request) -> None:
    """Let the handler with this key go on."""
    gates[request.path_params["key"]].set()


@contextmanager
def noting_the_end(ws: WebSocket) -> Iterator[None]:
    """Print how the connection ended, as a call of the block tells it."""
    key = ws.query["key"]
    note(f"{key} begins")
    try:
        yield
    except WebSocketClosed as closed:
        note(f"{key} closed {closed.code} {closed.by} {closed.reason!r}")
        raise
    finally:
        note(f"{key} left, {ws.closed}")


# How connections end


@app.websocket("/return")
async def returning(ws: WebSocket) -> None:
    await ws.accept()


@app.websocket("/crash")
async def crashing(ws: WebSocket) -> None:
    await ws.accept()
    raise RuntimeError("a deliberate crash, which tells a secret")


@app.websocket("/crash/in-session")
async def crashing_in_session(ws: WebSocket) -> None:
    async def crash() -> None:
        raise RuntimeError("a deliberate crash, which tells a secret")

    await ws.accept()
    async with ws.session() as session:
        session.start(crash)
        await anyio.sleep_forever()


@app.websocket("/http-error/{status:int}")
async def http_error(ws: WebSocket) -> None:
    await ws.accept()
    raise HTTPError(ws.path_params["status"], ws.query.get("detail"))


@app.websocket("/close")
async def closing(ws: WebSocket) -> None:
    await ws.accept()
    await ws.close(int(ws.query["code"]), ws.query.get("reason", ""))


@app.websocket("/text")
async def text(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws.iter_text():
        await ws.send_text(message)


@app.websocket("/json")
async def json(ws: WebSocket) -> None:
    await ws.accept()
    while True:
        await ws.send_json(await ws.receive_json())


@app.websocket("/small", max_message_bytes=1000)
@app.websocket("/rate", messages_per_second=10)
@app.websocket("/idle", idle_timeout=0.3)
@app.websocket("/large", max_message_bytes=8 * 1024 * 1024)
@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        if isinstance(message, str):
            await ws.send_text(message)
        else:
            await ws.send_bytes(message)


@app.websocket("/full", unread="close", max_unread_messages=4)
@app.websocket("/discarding", unread="discard")
async def deaf(ws: WebSocket) -> None:
    await ws.accept()
    await ws.wait_closed()


# How handshakes end


@app.websocket("/refused/{status:int}")
async def refusing(ws: WebSocket) -> None:
    raise HTTPError(ws.path_params["status"], "not today", headers={"retry-after": "7"})


@app.websocket("/denied")
async def denying(ws: WebSocket) -> None:
    await ws.deny(401, "who are you?", headers={"www-authenticate": "Bearer"})
    note("a handler goes on after deny()")


@app.websocket("/returned")
async def returning_early(ws: WebSocket) -> None:
    pass


@app.websocket("/crashed")
async def crashing_early(ws: WebSocket) -> None:
    raise RuntimeError("a deliberate crash, which tells a secret")


@app.websocket("/negotiated", subprotocols=("v2.chat", "v1.chat"))
async def negotiated(ws: WebSocket) -> None:
    await ws.accept(headers={"x-room": "7"})
    await ws.send_json({"offered": ws.offered_subprotocols, "subprotocol": ws.subprotocol})


# What handlers see


@app.websocket("/reading")
async def reading(ws: WebSocket) -> None:
    await ws.accept()
    with noting_the_end(ws):
        while True:
            await ws.receive()


@app.websocket("/waiting")
async def waiting(ws: WebSocket) -> None:
    await ws.accept()
    with noting_the_end(ws):
        raise await ws.wait_closed()


@app.websocket("/gated")
async def gated(ws: WebSocket) -> None:
    """Does not accept before its gate is opened."""
    with noting_the_end(ws):
        await gates[ws.query["key"]].wait()
        await ws.accept()
        while True:
            await ws.receive()


@app.websocket("/accepting")
async def accepting(ws: WebSocket) -> None:
    with noting_the_end(ws):
        await ws.accept()
        while True:
            await ws.send_text(await ws.receive_text())


@app.websocket("/flooding")
async def flooding(ws: WebSocket) -> None:
    await ws.accept()
    with noting_the_end(ws):
        while True:
            await ws.send_text(CHUNK)


# Handlers that never receive


async def note_the_close(ws: WebSocket) -> None:
    await ws.wait_closed()
    note(f"{ws.query['key']} closed at {time.monotonic()}")


@app.websocket("/ticking")
async def ticking(ws: WebSocket) -> None:
    await ws.accept()
    async with ws.session() as session:
        session.start(note_the_close, ws)
        while True:
            await ws.send_text("tick")
            await anyio.sleep(0.1)


@app.websocket("/event")
async def on_event(ws: WebSocket) -> None:
    """Neither sends nor receives."""
    await ws.accept()
    async with ws.session() as session:
        session.start(note_the_close, ws)
        await gates[ws.query["key"]].wait()
        await ws.close(1000, "the gate is open")


@app.websocket("/stuck")
async def stuck(ws: WebSocket) -> None:
    """Waits for what never comes, and has no session that would end it."""
    await ws.accept()
    await anyio.Event().wait()


@app.websocket("/patient", max_unread_bytes=65536, max_unread_messages=100)
async def patient(ws: WebSocket) -> None:
    """Receives nothing before its gate is opened, then everything."""
    await ws.accept()
    note(f"{ws.query['key']} begins")
    await gates[ws.query["key"]].wait()
    read = 0
    async for message in ws.iter_bytes():
        if message == b"last":
            await ws.send_text(f"{read} messages are read")
        read += 1


@app.websocket("/frozen/for-ever", send_timeout=None)
@app.websocket("/frozen", send_timeout=1)
async def frozen(ws: WebSocket) -> None:
    """Sends to a client that reads nothing."""
    await ws.accept()
    sent = 0
    sent_at = time.monotonic()
    try:
        while True:
            await ws.send_text(CHUNK)
            sent += 1
            sent_at = time.monotonic()
    except WebSocketClosed as closed:
        waited = time.monotonic() - sent_at
        note(f"{ws.query['key']} gave up after {sent} messages, {waited} s, {closed.code}")
        raise
    finally:
        note(f"{ws.query['key']} left")


# The event loop is free


@app.websocket("/tight")
async def tight(ws: WebSocket) -> None:
    await ws.accept()
    while True:
        await ws.send_text("x" * int(ws.query["size"]))


@app.get("/lag")
async def lag(request: Request) -> float:
    """How late a ticker of 10 ms was at most, in seconds; it runs for one second."""
    latest = 0.0
    due = ends = time.monotonic()
    ends += 1
    while due < ends:
        due = time.monotonic() + TICK
        await anyio.sleep(TICK)
        latest = max(latest, time.monotonic() - due)
    return latest
