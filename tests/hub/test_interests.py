"""Each pattern is asked of the backplane once, and nothing is left when nobody needs it."""

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from hub.cancelling import cancelled_at_each_wait
from hub.lagging_backplane import LaggingBackplane
from hub.reading import DEADLINE, read

from asgi_rt.errors import BackplaneError
from asgi_rt.hub import Hub
from asgi_rt.hub import interests as interests_module
from asgi_rt.hub.interests import Interests


class Nobody:
    """A listener that is never called."""

    receive = lose = None


@pytest.fixture
def backplane():
    return LaggingBackplane()


@pytest.fixture
async def interests(backplane):
    listener = Nobody()
    await backplane.open(listener)
    interests = Interests(backplane)
    interests.listener = listener
    yield interests
    await backplane.close(listener)


async def test_a_pattern_is_carried_from_the_first_holder_to_the_last(interests, backplane):
    listener = interests.listener
    await interests.acquire(listener, "a")
    await interests.acquire(listener, "a")
    await interests.release(listener, ["a"])
    assert (backplane.patterns, interests.patterns) == (["a"], ["a"])
    await interests.release(listener, ["a"])
    assert (backplane.patterns, interests.patterns) == ([], [])
    assert backplane.called == ["open", "subscribe", "unsubscribe"]


async def test_all_who_come_at_once_return_when_it_is_carried(interests, backplane):
    async def acquire():
        await interests.acquire(interests.listener, "a")
        assert backplane.patterns == ["a"]

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(acquire)
    assert backplane.called.count("subscribe") == 1
    for _ in range(100):
        await interests.release(interests.listener, ["a"])
    assert (backplane.patterns, interests.patterns) == ([], [])


async def test_coming_while_the_last_is_going_has_it_carried_again(interests, backplane):
    listener = interests.listener
    await interests.acquire(listener, "a")
    async with anyio.create_task_group() as group:
        group.start_soon(interests.release, listener, ["a"])
        await anyio.lowlevel.checkpoint()
        await interests.acquire(listener, "a")
        assert backplane.patterns == ["a"]
    assert backplane.patterns == ["a"]
    await interests.release(listener, ["a"])
    assert (backplane.patterns, interests.patterns) == ([], [])


@pytest.mark.parametrize("is_kept", [True, False])
async def test_flapping_ends_with_what_is_wanted(interests, backplane, is_kept):
    listener = interests.listener

    async def flap(count):
        for _ in range(count):
            await interests.acquire(listener, "a")
            assert backplane.patterns == ["a"]
            await interests.release(listener, ["a"])

    async with anyio.create_task_group() as group:
        for count in range(1, 8):
            group.start_soon(flap, count)
        if is_kept:
            await interests.acquire(listener, "a")
    assert backplane.patterns == interests.patterns == (["a"] if is_kept else [])


async def test_a_backplane_that_fails_leaves_nothing_of_it(interests, backplane):
    backplane.failing.add("subscribe")
    with pytest.raises(BackplaneError, match="subscribe has failed"):
        await interests.acquire(interests.listener, "a")
    assert (backplane.patterns, interests.patterns) == ([], [])
    backplane.failing.clear()
    await interests.acquire(interests.listener, "a")
    assert backplane.patterns == ["a"]


async def test_each_who_waits_tries_for_itself_when_the_first_has_failed(interests, backplane):
    backplane.failing.add("subscribe")
    failures = []

    async def acquire():
        try:
            await interests.acquire(interests.listener, "a")
        except BackplaneError as error:
            failures.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(acquire)
    assert len(failures) == 5
    assert interests.patterns == []


async def test_what_cannot_be_unsubscribed_from_is_logged_and_forgotten(
    interests, backplane, caplog
):
    await interests.acquire(interests.listener, "a")
    await interests.acquire(interests.listener, "b")
    backplane.failing.add("unsubscribe")
    await interests.release(interests.listener, ["a", "b"])
    assert interests.patterns == []
    assert [record.args[0] for record in caplog.records] == ["a", "b"]


async def test_cancelling_at_any_wait_leaves_nothing(interests, backplane):
    async def come_and_go():
        await interests.acquire(interests.listener, "a")
        await interests.release(interests.listener, ["a"])

    async def check():
        assert (backplane.patterns, interests.patterns) == ([], [])

    assert await cancelled_at_each_wait(come_and_go, check) >= 8


async def test_cancelling_one_at_any_wait_keeps_it_carried_for_another(interests, backplane):
    listener = interests.listener

    async def come_and_go():
        await interests.acquire(listener, "a")
        await interests.release(listener, ["a"])

    async def check():
        assert backplane.patterns == ["a"]

    await interests.acquire(listener, "a")
    await cancelled_at_each_wait(come_and_go, check)
    await interests.release(listener, ["a"])
    assert (backplane.patterns, interests.patterns) == ([], [])


async def test_cancelling_the_first_at_any_wait_has_the_second_carried(interests, backplane):
    listener = interests.listener

    async def come_first():
        async with anyio.create_task_group() as group:
            group.start_soon(come_second)
            await interests.acquire(listener, "a")
            await interests.release(listener, ["a"])

    async def come_second():
        with anyio.CancelScope(shield=True):
            await interests.acquire(listener, "a")
            assert backplane.patterns == ["a"]
            await interests.release(listener, ["a"])

    async def check():
        assert (backplane.patterns, interests.patterns) == ([], [])

    await cancelled_at_each_wait(come_first, check)


async def test_who_waits_behind_a_stuck_call_can_be_cancelled(interests, backplane):
    backplane.stuck.add("subscribe")
    async with anyio.create_task_group() as group:
        group.start_soon(interests.acquire, interests.listener, "a")
        await wait_all_tasks_blocked()
        with anyio.fail_after(DEADLINE):
            with anyio.move_on_after(0) as scope:
                await interests.acquire(interests.listener, "a")
            assert scope.cancelled_caught
        group.cancel_scope.cancel()
    assert interests.patterns == []


async def test_who_comes_behind_a_stuck_leaver_can_be_cancelled(interests, backplane, monkeypatch):
    monkeypatch.setattr(interests_module, "_RELEASE_SECONDS", 100 * DEADLINE)
    await interests.acquire(interests.listener, "a")
    backplane.stuck.add("unsubscribe")
    async with anyio.create_task_group() as group:
        group.start_soon(interests.release, interests.listener, ["a"])
        await wait_all_tasks_blocked()
        with anyio.fail_after(DEADLINE), anyio.move_on_after(0) as scope:
            await interests.acquire(interests.listener, "a")
        assert scope.cancelled_caught
        backplane.unstick()
    assert (backplane.patterns, interests.patterns) == ([], [])


async def test_a_stuck_backplane_holds_up_who_leaves_for_a_bounded_time(
    interests, backplane, monkeypatch, caplog
):
    monkeypatch.setattr(interests_module, "_RELEASE_SECONDS", 0.01)
    await interests.acquire(interests.listener, "a")
    await interests.acquire(interests.listener, "b")
    backplane.stuck.add("unsubscribe")
    with anyio.fail_after(DEADLINE):
        await interests.release(interests.listener, ["a", "b"])
    assert interests.patterns == []
    assert "not unsubscribed within 0.01 s" in caplog.text


async def test_a_hundred_first_subscribers_all_get_what_is_published_then():
    backplane = LaggingBackplane()
    hub = Hub(backplane=backplane)
    got = []

    async def consume(*, task_status):
        async with hub.subscribe("a", "b.*") as subscription:
            task_status.started()
            got.extend(await read(subscription, 2))

    async with anyio.create_task_group() as delivering:
        await delivering.start(backplane.deliver)
        async with hub:
            async with anyio.create_task_group() as group:
                async with anyio.create_task_group() as starting:
                    for _ in range(100):
                        starting.start_soon(group.start, consume)
                await hub.publish("a", 1)
                await hub.publish("b.x", 2)
            assert backplane.patterns == []
        delivering.cancel_scope.cancel()
    assert got == [1, 2] * 100
    assert backplane.called.count("subscribe") == 2
    assert backplane.listeners == 0
