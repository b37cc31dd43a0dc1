"""Cancellation at every await of a place's life, of the scope around it and of the task itself."""

import asyncio
import types
from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import pytest
from hub.presence_events import TOPIC, backplanes, changes, is_in_order, names, opened
from hub.waiting_backplane import WaitingBackplane

on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"debug": True}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)
tabs = pytest.mark.parametrize("has_tab", [False, True], ids=["alone", "with another tab"])


class Nth:
    """Calls `act` at the `number`th wait, of a coroutine and of what the backplane does for it."""

    def __init__(self, presence, number, act):
        self.left = number
        self.act = act
        if isinstance(presence.hub.backplane, WaitingBackplane):
            presence.hub.backplane.on_wait = self.count

    @property
    def is_past(self):
        """Whether there were that many."""
        return self.left <= 0

    def count(self):
        self.left -= 1
        if self.left == 0:
            self.act()

    @types.coroutine
    def run(self, coroutine):
        answer = error = None
        while True:
            try:
                waited = coroutine.send(answer) if error is None else coroutine.throw(error)
            except StopIteration:
                return
            self.count()
            answer = error = None
            try:
                answer = yield waited
            except BaseException as thrown:
                error = thrown


async def visit(presence):
    """All that can be done with a place."""
    async with presence.join(TOPIC, "ada", 1) as place:
        await place.update(2)
        await anyio.lowlevel.checkpoint()


async def cancelled_in_scope(presence, number):
    """Visit, in a scope that is cancelled at a wait; whether there was such a wait."""
    with anyio.CancelScope() as scope:
        nth = Nth(presence, number, scope.cancel)
        await nth.run(visit(presence))
    return nth.is_past


async def cancelled_as_task(presence, number):
    """The same, in a task that is cancelled itself."""
    nth = Nth(presence, number, lambda: task.cancel())
    task = asyncio.create_task(_as_coroutine(nth.run(visit(presence))))
    await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None
    return nth.is_past


async def _as_coroutine(awaitable):
    await awaitable


async def check_every_wait(cancelled, *, waits, has_tab):
    """Cancel at each wait in turn, and see that it is as if nobody had been there."""
    is_past, number = True, 0
    while is_past:
        number += 1
        async with opened(waits) as (presence, subscription), AsyncExitStack() as stack:
            if has_tab:
                await stack.enter_async_context(presence.join(TOPIC, "ada", 0))
                assert len(changes(subscription)) == 1
            is_past = await cancelled(presence, number)
            assert await names(presence) == ["ada"] * has_tab
            assert not presence._locks
            events = [change for change, _, _ in changes(subscription)]
            assert set(events) <= {"updated"} if has_tab else is_in_order(events)
    # Three of its own, and two for each call of the backplane, of which there are five or six.
    assert number > (13 if waits else 3)


@tabs
@backplanes
async def test_a_scope_that_is_cancelled_at_any_wait_leaves_nobody_behind(waits, has_tab):
    await check_every_wait(cancelled_in_scope, waits=waits, has_tab=has_tab)


@on_asyncio
@tabs
@backplanes
async def test_a_task_that_is_cancelled_at_any_wait_leaves_nobody_behind(waits, has_tab):
    await check_every_wait(cancelled_as_task, waits=waits, has_tab=has_tab)


@on_asyncio
@backplanes
async def test_a_task_that_is_cancelled_over_and_over_leaves_nobody_behind(waits):
    turns = 0
    is_cancelled = True
    while is_cancelled:
        turns += 1
        async with opened(waits) as (presence, subscription):
            task = asyncio.create_task(visit(presence))
            for _ in range(turns):
                await asyncio.sleep(0)
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)
            is_cancelled = task.cancelled()
            assert await names(presence) == []
            assert is_in_order([change for change, _, _ in changes(subscription)])
            assert not presence._locks
    assert turns > 3


@backplanes
async def test_who_is_cancelled_while_they_wait_for_their_turn_was_never_there(waits):
    async with opened(waits) as (presence, subscription):

        async def join():
            async with presence.join(TOPIC, "ada"):
                pytest.fail("it joined")

        async with presence._locks.hold((TOPIC, "ada")), anyio.create_task_group() as group:
            group.start_soon(join)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        assert not presence._locks
        assert await names(presence) == []
        assert changes(subscription) == []


@backplanes
async def test_a_cancelled_scope_does_not_hide_the_error_of_the_block(waits):
    async with opened(waits) as (presence, _):
        with anyio.CancelScope() as scope, pytest.raises(KeyError):
            await _cancel_and_fail(presence, scope)
        assert await names(presence) == []


async def _cancel_and_fail(presence, scope):
    async with presence.join(TOPIC, "ada"):
        scope.cancel()
        raise KeyError


@backplanes
async def test_many_that_are_cancelled_at_different_waits_leave_nobody_behind(waits):
    async with opened(waits) as (presence, _):
        topic = presence.topic(TOPIC)

        async def come_and_go(number):
            for step in range(20):
                await cancelled_in_scope(presence, 1 + (number * 7 + step) % 23)

        async with presence.hub.subscribe(topic, max_messages=10_000) as subscription:
            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(come_and_go, number)
            assert await names(presence) == []
            assert is_in_order([change for change, _, _ in changes(subscription)])
        assert not presence._locks
