"""A backplane that fails or hangs while somebody joins, updates or leaves, and a closed hub."""

import logging

import anyio
import anyio.lowlevel
import pytest
from hub.presence_events import TOPIC, backplanes, changes, names, opened, taken

from asgi_rt.errors import BackplaneError, HubError


async def _fail_in(place, prepare):
    async with place:
        prepare()
        raise KeyError


@pytest.fixture
def _short_steps(monkeypatch):
    monkeypatch.setattr("asgi_rt.hub.place._STEP_SECONDS", 0.05)


@pytest.mark.parametrize("call", ["enter", "publish"])
async def test_who_could_not_join_is_not_there_and_nobody_was_told(call):
    async with opened(True) as (presence, subscription):
        presence.hub.backplane.failures[call] = [BackplaneError("away")]
        with pytest.raises(BackplaneError, match="away"):
            async with presence.join(TOPIC, "ada"):
                pytest.fail("it joined")
        assert await names(presence) == []
        assert taken(subscription) == []
        assert not presence._locks


async def test_who_waits_behind_one_that_could_not_join_is_the_first():
    async with opened(True) as (presence, subscription):
        presence.hub.backplane.failures["publish"] = [BackplaneError("away")]

        async def fail():
            with pytest.raises(BackplaneError):
                await presence.join(TOPIC, "ada", 1).__aenter__()

        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            while not presence._locks:
                await anyio.lowlevel.checkpoint()
            async with presence.join(TOPIC, "ada", 2):
                pass
        assert changes(subscription) == [("joined", "ada", 2), ("left", "ada", 2)]


async def test_a_further_connection_that_could_not_join_leaves_the_others_alone():
    async with opened(True) as (presence, subscription):
        async with presence.join(TOPIC, "ada", 1):
            presence.hub.backplane.failures["publish"] = [BackplaneError("away")]
            with pytest.raises(BackplaneError):
                await presence.join(TOPIC, "ada", 2).__aenter__()
            [member] = await presence.members(TOPIC)
            assert (member.metadata, member.connections) == (1, 1)
        assert changes(subscription) == [("joined", "ada", 1), ("left", "ada", 1)]


async def test_an_update_that_could_not_be_published_may_be_repeated():
    async with opened(True) as (presence, subscription):
        async with presence.join(TOPIC, "ada", 1) as place:
            presence.hub.backplane.failures["publish"] = [BackplaneError("away")]
            with pytest.raises(BackplaneError):
                await place.update(2)
            await place.update(2)
        assert changes(subscription) == [
            ("joined", "ada", 1),
            ("updated", "ada", 2),
            ("left", "ada", 2),
        ]


async def test_one_that_was_seen_by_another_process_leaves_also_where_it_could_not_be_published():
    async with opened(True) as (presence, subscription):
        backplane = presence.hub.backplane
        elsewhere = backplane.inner
        await elsewhere.enter(TOPIC, "ada", "another connection", None)

        def fail(name):
            if name == "publish":
                backplane.before = lambda name: None
                elsewhere._places.leave(TOPIC, "ada", "another connection")
                raise BackplaneError("away")

        backplane.before = fail
        with pytest.raises(BackplaneError):
            await presence.join(TOPIC, "ada").__aenter__()
        assert changes(subscription) == [("left", "ada", None)]


async def test_one_that_the_backplane_gave_up_joins_again_by_an_update():
    async with opened(True) as (presence, subscription):
        async with presence.join(TOPIC, "ada", 1) as place:
            await presence.hub.backplane.inner.leave(TOPIC, "ada", place.connection)
            await place.update(2)
            assert await names(presence) == ["ada"]
        events = [change for change, _, _ in changes(subscription)]
        assert events == ["joined", "joined", "left"]


async def test_one_that_was_given_up_and_cannot_say_that_it_is_back_still_leaves():
    async with opened(True) as (presence, subscription):
        async with presence.join(TOPIC, "ada", 1) as place:
            await presence.hub.backplane.inner.leave(TOPIC, "ada", place.connection)
            presence.hub.backplane.failures["publish"] = [BackplaneError("away")]
            with pytest.raises(BackplaneError):
                await place.update(2)
        assert [change for change, _, _ in changes(subscription)] == ["joined", "left"]


@pytest.mark.parametrize("error", [BackplaneError("away"), RuntimeError("broken")])
@pytest.mark.parametrize("call", ["leave", "publish"])
async def test_what_fails_while_leaving_is_logged_and_hides_no_error(call, error, caplog):
    async with opened(True) as (presence, _):
        place = presence.join(TOPIC, "ada\n")
        with pytest.raises(KeyError):
            await _fail_in(place, lambda: presence.hub.backplane.failures.update({call: [error]}))
        [record] = caplog.records
        assert record.getMessage().startswith("'ada\\n' may still be seen at rooms.1")
        # What is broken is told with its place in the source, what is away in one line.
        assert bool(record.exc_info) == isinstance(error, RuntimeError)
        assert not presence._locks


@pytest.mark.usefixtures("_short_steps")
@pytest.mark.parametrize("call", ["leave", "publish"])
async def test_leaving_takes_bounded_time(call, caplog):
    async with opened(True) as (presence, _):
        place = presence.join(TOPIC, "ada")
        with anyio.fail_after(10), pytest.raises(KeyError):
            await _fail_in(place, lambda: presence.hub.backplane.stuck.add(call))
        [record] = caplog.records
        assert "took more than 0.05 seconds" in record.getMessage()
        assert not presence._locks


@pytest.mark.usefixtures("_short_steps")
async def test_leaving_behind_one_that_hangs_takes_bounded_time(caplog):
    async with opened(True) as (presence, _):
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group, presence.join(TOPIC, "ada") as place:
                presence.hub.backplane.stuck = {"enter"}
                group.start_soon(_fails, place.update, 2)
                await presence.hub.backplane.waits.wait()
        assert await names(presence) == [] or caplog.records
        assert not presence._locks


async def _fails(call, *args):
    with pytest.raises(BackplaneError):
        await call(*args)


@pytest.mark.usefixtures("_short_steps")
async def test_joining_takes_bounded_time_once_it_has_begun():
    async with opened(True) as (presence, subscription):
        presence.hub.backplane.stuck = {"enter"}
        with anyio.fail_after(10), pytest.raises(BackplaneError, match="took more than"):
            await presence.join(TOPIC, "ada").__aenter__()
        assert await names(presence) == []
        assert taken(subscription) == []


@pytest.mark.usefixtures("_short_steps")
async def test_where_joined_may_have_been_seen_left_follows():
    async with opened(True) as (presence, subscription):
        backplane = presence.hub.backplane
        backplane.stuck = {"publish"}

        def unstick(name):
            backplane.stuck = set()

        backplane.before = lambda name: name == "leave" and unstick(name)
        with anyio.fail_after(10), pytest.raises(BackplaneError, match="took more than"):
            await presence.join(TOPIC, "ada").__aenter__()
        assert await names(presence) == []
        assert changes(subscription) == [("left", "ada", None)]


@backplanes
async def test_nobody_joins_a_hub_that_is_closed(waits):
    async with opened(waits) as (presence, _):
        presence.hub.close()
        with pytest.raises(HubError, match="closed"):
            await presence.join(TOPIC, "ada").__aenter__()
        assert await names(presence) == []


@backplanes
async def test_who_leaves_a_hub_that_was_closed_is_gone_and_makes_no_noise(waits, caplog):
    caplog.set_level(logging.INFO)
    async with opened(waits) as (presence, _):
        async with presence.join(TOPIC, "ada"):
            presence.hub.close()
        assert await names(presence) == []
        assert caplog.records == []
