"""What a publisher may publish, what it is told, and that it leaves others their turn."""

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hub.lagging_backplane import LaggingBackplane
from hub.reading import DEADLINE, read, waiting

from asgi_rt.errors import HubError
from asgi_rt.hub import Gap, Hub, Overflow
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.outcome import Published


@pytest.mark.parametrize(
    ("data", "kind", "payload"),
    [
        ("text", "text", b"text"),
        ("", "text", b""),
        ("é", "text", "é".encode()),
        (b"\x00\xff", "bytes", b"\x00\xff"),
        (bytearray(b"ab"), "bytes", b"ab"),
        (memoryview(b"ab"), "bytes", b"ab"),
        ({"a": [1, None]}, "json", b'{"a":[1,null]}'),
        (None, "json", b"null"),
        (1.5, "json", b"1.5"),
    ],
)
async def test_data_of_every_kind_comes_as_it_was(data, kind, payload):
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        await hub.publish("a", data)
        message = await anext(subscription)
        assert (message.kind, message.payload, message.data) == (kind, payload, data)


async def test_what_is_changed_after_publishing_is_published_as_it_was():
    hub = Hub()
    data = {"a": 1}
    async with hub.subscribe("a") as subscription:
        await hub.publish("a", data)
        data["a"] = 2
        assert waiting(subscription) == [{"a": 1}]


async def test_data_that_cannot_be_made_json_is_refused_and_nothing_is_published():
    hub = Hub()
    async with hub.subscribe("a") as subscription:
        with pytest.raises(TypeError):
            await hub.publish("a", object())
        with pytest.raises(ValueError, match="surrogates"):
            await hub.publish("a", "\ud800")
        assert waiting(subscription) == []
        assert hub.snapshot().published == 0


@pytest.mark.parametrize("topic", ["", ".", "a.", "a..b", "a b", "a.*", ">", "a\n", "x" * 256])
async def test_topics_that_are_none_are_refused(topic):
    hub = Hub()
    for _ in range(2):
        with pytest.raises(ValueError, match="no topic"):
            await hub.publish(topic, 1)


async def test_a_message_that_is_too_large_is_refused():
    hub = Hub(max_message_bytes=10)
    async with hub.subscribe("a") as subscription:
        await hub.publish("a", "x" * 10)
        with pytest.raises(ValueError, match="11 bytes to 'a' is larger"):
            await hub.publish("a", "x" * 11)
        with pytest.raises(ValueError, match="larger"):
            hub.publish_nowait("a", ["x" * 8])
        assert waiting(subscription) == ["x" * 10]


async def test_what_nobody_is_subscribed_to_is_kept_all_the_same():
    hub = Hub()
    published = await hub.publish("a", 1)
    assert published == Published(published.id, 0, 0, 0, 0)
    async with hub.subscribe("a", history=1) as subscription:
        assert waiting(subscription) == [1]


async def test_what_became_of_a_message_is_told_over_all_subscribers():
    epoch = "run"
    hub = Hub(backplane=MemoryBackplane(epoch=epoch))
    one = {"max_messages": 1}
    async with (
        hub.subscribe("a") as plenty,
        hub.subscribe("a", policy=Overflow.DROP_OLDEST, **one) as oldest,
        hub.subscribe("a", policy=Overflow.DROP_NEWEST, **one) as newest,
        hub.subscribe("a", policy=Overflow.DISCONNECT, **one) as leaving,
        hub.subscribe("a", policy=Overflow.BLOCK, **one) as blocking,
        hub.subscribe("a", filter=lambda message: False) as choosy,
    ):
        assert hub.publish_nowait("a", 1) == Published(f"{epoch}-1", 0, 5, 0, 0)
        assert hub.publish_nowait("a", 2) == Published(f"{epoch}-2", 0, 2, 5, 1)
        assert leaving.is_disconnected
        assert waiting(choosy) == []
        async with anyio.create_task_group() as group:
            outcome = []

            async def publish():
                outcome.append(await hub.publish("a", 3))

            group.start_soon(publish)
            await anyio.wait_all_tasks_blocked()
            assert outcome == []
            assert await read(blocking, 3) == [1, Gap("overflow", 1, None), 3]
        assert outcome == [Published(f"{epoch}-3", 0, 3, 2, 0)]
        assert len(waiting(plenty)) == 3
        assert len(waiting(oldest)) == len(waiting(newest)) == 2


async def test_publishing_without_end_leaves_others_their_turn():
    hub = Hub(history=None)
    ticks = 0

    async def publish():
        while True:
            await hub.publish("a", 1)

    async with hub.subscribe("a"), anyio.create_task_group() as group:
        group.start_soon(publish)
        with anyio.fail_after(DEADLINE):
            while ticks < 20:
                ticks += 1
                await checkpoint()
        group.cancel_scope.cancel()


async def test_publishing_without_end_to_nobody_leaves_others_their_turn():
    hub = Hub(history=None)

    async def publish():
        while True:
            await hub.publish("a", 1)

    async with anyio.create_task_group() as group:
        group.start_soon(publish)
        with anyio.fail_after(DEADLINE):
            for _ in range(20):
                await checkpoint()
        group.cancel_scope.cancel()


async def test_publishing_without_end_can_be_cancelled():
    hub = Hub(history=None)
    with anyio.move_on_after(0.05) as scope:
        while True:
            await hub.publish("a", 1)
    assert scope.cancelled_caught


async def test_a_single_publish_does_not_wait():
    hub = Hub()
    async with hub.subscribe("a"):
        for _ in range(3):
            step = hub.publish("a", 1)
            with pytest.raises(StopIteration):
                step.send(None)
            await checkpoint()


async def test_a_hub_of_many_processes_is_published_to_inside_of_async_with():
    hub = Hub(backplane=LaggingBackplane())
    with pytest.raises(HubError, match="async with hub"):
        await hub.publish("a", 1)
    async with hub:
        published = await hub.publish("a", 1)
        assert published.id.endswith("-1")
        with pytest.raises(HubError, match="can only be awaited"):
            hub.publish_nowait("a", 1)


async def test_what_is_published_from_within_a_filter_comes_last_to_all_hubs_of_a_backplane():
    first = Hub()
    second = Hub(backplane=first.backplane)

    def echo(message):
        if message.data < 3:
            second.publish_nowait("a", message.data + 1)
        return True

    async with (
        first.subscribe("a", filter=echo) as one,
        first.subscribe("a") as two,
        second.subscribe("a") as three,
    ):
        await first.publish("a", 0)
        assert waiting(one) == waiting(two) == [0, 1, 2, 3]
        assert waiting(three) == [0, 1, 2, 3]
