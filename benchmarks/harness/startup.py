"""Starts one large app and asks it for every route once: a process for one figure.

It runs as `python -m benchmarks.harness.startup <order as JSON>` and prints its report as JSON.
"""

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from time import perf_counter

from benchmarks.harness.exchange import App, Client, fetch, question_scope
from benchmarks.harness.lifespan import lifespan
from benchmarks.harness.memory import settled_bytes
from benchmarks.harness.questions import Question, fault


@dataclass(frozen=True, slots=True)
class Order:
    """The app `application` of `module`, whose last name makes it, and how many routes it has.

    Memory counts when it has not changed for `still` seconds.
    """

    module: str
    application: str
    routes: int
    still: float


@dataclass(frozen=True, slots=True)
class Report:
    """Milliseconds, and MB held before the first request and after one to each route.

    `ms` is from the program's being imported to its first answer, the lifespan included. `fault` is
    what the first wrong answer had.
    """

    fault: str | None = None
    ms: float = 0.0
    import_ms: float = 0.0
    build_ms: float = 0.0
    all_ms: float = 0.0
    started_mb: float | None = None
    asked_mb: float | None = None


def questions(routes: int) -> list[Question]:
    """One for each route of the program, the last of them first."""
    return [_question(n) for n in reversed(range(routes))]


def _question(n: int) -> Question:
    base = f"/api/resource{n}"
    match n % 5:
        case 0:
            return Question(f"{base}/all", {"route": n})
        case 1:
            return Question(f"{base}/7", {"route": n, "id": 7, "q": "x"}, query="q=x")
        case 2:
            return Question(
                f"{base}/orders", {"route": n, "number": 3}, body=b'{"number": 3, "note": "soon"}'
            )
        case 3:
            answer = {"route": n, "limit": 5, "agent": "example-client/1.0"}
            return Question(f"{base}/page", answer, query="limit=5")
        case _:
            return Question(
                f"{base}/7/number", {"route": n, "number": 10}, body=b'{"number": 3}', method="PUT"
            )


async def _ask(app: App, order: Order, begun: float) -> tuple[str | None, float, float]:
    """What is wrong, and when the first and the last answer were there."""
    asked = questions(order.routes)
    async with lifespan(app, timeout=60) as state:
        wrong = await _first_fault(app, asked[:1], state)
        first = perf_counter()
        wrong = wrong or await _first_fault(app, asked[1:], state)
        return wrong, first - begun, perf_counter() - begun


async def _first_fault(app: App, asked: Sequence[Question], state: dict[str, object]) -> str | None:
    for question in asked:
        answer = await fetch(app, question_scope(question), state, client=Client(question.body))
        if (wrong := fault(question, answer)) is not None:
            return f"{question}: {wrong}"
    return None


def measure(order: Order) -> Report:
    """Start the app and ask it. Raises whatever its import and its start raise."""
    importing = perf_counter()
    program, _, application = f"{order.module}.{order.application}".rpartition(".")
    rest = program.removeprefix(order.module).removeprefix(".")
    holder = importlib.import_module(order.module)
    holder = attrgetter(rest)(holder) if rest else holder
    building = perf_counter()
    app = getattr(holder, application)
    built = perf_counter()
    held = settled_bytes(os.getpid(), order.still)
    resumed = perf_counter()
    wrong, first, last = asyncio.run(_ask(app, order, resumed))
    asked = settled_bytes(os.getpid(), order.still)
    build = built - building
    return Report(
        fault=wrong,
        ms=(build + first) * 1e3,
        import_ms=(building - importing) * 1e3,
        build_ms=build * 1e3,
        all_ms=(build + last) * 1e3,
        started_mb=None if held is None else held / 1e6,
        asked_mb=None if asked is None else asked / 1e6,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Order(**json.loads(sys.argv[1]))))))
