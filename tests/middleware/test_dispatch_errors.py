"""`dispatch(request, call_next)`: errors on either side, misuse, and ends from outside."""

import asyncio
import contextlib

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from garbage import garbage_of
from middleware.dispatching import HEAD, chunk, counting, exchange, from_child

from asgi_rt import BackgroundTask, ClientDisconnected, Response
from asgi_rt.errors import DispatchError
from asgi_rt.http.pull import on_asyncio
from asgi_rt.middleware.dispatch import DispatchMiddleware

apps = pytest.mark.parametrize("app", [counting, from_child])
SPECS = pytest.mark.parametrize("spec_version", ["2.3", "2.4"])


async def call(request, call_next):
    return await call_next(request)


async def crash(scope, receive, send):
    try:
        raise KeyError("cause")
    except KeyError as cause:
        raise ValueError("app") from cause


async def crash_late(scope, receive, send):
    await send(HEAD)
    await send(chunk(b"0"))
    raise ValueError("late")


# Errors of the app


async def test_an_error_before_the_head_is_raised_from_call_next_as_it_is():
    seen = []

    async def dispatch(request, call_next):
        try:
            return await call_next(request)
        except ValueError as error:
            seen.append(error)
            raise

    with pytest.raises(ValueError, match="app") as caught:
        await exchange(dispatch, crash)
    assert seen == [caught.value]
    assert isinstance(caught.value.__cause__, KeyError)


async def test_an_error_before_the_head_can_become_a_response():
    async def dispatch(request, call_next):
        try:
            return await call_next(request)
        except ValueError as error:
            return Response(f"caught {error}", 500)

    server = await exchange(dispatch, crash)
    assert (server.status, server.body) == (500, b"caught app")


async def test_an_error_after_the_head_is_raised_once_and_truncates():
    server = FakeServer()
    with pytest.raises(ValueError, match="late"):
        await exchange(call, crash_late, server=server)
    assert (server.body, server.is_complete) == (b"0", False)


@pytest.mark.parametrize("is_caught", [False, True])
async def test_an_error_after_the_head_is_seen_by_who_reads_the_body(is_caught):
    ended = []

    async def noted(chunks):
        try:
            async for piece in chunks:
                yield piece
        except ValueError as error:
            ended.append(error)
            if not is_caught:
                raise
            yield b"sorry"

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = noted(response.body_iterator)
        return response

    server = FakeServer()
    with pytest.raises(ValueError, match="late") as caught:
        await exchange(dispatch, crash_late, server=server)
    assert ended == [caught.value]
    assert server.body == (b"0sorry" if is_caught else b"0")
    assert server.is_complete is is_caught


@SPECS
async def test_an_app_that_sends_nothing_is_told_of(spec_version):
    async def app(scope, receive, send):
        pass

    with pytest.raises(DispatchError, match="No response returned"):
        await exchange(call, app, spec_version=spec_version)


@pytest.mark.parametrize("reads", [False, True])
async def test_an_app_that_sends_nothing_to_a_client_that_left_ends_quietly(reads):
    met = []

    async def app(scope, receive, send):
        while reads and (await receive())["type"] != "http.disconnect":
            pass

    async def dispatch(request, call_next):
        try:
            return await call_next(request)
        except ClientDisconnected as error:
            met.append(error)
            raise

    server = FakeServer()
    server.leave()
    await exchange(dispatch, app, server=server)
    assert len(met) == 1
    assert server.messages == []


@pytest.mark.parametrize("by_child", [False, True])
async def test_a_body_that_the_app_breaks_off_is_not_completed(by_child):
    async def app(scope, receive, send):
        if by_child:
            async with anyio.create_task_group() as group:
                group.start_soon(send, HEAD)
        else:
            await send(HEAD)
        await send(chunk(b"0"))

    closed = []

    async def same(chunks):
        try:
            async for piece in chunks:
                yield piece
        finally:
            closed.append(True)

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = same(response.body_iterator)
        return response

    server = await exchange(dispatch, app)
    assert (server.body, server.is_complete, closed) == (b"0", False, [True])


# Errors of dispatch


async def test_an_error_before_call_next_is_raised():
    async def dispatch(request, call_next):
        raise KeyError("early")

    server = FakeServer()
    with pytest.raises(KeyError, match="early"):
        await exchange(dispatch, server=server)
    assert server.messages == []


@apps
@pytest.mark.parametrize("waits", [False, True])
async def test_an_error_after_call_next_ends_the_app_and_is_raised(app, waits):
    cleaned = []

    async def watched(scope, receive, send):
        try:
            await app(scope, receive, send)
        except Exception as error:  # what an app does with its own errors is not for this one
            cleaned.append(error)
        finally:
            cleaned.append("done")

    async def dispatch(request, call_next):
        await call_next(request)
        if waits:
            await anyio.lowlevel.checkpoint()
        raise KeyError("dispatch")

    server = FakeServer()
    with pytest.raises(KeyError, match="dispatch"):
        await exchange(dispatch, watched, server=server)
    assert server.messages == []
    assert cleaned == ["done"]


@apps
async def test_an_error_in_the_middle_of_a_replaced_body_ends_the_app_and_is_raised(app):
    async def broken(chunks):
        async for piece in chunks:
            yield piece
            raise KeyError("transform")

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = broken(response.body_iterator)
        return response

    server = FakeServer()
    with pytest.raises(KeyError, match="transform"):
        await exchange(dispatch, app, server=server)
    assert (server.body, server.is_complete) == (b"0", False)


@pytest.mark.parametrize("waits", [False, True])
async def test_an_error_of_the_server_is_raised_in_the_app(waits):
    """Dispatch has returned, and so it is none of dispatch's, whether it has waited or not."""
    met = []

    async def app(scope, receive, send):
        try:
            await send(HEAD)
        except RuntimeError as error:
            met.append(str(error))

    async def dispatch(request, call_next):
        response = await call_next(request)
        if waits:
            await anyio.lowlevel.checkpoint()
        return response

    class Refusing(FakeServer):
        async def send(self, message):
            raise RuntimeError("refused")

    await exchange(dispatch, app, server=Refusing())
    assert met == ["refused"]


@apps
async def test_an_error_of_the_outer_of_two_layers_ends_both(app):
    async def fail(request, call_next):
        await call_next(request)
        raise KeyError("outer")

    inner = DispatchMiddleware(app, dispatch=call)
    with pytest.raises(KeyError, match="outer"):
        await exchange(fail, inner)


async def test_an_app_that_fails_while_it_is_given_up_is_logged(caplog):
    async def app(scope, receive, send):
        try:
            await send(HEAD)
        finally:
            raise OSError("clean-up")

    async def dispatch(request, call_next):
        await call_next(request)
        raise KeyError("dispatch")

    with pytest.raises(KeyError, match="dispatch"):
        await exchange(dispatch, app)
    assert [record.exc_info[1].args for record in caplog.records] == [("clean-up",)]


# An app whose response was replaced


@SPECS
async def test_a_discarded_app_finds_its_client_gone_and_is_not_waited_for(spec_version):
    ended = []

    async def endless(scope, receive, send):
        await send(HEAD)
        assert server.is_complete  # the client has its response already
        assert (await receive())["type"] == "http.disconnect"
        raises = pytest.raises(OSError, match="replaced")
        with raises if spec_version == "2.4" else contextlib.nullcontext():
            await send(chunk(b"x"))
        ended.append(True)

    async def dispatch(request, call_next):
        await call_next(request)
        return Response("other")

    server = FakeServer(spec_version=spec_version)
    await exchange(dispatch, endless, server=server)
    assert (server.body, ended) == (b"other", [True])


async def test_an_endless_discarded_app_lets_others_run_and_can_be_cancelled():
    async def endless(scope, receive, send):
        await send(HEAD)
        while True:
            await send(chunk(b"x"))

    async def dispatch(request, call_next):
        await call_next(request)
        return Response("other")

    server = FakeServer()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: exchange(dispatch, endless, server=server))
        await server.body_has(5)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert server.body == b"other"


async def test_an_error_of_a_discarded_app_is_raised():
    async def app(scope, receive, send):
        await send(HEAD)
        raise ValueError("discarded")

    async def dispatch(request, call_next):
        await call_next(request)
        return Response("other")

    server = FakeServer()
    with pytest.raises(ValueError, match="discarded"):
        await exchange(dispatch, app, server=server)
    assert server.body == b"other"


# Misuse


async def test_a_second_call_next_says_what_to_do():
    async def dispatch(request, call_next):
        await call_next(request)
        return await call_next(request)

    with pytest.raises(DispatchError, match="a second time"):
        await exchange(dispatch)


async def test_a_cancel_scope_held_over_call_next_says_what_to_do():
    async def dispatch(request, call_next):
        with anyio.fail_after(1):
            return await call_next(request)

    with pytest.raises(DispatchError, match=r"Leave it before call_next.*asyncio\.timeout"):
        await exchange(dispatch)


async def test_a_task_group_held_over_call_next_says_what_to_do():
    async def dispatch(request, call_next):
        async with anyio.create_task_group():
            return await call_next(request)

    with pytest.raises(ExceptionGroup) as caught:
        await exchange(dispatch)
    assert caught.group_contains(DispatchError, match="Leave it before call_next")


async def test_a_scope_around_the_whole_layer_is_no_misuse():
    with anyio.fail_after(5):
        server = await exchange(call)
    assert server.body == b"012"


async def test_call_next_in_another_task_says_what_to_do():
    async def dispatch(request, call_next):
        return await asyncio.ensure_future(call_next(request))

    if on_asyncio():
        with pytest.raises(DispatchError, match=r"another task.*asyncio\.timeout"):
            await exchange(dispatch)


async def test_the_body_read_in_another_task_says_what_to_do():
    async def dispatch(request, call_next):
        response = await call_next(request)
        async with anyio.create_task_group() as group:
            group.start_soon(response.body_iterator.__anext__)
        return response

    with pytest.raises(ExceptionGroup) as caught:
        await exchange(dispatch)
    assert caught.group_contains(DispatchError, match="StreamingResponse")


# Ends from outside


async def test_asyncio_timeout_may_stand_around_call_next():
    async def stuck(scope, receive, send):
        await anyio.sleep_forever()

    async def dispatch(request, call_next):
        try:
            async with asyncio.timeout(0.01):
                return await call_next(request)
        except TimeoutError:
            return Response("too late", 504)

    if on_asyncio():
        server = await exchange(dispatch, stuck)
        assert (server.status, server.body) == (504, b"too late")


@pytest.mark.parametrize("stands", ["before", "app", "after", "body"])
async def test_a_cancellation_gets_through_wherever_it_stands(stands):
    ended = []
    reached = anyio.Event()

    async def stop():
        reached.set()
        await anyio.sleep_forever()

    async def app(scope, receive, send):
        try:
            if stands == "app":
                await stop()
            await send(HEAD)
            if stands == "body":
                await stop()
        finally:
            ended.append("app")

    async def dispatch(request, call_next):
        try:
            if stands == "before":
                await stop()
            response = await call_next(request)
            if stands == "after":
                await stop()
            return response
        finally:
            ended.append("dispatch")

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: exchange(dispatch, app))
        await reached.wait()
        group.cancel_scope.cancel()
    assert sorted(ended) == (["dispatch"] if stands == "before" else ["app", "dispatch"])


@pytest.mark.parametrize(
    ("app", "spec_version"), [(counting, "2.3"), (counting, "2.4"), (from_child, "2.3")]
)
async def test_a_client_that_leaves_while_dispatch_waits_ends_all(app, spec_version):
    async def dispatch(request, call_next):
        response = await call_next(request)
        server.leave()
        await anyio.lowlevel.checkpoint()
        return response

    server = FakeServer(spec_version=spec_version)
    raises = pytest.raises(OSError, match="the client is gone")
    with raises if spec_version == "2.4" else contextlib.nullcontext():
        await exchange(dispatch, app, server=server)
    assert server.messages == []


@pytest.mark.parametrize("app", [counting, crash, crash_late])
@pytest.mark.parametrize("kind", ["call", "fail", "replace", "wrap", "work"])
async def test_no_request_leaves_a_cycle_for_the_garbage_collector(app, kind):
    async def dispatch(request, call_next):
        response = await call_next(request)
        if kind == "fail":
            raise KeyError
        if kind == "wrap":
            response.body_iterator = same(response.body_iterator)
        if kind == "work":
            response.background = BackgroundTask(anyio.lowlevel.checkpoint)
        return Response("other") if kind == "replace" else response

    async def same(chunks):
        async for piece in chunks:
            yield piece

    async def once():
        server = FakeServer()
        with contextlib.suppress(ValueError, KeyError):
            await exchange(dispatch, app, server=server)

    assert await garbage_of(once) == 0
