"""Who is where: members, counts and events, over a backplane that waits and one that does not."""

import anyio
import anyio.lowlevel
import pytest
from hub.presence_events import TOPIC, backplanes, changes, is_in_order, names, opened, taken

from asgi_rt.errors import HubError
from asgi_rt.hub import Hub, Overflow
from asgi_rt.hub.presence import Presence

# Coming and going


@backplanes
async def test_who_joins_is_a_member_until_they_leave(waits):
    async with opened(waits) as (presence, subscription):
        async with presence.join(TOPIC, "ada", {"name": "Ada"}):
            [member] = await presence.members(TOPIC)
            assert (member.member, member.metadata) == ("ada", {"name": "Ada"})
            assert member.connections == 1
            assert await presence.count(TOPIC) == 1
        assert await presence.members(TOPIC) == []
        assert await presence.count(TOPIC) == 0
        event = {"topic": TOPIC, "member": "ada", "metadata": {"name": "Ada"}}
        assert taken(subscription) == [{"type": "joined", **event}, {"type": "left", **event}]


@backplanes
async def test_members_are_listed_in_the_order_in_which_they_came(waits):
    async with (
        opened(waits) as (presence, _),
        presence.join(TOPIC, "eve"),
        presence.join(TOPIC, "ada"),
        presence.join("rooms.2", "bob"),
    ):
        assert await names(presence) == ["eve", "ada"]
        assert await names(presence, "rooms.2") == ["bob"]


@backplanes
async def test_who_leaves_by_an_error_is_gone_and_the_error_goes_on(waits):
    async with opened(waits) as (presence, subscription):
        with pytest.raises(KeyError):
            async with presence.join(TOPIC, "ada"):
                raise KeyError
        assert await names(presence) == []
        assert changes(subscription) == [("joined", "ada", None), ("left", "ada", None)]


@backplanes
async def test_a_member_with_several_connections_joins_once_and_leaves_once(waits):
    async with opened(waits) as (presence, subscription):
        async with presence.join(TOPIC, "ada", "desk"):
            async with presence.join(TOPIC, "ada", "phone"):
                [member] = await presence.members(TOPIC)
                assert (member.metadata, member.connections) == ("phone", 2)
                assert await presence.count(TOPIC) == 1
            [member] = await presence.members(TOPIC)
            assert (member.metadata, member.connections) == ("desk", 1)
        assert changes(subscription) == [
            ("joined", "ada", "desk"),
            ("updated", "ada", "phone"),
            ("left", "ada", "desk"),
        ]


@backplanes
async def test_the_first_connection_may_leave_before_the_second(waits):
    async with opened(waits) as (presence, subscription):
        first = presence.join(TOPIC, "ada", 1)
        await first.__aenter__()
        async with presence.join(TOPIC, "ada", 2):
            await first.__aexit__(None, None, None)
            assert [change for change, _, _ in changes(subscription)] == ["joined", "updated"]
        assert changes(subscription) == [("left", "ada", 2)]


async def test_a_place_is_entered_once():
    async with opened(False) as (presence, _):
        place = presence.join(TOPIC, "ada")
        async with place:
            with pytest.raises(HubError, match="entered once"):
                await place.__aenter__()
            assert await names(presence) == ["ada"]


# Events


async def test_members_agree_with_an_event_by_the_time_it_is_published():
    async with opened(True) as (presence, _):
        backplane = presence.hub.backplane
        there = []

        def look(name):
            if name == "publish":
                there.append(backplane.inner._places.members(TOPIC))

        backplane.before = look
        async with presence.join(TOPIC, "ada", 1) as place:
            await place.update(2)
        assert [[each.metadata for each in members] for members in there] == [[1], [2], []]


@backplanes
async def test_who_subscribes_and_then_lists_the_members_misses_nobody(waits):
    async with opened(waits) as (presence, _):
        roster = set()

        async def visit(name):
            for _ in range(3):
                async with presence.join(TOPIC, name):
                    await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group, presence.join(TOPIC, "ada"):
            for name in ("bob", "eve"):
                group.start_soon(visit, name)
            await anyio.lowlevel.checkpoint()
            async with presence.hub.subscribe(presence.topic(TOPIC)) as subscription:
                roster.update(await names(presence))
                async with presence.join(TOPIC, "dan"):
                    await anyio.wait_all_tasks_blocked()
                    for change, name, _ in changes(subscription):
                        (roster.discard if change == "left" else roster.add)(name)
                    assert roster == set(await names(presence)) == {"ada", "dan"}


@backplanes
async def test_an_own_subscription_can_be_spared_the_own_events(waits):
    async with opened(waits) as (presence, others):
        async with (
            presence.hub.subscribe(presence.topic(TOPIC)) as own,
            presence.join(TOPIC, "ada", exclude=own) as place,
        ):
            await place.update(1)
            async with presence.join(TOPIC, "bob"):
                assert changes(own) == [("joined", "bob", None)]
        assert len(taken(others)) == 5


async def test_the_prefix_is_what_events_are_published_under():
    hub = Hub()
    presence = Presence(hub, prefix="chat.who")
    assert presence.topic(TOPIC) == "chat.who.rooms.1"
    async with hub.subscribe("chat.who.rooms.1") as subscription, presence.join(TOPIC, "ada"):
        assert changes(subscription) == [("joined", "ada", None)]


async def test_who_coalesces_keeps_the_newest_event_of_each_member_at_each_topic():
    async with (
        opened(False) as (presence, _),
        presence.hub.subscribe("presence.>", policy=Overflow.COALESCE) as subscription,
        presence.join(TOPIC, "ada", 1) as place,
        presence.join(TOPIC, "bob", 1),
        presence.join("rooms.2", "ada", 1),
    ):
        await place.update(2)
        events = {(event["topic"], *change[:2]) for event, change in _pairs(subscription)}
        assert events == {
            (TOPIC, "updated", "ada"),
            (TOPIC, "joined", "bob"),
            ("rooms.2", "joined", "ada"),
        }


def _pairs(subscription):
    return [(event, (event["type"], event["member"])) for event in taken(subscription)]


@backplanes
async def test_a_subscriber_that_blocks_holds_up_nobody(waits):
    async with opened(waits) as (presence, _):
        topic = presence.topic(TOPIC)
        joined, leave = anyio.Event(), anyio.Event()

        async def visit():
            async with presence.join(TOPIC, "ada"), presence.join(TOPIC, "bob"):
                joined.set()
                await leave.wait()

        async with (
            anyio.create_task_group() as group,
            presence.hub.subscribe(topic, policy=Overflow.BLOCK, max_messages=1) as slow,
        ):
            group.start_soon(visit)
            await anyio.wait_all_tasks_blocked()
            assert joined.is_set()
            assert slow.counters.dropped == 1
            leave.set()


# Metadata


@backplanes
async def test_an_update_is_seen_and_published(waits):
    async with opened(waits) as (presence, subscription):
        async with presence.join(TOPIC, "ada", {"is": "here"}) as place:
            await place.update({"is": "away"})
            assert place.metadata == {"is": "away"}
            [member] = await presence.members(TOPIC)
            assert (member.metadata, member.connections) == ({"is": "away"}, 1)
        assert changes(subscription) == [
            ("joined", "ada", {"is": "here"}),
            ("updated", "ada", {"is": "away"}),
            ("left", "ada", {"is": "away"}),
        ]


@backplanes
async def test_nothing_is_updated_before_joining_and_after_leaving(waits):
    async with opened(waits) as (presence, subscription):
        place = presence.join(TOPIC, "ada")
        with pytest.raises(HubError, match="inside of"):
            await place.update(1)
        async with place:
            pass
        with pytest.raises(HubError, match="inside of"):
            await place.update(2)
        assert await names(presence) == []
        assert len(taken(subscription)) == 2


async def test_an_update_that_waits_when_its_place_is_left_brings_nobody_back():
    async with opened(True) as (presence, subscription):
        place = presence.join(TOPIC, "ada")
        refused = []

        async def update(number):
            try:
                await place.update(number)
            except HubError:
                refused.append(number)

        async with anyio.create_task_group() as group, place:
            for number in range(3):
                group.start_soon(update, number)
            while not presence._locks:
                await anyio.lowlevel.checkpoint()
        assert refused
        assert await names(presence) == []
        assert [change for change, _, _ in changes(subscription)][-1] == "left"


async def test_metadata_is_a_copy_of_what_json_can_hold():
    async with opened(False) as (presence, _):
        metadata = {"tags": ("a", "b"), 1: None}
        async with presence.join(TOPIC, "ada", metadata):
            metadata["tags"] = ()
            [member] = await presence.members(TOPIC)
            assert member.metadata == {"tags": ["a", "b"], "1": None}


def test_metadata_is_bounded():
    presence = Presence(Hub(), max_metadata_bytes=10)
    presence.join(TOPIC, "ada", "12345678")
    with pytest.raises(ValueError, match="metadata of 11 bytes is larger"):
        presence.join(TOPIC, "ada", "123456789")
    presence = Presence(Hub())
    presence.join(TOPIC, "ada", "x" * 4094)
    with pytest.raises(ValueError, match="max_metadata_bytes, 4096"):
        presence.join(TOPIC, "ada", "x" * 4095)


def nested(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("metadata", [object(), 2**80, "\ud800", nested(254)])
@backplanes
async def test_metadata_that_no_event_can_hold_is_refused_at_once(waits, metadata):
    async with opened(waits) as (presence, _):
        with pytest.raises(TypeError):
            presence.join(TOPIC, "ada", metadata)
        async with presence.join(TOPIC, "ada", 1) as place:
            with pytest.raises(TypeError):
                await place.update(metadata)
            [member] = await presence.members(TOPIC)
            assert member.metadata == 1


async def test_the_deepest_metadata_that_is_taken_goes_out_in_an_event():
    async with (
        opened(False) as (presence, subscription),
        presence.join(TOPIC, "ada", nested(253)),
    ):
        assert changes(subscription) == [("joined", "ada", nested(253))]


# What comes from users


@pytest.mark.parametrize("topic", ["", "rooms.*", "rooms.>", "a b", ".a", "a..b", "x" * 250])
async def test_what_is_no_topic_is_refused(topic):
    presence = Presence(Hub())
    with pytest.raises(ValueError, match="topic"):
        presence.join(topic, "ada")
    if len(topic) < 250:
        with pytest.raises(ValueError, match="topic"):
            await presence.members(topic)
        with pytest.raises(ValueError, match="topic"):
            await presence.count(topic)


@pytest.mark.parametrize("member", ["", "x" * 256, "\ud800"])
def test_who_is_no_member_is_refused(member):
    with pytest.raises(ValueError, match=r"characters|surrogates"):
        Presence(Hub()).join(TOPIC, member)


@pytest.mark.parametrize("member", ["x" * 255, "*", ">", "a b.c", "\n\0", "é✓", "presence"])
@backplanes
async def test_any_other_text_is_a_member(waits, member):
    async with opened(waits) as (presence, subscription), presence.join(TOPIC, member):
        assert await names(presence) == [member]
        assert changes(subscription) == [("joined", member, None)]


def test_what_cannot_begin_a_topic_is_no_prefix():
    with pytest.raises(ValueError, match="no topic"):
        Presence(Hub(), prefix="presence.*")


def test_metadata_has_room_for_null_at_least():
    with pytest.raises(ValueError, match="at least 4"):
        Presence(Hub(), max_metadata_bytes=3)


# Several at once


@backplanes
async def test_events_of_a_member_stay_in_order_however_many_connections_come_and_go(waits):
    async with opened(waits) as (presence, _):

        async def visit(number):
            for step in range(5):
                async with presence.join(TOPIC, f"m{number % 2}", step) as place:
                    for _ in range(number % 3):
                        await anyio.lowlevel.checkpoint()
                    if step % 2:
                        await place.update(-step)

        topic = presence.topic(TOPIC)
        async with presence.hub.subscribe(topic, max_messages=1000) as subscription:
            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(visit, number)
            events = changes(subscription)
        for member in ("m0", "m1"):
            kinds = [change for change, name, _ in events if name == member]
            assert is_in_order(kinds), kinds
        assert await presence.count(TOPIC) == 0
        assert not presence._locks


async def test_a_member_whose_backplane_call_takes_long_holds_up_no_other():
    async with opened(True) as (presence, subscription):
        backplane = presence.hub.backplane

        async def visit():
            async with presence.join(TOPIC, "ada"):
                pass

        async with anyio.create_task_group() as group:
            backplane.stuck = {"enter"}
            group.start_soon(visit)
            await backplane.waits.wait()
            backplane.stuck = set()
            async with presence.join(TOPIC, "bob"):
                assert changes(subscription) == [("joined", "bob", None)]
            backplane.goes_on.set()
        assert [change for change, _, _ in changes(subscription)] == ["left", "joined", "left"]
