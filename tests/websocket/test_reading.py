"""What a handler receives, and who reads while it does not."""

import anyio
import pytest
from websocket.fake_server import KINDS, FakeServer, a_round, connection

from asgi_rt import WebSocketClosed

WITHIN = 3.0
"""Seconds after which a wait that ought to end has failed."""

kinds = pytest.mark.parametrize("kind", KINDS)


# Waits that end with the connection


@kinds
async def test_a_handler_that_gave_up_receiving_sees_the_end(kind):
    async def handler(ws):
        await ws.accept()
        with anyio.CancelScope() as scope:
            receiving.set()
            cancel.append(scope.cancel)
            await ws.receive()
        with anyio.fail_after(WITHIN):
            await ws.wait_closed()

    receiving, cancel = anyio.Event(), []
    async with connection(handler, kind) as server:
        await receiving.wait()
        await a_round()
        cancel[0]()
        await a_round()
        server.leave(4000)


@kinds
async def test_a_send_timeout_ends_a_wait_for_a_message(kind):
    """The client is frozen, so the server has nothing to tell."""
    seen = []

    async def receive(ws):
        with anyio.fail_after(WITHIN):
            try:
                await ws.receive()
            except WebSocketClosed as closed:
                seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(receive, ws)
            await server.receiving()
            server.freeze()
            with pytest.raises(WebSocketClosed):
                await ws.send_text("x")

    async with connection(handler, kind, send_timeout=0.02) as server:
        pass
    assert seen == [1008]


async def test_a_server_that_refuses_a_send_ends_a_wait_for_a_message():
    """A server that raises OSError from `send`, but tells `receive` nothing."""
    seen = []

    async def receive(ws):
        with anyio.fail_after(WITHIN):
            try:
                await ws.receive()
            except WebSocketClosed as closed:
                seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(receive, ws)
            await server.receiving()
            server.vanish()
            with pytest.raises(WebSocketClosed):
                await ws.send_text("x")

    async with connection(handler, FakeServer) as server:
        pass
    assert seen == [1006]


async def test_a_close_ends_a_wait_for_a_message_in_a_generator():
    """The server tells nothing of a close of the app's own."""

    async def handler(ws):
        async def messages():
            async for message in ws:
                yield message

        async def close():
            await server.receiving()
            await ws.close()

        await ws.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(close)
            with anyio.fail_after(WITHIN):
                async for _ in messages():
                    pass

    async with connection(handler, FakeServer, server={"tells": False}) as server:
        pass


async def test_the_end_of_the_handler_ends_a_wait_for_a_message_in_another_task():
    seen = []

    async def receive(ws):
        with anyio.fail_after(WITHIN):
            try:
                await ws.receive()
            except WebSocketClosed as closed:
                seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        others.start_soon(receive, ws)
        await server.receiving()

    async with (
        anyio.create_task_group() as others,
        connection(handler, FakeServer, server={"tells": False}) as server,
    ):
        pass
    assert seen == [1000]
