"""The shutdown signal: begun once, by signals too, with the previous handlers still called."""

import os
import signal
import threading
from typing import Any

import anyio
import pytest

from asgi_rt.drain import Drain, drain_of, watch_signals

SIGNALS = [signal.SIGTERM, signal.SIGINT]


class Connection:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


@pytest.fixture
def handlers():
    """Signal handlers that only note what they got, in place of Python's."""
    calls: list[int] = []

    def note(number: int, frame: Any) -> None:
        calls.append(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    yield calls
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_everybody_who_waits_is_told_once():
    drain = Drain(grace=1)
    told = []

    async def wait(name: str) -> None:
        await drain.wait()
        told.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "a")
        group.start_soon(wait, "b")
        await anyio.wait_all_tasks_blocked()
        assert not drain.is_draining
        drain.begin()
        drain.begin()
    assert sorted(told) == ["a", "b"]
    assert drain.is_draining


async def test_open_connections_are_cancelled_when_the_grace_is_over_and_not_before():
    drain = Drain(grace=0.01)
    stays, leaves = Connection(), Connection()
    async with anyio.create_task_group() as group:
        group.start_soon(drain.enforce)
        drain.add(stays)
        drain.add(leaves)
        drain.remove(leaves)
        await anyio.wait_all_tasks_blocked()
        drain.begin()
        assert not stays.is_cancelled
    assert stays.is_cancelled
    assert not leaves.is_cancelled
    late = Connection()
    drain.add(late)
    assert late.is_cancelled
    assert drain.open_connections == 0


async def test_what_is_left_of_the_grace_shrinks_once_the_drain_has_begun(monkeypatch):
    now = 100.0
    monkeypatch.setattr("asgi_rt.drain.time.monotonic", lambda: now)
    drain = Drain(grace=10)
    assert drain.remaining() == 10
    drain.begin()
    now = 104.0
    assert drain.remaining() == 6
    now = 200.0
    assert drain.remaining() == 0


def test_a_scope_without_a_lifespan_has_no_drain():
    assert drain_of({"type": "http"}) is None
    assert drain_of({"type": "http", "state": {}}) is None


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_begins_the_drain_and_reaches_the_previous_handler(handlers, number):
    drain = Drain(grace=1)
    with watch_signals(drain), anyio.fail_after(10):
        os.kill(os.getpid(), number)
        await drain.wait()
    assert handlers == [number]


async def test_the_previous_handlers_are_put_back(handlers):
    before = [signal.getsignal(number) for number in SIGNALS]
    with watch_signals(Drain(grace=1)):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


async def test_a_handler_that_was_chained_later_is_left_in_place(handlers):
    drain = Drain(grace=1)
    with watch_signals(drain):
        ours = signal.getsignal(signal.SIGTERM)

        def later(number: int, frame: Any) -> None:
            assert callable(ours)
            ours(number, frame)

        signal.signal(signal.SIGTERM, later)
    assert signal.getsignal(signal.SIGTERM) is later
    os.kill(os.getpid(), signal.SIGTERM)
    assert handlers == [signal.SIGTERM]
    assert not drain.is_draining


async def test_two_apps_in_one_process_both_hear_the_signal(handlers):
    first, second = Drain(grace=1), Drain(grace=1)
    with watch_signals(first), watch_signals(second), anyio.fail_after(10):
        os.kill(os.getpid(), signal.SIGTERM)
        await first.wait()
        await second.wait()
    assert handlers == [signal.SIGTERM]


def test_outside_the_main_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    async def main() -> None:
        with watch_signals(Drain(grace=1)):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    thread.join()
    assert seen == [before]


class FakeUvicornServer:
    """Recognised by its module's name, as uvicorn's own class is."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def handle_exit(self, number: int, frame: Any) -> None:
        self.calls.append(number)


FakeUvicornServer.__module__ = "uvicorn.server"


async def test_uvicorn_is_asked_by_sigint_once_so_that_it_exits_with_0(handlers):
    server = FakeUvicornServer()
    signal.signal(signal.SIGTERM, server.handle_exit)
    drain = Drain(grace=1)
    with watch_signals(drain), anyio.fail_after(10):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        await drain.wait()
    assert server.calls == [signal.SIGINT]


@pytest.mark.parametrize(
    ("received", "count"),
    [
        ((signal.SIGINT, signal.SIGTERM), 1),
        ((signal.SIGTERM, signal.SIGINT), 1),
        ((signal.SIGTERM, signal.SIGINT, signal.SIGTERM), 1),
        ((signal.SIGTERM, signal.SIGINT, signal.SIGINT), 2),
        ((signal.SIGINT, signal.SIGINT), 2),
    ],
)
async def test_uvicorn_is_asked_again_by_a_second_sigint_alone(handlers, received, count):
    """Ctrl-C reaches every worker, and their supervisor terminates them: before that, or after."""
    server = FakeUvicornServer()
    for number in SIGNALS:
        signal.signal(number, server.handle_exit)
    drain = Drain(grace=1)
    with watch_signals(drain), anyio.fail_after(10):
        for number in received:
            os.kill(os.getpid(), number)
        await drain.wait()
    assert server.calls == [signal.SIGINT] * count
