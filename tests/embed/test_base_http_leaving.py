"""Clients that leave, apps whose response was replaced, and requests that are cancelled."""

import asyncio

import anyio
import anyio.lowlevel
import pytest
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from embed.exchange import Exchange, turns
from embed.layers import Bodies, Parts, through

COUNTS = pytest.mark.parametrize("count", [1, 3])
ASYNCIO = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
    indirect=True,
)


# A client that leaves


@COUNTS
@pytest.mark.parametrize("reads", [True, False])
async def test_a_handler_that_receives_sees_its_client_leave(serve, count, reads):
    exchange = Exchange(method="POST", chunks=[b"a", b"b"])
    seen = []

    async def dispatch(request, call_next):
        if reads:
            await request.body()
        return await call_next(request)

    async def endpoint(request: Request):
        assert await request.body() == b"ab"
        exchange.leave()
        seen.append(await request.receive())
        seen.append(await request.receive())
        return PlainTextResponse("for nobody")

    await exchange.run(serve(endpoint, *[dispatch] * count))
    assert seen == [{"type": "http.disconnect"}] * 2
    assert exchange.messages == []


@pytest.mark.parametrize("count", [1, 3])
async def test_what_dispatch_does_after_call_next_is_not_cut_short(serve, count):
    """By a client that has left meanwhile."""
    exchange = Exchange()
    waiting, gate = anyio.Event(), anyio.Event()
    stored = []

    async def endpoint(request: Request):
        return PlainTextResponse("hello")

    async def dispatch(request, call_next):
        response = await call_next(request)
        waiting.set()
        await gate.wait()
        stored.append(response.status_code)
        return response

    app = serve(endpoint, *[dispatch] * count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, app)
        await waiting.wait()
        exchange.leave()
        await turns()
        gate.set()
    assert stored == [200] * count


# An app whose response was replaced


@pytest.mark.parametrize("count", [0, 2])
async def test_an_app_whose_response_was_replaced_is_told_that_the_client_has_left(wrap, count):
    """What it sends after is harmless, and it is waited for when the client has its response."""
    exchange = Exchange()
    gate = anyio.Event()
    happened = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"app", "more_body": True})
        while (await receive())["type"] == "http.request":
            pass
        happened.append("told")
        await gate.wait()
        await send({"type": "http.response.body", "body": b"app"})
        happened.append("app ends")

    async def dispatch(request, call_next):
        await call_next(request)
        return PlainTextResponse("instead")

    async def run():
        await exchange.run(wrap(app, [*[through] * count, dispatch, *[through] * count]))
        happened.append("layer ends")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await exchange.completed.wait()
        await turns()
        assert happened == ["told"]
        gate.set()
    assert happened == ["told", "app ends", "layer ends"]
    assert exchange.body == b"instead"


async def test_an_app_that_waits_for_its_client_is_told_as_well(wrap):
    """It waits in a task of its own, from before it sends."""
    told = anyio.Event()

    async def app(scope, receive, send):
        async def watch():
            while (await receive())["type"] == "http.request":
                pass
            told.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.lowlevel.checkpoint()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await told.wait()

    async def dispatch(request, call_next):
        await call_next(request)
        return PlainTextResponse("instead")

    exchange = await Exchange().run(wrap(app, [dispatch]))
    assert told.is_set()
    assert exchange.body == b"instead"


async def test_an_endless_stream_ends_when_its_response_is_replaced(serve):
    class Ticking(Parts):
        async def __anext__(self):
            await anyio.lowlevel.checkpoint()
            return b"tick"

    async def endpoint(request: Request):
        return StreamingResponse(Ticking([]))

    async def dispatch(request, call_next):
        await call_next(request)
        return PlainTextResponse("instead")

    exchange = await Exchange().run(serve(endpoint, through, dispatch))
    assert exchange.body == b"instead"


# A request that is cancelled


class Stages:
    """An app that waits for ever at one of its stages."""

    def __init__(self, waits_at: str) -> None:
        self.waits_at = waits_at
        self.waiting = anyio.Event()
        self.left: list[str] = []
        self.bodies = Bodies()

    async def reach(self, stage: str) -> None:
        if stage == self.waits_at:
            self.waiting.set()
            await anyio.sleep_forever()

    async def endpoint(self, request: Request):
        try:
            await self.reach("endpoint")
        finally:
            self.left.append("endpoint")
        # Starlette's class lets the app go on to where a StreamingResponse closes no generator.
        parts = Parts([]) if self.waits_at == "after" else self.parts()
        return StreamingResponse(parts, background=BackgroundTask(self.reach, "work"))

    async def parts(self):
        try:
            yield b"1"
            await self.reach("stream")
            yield b"2"
        finally:
            self.left.append("stream")

    async def dispatch(self, request, call_next):
        try:
            await self.reach("before")
            response = await self.bodies.keep(request, call_next)
            await self.reach("after")
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            self.left.append("dispatch")
        response.background = BackgroundTask(self.reach, "dispatch work")
        return response

    async def wrapping(self, request, call_next):
        response = await self.bodies.keep(request, call_next)

        async def wrapped(inner):
            async for chunk in inner:
                yield chunk
            await self.reach("wrapper")

        response.body_iterator = wrapped(response.body_iterator)
        return response


LEFT = {
    "before": ["dispatch"],
    "endpoint": ["dispatch", "endpoint"],
    "after": ["dispatch", "endpoint"],
    "stream": ["dispatch", "endpoint", "stream"],
    "wrapper": ["dispatch", "endpoint", "stream"],
    "work": ["dispatch", "endpoint", "stream"],
    "dispatch work": ["dispatch", "endpoint", "stream"],
}


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("stage", LEFT)
async def test_a_cancelled_request_leaves_nothing_open(serve, stage, count):
    stages = Stages(stage)
    around = [stages.bodies.keep] * count
    app = serve(stages.endpoint, *around, stages.dispatch, stages.wrapping, *around)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Exchange().run, app)
        await stages.waiting.wait()
        await turns()
        tasks.cancel_scope.cancel()
    assert sorted(stages.left) == LEFT[stage]
    await stages.bodies.close()


@ASYNCIO
@pytest.mark.parametrize("stage", LEFT)
async def test_a_task_that_is_cancelled_as_a_server_does_it_leaves_nothing_open(serve, stage):
    stages = Stages(stage)
    app = serve(stages.endpoint, stages.bodies.keep, stages.dispatch, stages.wrapping)
    task = asyncio.create_task(Exchange().run(app))
    await stages.waiting.wait()
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(stages.left) == LEFT[stage]
    await stages.bodies.close()


@COUNTS
async def test_a_request_whose_client_is_frozen_can_be_cancelled(serve, count):
    bodies = Bodies()

    async def endpoint(request: Request):
        return StreamingResponse(Parts([b"a", b"b"]))

    exchange = Exchange()
    exchange.freeze()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, serve(endpoint, *[bodies.keep] * count))
        await exchange.blocked.wait()
        tasks.cancel_scope.cancel()
    assert exchange.kinds == ["start"]
    await bodies.close()
