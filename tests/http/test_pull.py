"""A source that waits while something is sent is treated as if it were simply awaited."""

import asyncio
import threading

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer

from asgi_rt import SendTimeout, StreamingResponse
from asgi_rt.http.pull import END, WAIT, SteppedPull
from asgi_rt.http.sync_pull import SyncPull

on_asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)


async def run(response: StreamingResponse, server: FakeServer) -> None:
    with anyio.fail_after(10):
        await response(server.scope, server.receive, server.send)


@on_asyncio_only
async def test_others_may_await_the_future_that_a_source_waits_for():
    server = FakeServer()
    shared = asyncio.get_running_loop().create_future()

    async def source():
        yield b"a"
        yield await shared

    async def other():
        return await shared

    server.freeze()
    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source()), server)
        await server.blocked.wait()
        task = asyncio.ensure_future(other())
        await anyio.wait_all_tasks_blocked()
        server.thaw()
        await anyio.wait_all_tasks_blocked()
        shared.set_result(b"b")
    assert await task == b"b"
    assert server.body == b"ab"


@on_asyncio_only
@pytest.mark.parametrize("ending", ["leaves", "stays frozen"])
async def test_what_a_source_waits_for_is_cancelled_with_it(ending):
    server = FakeServer(stuck=True)
    cancelled = []

    async def child(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(name)

    async def source():
        yield b"a"
        await asyncio.gather(child("one"), child("two"))
        yield b"b"

    server.freeze()
    response = StreamingResponse(source(), send_timeout=0.02)
    if ending == "leaves":
        response.send_timeout = None
        async with anyio.create_task_group() as group:
            group.start_soon(run, response, server)
            await server.blocked.wait()
            await anyio.wait_all_tasks_blocked()
            server.leave()
    else:
        with pytest.raises(SendTimeout):
            await run(response, server)
    assert cancelled == ["one", "two"]


@pytest.mark.parametrize("scope", ["move_on_after", "task_group"])
@pytest.mark.parametrize("ending", ["send fails", "send times out", "lifetime ends"])
async def test_a_source_may_wait_inside_a_scope_whatever_ends_the_stream(scope, ending):
    server = FakeServer(stuck=True)
    closed = []

    async def source():
        try:
            yield b"a"
            if scope == "move_on_after":
                with anyio.move_on_after(60):
                    await anyio.sleep_forever()
            else:
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep, 60)
        finally:
            closed.append(True)

    async def send(message):
        await server.send(message)
        if ending == "send fails" and message["type"] == "http.response.body":
            await anyio.lowlevel.checkpoint()
            raise OSError("the client is gone")

    options = {
        "send fails": {},
        "send times out": {"send_timeout": 0.02},
        "lifetime ends": {"max_lifetime": 0.02},
    }[ending]
    if ending == "send times out":
        server.freeze()
    response = StreamingResponse(source(), **options)
    with anyio.fail_after(10):
        if ending == "send times out":
            with pytest.raises(SendTimeout):
                await response(server.scope, server.receive, send)
        else:
            await response(server.scope, server.receive, send)
    assert closed == [True]


@pytest.mark.parametrize("ending", ["cancelled", "lifetime"])
async def test_a_stream_ends_while_the_head_that_went_first_is_blocked(ending):
    server = FakeServer(stuck=True)
    closed = []

    async def source():
        try:
            await anyio.sleep_forever()
            yield b"a"
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
            closed.append(True)

    server.freeze()
    lifetime = 0.2 if ending == "lifetime" else None  # a garbage collection may take 50 ms
    response = StreamingResponse(source(), head_wait=0.005, max_lifetime=lifetime)
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.blocked.wait()
        if ending == "cancelled":
            group.cancel_scope.cancel()
    assert closed == [True]


@on_asyncio_only
async def test_a_timeout_of_the_source_s_own_never_meets_the_head_that_went_first():
    server = FakeServer()
    timed_out = []

    async def source():
        await server.blocked.wait()
        yield b"a"
        with anyio.move_on_after(0.005):
            await anyio.sleep_forever()
        timed_out.append(len(server.messages))
        yield b"b"

    server.freeze()
    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source(), head_wait=0.005), server)
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        server.thaw()
    assert server.body == b"ab"
    assert server.is_complete


async def test_the_end_of_a_sync_source_is_not_missed_between_two_looks():
    """The thread fails after `poll` has looked and before `wait` asks for more."""
    begun = []

    def source():
        begun.append(True)
        raise LookupError
        yield

    pull = SyncPull(source())
    poll, looks = pull.poll, []

    def slow_poll():
        looks.append(True)
        item = poll()
        if len(looks) == 2 and item is WAIT:
            pull._end, pull._is_pulling = LookupError(), False
        return item

    pull.poll = slow_poll
    with pytest.raises(LookupError), anyio.fail_after(10):
        assert await pull.wait() is not END
    await pull.aclose()
    assert len(begun) <= 1


async def test_a_sync_source_that_hangs_is_given_up_and_takes_no_place(monkeypatch):
    monkeypatch.setattr("asgi_rt.http.sync_pull._MAX_THREADS", 1)
    monkeypatch.setattr("asgi_rt.http.streaming.CLOSE_SECONDS", 0.02)
    server, next_server = FakeServer(), FakeServer()
    hanging, let_go, ended = anyio.Event(), threading.Event(), anyio.Event()
    token = anyio.lowlevel.current_token()

    def source():
        try:
            anyio.from_thread.run_sync(hanging.set, token=token)
            let_go.wait(10)
            yield b"x"
        finally:
            anyio.from_thread.run_sync(ended.set, token=token)

    async with anyio.create_task_group() as group:
        group.start_soon(run, StreamingResponse(source()), server)
        await hanging.wait()
        server.leave()
    await run(StreamingResponse(b"%d," % number for number in range(3)), next_server)
    assert next_server.body == b"0,1,2,"
    let_go.set()
    with anyio.fail_after(10):
        await ended.wait()


# A wait that was begun by `poll` and is carried on by `wait`, with whatever became of the future


async def pulled(pull: SteppedPull) -> object:
    """The next item of a source that waits, as a sender waits for it."""
    assert pull.poll() is WAIT
    error = None
    if pull.waits_for is not None:
        try:
            await pull.waits_for
        except BaseException as raised:
            error = raised
    return await pull.wait(error)


class Waiting:
    """A source that waits for one thing, gives what that did, and goes on."""

    def __init__(self, awaitable) -> None:
        self.raised: list[BaseException] = []
        self._awaitable = awaitable
        self.pull = SteppedPull(self._iterate())

    async def _iterate(self):
        try:
            yield await self._awaitable
        except BaseException as error:
            self.raised.append(error)
            yield "raised"
        await asyncio.sleep(0)
        yield "next"

    async def goes_on(self) -> bool:
        """Whether it is there as if nothing had been, up to its end."""
        return (await pulled(self.pull), self.pull.poll()) == ("next", END)


def later(act, *arguments) -> None:
    asyncio.get_running_loop().call_soon(act, *arguments)


@on_asyncio_only
async def test_a_source_gets_the_result_of_the_future_it_waits_for():
    source = Waiting(future := asyncio.get_running_loop().create_future())
    later(future.set_result, "done")
    assert await pulled(source.pull) == "done"
    assert await source.goes_on()
    assert source.raised == []


@on_asyncio_only
async def test_a_source_meets_the_error_of_its_future_itself():
    source = Waiting(future := asyncio.get_running_loop().create_future())
    error = LookupError("the future's")
    later(future.set_exception, error)
    assert await pulled(source.pull) == "raised"
    assert source.raised == [error]
    assert await source.goes_on()


@on_asyncio_only
async def test_an_error_of_its_future_that_a_source_does_not_handle_is_raised():
    future = asyncio.get_running_loop().create_future()

    async def source():
        yield await future

    error = LookupError("the future's")
    later(future.set_exception, error)
    pull = SteppedPull(source())
    with pytest.raises(LookupError) as caught:
        await pulled(pull)
    assert caught.value is error
    assert pull.poll() is END


@on_asyncio_only
async def test_a_future_that_somebody_else_cancels_is_a_cancellation_for_the_source_alone():
    source = Waiting(future := asyncio.get_running_loop().create_future())
    later(future.cancel, "by somebody else")
    assert await pulled(source.pull) == "raised"
    assert isinstance(source.raised[0], asyncio.CancelledError)
    assert asyncio.current_task().cancelling() == 0
    assert await source.goes_on()


@on_asyncio_only
@pytest.mark.parametrize("outcome", ["result", "error"])
async def test_a_cancellation_that_comes_when_the_future_is_done_is_the_source_s_to_see(outcome):
    """As in a task: what the future gave is not looked at any more."""
    source = Waiting(future := asyncio.get_running_loop().create_future())
    task = asyncio.create_task(pulled(source.pull))
    await asyncio.sleep(0)
    if outcome == "result":
        future.set_result("done")
    else:
        future.set_exception(LookupError("the future's"))
    task.cancel("from outside")
    assert await task == "raised"
    assert [error.args for error in source.raised] == [("from outside",)]
    assert await source.goes_on()


@on_asyncio_only
async def test_a_cancellation_that_the_source_does_not_handle_gets_out():
    future = asyncio.get_running_loop().create_future()

    async def source():
        yield await future

    pull = SteppedPull(source())
    task = asyncio.create_task(pulled(pull))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    assert future.cancelled()
    assert pull.poll() is END


@on_asyncio_only
@pytest.mark.parametrize("outcome", ["result", "error", "cancelled"])
async def test_the_future_may_be_a_task(outcome):
    async def work():
        await asyncio.sleep(0)
        if outcome == "error":
            raise LookupError
        if outcome == "cancelled":
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        return "done"

    source = Waiting(asyncio.create_task(work()))
    assert await pulled(source.pull) == ("done" if outcome == "result" else "raised")
    kinds = {"error": [LookupError], "cancelled": [asyncio.CancelledError], "result": []}
    assert [type(error) for error in source.raised] == kinds[outcome]
    assert await source.goes_on()


@on_asyncio_only
async def test_a_cancellation_cancels_the_task_that_is_waited_for_and_waits_for_its_clean_up():
    closed = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            closed.append("work")

    source = Waiting(asyncio.create_task(work()))
    task = asyncio.create_task(pulled(source.pull))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    assert await task == "raised"
    assert closed == ["work"]
    assert await source.goes_on()


@on_asyncio_only
async def test_a_task_that_swallows_the_cancellation_gives_the_source_its_result():
    """As in a task that awaits it: the cancellation went to what was waited for, which ended it."""

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "done all the same"

    source = Waiting(asyncio.create_task(work()))
    task = asyncio.create_task(pulled(source.pull))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    assert await task == "done all the same"
    assert source.raised == []
    assert await source.goes_on()


@on_asyncio_only
@pytest.mark.parametrize("outcome", ["error", "cancelled"])
async def test_a_stream_goes_on_after_what_its_source_waited_for_failed(outcome):
    server = FakeServer()

    async def source():
        for number in range(100):
            future = asyncio.get_running_loop().create_future()
            later(
                *((future.cancel,) if outcome == "cancelled" else (future.set_exception, OSError()))
            )
            try:
                await future
            except (OSError, asyncio.CancelledError):
                yield b"x" if number % 10 else b"xx"

    await run(StreamingResponse(source()), server)
    assert server.body == b"x" * 110
    assert server.is_complete
    assert asyncio.current_task().cancelling() == 0


@on_asyncio_only
async def test_a_source_may_wait_for_one_future_after_another():
    futures = [asyncio.get_running_loop().create_future() for _ in range(3)]

    async def source():
        yield [await each for each in futures]

    pull = SteppedPull(source())
    task = asyncio.create_task(pulled(pull))
    await asyncio.sleep(0)
    for number, future in enumerate(futures):
        future.set_result(number)
        await anyio.wait_all_tasks_blocked()
    assert await task == [0, 1, 2]
    assert pull.poll() is END
