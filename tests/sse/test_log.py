"""The event log: who follows it gets everything once and in order, or is told of the gap."""

import gc
from contextlib import aclosing

import anyio
import pytest

from asgi_rt.sse import EventLog
from asgi_rt.sse.framing import Decoder, Event, encode

# Made while this module is imported: no event loop is there.
AT_IMPORT = EventLog(epoch="import")


def now_or_never(awaitable):
    """What an awaitable gives without suspending."""
    coroutine = awaitable.__await__()
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    pytest.fail("nothing was ready")


def ready(follower, count):
    return [now_or_never(anext(follower)) for _ in range(count)]


def decoded(frames):
    return Decoder().feed(b"".join(frames))


# What a follower gets


def test_a_log_and_its_followers_need_no_event_loop_until_one_waits():
    before = AT_IMPORT.last_id
    AT_IMPORT.append("x")
    assert decoded(ready(AT_IMPORT.follow(before), 1)) == [Event("x", id="import-1")]


def test_a_client_without_an_id_is_told_its_place_first():
    log = EventLog(epoch="e")
    log.append("before")
    decoder = Decoder()
    assert decoder.feed(*ready(log.follow(), 1)) == []
    assert decoder.last_event_id == "e-1"


def test_an_empty_id_is_none():
    log = EventLog(epoch="e")
    assert ready(log.follow(""), 1) == ready(log.follow(None), 1) == [b"id: e-0\n\n"]


def test_what_was_missed_is_ready_in_order_with_its_ids():
    log = EventLog(epoch="e")
    for number in range(5):
        log.append({"n": number}, event="tick")
    assert decoded(ready(log.follow("e-2"), 3)) == [
        Event('{"n":2}', "tick", "e-3"),
        Event('{"n":3}', "tick", "e-4"),
        Event('{"n":4}', "tick", "e-5"),
    ]


def test_each_event_is_encoded_once_for_all_followers():
    log = EventLog(epoch="e")
    first, second = log.follow("e-0"), log.follow("e-0")
    log.append({"a": 1})
    assert ready(first, 1)[0] is ready(second, 1)[0]


def test_what_is_appended_between_follow_and_the_first_step_is_not_missed():
    log = EventLog(epoch="e")
    follower = log.follow()
    log.append("x")
    assert ready(follower, 2) == [b"id: e-0\n\n", b"id: e-1\ndata: x\n\n"]


async def test_nothing_is_given_twice_and_then_it_waits():
    log = EventLog(epoch="e")
    log.append("x")
    follower = log.follow("e-0")
    assert ready(follower, 1) == [b"id: e-1\ndata: x\n\n"]
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(anext, follower)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught


async def test_all_who_wait_get_what_is_appended():
    log = EventLog(epoch="e")
    received = []

    async def follow():
        async with aclosing(log.follow("e-0")) as follower:
            received.append([await anext(follower) for _ in range(3)])

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(follow)
        for text in ("x", "y", "z"):
            await anyio.wait_all_tasks_blocked()
            log.append(text)
    frames = [b"id: e-1\ndata: x\n\n", b"id: e-2\ndata: y\n\n", b"id: e-3\ndata: z\n\n"]
    assert received == [frames] * 3


def test_an_event_without_data_says_null():
    log = EventLog(epoch="e")
    log.append(event="tick")
    assert ready(log.follow("e-0"), 1) == [b"event: tick\nid: e-1\ndata: null\n\n"]


@pytest.mark.parametrize(
    ("arguments", "error"), [((object(), None), TypeError), (("x", "a\nb"), ValueError)]
)
def test_what_cannot_be_encoded_is_not_published(arguments, error):
    data, event = arguments
    log = EventLog(epoch="e")
    follower = log.follow("e-0")
    with pytest.raises(error):
        log.append(data, event=event)
    assert (len(log), log.last_id) == (0, "e-0")
    log.append("y")
    assert ready(follower, 1) == [b"id: e-1\ndata: y\n\n"]


# Gaps


@pytest.mark.parametrize("last_event_id", ["other-1", "e-3", "nonsense\n", "e-"])
def test_an_id_of_another_log_is_one_gap_and_then_what_is_live(last_event_id):
    log = EventLog(epoch="e")
    log.append("old")
    follower = log.follow(last_event_id)
    gap = decoded(ready(follower, 1))
    assert gap == [Event('{"reason":"unknown","missed":null}', "gap", "e-1")]
    log.append("new")
    assert decoded(ready(follower, 1)) == [Event("new", id="e-2")]


def test_an_id_that_is_too_old_is_one_gap_that_counts():
    log = EventLog(epoch="e", max_count=2)
    for number in range(5):
        log.append(number)
    follower = log.follow("e-1")
    gap = decoded(ready(follower, 1))
    assert gap == [Event('{"reason":"expired","missed":4}', "gap", "e-5")]
    log.append("new")
    assert decoded(ready(follower, 1)) == [Event("new", id="e-6")]


def test_a_follower_that_is_too_slow_gets_one_gap_and_goes_on_live():
    log = EventLog(epoch="e", max_count=3)
    follower = log.follow("e-0")
    log.append(1)
    assert decoded(ready(follower, 1)) == [Event("1", id="e-1")]
    for number in range(2, 6):
        log.append(number)
    gap = decoded(ready(follower, 1))
    assert gap == [Event('{"reason":"expired","missed":4}', "gap", "e-5")]
    log.append(6)
    assert decoded(ready(follower, 1)) == [Event("6", id="e-6")]


def test_a_follower_that_keeps_up_gets_an_event_larger_than_the_log():
    log = EventLog(epoch="e", max_bytes=10)
    follower = log.follow("e-0")
    log.append("x" * 100)
    assert decoded(ready(follower, 1)) == [Event("x" * 100, id="e-1")]


def test_what_is_older_than_the_bound_is_a_gap(monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr("asgi_rt.sse.log.time", clock)
    log = EventLog(epoch="e", max_age=60)
    log.append("x")
    clock.now = 60.0
    assert decoded(ready(log.follow("e-0"), 1)) == [Event("x", id="e-1")]
    clock.now = 60.5
    gap = decoded(ready(log.follow("e-0"), 1))
    assert gap == [Event('{"reason":"expired","missed":1}', "gap", "e-1")]


def test_the_log_is_bounded_by_the_bytes_on_the_wire():
    frame = encode(Event("x" * 10, id="e-1"))
    log = EventLog(epoch="e", max_bytes=2 * len(frame))
    for _ in range(5):
        log.append("x" * 10)
    assert len(log) == 2


def test_every_start_has_its_own_epoch():
    assert EventLog().last_id != EventLog().last_id


# How following ends


async def test_close_ends_followers_after_what_they_have():
    log = EventLog(epoch="e")
    received = []

    async def follow():
        received.extend([frame async for frame in log.follow("e-0")])

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        log.append("x")
        log.append("y")
        log.close()
        log.close()
    assert decoded(received) == [Event("x", id="e-1"), Event("y", id="e-2")]
    assert log.followers == 0


async def test_a_closed_log_gives_what_was_missed_and_ends():
    log = EventLog(epoch="e")
    log.append("x")
    log.close()
    assert decoded([frame async for frame in log.follow("e-0")]) == [Event("x", id="e-1")]
    assert [frame async for frame in log.follow()] == [b"id: e-1\n\n"]


def test_nothing_is_appended_to_a_closed_log():
    log = EventLog(epoch="e")
    log.close()
    with pytest.raises(RuntimeError, match="the event log is closed"):
        log.append("x")
    assert log.last_id == "e-0"


def test_followers_are_counted_until_they_are_closed():
    log = EventLog()
    followers = [log.follow() for _ in range(3)]
    assert log.followers == 3
    for _ in range(2):
        now_or_never(followers[0].aclose())
    assert log.followers == 2
    with pytest.raises(StopAsyncIteration):
        now_or_never(anext(followers[0]))


def test_a_follower_that_nobody_holds_is_gone():
    log = EventLog()
    log.follow()
    gc.collect()
    assert log.followers == 0


async def test_a_wait_that_is_cancelled_loses_nothing():
    log = EventLog(epoch="e")
    follower = log.follow("e-0")
    for number in range(1, 4):
        async with anyio.create_task_group() as group:
            group.start_soon(anext, follower)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            log.append(number)  # in the same turn: the wait is cancelled and awoken
        assert decoded(ready(follower, 1)) == [Event(str(number), id=f"e-{number}")]


def test_one_log_serves_one_event_loop_after_another():
    log = EventLog(epoch="e")

    async def give_up_waiting():
        async with anyio.create_task_group() as group:
            group.start_soon(anext, log.follow(log.last_id))
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()

    async def wait_for_one():
        async with anyio.create_task_group() as group:
            group.start_soon(anext, log.follow(log.last_id))
            await anyio.wait_all_tasks_blocked()
            log.append("x")

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(give_up_waiting, backend=backend)
        anyio.run(wait_for_one, backend=backend)
    assert log.last_id == "e-3"
