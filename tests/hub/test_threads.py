"""Publishing from other threads and other event loops is safe, or refused with a clear error."""

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import pytest
import trio
from anyio import wait_all_tasks_blocked
from hub.reading import DEADLINE, read, waiting

from asgi_rt.errors import HubError
from asgi_rt.hub import Gap, Hub, Overflow, home


def run_in_thread(function, *arguments):
    """What a plain thread's function returns, or raises. Blocks this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result(DEADLINE)


async def test_a_worker_thread_publishes_and_is_told_what_became_of_it():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        published = await anyio.to_thread.run_sync(hub.publish_from_thread, "a", 1)
        assert (published.queued, published.id is not None) == (1, True)
        assert waiting(subscription) == [1]


async def test_a_plain_thread_publishes():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        thread = threading.Thread(target=hub.publish_from_thread, args=("a", 1))
        thread.start()
        assert await read(subscription, 1) == [1]
        await anyio.to_thread.run_sync(thread.join, DEADLINE)
        assert not thread.is_alive()


async def test_many_threads_publish_each_in_its_order():
    hub = Hub()
    threads, each = 8, 250

    def publish(number):
        for count in range(each):
            hub.publish_from_thread("a", [number, count])

    async with hub.subscribe("a", max_messages=threads * each) as subscription:
        async with anyio.create_task_group() as group:
            for number in range(threads):
                group.start_soon(anyio.to_thread.run_sync, publish, number)
        items = waiting(subscription)
    assert len(items) == threads * each
    for number in range(threads):
        assert [count for thread, count in items if thread == number] == list(range(each))


async def test_a_thread_waits_for_room_where_a_subscriber_blocks():
    hub = Hub()

    def publish():
        for number in range(20):
            hub.publish_from_thread("a", number)

    async with (
        hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription,
        anyio.create_task_group() as group,
    ):
        group.start_soon(anyio.to_thread.run_sync, publish)
        assert await read(subscription, 20) == list(range(20))


async def test_a_thread_that_waits_too_long_is_told_and_its_message_is_counted():
    hub = Hub()

    def publish():
        with pytest.raises(TimeoutError):
            hub.publish_from_thread("a", 2, timeout=0.05)

    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
        hub.publish_nowait("a", 1)
        await anyio.to_thread.run_sync(publish)
        assert waiting(subscription) == [1, Gap("overflow", 1, None)]


async def test_an_error_of_publish_is_raised_in_the_thread():
    hub = Hub()

    def publish():
        with pytest.raises(ValueError, match="no topic"):
            hub.publish_from_thread("a.*", 1)
        with pytest.raises(TypeError):
            hub.publish_from_thread("a", object())

    async with hub.subscribe("a"):
        await anyio.to_thread.run_sync(publish)


async def test_the_event_loops_own_thread_is_refused():
    hub = Hub()
    async with hub.subscribe("a"):
        with pytest.raises(HubError, match="publish_from_thread"):
            hub.publish_from_thread("a", 1)


async def test_a_thread_with_an_event_loop_of_its_own_is_refused():
    """It would stop while it waits, and for ever where this loop waits for it."""
    hub = Hub()

    async def publish_there():
        with pytest.raises(HubError, match="`await publish"):
            hub.publish_from_thread("a", 1)

    async with hub.subscribe("a"):
        await anyio.to_thread.run_sync(asyncio.run, publish_there())
        await anyio.to_thread.run_sync(trio.run, publish_there)


async def test_another_event_loop_is_refused_while_somebody_is_subscribed():
    hub = Hub()

    async def publish_there():
        with pytest.raises(HubError, match="another event loop"):
            await hub.publish("a", 1)
        with pytest.raises(HubError, match="another event loop"):
            hub.publish_nowait("a", 1)
        with pytest.raises(HubError, match="another event loop"):
            async with hub.subscribe("a"):
                pass
        with pytest.raises(HubError, match="another event loop"):
            async with hub:
                pass

    async with hub.subscribe("a") as subscription:
        await anyio.to_thread.run_sync(asyncio.run, publish_there())
        await anyio.to_thread.run_sync(trio.run, publish_there)
        assert waiting(subscription) == []
        assert hub.subscriber_count("a") == 1


async def test_another_event_loop_is_refused_while_the_hub_is_held_open():
    hub = Hub()

    async def publish_there():
        with pytest.raises(HubError, match="another event loop"):
            await hub.publish("a", 1)

    async with hub:
        await anyio.to_thread.run_sync(asyncio.run, publish_there())


async def test_a_thread_without_an_event_loop_is_refused_what_is_not_for_threads():
    hub = Hub()

    def publish():
        with pytest.raises(HubError, match="publish_from_thread"):
            hub.publish_nowait("a", 1)

    async with hub.subscribe("a"):
        await anyio.to_thread.run_sync(publish)
    await anyio.to_thread.run_sync(publish)


async def test_another_thread_is_refused_to_close_it_while_its_event_loop_runs():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        with pytest.raises(HubError, match="close it there"):
            await anyio.to_thread.run_sync(hub.close)
        await hub.publish("a", 1)
        assert waiting(subscription) == [1]
    hub.close()


def test_an_event_loop_that_goes_on_in_another_thread_closes_it_there_and_not_here():
    hub = Hub()
    loop = asyncio.new_event_loop()

    async def publish():
        hub.publish_nowait("a", 1)

    async def hold_open():
        async with hub:
            hub.publish_nowait("a", 2)

    loop.run_until_complete(publish())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with pytest.raises(HubError, match="close it there"):
            hub.close()
        asyncio.run_coroutine_threadsafe(hold_open(), loop).result(DEADLINE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE)
        loop.close()
    assert not thread.is_alive()


def test_any_thread_may_close_it_once_its_event_loop_is_over():
    hub = Hub()

    async def use():
        await hub.publish("a", 1)

    anyio.run(use)
    run_in_thread(hub.close)
    with pytest.raises(HubError, match="the hub is closed"):
        hub.publish_nowait("a", 2)


def test_a_hub_that_is_on_no_event_loop_yet_says_how_to_hold_it_open():
    with pytest.raises(HubError, match="async with hub"):
        Hub().publish_from_thread("a", 1)


def test_publishing_where_no_event_loop_runs_is_refused():
    with pytest.raises(HubError, match="none runs in this thread"):
        Hub().publish_nowait("a", 1)


@pytest.mark.parametrize("run", [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)])
def test_a_hub_whose_event_loop_is_over_says_so(run):
    hub = Hub()

    async def publish():
        await hub.publish("a", 1)

    run(publish())
    with pytest.raises(HubError, match="is over"):
        run_in_thread(hub.publish_from_thread, "a", 1)


def test_a_thread_that_waits_as_the_event_loop_ends_is_told():
    hub = Hub()
    results = []

    def publish():
        with pytest.raises(HubError, match="is over") as failure:
            hub.publish_from_thread("a", 2, timeout=None)
        results.append(failure)

    thread = threading.Thread(target=publish)

    async def main():
        subscription = hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1)
        await subscription.start()  # and it is still there when the event loop ends
        hub.publish_nowait("a", 1)
        thread.start()
        while not subscription._tickets:
            await asyncio.sleep(0.001)

    asyncio.run(main())
    thread.join(DEADLINE)
    assert len(results) == 1


def test_a_call_that_an_event_loop_never_comes_to_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(home, "_LOOK_SECONDS", 0.01)
    hub = Hub()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(hub.publish("a", 1))

    def publish():
        with pytest.raises(HubError, match="is over"):
            hub.publish_from_thread("a", 2, timeout=None)

    thread = threading.Thread(target=publish)
    thread.start()
    while not loop._ready:
        pass
    loop.close()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_an_event_loop_that_is_too_busy_to_keep_the_time_is_not_waited_for_much_longer(monkeypatch):
    monkeypatch.setattr(home, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(home, "_GRACE_SECONDS", 0.01)
    hub = Hub()

    async def main():
        await hub.publish("a", 1)

        def publish():
            with pytest.raises(TimeoutError):
                hub.publish_from_thread("a", 2, timeout=0.01)

        run_in_thread(publish)  # blocks this event loop
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert hub.snapshot().published == 1

    asyncio.run(main())


def test_a_hub_goes_along_to_another_event_loop_after_all_have_left():
    hub = Hub()

    async def use(number):
        async with hub.subscribe("a") as subscription:
            await hub.publish("a", number)
            await anyio.to_thread.run_sync(hub.publish_from_thread, "a", number + 1)
            assert await read(subscription, 2) == [number, number + 1]

    asyncio.run(use(1))
    trio.run(use, 3)
    asyncio.run(use(5))
    assert hub.snapshot().published == 6


def test_a_hub_whose_event_loop_ended_within_a_turn_goes_along_to_another():
    hub = Hub()
    loop = asyncio.new_event_loop()

    def publish_and_stop():
        hub.publish_nowait("a", 0)
        loop.stop()

    loop.call_soon(publish_and_stop)
    loop.run_forever()
    loop.close()

    async def use():
        async with hub.subscribe("a") as subscription:
            turns = set()
            for number in range(3):
                await hub.publish("a", number)
                turns.add(hub._delivery._turn.began_at)
                await wait_all_tasks_blocked()
            assert await read(subscription, 3) == [0, 1, 2]
            assert len(turns) == 3

    asyncio.run(use())


async def test_a_callback_of_the_event_loop_publishes():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        token = anyio.lowlevel.current_token().native_token
        soon = token.call_soon if hasattr(token, "call_soon") else token.run_sync_soon
        soon(hub.publish_nowait, "a", 1)
        assert await read(subscription, 1) == [1]


async def test_a_signal_handler_publishes_and_who_waits_is_woken():
    hub = Hub()
    async with hub.subscribe("a") as subscription, anyio.create_task_group() as group:
        got = []

        async def consume():
            got.extend(await read(subscription, 1))

        async def publish_on_signal(*, task_status):
            with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
                task_status.started()
                async for number in signals:
                    hub.publish_nowait("a", number)
                    return

        group.start_soon(consume)
        await group.start(publish_on_signal)
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGUSR1)
    assert got == [signal.SIGUSR1]
