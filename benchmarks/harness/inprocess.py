"""Measures apps in this process, on a running event loop, without a server.

Every app is timed in every round, one short batch after another, so that a slow moment of the
machine falls on all of them. The garbage collector rests during a batch.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.harness.exchange import App, Client, fetch, question_scope, timed_batch
from benchmarks.harness.lifespan import lifespan
from benchmarks.harness.questions import Question, fault
from benchmarks.model import Arm, Metric, Size

MICROSECONDS = Metric("us", "µs per request")


class Workload(Protocol):
    """What an app is asked to do, over and over."""

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        """What is wrong with what the app does, in one line, or None where it is right."""
        ...

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        """How many seconds `turns` turns took, and how many operations they were."""
        ...


class Requests:
    """One request after another; a turn asks every question once."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = questions
        self._scopes = [question_scope(question) for question in questions]
        # What a batch sends is one thing, and mostly nothing.
        (self._body,) = {question.body for question in questions}

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        for question, scope in zip(self._questions, self._scopes, strict=True):
            wrong = fault(question, await fetch(app, scope, state, client=Client(self._body)))
            if wrong is not None:
                return f"{question}: {wrong}"
        return None

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        count = turns * len(self._scopes)
        return await timed_batch(app, self._scopes, state, count, self._body), count


@dataclass(slots=True)
class Contender:
    """An arm, how its app is made, and what it is timed with.

    `also` is asked after each batch for what else it has shown, by the keys of the metrics.
    """

    arm: Arm
    load: Callable[[], App]
    workload: Workload
    also: Callable[[], dict[str, float]] = dict


@dataclass(slots=True)
class _Running:
    arm: Arm
    app: App
    state: dict[str, Any]
    workload: Workload
    also: Callable[[], dict[str, float]]
    turns: int = 1


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
            entry.turns = await _turns_for(entry, size.seconds)
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
    try:
        wrong = await contender.workload.fault(app, state)
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong is not None:
        arm.give_up("wrong", wrong)
        return None
    return _Running(arm, app, state, contender.workload, contender.also)


async def _turns_for(entry: _Running, seconds: float) -> int:
    """How many turns take about `seconds`; finding out warms the app up as well."""
    turns = 1
    while True:
        elapsed, _ = await entry.workload.timed(entry.app, entry.state, turns)
        if elapsed >= seconds / 2:
            return max(1, round(turns * seconds / elapsed))
        turns *= 2


async def _time_once(entry: _Running) -> None:
    gc.collect()
    elapsed, count = await entry.workload.timed(entry.app, entry.state, entry.turns)
    entry.arm.record(us=elapsed / count * 1e6, **entry.also())


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
