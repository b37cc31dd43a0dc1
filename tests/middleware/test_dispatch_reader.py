"""`dispatch(request, call_next)`: a body that both sides want at once, and what is malformed."""

import asyncio
from collections import deque

import anyio
import pytest
from fakes import FakeServer
from middleware.dispatching import HEAD, chunk, exchange

from asgi_rt.errors import ClientDisconnected, DispatchError


class Uploading(FakeServer):
    """A client that sends its body bit by bit. A disconnect is told once, as by some servers."""

    def __init__(self):
        super().__init__(method="POST")
        self._arrived = deque()
        self._woken = anyio.Event()
        self.waiting = self.most_waiting = 0

    def upload(self, body, *, more=True):
        self._put({"type": "http.request", "body": body, "more_body": more})

    def leave(self):
        self._put({"type": "http.disconnect"})

    def _put(self, message):
        self._arrived.append(message)
        self._woken.set()

    async def receive(self):
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            while not self._arrived:
                self._woken = anyio.Event()
                await self._woken.wait()
        finally:
            self.waiting -= 1
        return self._arrived.popleft()


async def reading(receive, got):
    """Keep what is received, to the end of the body or the disconnect."""
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        got.append(message.get("body"))


def sending_while_it_reads(got):
    """An app that waits for the body in a task of its own when its head goes out."""

    async def app(scope, receive, send):
        async with anyio.create_task_group() as group:
            group.start_soon(reading, receive, got)
            await anyio.wait_all_tasks_blocked()
            await send(HEAD)
            await send(chunk(b"x", more=False))

    return app


async def test_a_body_that_the_app_waits_for_when_dispatch_reads_it_goes_to_both():
    server, got, seen = Uploading(), [], []

    async def dispatch(request, call_next):
        response = await call_next(request)
        seen.append(await request.body())
        return response

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: exchange(dispatch, sending_while_it_reads(got), server=server))
        for piece in (b"ab", b"cd", b"ef"):
            await anyio.wait_all_tasks_blocked()
            server.upload(piece, more=piece != b"ef")
    assert seen == [b"abcdef"]
    assert b"".join(got) == b"abcdef"
    assert server.most_waiting == 1


async def test_a_client_that_leaves_while_the_app_waits_for_its_body_is_gone_for_dispatch_too():
    server, got = Uploading(), []

    async def dispatch(request, call_next):
        response = await call_next(request)
        with pytest.raises(ClientDisconnected):
            await request.body()
        assert await request.is_disconnected()
        return response

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: exchange(dispatch, sending_while_it_reads(got), server=server))
        await anyio.wait_all_tasks_blocked()
        server.leave()
    assert got == [None]


async def test_more_than_is_kept_that_the_app_was_waiting_for_says_what_to_do():
    server, got = Uploading(), []

    async def dispatch(request, call_next):
        response = await call_next(request)
        with pytest.raises(DispatchError, match="read it before call_next"):
            await request.body()
        return response

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: exchange(dispatch, sending_while_it_reads(got), server=server))
        await anyio.wait_all_tasks_blocked()
        server.upload(bytes(65 * 1024), more=False)
    assert got == [bytes(65 * 1024)]


async def test_a_read_that_is_cancelled_while_the_app_waits_for_it_leaves_all_to_the_app():
    server, got = Uploading(), []
    attempt = anyio.CancelScope()

    async def dispatch(request, call_next):
        response = await call_next(request)
        with attempt:
            await request.body()
        return response

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: exchange(dispatch, sending_while_it_reads(got), server=server))
        for piece in (b"ab", b"cd"):
            await anyio.wait_all_tasks_blocked()
            server.upload(piece)
        await anyio.wait_all_tasks_blocked()
        attempt.cancel()
        await anyio.wait_all_tasks_blocked()
        server.upload(b"ef", more=False)
    assert b"".join(got) == b"abcdef"


async def test_looking_for_the_client_takes_nothing_that_the_app_waits_for():
    server, got = Uploading(), []

    async def dispatch(request, call_next):
        response = await call_next(request)
        assert not await request.is_disconnected()
        return response

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: exchange(dispatch, sending_while_it_reads(got), server=server))
        await server.sent(1)
        server.upload(b"ab", more=False)
    assert (got, server.most_waiting) == ([b"ab"], 1)


# What is malformed


@pytest.mark.parametrize("flaw", [{}, {"status": 200, "headers": 5}])
async def test_a_head_that_is_none_is_an_error_of_the_app(flaw):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", **flaw})

    async def dispatch(request, call_next):
        return await call_next(request)

    with pytest.raises((KeyError, TypeError)):
        await exchange(dispatch, app)


async def test_a_call_next_that_is_not_awaited_says_what_to_return():
    async def dispatch(request, call_next):
        return call_next(request)

    with pytest.raises(DispatchError, match="return what call_next gave"):
        await exchange(dispatch)


# A cancellation that nobody asked for


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_body_that_awaits_what_was_cancelled_is_not_cut_off_in_silence():
    async def broken(chunks):
        async for piece in chunks:
            yield piece
            task = asyncio.create_task(anyio.sleep_forever())
            task.cancel()
            await task

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = broken(response.body_iterator)
        return response

    with pytest.raises(asyncio.CancelledError):
        await exchange(dispatch)
