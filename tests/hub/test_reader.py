"""What a stranger who read the hub and its promises broke."""

import asyncio
import contextlib
import threading

import anyio
import anyio.to_thread
import pytest
import trio
from anyio.lowlevel import checkpoint
from hub.lagging_backplane import LaggingBackplane
from hub.reading import DEADLINE, read_to_end, waiting

from asgi_rt.errors import HubError
from asgi_rt.hub import Gap, History, Hub, Overflow, turn
from asgi_rt.hub.backplane import MemoryBackplane
from asgi_rt.hub.message import Message
from asgi_rt.hub.presence import Presence


class _Encoding:
    joins = False

    def __call__(self, message):
        return {"data": message.data}

    def join(self, messages):
        raise NotImplementedError


class _Connection:
    """A connection that takes everything at once."""

    async def server_send(self, wire):
        pass


async def _idle(hub, count):
    """So many subscribers that are pushed to."""
    subscriptions = [hub.subscribe("a") for _ in range(count)]
    for subscription in subscriptions:
        await subscription.start()
        subscription.encode = _Encoding()
        connection = _Connection()
        subscription.server_send = connection.server_send
        subscription.allow_pushes()
    return subscriptions


async def test_who_catches_up_while_a_message_takes_several_turns_gets_it_once(monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
    hub = Hub()
    first = await hub.publish("a", 0)
    for number in range(1, 80):
        await hub.publish("a", number)
    subscriptions = await _idle(hub, 200)
    async with hub.subscribe("a", after=first.id) as late:
        items = []
        async with anyio.create_task_group() as group:
            group.start_soon(hub.publish, "a", 80)
            while hub.snapshot().published < 81:
                await checkpoint()
            items += waiting(late)
        items += waiting(late)
        assert items == list(range(1, 81))
        await hub.publish("a", 81)
        assert waiting(late) == [81]
        assert not late.is_choosy
    for subscription in subscriptions:
        await subscription.aclose()


async def test_what_a_filter_publishes_while_history_is_read_is_not_missed():
    hub = Hub()
    for number in range(3):
        await hub.publish("a", number)

    def echo(message):
        if message.data == 1:
            hub.publish_nowait("a", "echo")
        return True

    async with hub.subscribe("a", history=3, filter=echo) as subscription:
        await hub.publish("a", 3)
        assert waiting(subscription) == [0, 1, 2, "echo", 3]


@pytest.mark.parametrize("run", [lambda step: asyncio.run(step()), trio.run])
async def test_another_event_loop_is_refused_while_the_last_one_runs(run):
    """Both at once would number and keep messages side by side."""
    hub = Hub()
    await hub.publish("a", 1)

    async def publish_there():
        with pytest.raises(HubError, match="another event loop"):
            await hub.publish("a", 2)

    await anyio.to_thread.run_sync(run, publish_there)
    await hub.publish("a", 3)
    async with hub.subscribe("a", history=5) as subscription:
        assert waiting(subscription) == [1, 3]


@pytest.mark.parametrize("run", [lambda step: asyncio.run(step()), trio.run])
def test_a_hub_goes_along_to_another_thread_once_the_last_event_loop_is_over(run):
    hub = Hub()

    async def publish():
        await hub.publish("a", 1)

    for _ in range(2):
        thread = threading.Thread(target=run, args=[publish])
        thread.start()
        thread.join(DEADLINE)
    run(publish)
    assert hub.snapshot().published == 3


@pytest.mark.parametrize("run", [lambda step: asyncio.run(step()), trio.run])
async def test_hubs_that_share_the_backplane_of_one_process_are_on_one_event_loop(run):
    """The listener's own would not be woken, or be woken in the midst of something."""
    first = Hub()
    second = Hub(backplane=first.backplane)

    async def use_there():
        with pytest.raises(HubError, match="another event loop"):
            await second.publish("a", 1)
        with pytest.raises(HubError, match="another event loop"):
            async with second.subscribe("a"):
                pass

    async with first.subscribe("a") as subscription:
        await anyio.to_thread.run_sync(run, use_there)
        assert waiting(subscription) == []
        assert second.snapshot().subscriptions == []
        assert second.snapshot().published == first.snapshot().history_messages == 0


async def test_closing_in_the_midst_of_a_message_to_many_lets_all_have_it(monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", -1.0)
    hub = Hub()
    async with contextlib.AsyncExitStack() as stack:
        everybody = [await stack.enter_async_context(hub.subscribe("a")) for _ in range(200)]
        async with anyio.create_task_group() as group:
            group.start_soon(hub.publish, "a", 1)
            while not hub.snapshot().published:
                await checkpoint()
            hub.close()
        assert [[item.data async for item in each] for each in everybody] == [[1]] * 200


@pytest.mark.parametrize("name", ["key", "exclude"])
async def test_a_name_that_is_no_text_is_refused_before_anybody_has_the_message(name):
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.COALESCE) as subscription:
        with pytest.raises(TypeError, match=f"{name} is a str"):
            await hub.publish("a", 1, **{name: []})
        assert subscription.take() is None


class Asking:
    """Something that is called like a function, and must be awaited."""

    async def __call__(self, message):
        return True


def test_an_origin_that_is_no_text_is_refused_where_it_is_given():
    with pytest.raises(TypeError, match="origin is a str, not 7"):
        Hub().subscribe("a", origin=7)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filter": 5}, "a filter is a function"),
        ({"filter": Asking()}, "not `async def`"),
        ({"history": 1.5}, "history is a number"),
    ],
)
def test_options_of_other_types_are_refused_where_they_are_given(options, said):
    with pytest.raises(TypeError, match=said):
        Hub().subscribe("a", **options)


def test_an_origin_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="origin has 255 characters at most, not 256"):
        Hub().subscribe("a", origin="o" * 256)


async def test_an_exclusion_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="exclude has 255 characters at most, not 256"):
        await Hub().publish("a", 1, exclude="e" * 256)


async def test_a_key_that_is_too_long_is_refused():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        await hub.publish("a", 1, key="k" * 255)
        with pytest.raises(ValueError, match="255 characters at most, not 256"):
            await hub.publish("a", 2, key="k" * 256)
        assert waiting(subscription) == [1]


async def test_a_filter_that_would_have_to_be_awaited_is_refused():
    async def choose(message):
        return False

    with pytest.raises(TypeError, match="not `async def`"):
        Hub().subscribe("a", filter=choose)


@pytest.mark.parametrize("epoch", ["", "my epoch", "x" * 65, "\n"])
def test_an_epoch_that_no_cursor_can_carry_is_refused(epoch):
    with pytest.raises(ValueError, match="an epoch is"):
        MemoryBackplane(epoch=epoch)


class _LostConnection(_Connection):
    """A connection whose server has lost its client, and says so."""

    def __init__(self):
        self.errors = []

    async def server_send(self, wire):
        raise ConnectionResetError

    def wake(self):
        pass

    def fail(self, error):
        self.errors.append(error)


async def test_a_message_whose_push_fails_is_counted_as_dropped_and_the_others_have_it():
    hub = Hub()
    subscriptions = await _idle(hub, 3)
    lost = subscriptions[1]
    lost.stop_pushes()
    lost.sink = connection = _LostConnection()
    lost.server_send = connection.server_send
    lost.allow_pushes()
    published = hub.publish_nowait("a", 1)
    assert (published.delivered, published.queued, published.dropped) == (2, 0, 1)
    assert [type(error) for error in connection.errors] == [ConnectionResetError]
    counters = lost.counters
    assert (counters.published, counters.delivered, counters.dropped) == (1, 0, 1)
    for subscription in subscriptions:
        await subscription.aclose()


async def test_a_presence_whose_events_the_hub_would_refuse_is_refused_itself():
    with pytest.raises(ValueError, match="max_message_bytes"):
        Presence(Hub(max_message_bytes=200), max_metadata_bytes=300)


async def test_what_is_lost_between_two_publishers_that_wait_is_told_between_their_messages():
    hub = Hub()
    async with hub.subscribe("a", policy=Overflow.BLOCK, max_messages=1) as subscription:
        hub.publish_nowait("a", "1")
        async with anyio.create_task_group() as group:
            group.start_soon(hub.publish, "a", "2")
            await anyio.wait_all_tasks_blocked()
            hub.publish_nowait("a", "3")
            group.start_soon(hub.publish, "a", "4")
            await anyio.wait_all_tasks_blocked()
            items = [subscription.take() for _ in range(4)]
        told = [item.missed if isinstance(item, Gap) else item.data for item in items]
        assert told == ["1", "2", 1, "4"]
        counters = subscription.counters
        assert (counters.published, counters.delivered, counters.dropped) == (4, 3, 1)


async def test_who_begins_to_read_history_while_the_hub_is_closed_comes_to_an_end(monkeypatch):
    backplane = LaggingBackplane(history=History(max_count=None))
    hub = Hub(backplane=backplane)
    cursor, history = backplane.cursor, backplane.history
    pages = []

    async def close():
        hub.close()
        return await cursor()

    async def read_page(*arguments, **options):
        for _ in range(80):  # more than a page has
            backplane.memory.publish_nowait(Message.of("a", "later"))
        pages.append(await history(*arguments, **options))
        assert len(pages) < 50
        return pages[-1]

    monkeypatch.setattr(backplane, "cursor", close)
    monkeypatch.setattr(backplane, "history", read_page)
    async with hub:
        first = str(await cursor())
        for number in range(200):
            await hub.publish("a", number)
        async with hub.subscribe("a", after=first) as subscription:
            assert await read_to_end(subscription) == list(range(200))


async def test_who_reads_history_when_the_hub_is_closed_has_what_is_under_way_to_it_too():
    backplane = LaggingBackplane(history=History(max_count=None))
    hub = Hub(backplane=backplane)
    async with hub:
        backplane.hold()
        first = await hub.publish("a", 0)
        for number in range(1, 100):
            await hub.publish("a", number)
        async with hub.subscribe("a", after=first.id) as subscription:
            for number in range(100, 200):
                await hub.publish("a", number)
            hub.close()
            assert await read_to_end(subscription) == list(range(1, 200))


async def test_who_reads_history_when_the_hub_is_closed_twice_reads_to_the_first():
    backplane = MemoryBackplane(history=History(max_count=None))
    hub, other = Hub(backplane=backplane), Hub(backplane=backplane)
    first = other.publish_nowait("a", 0)
    for number in range(1, 200):
        other.publish_nowait("a", number)
    async with hub.subscribe("a", after=first.id) as subscription:
        hub.close()
        for number in range(200, 300):
            other.publish_nowait("a", number)
        hub.close()
        assert await read_to_end(subscription) == list(range(1, 200))


async def test_what_comes_after_a_page_and_before_the_hub_is_closed_is_read_too(monkeypatch):
    backplane = LaggingBackplane()
    hub = Hub(backplane=backplane)
    history = backplane.history
    pages = []

    async def read_page(*arguments, **options):
        page = await history(*arguments, **options)
        pages.append(page)
        if len(pages) == 2:
            await hub.publish("a", "last")
            hub.close()
        return page

    monkeypatch.setattr(backplane, "history", read_page)
    async with hub:
        first = await hub.publish("a", 0)
        for number in range(1, 80):
            await hub.publish("a", number)
        async with hub.subscribe("a", after=first.id) as subscription:
            assert await read_to_end(subscription) == [*range(1, 80), "last"]
