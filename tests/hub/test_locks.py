"""Locks by name."""

import anyio
import anyio.lowlevel
import pytest

from asgi_rt.hub.locks import Locks


async def test_a_name_is_held_by_one_at_a_time_in_the_order_of_asking():
    locks = Locks()
    events = []

    async def hold(number):
        async with locks.hold("a"):
            events.append(("begins", number))
            await anyio.lowlevel.checkpoint()
            events.append(("ends", number))

    async with anyio.create_task_group() as group, locks.hold("a"):
        for number in range(3):
            group.start_soon(hold, number)
            await anyio.wait_all_tasks_blocked()
    assert events == [(what, number) for number in range(3) for what in ("begins", "ends")]


async def test_names_do_not_wait_for_each_other():
    locks = Locks()
    async with locks.hold("a"), locks.hold("b"), locks.hold(("a", "b")):
        assert len(locks) == 3
    assert len(locks) == 0


async def test_a_free_one_is_had_without_waiting():
    locks = Locks()
    held = locks.hold("a")
    with pytest.raises(StopIteration):
        held.__aenter__().send(None)
    assert len(locks) == 1
    await held.__aexit__(None, None, None)


async def test_one_that_is_waited_for_is_kept():
    locks = Locks()
    was_held = False

    async def hold():
        nonlocal was_held
        async with locks.hold("a"):
            was_held = True

    async with anyio.create_task_group() as group:
        async with locks.hold("a"):
            group.start_soon(hold)
            await anyio.wait_all_tasks_blocked()
        assert len(locks) == 1
        assert not was_held
    assert was_held
    assert len(locks) == 0


async def test_a_wait_that_is_cancelled_leaves_nothing():
    locks = Locks()

    async def hold():
        async with locks.hold("a"):
            pytest.fail("it was had twice")

    async with locks.hold("a"), anyio.create_task_group() as group:
        group.start_soon(hold)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert len(locks) == 0
    async with locks.hold("a"):
        assert len(locks) == 1


async def test_an_error_inside_lets_go():
    locks = Locks()
    with pytest.raises(KeyError):
        await _fail(locks)
    assert len(locks) == 0


async def _fail(locks):
    async with locks.hold("a"):
        raise KeyError
