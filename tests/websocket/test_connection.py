"""The handshake, what a handler can ask a connection for, and how connections end."""

import anyio
import anyio.lowlevel
import pytest
from websocket.fake_server import KINDS, connection

from asgi_rt import StreamingResponse, WebSocketClosed
from asgi_rt.drain import STATE_KEY, Drain

WITHIN = 3.0
"""Seconds after which a wait that ought to end has failed."""

kinds = pytest.mark.parametrize("kind", KINDS)


# Denials


@kinds
async def test_a_client_that_leaves_during_a_streamed_denial_ends_the_handler(kind):
    seen = []

    async def rows():
        yield b"a"
        server.leave()
        await anyio.lowlevel.checkpoint()
        yield b"b"

    async def handler(ws):
        try:
            await ws.deny(403, StreamingResponse(rows()))
        except Exception as error:
            seen.append(type(error))
            raise

    async with connection(handler, kind) as server:
        pass
    assert seen == [WebSocketClosed]


@kinds
async def test_a_streamed_denial_that_crashes_is_not_followed_by_a_close(kind):
    async def rows():
        yield b"a"
        await server.until(lambda: server.body)
        raise ValueError("deliberate")

    async def handler(ws):
        await ws.deny(403, StreamingResponse(rows()))

    async with connection(handler, kind, crashes=True) as server:
        pass
    assert isinstance(server.error, ValueError)


# The drain


@kinds
async def test_a_connection_that_is_accepted_during_a_drain_is_sent_away(kind):
    drain = Drain(grace=1)

    async def handler(ws):
        drain.begin()
        await ws.accept()
        with anyio.fail_after(WITHIN):
            await ws.wait_closed()

    async with connection(handler, kind, server={"state": {STATE_KEY: drain}}) as server:
        pass
    assert server.close is not None
    assert server.close[0] == 1012
