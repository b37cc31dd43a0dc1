"""What a handler sends, and what becomes of it when the client does not read."""

import asyncio
import contextlib

import anyio
import pytest
from websocket.fake_server import KINDS, connection

from asgi_rt import WebSocketClosed
from asgi_rt.http.pull import on_asyncio

WITHIN = 3.0
"""Seconds after which a wait that ought to end has failed."""

kinds = pytest.mark.parametrize("kind", KINDS)


# The time a send may take


@kinds
async def test_a_send_from_a_context_manager_is_bounded(kind):
    """Nothing leads from the task to what an async generator awaits."""
    seen = []

    @contextlib.asynccontextmanager
    async def saying_farewell(ws):
        try:
            yield
        finally:
            try:
                await ws.send_text("bye")
            except WebSocketClosed as closed:
                seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        server.freeze()
        with anyio.fail_after(WITHIN):
            async with saying_farewell(ws):
                pass

    async with connection(handler, kind, send_timeout=0.02) as server:
        pass
    assert seen == [1008]


@kinds
async def test_a_send_is_bounded_in_a_task_that_has_survived_a_cancellation(kind):
    """Such a task counts as being cancelled for ever: nothing says `uncancel`."""
    seen = []

    async def handler(ws):
        await ws.accept()
        if on_asyncio():
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        server.freeze()
        try:
            await ws.send_text("x")
        except BaseException as error:
            seen.append(type(error))
            raise

    async with connection(handler, kind, send_timeout=0.02) as server:
        pass
    assert seen == [WebSocketClosed]


# A server that closes by itself


@kinds
async def test_a_send_after_a_close_of_the_server_raises_what_the_server_tells(kind):
    """uvicorn calls it an error of the app's, which cannot know yet."""
    seen = []

    async def handler(ws):
        await ws.accept()
        await ws.receive()
        server.fail(1009, "too big")
        try:
            await ws.send_text("echo")
        except Exception as error:
            seen.append(error)
            raise

    async with connection(handler, kind) as server:
        server.send_text("a")
    assert [(type(error), error.args) for error in seen] == [(WebSocketClosed, (1009, "too big"))]


@kinds
async def test_a_handler_that_returns_after_a_close_of_the_server_has_not_failed(kind):
    async def handler(ws):
        await ws.accept()
        await ws.receive()
        server.fail(1009, "too big")

    async with connection(handler, kind) as server:
        server.send_text("a")
