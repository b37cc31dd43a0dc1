"""A body that dispatch and the app want at once, and the work of a response that dispatch made."""

import anyio
import anyio.lowlevel
import pytest
from middleware.dispatching import from_child
from middleware.test_dispatch_reader import Uploading, reading, sending_while_it_reads
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse

from embed.exchange import Exchange, turns
from embed.layers import load, stack


async def serve(server, app, dispatch):
    await stack(load("asgi_rt"), app, [dispatch])(server.scope, server.receive, server.send)


async def test_a_body_that_the_app_waits_for_when_dispatch_reads_it_goes_to_both():
    server, got, seen = Uploading(), [], []

    async def dispatch(request, call_next):
        response = await call_next(request)
        seen.append(await request.body())
        return response

    async with anyio.create_task_group() as group:
        group.start_soon(serve, server, sending_while_it_reads(got), dispatch)
        for piece in (b"ab", b"cd", b"ef"):
            await anyio.wait_all_tasks_blocked()
            server.upload(piece, more=piece != b"ef")
    assert seen == [b"abcdef"]
    assert b"".join(got) == b"abcdef"
    assert server.most_waiting == 1


async def test_a_client_that_leaves_while_the_app_waits_for_its_body_is_gone_for_dispatch_too():
    server, got, seen = Uploading(), [], []

    async def dispatch(request, call_next):
        response = await call_next(request)
        try:
            await request.body()
        except ClientDisconnect:
            seen.append(await request.is_disconnected())
        return response

    async with anyio.create_task_group() as group:
        group.start_soon(serve, server, sending_while_it_reads(got), dispatch)
        await anyio.wait_all_tasks_blocked()
        server.leave()
    assert (got, seen) == ([None], [True])


async def test_a_read_that_was_cancelled_on_its_way_leaves_all_to_the_app():
    server, got = Uploading(), []
    attempt = anyio.CancelScope()

    async def app(scope, receive, send):
        await reading(receive, got)
        await sending_while_it_reads([])(scope, receive, send)

    async def dispatch(request, call_next):
        with attempt:
            await request.body()
        return await call_next(request)

    async with anyio.create_task_group() as group:
        group.start_soon(serve, server, app, dispatch)
        for piece in (b"ab", b"cd"):
            server.upload(piece)
            await anyio.wait_all_tasks_blocked()
        attempt.cancel()
        await anyio.wait_all_tasks_blocked()
        server.upload(b"ef", more=False)
        await anyio.wait_all_tasks_blocked()
        server.leave()
    assert b"".join(got) == b"abcdef"


# The work of a response that dispatch has made


async def same(chunks):
    async for piece in chunks:
        yield piece


def plain(response, work):
    return PlainTextResponse("instead", background=work)


def file(response, work):
    return FileResponse(__file__, background=work)


def stream(response, work):
    return StreamingResponse(same(response.body_iterator), background=work)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("make", [plain, file, stream])
@pytest.mark.parametrize("is_read", [False, True])
async def test_work_of_another_response_is_done_though_the_app_sees_it_end(
    make, is_read, spec_version
):
    """An app that sends from a task of its own cancels that one, when the response is over."""
    done = []

    async def dispatch(request, call_next):
        response = await call_next(request)
        if is_read and make is not stream:
            assert b"".join([piece async for piece in response.body_iterator]) == b"012"
        return make(response, BackgroundTask(work))

    async def work():
        await turns()
        done.append(True)

    exchange = Exchange(spec_version=spec_version)
    await exchange.run(stack(load("asgi_rt"), from_child, [dispatch]))
    assert (exchange.is_complete, done) == (True, [True])


async def test_work_of_another_response_is_not_done_where_the_client_left_before_its_end():
    done = []

    async def endless():
        exchange.leave()
        while True:
            yield b"tick"
            await anyio.lowlevel.checkpoint()

    async def dispatch(request, call_next):
        await call_next(request)
        return StreamingResponse(endless(), background=BackgroundTask(done.append, True))

    exchange = Exchange()
    await exchange.run(stack(load("asgi_rt"), from_child, [dispatch]))
    assert done == []
