"""The backplane of one process, the suite for all backplanes, and hubs that share one."""

import tracemalloc
from contextlib import asynccontextmanager

import anyio
import pytest
from hub.lagging_backplane import LaggingBackplane
from hub.reading import waiting

from asgi_rt.feeds.wire import envelope, plain
from asgi_rt.hub import History, Hub, Message
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.testing.backplane import BackplaneConformance, RecordingListener


class TestMemoryBackplane(BackplaneConformance):
    history_count = 100

    @asynccontextmanager
    async def connections(self):
        backplane = MemoryBackplane()
        yield backplane, backplane


class TestMemoryBackplaneWithoutHistory(BackplaneConformance):
    has_history = False

    @asynccontextmanager
    async def connections(self):
        backplane = MemoryBackplane(history=None)
        yield backplane, backplane


class TestLaggingBackplane(BackplaneConformance):
    """The one that other tests take for one of many processes."""

    history_count = 100

    @asynccontextmanager
    async def connections(self):
        backplane = LaggingBackplane()
        async with anyio.create_task_group() as group:
            await group.start(backplane.deliver)
            yield backplane, backplane
            group.cancel_scope.cancel()


async def test_hubs_that_share_one_share_messages_and_history():
    backplane = MemoryBackplane()
    first, second = Hub(backplane=backplane), Hub(backplane=backplane)
    async with first.subscribe("a") as here, second.subscribe("a.*", "a") as there:
        published = first.publish_nowait("a", 1)
        assert published.queued == 1
        second.publish_nowait("a", 2)
        assert waiting(here) == waiting(there) == [1, 2]
    async with second.subscribe("a", after=published.id) as there:
        assert waiting(there) == [2]


async def test_a_hub_that_nobody_is_subscribed_to_publishes_to_the_only_other():
    backplane = MemoryBackplane()
    first, second = Hub(backplane=backplane), Hub(backplane=backplane)
    async with second.subscribe("a") as subscription:
        await first.publish("a", 1)
        assert waiting(subscription) == [1]


async def test_a_hub_without_subscribers_is_not_called():
    backplane = MemoryBackplane()
    first, second = Hub(backplane=backplane), Hub(backplane=backplane)
    async with second.subscribe("a"):
        pass
    await first.publish("a", 1)
    assert second.snapshot().published == 0
    assert not backplane._routes


async def test_the_position_returned_is_that_of_the_message():
    """Also where a listener publishes while it is being given."""
    backplane = MemoryBackplane(epoch="run")

    class Answering(RecordingListener):
        def receive(self, message):
            super().receive(message)
            if message.data == 1:
                backplane.publish_nowait(Message.of("a", 2))

    listener = Answering()
    backplane.subscribe_nowait(listener, "a")
    cursor = await backplane.publish(Message.of("a", 1))
    assert (cursor.epoch, cursor.position) == ("run", 1)


async def test_history_is_bounded_over_all_topics():
    backplane = MemoryBackplane(history=History(max_count=None), max_history_bytes=5 * 258)
    for number in range(20):
        await backplane.publish(Message.of(f"a.{number}", "xx"))
    assert (backplane.history_messages, backplane.history_bytes) == (5, 5 * 258)


async def test_what_was_made_of_messages_is_kept_with_the_newest_alone():
    hub = Hub(history=History(max_count=None, max_bytes=None))
    text = "x" * 400

    def send_in_two_forms(message):
        message.wire(envelope)
        message.wire(plain)
        return bool(message.data)

    async with hub.subscribe("a", filter=send_in_two_forms, max_messages=1):
        tracemalloc.start()
        try:
            for _ in range(20_000):
                hub.publish_nowait("a", {"data": [text]})
            taken = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    history_bytes = hub.snapshot().history_bytes
    assert hub.snapshot().history_messages == 20_000
    # Of all of them, two forms and the data take almost four times what is counted.
    assert taken < 2 * history_bytes


async def test_those_who_come_back_have_new_messages_made_once_and_old_ones_each_for_himself():
    hub = Hub(history=History(max_count=None))
    first = hub.publish_nowait("a", "first")
    for _ in range(4200):
        hub.publish_nowait("a", "other")
    newest = hub.publish_nowait("a", "newest")
    made = []

    def encode(message):
        made.append(message.data)
        return message.data

    epoch, position = newest.id.rsplit("-", 1)
    for after in (f"{epoch}-0", f"{epoch}-{int(position) - 1}"):
        for _ in range(3):
            async with hub.subscribe("a", after=after) as subscription:
                subscription.take().wire(encode)
    assert first.id == f"{epoch}-1"
    assert made == ["first"] * 3 + ["newest"]


@pytest.mark.parametrize("bound", [0, -1, float("nan")])
def test_a_bound_that_is_none_is_refused(bound):
    with pytest.raises(ValueError, match="max_history_bytes"):
        MemoryBackplane(max_history_bytes=bound)


@pytest.mark.parametrize("history", [0, 100, False, "all"])
def test_a_history_that_is_none_of_its_kind_is_refused_where_it_is_given(history):
    with pytest.raises(TypeError, match=r"History\(max_count="):
        Hub(history=history)


async def test_health_tells_when_a_message_came_last():
    hub = Hub()
    assert hub.health().last_message_at is None
    await hub.publish("a", 1)
    health = hub.health()
    assert health.connected
    assert health.last_message_at is not None
