"""Hubs that share the backplane of one process: one order for all, whoever publishes meanwhile."""

import gc
import threading
import weakref
from contextlib import AsyncExitStack, suppress

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from feeds.pushed import streamed
from hub.reading import DEADLINE, read, read_to_end, waiting
from sse.wire import on_asyncio_only

from asgi_rt import sse_feed
from asgi_rt.hub import Hub, Overflow, Published, turn
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.slow_log import SlowLog


async def test_what_is_published_by_the_filters_of_several_hubs_has_one_order_for_all():
    backplane = MemoryBackplane()
    hubs = [Hub(backplane=backplane) for _ in range(3)]

    def answering(hub, name, rounds):
        def answer(message):
            if len(message.data) < rounds:
                hub.publish_nowait("a", message.data + name)
            return True

        return answer

    async with AsyncExitStack() as stack:
        subscriptions = []
        for hub, name in zip(hubs, "xyz", strict=True):
            # One that answers, and one after it who would see the answer first.
            for answer in (answering(hub, name, 3), None):
                subscription = hub.subscribe("a", filter=answer)
                subscriptions.append(await stack.enter_async_context(subscription))
        hubs[0].publish_nowait("a", "")
        hubs[1].publish_nowait("a", "x")
        got = [waiting(subscription) for subscription in subscriptions]
        assert sorted(got[0]) == sorted(every_answer("") + every_answer("x"))
        kept = await backplane.newest(["a"], 1000)
        assert got == [[message.data for message in kept]] * len(subscriptions)


def every_answer(text):
    return [text] + [each for name in "xyz" if len(text) < 3 for each in every_answer(text + name)]


async def test_who_answers_over_another_hub_is_answered_in_order_and_resumes_without_repeat():
    backplane = MemoryBackplane()
    here, there = Hub(backplane=backplane), Hub(backplane=backplane)

    def answer(message):
        if message.data == "question":
            outcomes.append(there.publish_nowait("a", "answer"))
        return True

    outcomes = []
    async with there.subscribe("a", filter=answer) as one, here.subscribe("a") as two:
        published = await here.publish("a", "question")
        assert waiting(one) == waiting(two) == ["question", "answer"]
    assert outcomes == [Published(outcomes[0].id, 0, 1, 0, 0)]
    async with here.subscribe("a", after=published.id) as resumed:
        assert waiting(resumed) == ["answer"]
    assert here.snapshot().published == there.snapshot().published == 2


async def test_a_hub_that_nobody_is_subscribed_to_may_answer_as_well():
    backplane = MemoryBackplane()
    here, there, silent = (Hub(backplane=backplane) for _ in range(3))

    def answer(message):
        if message.data == "question":
            silent.publish_nowait("a", "answer")
        return True

    async with there.subscribe("a", filter=answer), here.subscribe("a") as subscription:
        await here.publish("a", "question")
        assert waiting(subscription) == ["question", "answer"]
    assert silent.snapshot().published == 1


async def test_an_error_while_a_message_is_given_holds_up_none_that_follow():
    backplane = MemoryBackplane()
    here, there = Hub(backplane=backplane), Hub(backplane=backplane)

    def interrupted(message):
        if message.data == 1:
            here.publish_nowait("a", 2)
            raise KeyboardInterrupt
        return True

    async with there.subscribe("a", filter=interrupted), here.subscribe("a") as subscription:
        with pytest.raises(KeyboardInterrupt):
            await here.publish("a", 1)
        await here.publish("a", 3)
        assert waiting(subscription) == [1, 2, 3]


async def test_an_error_on_the_way_to_a_hub_is_none_for_the_hubs_behind_it():
    backplane = MemoryBackplane()
    here, there, behind = (Hub(backplane=backplane) for _ in range(3))

    def interrupted(message):
        raise KeyboardInterrupt

    async with there.subscribe("a", filter=interrupted), behind.subscribe("a") as subscription:
        with pytest.raises(KeyboardInterrupt):
            await here.publish("a", 1)
        assert waiting(subscription) == [1]


async def test_an_interrupt_where_it_begins_to_give_leaves_it_able_to(monkeypatch):
    backplane = MemoryBackplane()
    here, there = Hub(backplane=backplane), Hub(backplane=backplane)
    give, interrupts = backplane.give_nowait, [KeyboardInterrupt]

    def interrupted(*arguments):
        if interrupts:
            raise interrupts.pop()
        give(*arguments)

    monkeypatch.setattr(backplane, "give_nowait", interrupted)
    async with here.subscribe("a") as one, there.subscribe("a") as two:
        with pytest.raises(KeyboardInterrupt):
            here.publish_nowait("a", 1)
        here.publish_nowait("a", 2)
        assert waiting(one) == waiting(two) == [2]


@on_asyncio_only
async def test_a_filter_that_answers_over_a_message_that_takes_several_turns_is_no_fault(
    monkeypatch,
):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
    backplane = MemoryBackplane()
    here, there = Hub(backplane=backplane), Hub(backplane=backplane)

    def answer(message):
        if message.data == "question":
            here.publish_nowait("a", "answer")
        return True

    async with AsyncExitStack() as stack:
        blocking = here.subscribe("a", policy=Overflow.BLOCK, max_messages=1)
        await stack.enter_async_context(blocking)
        await here.publish("a", "first")
        streams = [
            await stack.enter_async_context(streamed(sse_feed(here, "a"))) for _ in range(200)
        ]
        await stack.enter_async_context(there.subscribe("a", filter=answer))
        await wait_all_tasks_blocked()
        async with anyio.create_task_group() as group:
            group.start_soon(here.publish, "a", "question")
            assert await read(blocking, 2) == ["first", "question"]
        await wait_all_tasks_blocked()
        assert [stream.datas for stream in streams] == [["question", "answer"]] * 200


async def test_a_hub_that_is_closed_behind_what_was_published_gives_that_first():
    backplane = MemoryBackplane()
    here, there = Hub(backplane=backplane), Hub(backplane=backplane)

    def say_farewell(message):
        if message.data == "question":
            there.publish_nowait("a", "farewell")
            there.close()
        return True

    async with here.subscribe("a", filter=say_farewell), there.subscribe("a") as subscription:
        await here.publish("a", "question")
        assert await read_to_end(subscription) == ["question", "farewell"]


async def test_an_interrupt_gets_out_of_hubs_that_answer_each_other_without_end():
    backplane = MemoryBackplane()
    hubs = [Hub(backplane=backplane) for _ in range(2)]

    def answering(hub):
        def answer(message):
            counted.append(1)
            if len(counted) % 100 == 0:
                raise KeyboardInterrupt
            assert len(counted) < 1000
            hub.publish_nowait("a", "again")
            return True

        return answer

    counted = []
    async with (
        hubs[0].subscribe("a", filter=answering(hubs[1])),
        hubs[1].subscribe("a", filter=answering(hubs[0])),
    ):
        with pytest.raises(KeyboardInterrupt):
            hubs[0].publish_nowait("a", "first")
        assert len(counted) < 300


async def publish_nowait(hub, topic, data):
    hub.publish_nowait(topic, data)


@on_asyncio_only
@pytest.mark.parametrize("publish", [Hub.publish, publish_nowait], ids=["publish", "nowait"])
async def test_an_interrupt_in_another_hub_leaves_no_message_half_given(publish, monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
    backplane = MemoryBackplane()
    here, there = Hub(backplane=backplane), Hub(backplane=backplane)

    def interrupted(message):
        raise KeyboardInterrupt

    async with AsyncExitStack() as stack:
        feeds = [sse_feed(here, "a") for _ in range(200)]
        streams = [await stack.enter_async_context(streamed(each)) for each in feeds]
        await stack.enter_async_context(there.subscribe("a", filter=interrupted))
        await wait_all_tasks_blocked()
        with pytest.raises(KeyboardInterrupt):
            await publish(here, "a", "message")
        await wait_all_tasks_blocked()
        assert [stream.datas for stream in streams] == [["message"]] * 200


def test_a_hub_at_rest_that_another_thread_closes_gives_out_nothing_of_others_there(monkeypatch):
    backplane = MemoryBackplane()
    here, there, unused = (Hub(backplane=backplane) for _ in range(3))
    is_closing, may_close = threading.Event(), threading.Event()
    threads = set()

    class ClosesSlowly(SlowLog):
        def say_rest(self):
            is_closing.set()
            may_close.wait(DEADLINE)

    def note(_):
        threads.add(threading.get_ident())
        return True

    async def publish():
        async with here.subscribe("a", filter=note) as subscription:
            there.publish_nowait("a", 1)
            assert waiting(subscription) == [1]

    monkeypatch.setattr(unused, "_slow_log", ClosesSlowly())
    thread = threading.Thread(target=unused.close)
    thread.start()
    try:
        assert is_closing.wait(DEADLINE)
        anyio.run(publish)
    finally:
        may_close.set()
        thread.join(DEADLINE)
    assert threads == {threading.get_ident()}


def test_an_error_in_a_filter_leaves_no_cycle():
    class Marked:
        pass

    async def publish():
        backplane = MemoryBackplane()
        here, there = Hub(backplane=backplane), Hub(backplane=backplane)

        def interrupted(message):
            raise KeyboardInterrupt

        async with there.subscribe("a", filter=interrupted), here.subscribe("a"):
            marked = Marked()
            watched = weakref.ref(marked)
            with suppress(KeyboardInterrupt):
                here.publish_nowait("a", 1)
            return watched

    gc.disable()
    try:
        assert anyio.run(publish)() is None
    finally:
        gc.enable()


def after_an_interrupt(data):
    """A filter that is interrupted by the message 1, and one that answers it."""

    def interrupted(message):
        if message.data == 1:
            raise KeyboardInterrupt
        return True

    def answering(hub):
        def answer(message):
            if message.data == 1:
                hub.publish_nowait("a", data)
            return True

        return answer

    return interrupted, answering


async def test_what_an_interrupt_leaves_is_given_without_another_message():
    backplane = MemoryBackplane()
    here, there, behind = (Hub(backplane=backplane) for _ in range(3))
    interrupted, answering = after_an_interrupt(2)
    async with (
        here.subscribe("a") as subscription,
        there.subscribe("a", filter=interrupted),
        behind.subscribe("a", filter=answering(here)),
    ):
        with pytest.raises(KeyboardInterrupt):
            here.publish_nowait("a", 1)
        assert await read(subscription, 2) == [1, 2]


async def test_nothing_overtakes_what_an_interrupt_leaves_though_all_others_are_gone():
    backplane = MemoryBackplane()
    here, there, behind = (Hub(backplane=backplane) for _ in range(3))
    interrupted, answering = after_an_interrupt(2)
    async with here.subscribe("a") as subscription:
        async with (
            there.subscribe("a", filter=interrupted),
            behind.subscribe("a", filter=answering(here)),
        ):
            with pytest.raises(KeyboardInterrupt):
                here.publish_nowait("a", 1)
            first = subscription.take()
        async with here.subscribe("a", after=first.id) as resumed:
            here.publish_nowait("a", 3)
            here.publish_nowait("a", 4)
            assert waiting(resumed) == waiting(subscription) == [2, 3, 4]


async def test_a_hub_that_is_closed_behind_an_interrupt_ends():
    backplane = MemoryBackplane()
    here, there, behind = (Hub(backplane=backplane) for _ in range(3))
    interrupted, _ = after_an_interrupt(None)

    def close(message):
        here.close()
        return True

    async with (
        here.subscribe("a") as subscription,
        there.subscribe("a", filter=interrupted),
        behind.subscribe("a", filter=close),
    ):
        with pytest.raises(KeyboardInterrupt):
            here.publish_nowait("a", 1)
        assert await read_to_end(subscription) == [1]
