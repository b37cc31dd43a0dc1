"""Streams that can be dropped: by their token alone, at any moment, and without a trace."""

from contextlib import aclosing

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_rt import ClientDisconnected
from asgi_rt.demo.droppable import DroppableStreams


class Source:
    """Gives what it is told to, then waits for ever; knows whether it was closed."""

    def __init__(self, *items):
        self._items = items
        self.waits = anyio.Event()
        self.is_closed = False

    async def items(self):
        try:
            for item in self._items:
                yield item
            self.waits.set()
            await anyio.sleep_forever()
        finally:
            self.is_closed = True


async def test_a_drop_ends_the_wait_of_a_silent_source():
    streams, source = DroppableStreams(), Source("one")
    guarded = streams.guard("token", source.items())
    errors = []

    async def read_on():
        try:
            await anext(guarded)
        except ClientDisconnected as error:
            errors.append(error)

    assert await anext(guarded) == "one"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_on)
        await source.waits.wait()
        assert streams.drop("other") == 0
        assert streams.drop("token") == 1
    assert len(errors) == 1
    assert source.is_closed
    assert len(streams) == 0


async def test_a_drop_between_two_items_comes_before_the_second():
    streams, source = DroppableStreams(), Source("one", "two")
    guarded = streams.guard("token", source.items())
    assert await anext(guarded) == "one"
    assert streams.drop("token") == 1
    with pytest.raises(ClientDisconnected):
        await anext(guarded)
    assert source.is_closed


async def test_every_stream_of_a_token_is_dropped_and_no_other():
    """The server may not have seen yet that a page's last connection is gone."""
    streams = DroppableStreams()
    first, second, other = (
        streams.guard(token, Source("one", "two").items()) for token in ("a", "a", "b")
    )
    async with aclosing(first), aclosing(second), aclosing(other):
        for each in (first, second, other):
            await anext(each)
        assert streams.drop("a") == 2
        for each in (first, second):
            with pytest.raises(ClientDisconnected):
                await anext(each)
        assert await anext(other) == "two"


async def test_a_stream_that_ends_or_is_closed_is_forgotten():
    streams = DroppableStreams()

    async def one():
        yield "one"

    async with aclosing(streams.guard("ends", one())) as guarded:
        assert [item async for item in guarded] == ["one"]
    source = Source("one")
    guarded = streams.guard("closed", source.items())
    await anext(guarded)
    assert len(streams) == 1
    await guarded.aclose()
    assert source.is_closed
    assert len(streams) == 0


async def test_streams_beyond_the_bound_are_served_and_cannot_be_dropped():
    streams = DroppableStreams(max_streams=1)
    within = streams.guard("within", Source("one").items())
    beyond = streams.guard("beyond", Source("one", "two").items())
    async with aclosing(within), aclosing(beyond):
        await anext(within)
        await anext(beyond)
        assert len(streams) == 1
        assert streams.drop("beyond") == 0
        assert await anext(beyond) == "two"


async def test_a_cancellation_from_outside_is_no_drop():
    streams, source = DroppableStreams(), Source()
    outcome = []

    async def read():
        with anyio.CancelScope() as scope:
            tasks.start_soon(cancel_when_it_waits, scope)
            async with aclosing(streams.guard("token", source.items())) as guarded:
                outcome.append(await anext(guarded))
        outcome.append("cancelled" if scope.cancelled_caught else "dropped")

    async def cancel_when_it_waits(scope):
        await source.waits.wait()
        await checkpoint()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
    assert outcome == ["cancelled"]
    assert source.is_closed
