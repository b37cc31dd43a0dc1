"""What may happen to a stream of events at any time does so at every turn of the event loop."""

import asyncio

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from sse.wire import Outcome, datas, on_asyncio_only

from asgi_rt import HTTPError
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.http.pull import on_asyncio
from asgi_rt.sse import EventStream

TURNS = 60  # more than the whole stream takes


class TurnServer(FakeServer):
    """Each send takes some turns of the event loop."""

    turns = 2

    async def send(self, message) -> None:
        await super().send(message)
        for _ in range(self.turns):
            await anyio.lowlevel.checkpoint()


class Stream:
    """One stream that does a bit of everything, in a task of its own."""

    def __init__(self, *, fails: bool = False, finish: bool = False) -> None:
        self.drain = Drain(grace=60)
        self.server = TurnServer(state={STATE_KEY: self.drain})
        self.outcome = Outcome()
        self.fails = fails
        self.closed = 0
        self.cancelling: list[int] = []
        self.raised: BaseException | None = None
        self.response = EventStream(
            self._source(),
            head_wait=0,
            error_events=True,
            finish_in_drain=finish,
            retry=None,
            background=self.outcome.task(),
        )

    async def _source(self):
        try:
            for number in range(4):
                for _ in range(number):
                    await anyio.lowlevel.checkpoint()
                yield number
            with anyio.move_on_after(0):
                await anyio.sleep_forever()
            if self.fails:
                raise ValueError("on purpose")
        finally:
            self.closed += 1
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()

    is_over = False

    async def run_until_cancelled(self) -> None:
        await self.response(self.server.scope, self.server.receive, self.server.send)
        self.is_over = True

    async def run(self) -> None:
        try:
            await self.response(self.server.scope, self.server.receive, self.server.send)
        except BaseException as error:
            self.raised = error
        if on_asyncio():
            self.cancelling.append(asyncio.current_task().cancelling())
        await anyio.lowlevel.checkpoint()  # a cancellation that is left over would come here


variants = pytest.mark.parametrize(
    ("fails", "finish"), [(False, False), (False, True), (True, False)], ids=str
)


async def after_turns(turns, stream, act):
    """Run a stream, and something else when the event loop has turned so often."""
    async with anyio.create_task_group() as group:
        group.start_soon(stream.run)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        act()


def check(stream, turns, *errors):
    """What holds whatever happens. A cancellation that nobody asked for is not among the errors."""
    assert stream.raised is None or isinstance(stream.raised, errors), turns
    assert len(stream.outcome.completed) == 1, turns
    assert stream.cancelling in ([0], []), turns
    assert stream.closed == 1 or (stream.closed == 0 and not stream.server.body), turns
    messages = stream.server.messages
    assert [message.get("more_body") for message in messages[:-1]].count(False) == 0, turns


@variants
async def test_a_client_may_leave(fails, finish):
    complete = set()
    for turns in range(TURNS):
        stream = Stream(fails=fails, finish=finish)
        await after_turns(turns, stream, stream.server.leave)
        check(stream, turns, ValueError)
        complete.add(stream.server.is_complete)
    assert complete == {False, True}, "the turns do not cover the whole of the stream"


@variants
async def test_the_server_may_go_down(fails, finish):
    farewells = set()
    for turns in range(1, TURNS):
        stream = Stream(fails=fails, finish=finish)
        await after_turns(turns, stream, stream.drain.begin)
        check(stream, turns, ValueError, HTTPError)
        server = stream.server
        said = server.body.count(b"going down")
        farewells.add(said)
        assert server.is_complete or not server.messages, turns
        if server.messages and (not said or finish):
            assert datas(server)[:4] == ["0", "1", "2", "3"], turns
    assert farewells == {0, 1}, "the turns do not cover the whole of the stream"


@variants
async def test_a_client_may_leave_while_the_server_goes_down(fails, finish):
    for turns in range(1, TURNS):
        stream = Stream(fails=fails, finish=finish)

        def both(stream=stream):
            stream.drain.begin()
            stream.server.leave()

        await after_turns(turns, stream, both)
        check(stream, turns, ValueError, HTTPError)


@on_asyncio_only
@pytest.mark.parametrize("leaves", [False, True], ids=["alone", "as the client leaves"])
@variants
async def test_its_task_may_be_cancelled(fails, finish, leaves):
    raised = set()
    for turns in range(1, TURNS):
        stream = Stream(fails=fails, finish=finish)
        task = asyncio.create_task(stream.run_until_cancelled())
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        if leaves:
            stream.server.leave()
        was_running = task.cancel()
        await asyncio.wait((task,), timeout=5)
        assert task.done(), turns
        raised.add(task.cancelled())
        assert task.cancelled() or not was_running or task.exception() or stream.is_over, turns
        assert stream.closed <= 1, turns
    assert raised == {False, True}, "the turns do not cover the whole of the stream"


@pytest.mark.parametrize("cause", ["lifetime", "grace"])
async def test_a_stream_that_is_cut_off_while_idle_ends_cleanly_however_long_a_send_takes(cause):
    server = TurnServer(state={STATE_KEY: (drain := Drain(grace=0.005))})

    async def source():
        yield "first"
        await anyio.sleep_forever()

    lifetime = 0.01 if cause == "lifetime" else None
    response = EventStream(source(), max_lifetime=lifetime, finish_in_drain=True)
    async with anyio.create_task_group() as group:
        if cause == "grace":
            group.start_soon(drain.enforce)
        group.start_soon(response, server.scope, server.receive, server.send)
        await server.body_has(1)
        if cause == "grace":
            drain.begin()
    assert server.is_complete


@on_asyncio_only
@pytest.mark.parametrize("ping", [None, 0.001])
async def test_a_timeout_around_the_response_is_the_caller_s(ping):
    server, closed = FakeServer(), []

    async def source():
        try:
            yield "first"
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await EventStream(source(), ping=ping)(server.scope, server.receive, server.send)
    assert closed == [True]
    assert asyncio.current_task().cancelling() == 0
