"""Alarms: many of them on one timer of each event loop."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import uvloop

from asgi_rt.http.alarms import Alarms, alarms_of_this_loop

FAR = 3600.0  # seconds until an alarm that no test waits for
SOON = 0.001

on_asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
loops = pytest.mark.parametrize(
    "make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


class Bell:
    """Notes that it rang, and then does something."""

    def __init__(
        self, rung: list[Any] | None = None, name: object = None, act: Callable[[], object] = bool
    ) -> None:
        self.rung = [] if rung is None else rung
        self.name = name
        self.act = act
        self.rang_at: float | None = None
        self._has_rung = asyncio.Event()

    def on_alarm(self) -> None:
        assert self.rang_at is None, "it rang twice"
        self.rang_at = time.perf_counter()
        self.rung.append(self.name)
        self._has_rung.set()
        self.act()

    async def rings(self) -> None:
        with anyio.fail_after(10):
            await self._has_rung.wait()


def after(seconds: float) -> float:
    return time.perf_counter() + seconds


# When they ring


@on_asyncio_only
async def test_alarms_ring_in_the_order_in_which_they_are_due_and_not_before():
    rung, alarms, now = [], alarms_of_this_loop(), time.perf_counter()
    bells = {due: Bell(rung, due) for due in (7, 2, 9, 4, 1, 8, 3, 6, 5)}
    for due, bell in bells.items():
        alarms.set(now + due / 1000, bell)
    await bells[9].rings()
    assert rung == sorted(bells)
    assert all(bell.rang_at >= now + due / 1000 for due, bell in bells.items())


@on_asyncio_only
@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_an_alarm_that_is_due_already_rings_later_but_at_once(seconds):
    bell = Bell()
    alarms_of_this_loop().set(after(seconds), bell)
    assert bell.rang_at is None
    await bell.rings()


@on_asyncio_only
async def test_an_alarm_that_is_due_before_all_others_rings_before_them():
    rung, alarms = [], alarms_of_this_loop()
    far, near = Bell(rung, "far"), Bell(rung, "near")
    alarm = alarms.set(after(FAR), far)
    alarms.set(after(SOON), near)
    await near.rings()
    assert rung == ["near"]
    alarms.cancel(alarm)


@on_asyncio_only
async def test_the_one_behind_the_earliest_rings_when_that_is_taken_back():
    rung, alarms = [], alarms_of_this_loop()
    first, second = Bell(rung, "first"), Bell(rung, "second")
    alarm = alarms.set(after(SOON), first)
    alarms.set(after(2 * SOON), second)
    alarms.cancel(alarm)
    await second.rings()
    assert rung == ["second"]


# What happens as one rings


@on_asyncio_only
async def test_alarms_that_are_set_as_one_rings_ring_in_their_turn():
    rung, alarms = [], alarms_of_this_loop()
    at_once, soon, last = Bell(rung, "at once"), Bell(rung, "soon"), Bell(rung, "last")

    def set_more() -> None:
        alarms.set(after(0), at_once)
        alarms.set(after(SOON), soon)

    alarms.set(after(SOON), Bell(rung, "first", set_more))
    alarms.set(after(0.02), last)
    await last.rings()
    assert rung == ["first", "at once", "soon", "last"]


@on_asyncio_only
async def test_an_alarm_that_is_taken_back_as_another_rings_does_not_ring():
    rung, alarms, due = [], alarms_of_this_loop(), after(SOON)
    last = Bell(rung, "last")
    alarms.set(due, Bell(rung, "first", lambda: alarms.cancel(second)))
    second = alarms.set(due + 1e-9, Bell(rung, "second"))
    alarms.set(due + 2e-9, last)
    await last.rings()
    assert rung == ["first", "last"]


@on_asyncio_only
async def test_taking_back_what_has_rung_or_was_taken_back_changes_nothing():
    rung, alarms, last = [], alarms_of_this_loop(), Bell()
    first = alarms.set(after(0), bell := Bell(rung, "first"))
    await bell.rings()
    second = alarms.set(after(0), Bell(rung, "second"))
    for _ in range(1000):
        alarms.cancel(first)
        alarms.cancel(second)
    alarms.set(after(SOON), last)
    await last.rings()
    assert rung == ["first"]


# Many


@on_asyncio_only
@pytest.mark.parametrize("live", [0, 1, 50])
async def test_alarms_that_were_taken_back_do_not_stay(live):
    alarms, sizes = alarms_of_this_loop(), []
    kept = [alarms.set(after(FAR), Bell()) for _ in range(live)]
    for _ in range(5_000):
        alarms.cancel(alarms.set(after(FAR), Bell()))
        sizes.append(len(alarms._heap))
    assert max(sizes) <= 2 * live + 100
    for alarm in kept:
        alarms.cancel(alarm)
    assert alarms._heap == []


@on_asyncio_only
async def test_those_that_were_not_taken_back_ring_however_many_were():
    rung, alarms, now = [], alarms_of_this_loop(), time.perf_counter()
    bells = [Bell(rung, number) for number in range(300)]
    kept = [alarms.set(now + 0.01 + number * 1e-6, bell) for number, bell in enumerate(bells)]
    for _ in range(20):
        taken_back = [alarms.set(after(SOON), Bell(rung, "taken back")) for _ in range(100)]
        for alarm in taken_back:
            alarms.cancel(alarm)
    for alarm in kept[::3]:
        alarms.cancel(alarm)
    await bells[-1].rings()
    assert rung == [number for number in range(300) if number % 3]


@on_asyncio_only
async def test_an_alarm_keeps_its_target_no_longer_than_it_has_to():
    class Target(Bell):
        pass

    alarms, target = alarms_of_this_loop(), Target()
    reference = weakref.ref(target)
    alarm = alarms.set(after(FAR), target)
    del target
    assert reference() is not None
    alarms.cancel(alarm)
    assert reference() is None


# Loops and threads


@on_asyncio_only
async def test_a_loop_has_one_set_of_alarms_in_its_callbacks_too():
    found: asyncio.Future[Alarms] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: found.set_result(alarms_of_this_loop()))
    assert await found is alarms_of_this_loop()


def test_without_a_running_loop_there_are_no_alarms():
    with pytest.raises(RuntimeError, match="no running event loop"):
        alarms_of_this_loop()


async def ring_once(found: list[Alarms], *, leave: bool = False) -> None:
    alarms, bell = alarms_of_this_loop(), Bell()
    found.append(alarms)
    alarms.set(after(SOON), bell)
    await bell.rings()
    if leave:
        alarms.set(after(SOON), Bell())


@loops
def test_loops_in_turn_have_alarms_of_their_own(make_loop):
    found: list[Alarms] = []
    for leave in (True, True, False):
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(ring_once(found, leave=leave))
    assert len(set(found)) == 3


@loops
def test_loops_in_threads_ring_each_in_its_own(make_loop):
    rung: list[tuple[int, int]] = []
    all_run = threading.Barrier(4)

    async def main() -> None:
        me = threading.get_ident()
        all_run.wait(10)
        for _ in range(20):
            bell = Bell(act=lambda: rung.append((me, threading.get_ident())))
            alarms_of_this_loop().set(after(SOON), bell)
            await bell.rings()

    def serve() -> None:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(main())

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(rung) == 80
    assert all(mine == rang_in for mine, rang_in in rung)


@loops
@pytest.mark.parametrize("left", ["none", "taken back", "set"])
def test_nothing_is_kept_of_a_loop_that_is_closed(make_loop, left):
    async def main() -> None:
        await ring_once([])
        alarms = alarms_of_this_loop()
        if left != "none":
            alarm = alarms.set(after(FAR), Bell())
        if left == "taken back":
            alarms.cancel(alarm)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())
        loop = weakref.ref(runner.get_loop())
    del runner
    gc.collect()
    assert loop() is None
