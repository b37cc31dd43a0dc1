"""What is sent beside a source that waits, and what else may happen to the stream meanwhile."""

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from sse.wire import PING, Outcome, Pings, StallingServer, frames, holds, is_head, run

from asgi_rt import HTTPError, SendTimeout
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.sse import Event, EventStream

FAR = 60.0  # seconds of grace that no test waits for
FAREWELL = b"going down"


class Source:
    """Gives its events, then waits for ever; knows when it was closed."""

    def __init__(self, *given: str) -> None:
        self.given = given
        self.is_closed = False
        self.iterator = self._iterate()

    async def _iterate(self):
        try:
            for item in self.given:
                yield item
            await anyio.sleep_forever()
        finally:
            self.is_closed = True


# What goes before


@pytest.mark.parametrize("head_wait", [None, 30])
async def test_a_source_that_is_slow_to_start_is_pinged_for_afterwards(head_wait):
    server, may_give = Pings(), anyio.Event()

    async def source():
        await may_give.wait()
        yield "first"
        await server.pinged(1)

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), ping=0.001, head_wait=head_wait), server)
        await anyio.wait_all_tasks_blocked()
        assert server.messages == []
        may_give.set()
    assert PING in frames(server)


# The source fails


async def test_an_error_while_a_ping_is_held_up_is_told_after_it():
    server = StallingServer(holds(PING))

    async def source():
        yield "first"
        await server.blocked.wait()
        raise HTTPError(429)

    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source(), ping=0.002, error_events=True), server)
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        server.thaw()
    assert server.is_complete
    assert frames(server)[-1].startswith(b"event: error")


async def test_an_error_that_a_frozen_client_cannot_be_told_is_raised_and_no_group():
    server = StallingServer(holds(b"event: error"), stuck=True)

    async def source():
        yield "first"
        await server.body_has(1)
        raise ValueError("the source's")

    with pytest.raises((SendTimeout, ValueError)):
        await run(EventStream(source(), error_events=True, send_timeout=0.01), server)


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("leaves_first", [False, True])
async def test_a_client_that_leaves_as_the_source_fails_cancels_nobody(leaves_first, turns):
    server, may_fail, outcome, raised = FakeServer(), anyio.Event(), Outcome(), []

    async def source():
        yield "first"
        await may_fail.wait()
        raise ValueError("the source's")

    async def serve():
        try:
            await run(EventStream(source(), background=outcome.task()), server)
        except BaseException as error:
            raised.append(error)
        await anyio.lowlevel.checkpoint()  # a cancellation that is left over would come here

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        await server.body_has(1)
        await anyio.wait_all_tasks_blocked()
        (server.leave if leaves_first else may_fail.set)()
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        (may_fail.set if leaves_first else server.leave)()
    assert [type(error) for error in raised] in ([], [ValueError])
    assert outcome.completed == [False]


# The client freezes, or leaves


@pytest.mark.parametrize("ending", ["grace", "client leaves"])
async def test_a_client_that_freezes_at_the_farewell_does_not_hold_the_drain_up(ending):
    drain = Drain(grace=0.02 if ending == "grace" else FAR)
    server = StallingServer(holds(FAREWELL), state={STATE_KEY: drain}, stuck=True)
    source = Source("first")
    async with anyio.create_task_group() as enforcing:
        enforcing.start_soon(drain.enforce)
        async with anyio.create_task_group() as group:
            group.start_soon(run, EventStream(source.iterator, send_timeout=None), server)
            await server.body_has(len(b"data: first\n\n"))
            drain.begin()
            await server.blocked.wait()
            if ending == "client leaves":
                server.leave()
        enforcing.cancel_scope.cancel()
    assert source.is_closed
    assert drain.open_connections == 0


STAGES = {"head": is_head, "hint": holds(b"retry: "), "ping": holds(PING), "bye": holds(b"bye")}


@pytest.mark.parametrize("stage", STAGES)
async def test_a_client_that_leaves_while_what_is_sent_beside_is_held_up(stage):
    drain = Drain(grace=FAR)
    server = StallingServer(STAGES[stage], stuck=True, state={STATE_KEY: drain})
    source, outcome = Source(*(["first"] if stage in ("ping", "bye") else [])), Outcome()
    response = EventStream(
        source.iterator,
        ping=0.001 if stage == "ping" else None,
        head_wait=0.001,
        farewell=Event("bye"),
        finish_in_drain=True,
        send_timeout=None,
        background=outcome.task(),
    )
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        if stage == "bye":
            await server.body_has(1)
            drain.begin()
        await server.blocked.wait()
        await anyio.wait_all_tasks_blocked()
        server.leave()
    assert source.is_closed
    assert outcome.completed == [False]
    assert not server.is_complete


async def test_a_client_that_leaves_while_an_event_is_held_up_and_a_ping_is_due():
    server, source = StallingServer(holds(b"first"), stuck=True), Source("first")
    async with anyio.create_task_group() as group:
        group.start_soon(run, EventStream(source.iterator, ping=0.001, send_timeout=None), server)
        await server.blocked.wait()
        await anyio.sleep(0.005)  # a timer is the subject: the ping is due meanwhile
        server.leave()
    assert source.is_closed
    assert PING not in server.body


@pytest.mark.parametrize("due", ["ping", "farewell"])
async def test_nothing_is_sent_after_a_send_that_timed_out(due):
    drain = Drain(grace=FAR)
    server = StallingServer(holds(b"first"), stuck=True, state={STATE_KEY: drain})
    source = Source("first")
    response = EventStream(
        source.iterator,
        ping=0.002 if due == "ping" else None,
        send_timeout=0.02,
        finish_in_drain=True,
        retry=None,
    )

    async def times_out():
        with pytest.raises(SendTimeout):
            await run(response, server)

    async with anyio.create_task_group() as group:
        group.start_soon(times_out)
        await server.blocked.wait()
        if due == "farewell":
            drain.begin()
    assert server.body == b"data: first\n\n"
    assert source.is_closed


# The end


@pytest.mark.parametrize("ending", ["end", "error"])
async def test_nothing_is_sent_after_the_last_message(ending):
    drain = Drain(grace=FAR)
    server = StallingServer(
        lambda message: message.get("more_body") is False, state={STATE_KEY: drain}
    )

    async def source():
        yield "first"
        await server.body_has(1)
        if ending == "error":
            raise HTTPError(429)

    response = EventStream(source(), ping=0.005, finish_in_drain=True, error_events=True)
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.blocked.wait()
        drain.begin()
        await anyio.sleep(0.01)  # a timer is the subject: a ping would be due meanwhile
        server.thaw()
    assert server.is_complete
    assert [message.get("more_body") for message in server.messages].count(False) == 1


async def test_an_item_that_waits_behind_the_farewell_does_not_cost_the_clean_end():
    drain = Drain(grace=FAR)
    server, source = StallingServer(holds(b"first"), state={STATE_KEY: drain}), Source("first", "2")

    async def send(message):
        await anyio.lowlevel.checkpoint()
        await server.send(message)
        await anyio.lowlevel.checkpoint()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(EventStream(source.iterator), server.scope, server.receive, send)
            await server.blocked.wait()
            drain.begin()
            await anyio.wait_all_tasks_blocked()
            server.thaw()
    assert FAREWELL in server.body
    assert server.is_complete
    assert source.is_closed
