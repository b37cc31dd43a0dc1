"""`dispatch(request, call_next)` and apps that send and receive from more than one task."""

import asyncio
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from middleware.dispatching import HEAD, chunk, counting, exchange, from_child

from asgi_rt import BackgroundTask, Response, StreamingResponse
from asgi_rt.http.pull import on_asyncio
from asgi_rt.middleware.dispatch import DispatchMiddleware
from asgi_rt.testing import AsyncTestClient

apps = pytest.mark.parametrize("app", [counting, from_child])
VARIABLE: ContextVar[int] = ContextVar("variable")


async def test_what_is_sent_while_dispatch_waits_follows_the_head():
    async def app(scope, receive, send):
        async with anyio.create_task_group() as group:
            group.start_soon(send, HEAD)
            await waits.wait()
            group.start_soon(send, chunk(b"x", more=False))
            await anyio.wait_all_tasks_blocked()
            goes_on.set()

    async def dispatch(request, call_next):
        response = await call_next(request)
        waits.set()
        await goes_on.wait()
        return response

    waits, goes_on = anyio.Event(), anyio.Event()
    with anyio.fail_after(5):
        server = await exchange(dispatch, app)
    assert server.messages == [HEAD, chunk(b"x", more=False)]


@apps
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_stream_may_begin_with_the_body_when_it_is_sent(app, spec_version):
    async def dispatch(request, call_next):
        response = await call_next(request)

        async def louder():
            async for piece in response.body_iterator:
                yield piece + b"!"

        return StreamingResponse(louder())

    server = await exchange(dispatch, app, spec_version=spec_version, method="GET")
    assert (server.body, server.is_complete) == (b"0!1!2!", True)


async def test_a_body_from_a_child_is_seen_in_the_context_of_dispatch():
    async def app(scope, receive, send):
        await send(HEAD)
        async with anyio.create_task_group() as group:
            group.start_soon(send, chunk(b"x", more=False))

    async def dispatch(request, call_next):
        token = VARIABLE.set(1)
        response = await call_next(request)
        pieces = [piece async for piece in response.body_iterator]
        VARIABLE.reset(token)
        return Response(b"".join(pieces))

    assert (await exchange(dispatch, app)).body == b"x"


async def test_a_timeout_that_goes_off_after_the_head_of_a_child_is_dealt_with():
    async def app(scope, receive, send):
        async with anyio.create_task_group() as group:
            group.start_soon(send, HEAD)

    async def dispatch(request, call_next):
        try:
            async with asyncio.timeout(0.01):
                await call_next(request)
                await anyio.sleep_forever()
        except TimeoutError:
            return Response("too late", 504)

    if on_asyncio():
        server = await exchange(dispatch, app)
        assert (server.status, server.body) == (504, b"too late")


async def test_an_endless_stream_of_dispatch_ends_when_its_client_leaves(monkeypatch):
    monkeypatch.setattr("asgi_rt.middleware.outgoing._LOOK_SECONDS", 0.0)

    async def endless():
        while True:
            await anyio.lowlevel.checkpoint()
            yield b"x"

    async def dispatch(request, call_next):
        await call_next(request)
        return StreamingResponse(endless())

    server = FakeServer(method="GET")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: exchange(dispatch, server=server))
            await server.body_has(3)
            server.leave()


async def test_a_body_that_dispatch_reads_while_the_app_does_goes_to_both():
    seen = []

    async def app(scope, receive, send):
        first = await receive()
        await send(HEAD)
        rest = await receive()
        assert not rest["more_body"]
        await send(chunk(first["body"] + b"|" + rest["body"], more=False))

    async def dispatch(request, call_next):
        response = await call_next(request)
        seen.append(await request.body())
        return response

    async def body():
        yield b"ab"
        yield b"cd"

    layer = DispatchMiddleware(app, dispatch=dispatch)
    async with AsyncTestClient(layer, lifespan=False) as client:
        assert (await client.post("/", content=body())).content == b"ab|cd"
    assert seen == [b"abcd"]


async def test_what_stream_has_not_taken_is_there_for_the_app():
    async def app(scope, receive, send):
        pieces = []
        more = True
        while more:
            message = await receive()
            pieces.append(message["body"])
            more = message["more_body"]
        await send(HEAD)
        await send(chunk(b"".join(pieces), more=False))

    async def dispatch(request, call_next):
        stream = request.stream()
        assert await anext(stream) == b"ab"
        await stream.aclose()
        return await call_next(request)

    async def body():
        yield b"ab"
        yield b"cd"

    layer = DispatchMiddleware(app, dispatch=dispatch)
    async with AsyncTestClient(layer, lifespan=False) as client:
        assert (await client.post("/", content=body())).content == b"cd"


@apps
async def test_background_runs_where_the_response_is_sent_by_another_object(app):
    ran = []

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.background = BackgroundTask(lambda: ran.append(True))

        async def wrapper(scope, receive, send):
            await response(scope, receive, send)

        return wrapper

    assert (await exchange(dispatch, app)).body == b"012"
    assert ran == [True]
