"""Measures apps in this process, on a running event loop, without a server.

Every app is timed in every round, one short batch after another, so that a slow moment of the
machine falls on all of them. The garbage collector rests during a batch.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.exchange import App, Scope, fetch, request_scope, timed_batch
from benchmarks.harness.lifespan import lifespan
from benchmarks.harness.questions import Question, fault
from benchmarks.model import Arm, Metric, Size

MICROSECONDS = Metric("us", "µs per request")


@dataclass(slots=True)
class Contender:
    """An arm, how its app is made, and the requests that it is timed with, in turn."""

    arm: Arm
    load: Callable[[], App]
    questions: Sequence[Question]


@dataclass(slots=True)
class _Running:
    arm: Arm
    app: App
    state: dict[str, Any]
    scopes: list[Scope] = field(default_factory=list)
    count: int = 1


def compare(contenders: Sequence[Contender], size: Size) -> list[Arm]:
    """Time all contenders in interleaved rounds; arms that cannot take part say why."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_compare(contenders, size))
    return [contender.arm for contender in contenders]


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _compare(contenders: Sequence[Contender], size: Size) -> None:
    async with AsyncExitStack() as stack:
        started = [await _start(contender, stack) for contender in contenders]
        # One peer sets the root logger to INFO when it is imported; the others keep its default.
        logging.getLogger().setLevel(logging.WARNING)
        running = [entry for entry in started if entry is not None]
        for entry in running:
            entry.count = await _count_for(entry, size.seconds)
        with _collector_at_rest():
            for _ in range(size.rounds):
                for entry in running:
                    await _time_once(entry)


async def _start(contender: Contender, stack: AsyncExitStack) -> _Running | None:
    """Load, start and verify one app; None, with the reason on its arm, if it cannot take part."""
    arm = contender.arm
    try:
        app = contender.load()
        state = await stack.enter_async_context(lifespan(app))
    except Exception as error:
        arm.give_up("missing", f"{type(error).__name__}: {error}")
        return None
    entry = _Running(arm, app, state)
    for question in contender.questions:
        scope = request_scope(question.path)
        try:
            wrong = fault(question, await fetch(app, scope, state))
        except Exception as error:
            wrong = f"GET {question.path}: {type(error).__name__}: {error}"
        if wrong is not None:
            arm.give_up("wrong", wrong)
            return None
        entry.scopes.append(scope)
    return entry


async def _count_for(entry: _Running, seconds: float) -> int:
    """How many requests take about `seconds`; finding out warms the app up as well.

    It is a whole number of turns through the requests, so that every batch asks for the same.
    """
    turn = len(entry.scopes)
    turns = 1
    while True:
        elapsed = await timed_batch(entry.app, entry.scopes, entry.state, turns * turn)
        if elapsed >= seconds / 2:
            return max(1, round(turns * seconds / elapsed)) * turn
        turns *= 2


async def _time_once(entry: _Running) -> None:
    gc.collect()
    elapsed = await timed_batch(entry.app, entry.scopes, entry.state, entry.count)
    entry.arm.record(us=elapsed / entry.count * 1e6)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
