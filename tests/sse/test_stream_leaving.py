"""A client that leaves: at every await of a stream of events, on every kind of server.

Whatever was due just then, the source's clean-up has run when the response is over, without a
garbage collection, the background work has run once and knows better, and no task is left.
"""

import gc
import threading

import anyio
import pytest
from fakes import FakeServer
from sse.wire import PING, Outcome, StallingServer, holds, is_head, on_asyncio_only, run

from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.sse import Event, EventStream

specs = pytest.mark.parametrize("spec", ["2.3", "2.4"])
kinds = pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])


@pytest.fixture(autouse=True)
def _no_garbage_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Source:
    """Gives `count` events, then waits for ever, or fails."""

    def __init__(self, count: int = 1, *, fails: bool = False, sync: bool = False) -> None:
        self.count = count
        self.fails = fails
        self.waiting = anyio.Event()
        self.released = threading.Event()
        self.is_closed = False
        self.token = anyio.lowlevel.current_token()
        self.iterator = self._iterate_in_thread() if sync else self._iterate()

    async def _iterate(self):
        try:
            for number in range(self.count):
                yield f"event {number}"
            if self.fails:
                raise ValueError
            self.waiting.set()
            await anyio.sleep_forever()
        finally:
            self.is_closed = True

    def _iterate_in_thread(self):
        try:
            for number in range(self.count):
                yield f"event {number}"
            anyio.from_thread.run_sync(self.waiting.set, token=self.token)
            self.released.wait(10)
        finally:
            self.is_closed = True


def check(source, outcome, server):
    assert source.is_closed
    assert outcome.completed == [False]
    assert not server.is_complete


@kinds
@specs
@pytest.mark.parametrize("count", [0, 1, 2])
async def test_while_the_source_waits(sync, spec, count):
    server, outcome, source = FakeServer(spec_version=spec), Outcome(), Source(count, sync=sync)
    async with anyio.create_task_group() as group:
        response = EventStream(source.iterator, background=outcome.task(), ping=0.001)
        group.start_soon(run, response, server)
        await source.waiting.wait()
        if count:
            await server.body_has(1)
        server.leave()
        source.released.set()
    check(source, outcome, server)


@kinds
@specs
async def test_before_it_began(sync, spec):
    server, outcome = FakeServer(spec_version=spec), Outcome()
    source = Source(0, sync=sync)
    source.released.set()
    server.leave()
    await run(EventStream(source.iterator, background=outcome.task(), head_wait=0), server)
    assert server.messages == []
    assert outcome.completed == [False]
    assert not source.waiting.is_set() or source.is_closed


STAGES = {
    "head": is_head,
    "hint": holds(b"retry: "),
    "event": holds(b"data: event 0"),
    "ping": holds(PING),
    "farewell": holds(b"data: bye"),
}


@pytest.mark.parametrize("stage", STAGES)
@specs
async def test_while_a_send_is_held_up_that_ends_with_the_connection(stage, spec):
    await leaves_while_held_up(stage, spec, stuck=False)


@on_asyncio_only
@pytest.mark.parametrize("stage", STAGES)
@specs
async def test_while_a_send_is_held_up_that_the_server_never_ends(stage, spec):
    await leaves_while_held_up(stage, spec, stuck=True)


async def leaves_while_held_up(stage, spec, *, stuck):
    drain = Drain(grace=60)
    server = StallingServer(STAGES[stage], spec_version=spec, stuck=stuck, state={STATE_KEY: drain})
    source, outcome = Source(0 if stage in ("head", "hint") else 1), Outcome()
    response = EventStream(
        source.iterator,
        background=outcome.task(),
        head_wait=0.001,
        ping=0.001 if stage == "ping" else None,
        farewell=Event("bye"),
        finish_in_drain=True,
        send_timeout=None,
    )
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        if stage == "farewell":
            await server.body_has(1)
            drain.begin()
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        server.leave()
    check(source, outcome, server)


@pytest.mark.parametrize("due", ["ping", "farewell", "head"])
@specs
async def test_while_something_is_due(due, spec):
    """In the same turn of the event loop, so that both are seen at once."""
    drain = Drain(grace=60)
    server = FakeServer(spec_version=spec, state={STATE_KEY: drain})
    source, outcome = Source(0 if due == "head" else 1), Outcome()
    response = EventStream(
        source.iterator, background=outcome.task(), ping=0.001, head_wait=0.001, retry=None
    )
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await source.waiting.wait()
        if due != "head":
            await server.body_has(1)
        if due == "farewell":
            drain.begin()
        server.leave()
    assert source.is_closed
    assert outcome.completed == [False]
    assert b"going down" not in server.body


@specs
async def test_while_an_event_is_held_up_and_a_ping_and_a_farewell_are_due(spec):
    drain = Drain(grace=60)
    server = StallingServer(holds(b"event 0"), spec_version=spec, state={STATE_KEY: drain})
    source, outcome = Source(), Outcome()
    response = EventStream(source.iterator, background=outcome.task(), ping=0.001)
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.blocked.wait()
        drain.begin()
        await anyio.sleep(0.005)  # a timer is the subject: the ping is due meanwhile
        server.leave()
    assert PING not in server.body
    assert source.is_closed
    assert outcome.completed == [False]


@specs
async def test_while_the_error_is_told(spec):
    server = StallingServer(holds(b"event: error"), spec_version=spec)
    source, outcome = Source(fails=True), Outcome()
    caught = []

    async def fails():
        response = EventStream(source.iterator, error_events=True, background=outcome.task())
        with pytest.raises(ValueError) as failure:  # noqa: PT011 - it is the source's
            await run(response, server)
        caught.append(failure.value)

    async with anyio.create_task_group() as group:
        group.start_soon(fails)
        await server.blocked.wait()
        server.leave()
    assert caught
    assert source.is_closed
    assert outcome.completed == [False]


@specs
async def test_while_the_end_is_sent(spec):
    async def source():
        yield "x"

    server = StallingServer(lambda message: message.get("more_body") is False, spec_version=spec)
    outcome = Outcome()
    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), background=outcome.task()), server)
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        server.leave()
    assert len(outcome.completed) == 1


@specs
async def test_while_a_source_spins_without_giving_anything(spec):
    server, outcome = FakeServer(spec_version=spec), Outcome()
    closed, spinning = [], anyio.Event()

    async def source():
        try:
            yield "first"
            while True:
                spinning.set()
                await anyio.lowlevel.checkpoint()
        finally:
            closed.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), background=outcome.task()), server)
        await spinning.wait()
        server.leave()
    assert closed == [True]
    assert outcome.completed == [False]


@kinds
async def test_a_cancelled_response_closes_its_source(sync):
    server, outcome, source = FakeServer(), Outcome(), Source(sync=sync)
    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source.iterator, background=outcome.task()), server)
        await source.waiting.wait()
        source.released.set()
        group.cancel_scope.cancel()
    check(source, outcome, server)


@pytest.mark.parametrize("held_up", [False, True])
async def test_what_receive_raises_is_raised(held_up):
    server = StallingServer(holds(b"event 0" if held_up else b"nothing"))
    source, outcome = Source(), Outcome()

    async def receive():
        await server.body_has(1)
        await anyio.lowlevel.checkpoint()
        raise RuntimeError("receive failed")

    response = EventStream(source.iterator, background=outcome.task())
    with pytest.raises(RuntimeError, match="receive failed"), anyio.fail_after(10):
        await response(server.scope, receive, server.send)
    check(source, outcome, server)


# A request with a body


class BodyServer(FakeServer):
    """The request's body arrives in pieces, as it is asked for."""

    def __init__(self, *pieces: bytes, **options) -> None:
        super().__init__(method="POST", **options)
        self._pieces = list(pieces)
        self.read_bytes = 0

    async def receive(self):
        await anyio.lowlevel.checkpoint()
        if not self._pieces:
            return await self.receive_disconnect()
        body = self._pieces.pop(0)
        self.read_bytes += len(body)
        return {"type": "http.request", "body": body, "more_body": bool(self._pieces)}


@pytest.mark.parametrize("pieces", [1, 16], ids=["64 KB", "1 MB"])
@specs
async def test_while_the_body_of_the_request_is_unread(pieces, spec):
    server = BodyServer(*[bytes(65536)] * pieces, spec_version=spec)
    source, outcome = Source(), Outcome()
    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source.iterator, background=outcome.task()), server)
        await source.waiting.wait()
        await anyio.wait_all_tasks_blocked()
        assert server.read_bytes == pieces * 65536
        server.leave()
    check(source, outcome, server)
