"""What cannot be done where app and dispatch share a task: refused, with what to do instead."""

import asyncio
import contextlib
import sys

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from embed.exchange import Exchange, ask, turns
from embed.layers import Bodies, Boom, Parts, differing, through

ASYNCIO = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
    indirect=True,
)
STREAMS = pytest.mark.parametrize("streams", [True, False])


def answering(streams):
    async def endpoint(request: Request):
        return StreamingResponse(Parts([b"he", b"llo"])) if streams else PlainTextResponse("hello")

    return endpoint


async def refused(app, *said):
    """The app answers 500, and what is raised says what to do."""
    exchange = Exchange()
    with pytest.raises(RuntimeError) as raised:
        await exchange.run(app)
    assert exchange.status == 500
    for each in said:
        assert each in str(raised.value)


async def answered(app):
    assert (await ask(app)).body == b"hello"


# A second call


@STREAMS
@differing(starlette=None, asgi_rt="call_next was called a second time")
async def test_the_app_is_called_once(serve, expected, streams):
    bodies = Bodies()

    async def dispatch(request, call_next):
        await bodies.keep(request, call_next)
        return await bodies.keep(request, call_next)

    exchange = Exchange()
    with pytest.raises((AssertionError, RuntimeError), match=expected):
        await exchange.run(serve(answering(streams), through, dispatch))
    assert exchange.status == 500
    await bodies.close()


@differing(starlette=Boom, asgi_rt=RuntimeError)
async def test_the_app_is_not_called_again_after_an_error(serve, expected):
    tries = []

    async def endpoint(request: Request):
        tries.append(1)
        if len(tries) == 1:
            raise Boom
        return PlainTextResponse("hello")

    async def dispatch(request, call_next):
        try:
            return await call_next(request)
        except Boom:
            return await call_next(request)

    exchange = Exchange()
    with pytest.raises(expected):
        await exchange.run(serve(endpoint, dispatch))
    assert exchange.status == 500


# Cancel scopes


async def in_a_scope(request, call_next):
    with anyio.CancelScope():
        return await call_next(request)


async def in_a_timeout(request, call_next):
    with anyio.fail_after(5):
        return await call_next(request)


async def in_a_timeout_that_says_nothing(request, call_next):
    with anyio.move_on_after(5):
        response = await call_next(request)
    return response


async def in_a_task_group(request, call_next):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 0)
        return await call_next(request)


SCOPES = [in_a_scope, in_a_timeout, in_a_timeout_that_says_nothing, in_a_task_group]


@STREAMS
@pytest.mark.parametrize("dispatch", SCOPES)
@pytest.mark.parametrize("count", [0, 2])
@differing(starlette=True, asgi_rt=False)
async def test_no_cancel_scope_is_held_across_call_next(serve, expected, dispatch, streams, count):
    app = serve(answering(streams), *[through] * count, dispatch, *[through] * count)
    if expected:
        await answered(app)
    elif dispatch is in_a_task_group:
        with pytest.raises((RuntimeError, ExceptionGroup)) as raised:
            await ask(app)
        found = raised.value
        while isinstance(found, ExceptionGroup):
            (found,) = found.exceptions
        assert "cancel scope" in str(found)
    else:
        await refused(app, "cancel scope", "Leave it before call_next", "asyncio.timeout()")


async def test_a_cancel_scope_around_or_before_or_after_is_none_that_is_held(serve):
    async def dispatch(request, call_next):
        with anyio.move_on_after(5):
            await anyio.lowlevel.checkpoint()
        response = await call_next(request)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 0)
        return response

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answered, serve(answering(True), through, dispatch, dispatch))
            await answered(serve(answering(False), dispatch))


@ASYNCIO
@STREAMS
async def test_the_timeout_of_asyncio_may_be_held(serve, streams):
    async def dispatch(request, call_next):
        async with asyncio.timeout(5):
            return await call_next(request)

    await answered(serve(answering(streams), dispatch, through, dispatch))


@ASYNCIO
@differing(starlette=False, asgi_rt=True)
async def test_the_timeout_of_asyncio_ends_an_app_that_takes_too_long(serve, expected):
    """In Starlette's class the client is answered, and the app runs on for ever."""
    exchange = Exchange()
    ended = []

    async def endpoint(request: Request):
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def dispatch(request, call_next):
        try:
            async with asyncio.timeout(0.01):
                return await call_next(request)
        except TimeoutError:
            return PlainTextResponse("too long", status_code=504)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, serve(endpoint, dispatch))
        await exchange.completed.wait()
        await turns()
        assert bool(ended) is expected
        tasks.cancel_scope.cancel()
    assert (exchange.status, exchange.body) == (504, b"too long")


@ASYNCIO
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@differing(starlette=504, asgi_rt=500)
async def test_the_timeout_of_asyncio_around_the_body_of_a_stream(serve, expected, spec_version):
    """Up to spec 2.3 it cancels the task of the stream, which tells nobody: an error then."""
    bodies = Bodies()
    exchange = Exchange(spec_version=spec_version)

    class Stalling(Parts):
        async def __anext__(self):
            await anyio.sleep_forever()

    async def endpoint(request: Request):
        return StreamingResponse(Stalling([]))

    async def dispatch(request, call_next):
        response = await bodies.keep(request, call_next)
        try:
            async with asyncio.timeout(0.01):
                return PlainTextResponse(b"".join([part async for part in response.body_iterator]))
        except TimeoutError:
            return PlainTextResponse("too long", status_code=504)

    async def run():
        with contextlib.suppress(RuntimeError):
            await exchange.run(serve(endpoint, dispatch))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await exchange.completed.wait()
            tasks.cancel_scope.cancel()
    assert exchange.status == (504 if spec_version == "2.4" else expected)
    await bodies.close()


# Other tasks


async def by_create_task(request, call_next):
    return await asyncio.create_task(call_next(request))


async def by_gather(request, call_next):
    (response,) = await asyncio.gather(call_next(request))
    return response


async def by_shield(request, call_next):
    return await asyncio.shield(call_next(request))


async def by_wait_for(request, call_next):
    return await asyncio.wait_for(call_next(request), 5)


@ASYNCIO
@pytest.mark.parametrize("dispatch", [by_create_task, by_gather, by_shield, by_wait_for])
@differing(starlette=True, asgi_rt=False)
async def test_call_next_is_awaited_in_no_other_task(serve, expected, dispatch):
    app = serve(answering(False), through, dispatch)
    is_new = sys.version_info >= (3, 12)
    if expected or (is_new and dispatch is by_wait_for):  # which makes no task there
        await answered(app)
    elif is_new and dispatch is by_create_task:  # which takes nothing but an `async def` there
        with pytest.raises(TypeError, match="a coroutine was expected"):
            await Exchange().run(app)
    else:
        await refused(app, "call_next was awaited in another task", "asyncio.timeout()")


@differing(starlette=True, asgi_rt=False)
async def test_call_next_is_awaited_in_no_task_of_a_group(serve, expected):
    async def dispatch(request, call_next):
        answers = []

        async def call():
            try:
                answers.append(await call_next(request))
            except RuntimeError as error:
                answers.append(PlainTextResponse(str(error), status_code=500))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
        return answers[0]

    exchange = await ask(serve(answering(False), dispatch))
    if expected:
        assert exchange.body == b"hello"
    else:
        assert b"call_next was awaited in another task" in exchange.body


@differing(starlette=True, asgi_rt=False)
async def test_the_body_is_read_in_no_other_task(serve, expected):
    async def dispatch(request, call_next):
        response = await call_next(request)
        read = []

        async def collect():
            try:
                read.extend([chunk async for chunk in response.body_iterator])
            except RuntimeError as error:
                read.append(str(error).encode())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect)
        return PlainTextResponse(b"".join(read))

    exchange = await ask(serve(answering(False), dispatch))
    if expected:
        assert exchange.body == b"hello"
    else:
        assert b"body_iterator was awaited in another task" in exchange.body


@pytest.mark.parametrize("lock", [anyio.Lock, lambda: anyio.CapacityLimiter(1)])
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@differing(starlette=True, asgi_rt=False)
async def test_what_belongs_to_a_task_is_not_held_across_the_head_of_a_stream(
    serve, expected, lock, spec_version
):
    """Up to spec 2.3 a StreamingResponse sends it from a task of its own."""
    held = lock()

    async def dispatch(request, call_next):
        async with held:
            return await call_next(request)

    app = serve(answering(True), dispatch)
    if expected or spec_version == "2.4":
        assert (await ask(app, spec_version=spec_version)).body == b"hello"
    else:
        with pytest.raises(RuntimeError, match=r"hold|own"):
            await ask(app, spec_version=spec_version)


@differing(starlette=[200], asgi_rt=[])
async def test_a_stream_whose_client_leaves_takes_dispatch_with_it(serve, expected):
    """It cancels its own task, which sends the head, and in which dispatch goes on after it."""
    exchange = Exchange()
    bodies = Bodies()
    waiting, gate = anyio.Event(), anyio.Event()
    stored = []

    async def dispatch(request, call_next):
        response = await bodies.keep(request, call_next)
        waiting.set()
        await gate.wait()
        stored.append(response.status_code)
        return response

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, serve(answering(True), dispatch))
        await waiting.wait()
        exchange.leave()
        await turns()
        gate.set()
    assert stored == expected
    await bodies.close()
