"""Sources that wait for each of their items: these are sent as they come, and not looked for ahead.

What an item costs then is less; what is told to the client, and when, is the same.
"""

import asyncio
import time

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from sse.wire import Outcome, StallingServer, datas, holds, on_asyncio_only

from asgi_rt import SendTimeout, StreamingResponse
from asgi_rt.asgi import Message
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.sse import EventStream

LONE = 20  # items after which a source is known to wait for each
turn = anyio.lowlevel.checkpoint


class Source:
    """Frames that have to be waited for one by one, then something else; knows if it was closed."""

    def __init__(self, then=None, count: int = LONE) -> None:
        self.is_closed = False
        self.frames = [b"data: %d\n\n" % number for number in range(count)]
        self.given = b"".join(self.frames)
        self.iterator = self._iterate(then)

    async def _iterate(self, then):
        try:
            for frame in self.frames:
                await turn()
                yield frame
            if then is not None:
                await then()
        finally:
            self.is_closed = True


async def run(response: StreamingResponse, server: FakeServer) -> None:
    with anyio.fail_after(10):
        await response(server.scope, server.receive, server.send)


def bodies(server: FakeServer) -> list[bytes]:
    return [message["body"] for message in server.messages[1:] if message["body"]]


# What is sent, and when


async def test_an_item_is_on_the_wire_while_the_next_one_is_waited_for():
    server = FakeServer()

    async def source():
        for number in range(200):
            await server.body_has(number)  # for ever, were anything held back
            await turn()
            yield b"x"

    await run(StreamingResponse(source()), server)
    assert bodies(server) == [b"x"] * 200
    assert server.is_complete


@on_asyncio_only
async def test_an_item_is_on_the_wire_before_the_source_goes_on():
    """But for the first few, and now and then one with which the next is looked for ahead."""
    server, behind = FakeServer(), []

    async def source():
        for number in range(200):
            await turn()
            yield b"x"
            behind.append(number + 1 - len(server.body))

    await run(StreamingResponse(source()), server)
    assert set(behind) == {0, 1}
    assert sum(behind) < 15


@on_asyncio_only
async def test_a_burst_after_lone_items_is_joined_again():
    server = FakeServer()

    async def source():
        for _ in range(2):
            async for item in Source().iterator:
                yield item
            for _ in range(1000):
                yield b"x"

    await run(StreamingResponse(source()), server)
    assert len(server.body) == 2 * (1000 + len(Source().given))
    assert len(bodies(server)) < 500
    assert max(map(len, bodies(server))) > 100


async def test_lone_items_may_be_empty():
    server = FakeServer()

    async def source():
        for number in range(200):
            await turn()
            yield b"" if number % 2 else b"x"

    await run(StreamingResponse(source()), server)
    assert bodies(server) == [b"x"] * 100
    assert server.is_complete


class Waiting:
    """An async iterator that has no `__aiter__`, or is no generator."""

    def __init__(self) -> None:
        self.left = 100

    async def __anext__(self) -> bytes:
        await turn()
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return b"x"


class Looped(Waiting):
    def __aiter__(self):
        return self


class Iterable:
    def __init__(self, iterator) -> None:
        self._iterator = iterator

    def __aiter__(self):
        return self._iterator


@pytest.mark.parametrize("make", [Waiting, Looped])
async def test_an_iterator_of_any_kind_may_wait_for_each_item(make):
    server = FakeServer()
    await run(StreamingResponse(Iterable(make())), server)
    assert bodies(server) == [b"x"] * 100
    assert server.is_complete


# Others


async def test_a_source_that_has_it_all_ready_at_last_does_not_starve_others():
    server, turns, spun = FakeServer(), [], 0

    async def source():
        nonlocal spun
        async for item in Source().iterator:
            yield item
        while len(turns) < 20 and spun < 1_000_000:
            spun += 1
            yield b"x"

    async def other():
        await server.body_has(len(Source().given))
        for _ in range(20):
            turns.append(spun)
            await turn()

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        group.start_soon(run, StreamingResponse(source()), server)
    assert len(turns) == 20
    assert spun < 1_000_000


@pytest.mark.parametrize("burst", [1, 2, 40])
async def test_a_source_that_sleeps_for_nothing_between_bursts_lets_others_run(burst):
    server, turns, ends = FakeServer(), [], time.perf_counter() + 5

    async def source():
        while len(turns) < 20 and time.perf_counter() < ends:
            for _ in range(burst):
                yield b"x"
            await turn()

    async def other():
        while not server.is_complete:
            turns.append(len(server.messages))
            await turn()

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        group.start_soon(run, StreamingResponse(source()), server)
    assert len(turns) >= 20


@on_asyncio_only
async def test_a_task_that_a_source_begins_has_its_turn_when_the_source_sleeps_for_nothing():
    server, seen = FakeServer(), []

    async def source():
        for _ in range(LONE):
            begun = asyncio.Event()
            asyncio.get_running_loop().call_soon(begun.set)
            await asyncio.sleep(0)
            seen.append(begun.is_set())
            yield b"x"

    await run(StreamingResponse(source()), server)
    assert seen == [True] * LONE


# The client


class BrokenServer(FakeServer):
    """Raises at the n-th message, without the client having been seen to leave."""

    def __init__(self, error: Exception, count: int) -> None:
        super().__init__()
        self._error = error
        self._count = count

    async def send(self, message: Message) -> None:
        if len(self.messages) == self._count:
            raise self._error
        await super().send(message)


@pytest.mark.parametrize("count", [5, 6, LONE, LONE + 1])
async def test_a_send_that_says_that_the_client_is_gone_ends_it_quietly(count):
    server, source, outcome = BrokenServer(OSError("gone"), count), Source(), Outcome()
    await run(StreamingResponse(source.iterator, background=outcome.task()), server)
    assert source.is_closed
    assert outcome.completed == [False]
    assert not server.is_complete


async def test_another_error_of_a_send_is_raised():
    server, source, outcome = BrokenServer(RuntimeError("broken"), LONE), Source(), Outcome()
    with pytest.raises(RuntimeError, match="broken"):
        await run(StreamingResponse(source.iterator, background=outcome.task()), server)
    assert source.is_closed
    assert outcome.completed == [False]


@pytest.mark.parametrize("ping", [None, 0.002])
async def test_a_frozen_client_is_given_up_after_the_send_timeout(ping):
    server, source, outcome = StallingServer(holds(b" 12\n"), stuck=True), Source(), Outcome()
    taken_at = 0.0

    async def send(message):
        await server.send(message)
        nonlocal taken_at
        taken_at = time.perf_counter()

    response = EventStream(
        source.iterator, ping=ping, send_timeout=0.02, retry=None, background=outcome.task()
    )
    with pytest.raises(SendTimeout), anyio.fail_after(10):
        await response(server.scope, server.receive, send)
    # Since the last that was taken: the time begins to run a little before the send is called.
    assert time.perf_counter() - taken_at >= 0.02
    assert source.is_closed
    assert outcome.completed == [False]
    assert server.body.endswith(b" 12\n\n")


async def test_a_client_that_is_slow_at_each_item_is_not_given_up():
    server = FakeServer()

    async def send(message):
        await server.send(message)
        await anyio.sleep(0.002)

    response = StreamingResponse(Source(count=60).iterator, send_timeout=0.1)
    with anyio.fail_after(10):
        await response(server.scope, server.receive, send)
    assert server.is_complete


async def test_a_client_that_leaves_while_an_item_is_held_up_ends_it():
    server, source, outcome = StallingServer(holds(b" 12\n"), stuck=True), Source(), Outcome()
    response = StreamingResponse(source.iterator, send_timeout=None, background=outcome.task())
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        server.leave()
    assert source.is_closed
    assert outcome.completed == [False]


@pytest.mark.parametrize("held_up_at", [1, 3, 5, 19, 68, 70, 133])
async def test_a_farewell_that_is_due_while_an_item_is_held_up_follows_it(held_up_at):
    drain = Drain(grace=60)
    server = StallingServer(holds(b" %d\n" % held_up_at), state={STATE_KEY: drain})
    source = Source(anyio.sleep_forever, count=held_up_at + 1)
    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source.iterator, ping=None, retry=None), server)
        await server.blocked.wait()
        drain.begin()
        await anyio.wait_all_tasks_blocked()
        server.thaw()
    assert server.body.startswith(source.given)
    assert b"going down" in server.body.removeprefix(source.given)
    assert server.is_complete
    assert source.is_closed


# The source


@pytest.mark.parametrize("error", [ValueError("bad"), OSError("disk"), TimeoutError("slow")])
async def test_an_error_of_the_source_truncates_after_what_it_gave(error):
    server, outcome = FakeServer(), Outcome()

    async def fail():
        raise error

    source = Source(fail)
    with pytest.raises(type(error)) as caught:
        await run(StreamingResponse(source.iterator, background=outcome.task()), server)
    assert caught.value is error
    assert server.body == source.given
    assert not server.is_complete
    assert outcome.completed == [False]


async def test_an_item_that_cannot_be_sent_truncates_after_what_was_given():
    server = FakeServer()

    async def source():
        async for item in Source().iterator:
            yield item
        await turn()
        yield 7

    with pytest.raises(TypeError, match="not int"):
        await run(StreamingResponse(source()), server)
    assert server.body == Source().given
    assert not server.is_complete


async def test_a_timeout_of_the_source_s_own_is_its_own():
    server = FakeServer()

    async def source():
        for number in range(LONE):
            with anyio.move_on_after(0 if number % 3 else 0.001):
                await anyio.sleep_forever()
            yield number

    await run(EventStream(source()), server)
    assert datas(server) == [str(number) for number in range(LONE)]
    assert server.is_complete


HELD_UP = ("leave", "cancel", "lifetime", "grace")  # a farewell waits until the client goes on
IDLE = (*HELD_UP, "farewell")


@pytest.mark.parametrize(
    ("ending", "held_up"), [(each, True) for each in HELD_UP] + [(each, False) for each in IDLE]
)
async def test_the_source_is_closed_whatever_ends_it(ending, held_up):
    drain = Drain(grace=0.01 if ending == "grace" else 60)
    stalls = holds(b" 19\n") if held_up else holds(b"nothing")
    server = StallingServer(stalls, stuck=True, state={STATE_KEY: drain})
    source, outcome = Source(anyio.sleep_forever), Outcome()
    response = EventStream(
        source.iterator,
        finish_in_drain=ending == "grace",
        max_lifetime=0.2 if ending == "lifetime" else None,  # longer than the items take
        background=outcome.task(),
    )
    async with anyio.create_task_group() as enforcing:
        enforcing.start_soon(drain.enforce)
        async with anyio.create_task_group() as group:
            group.start_soon(run, response, server)
            await server.sent(LONE + 1)
            if ending == "leave":
                server.leave()
            elif ending == "cancel":
                group.cancel_scope.cancel()
            elif ending in ("farewell", "grace"):
                drain.begin()
        enforcing.cancel_scope.cancel()
    assert source.is_closed
    assert outcome.completed == [False]


async def test_the_source_is_closed_at_its_end():
    server, source, outcome = FakeServer(), Source(), Outcome()
    await run(StreamingResponse(source.iterator, background=outcome.task()), server)
    assert source.is_closed
    assert server.body == source.given
    assert outcome.completed == [True]


@on_asyncio_only
async def test_an_item_that_a_source_makes_of_its_cancellation_is_not_sent():
    server, outcome = FakeServer(), Outcome()

    async def source():
        try:
            async for item in Source().iterator:
                yield item
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            yield b"last"

    async with anyio.create_task_group() as group:
        response = StreamingResponse(source(), background=outcome.task())
        group.start_soon(run, response, server)
        await server.body_has(len(Source().given))
        await anyio.wait_all_tasks_blocked()
        server.leave()
    assert server.body == Source().given
    assert outcome.completed == [False]


async def test_an_iterator_that_starts_afresh_when_it_is_looped_over_is_looped_over_once():
    class Numbers:
        def __aiter__(self):
            self.number = 0
            return self

        async def __anext__(self):
            if self.number == 200:
                raise StopAsyncIteration
            await anyio.lowlevel.checkpoint()
            self.number += 1
            return f"{self.number} "

    server = FakeServer()
    await run(StreamingResponse(Numbers()), server)
    assert server.body.split() == [b"%d" % number for number in range(1, 201)]
