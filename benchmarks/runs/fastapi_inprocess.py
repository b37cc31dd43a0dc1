"""One FastAPI program on FastAPI and on the adapter, without a server."""

import json
from typing import Any
from urllib.parse import urlencode

from benchmarks.harness.event_stream import lines_fault, stream_fault
from benchmarks.harness.exchange import App, fetch, request_scope, timed_stream
from benchmarks.harness.inprocess import Contender, Requests, Workload, compare
from benchmarks.harness.questions import Question
from benchmarks.harness.quotes import CHECKED
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import FASTAPI

STREAM_METRICS = (Metric("us", "µs per event or line", 3),)

_ITEM = {"name": "lamp", "price": 12.5, "tags": ["light", "home"], "description": None}
_LOGIN = {"username": "ada", "password": "correct horse"}

QUESTIONS = {
    "json": Question("/json", {"message": "Hello, World!"}),
    "json untyped": Question("/untyped", {"message": "Hello, World!"}),
    "path and query": Question(
        "/items/42", {"id": 42, "q": "lamps", "limit": 5}, query="q=lamps&limit=5"
    ),
    "body": Question("/items", _ITEM, body=json.dumps(_ITEM).encode()),
    "depends": Question("/me", {"name": "ada", "client": "example-client/1.0"}),
    "yield": Question("/session", {"open": True}),
    "form": Question(
        "/login",
        {"username": "ada", "length": 13},
        body=urlencode(_LOGIN).encode(),
        content_type="application/x-www-form-urlencoded",
    ),
}
STREAMS = {
    "items": "/ready",
    "items waiting": "/waiting",
    "events": "/events",
    "lines": "/lines",
}


def label(peer: str, case: str) -> str:
    """How an arm is called, as in `fastapi json`."""
    return f"{peer} {case}"


def requests(plan: Plan) -> list[Arm]:
    """A request of each kind, one after another."""
    return _compare(plan, {case: Requests([asked]) for case, asked in QUESTIONS.items()})


def streams(plan: Plan) -> list[Arm]:
    """A stream of each kind into a `send` that does nothing."""
    return _compare(plan, {case: _Stream(path) for case, path in STREAMS.items()})


def _compare(plan: Plan, cases: dict[str, Workload]) -> list[Arm]:
    contenders = [
        Contender(
            Arm(label(peer.name, case), peer.name, reference=label(FASTAPI, case)),
            peer.load,
            workload,
        )
        for case, workload in cases.items()
        for peer in plan.chosen()
    ]
    return compare(contenders, plan.size)


class _Stream:
    """One stream of as many events or lines as there are turns."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fault = lines_fault if path == STREAMS["lines"] else stream_fault

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        wrong = self._fault(CHECKED, await fetch(app, self._scope(CHECKED), state))
        return None if wrong is None else f"GET {self._path}: {wrong}"

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        return await timed_stream(app, self._scope(turns), state), turns

    def _scope(self, count: int) -> dict[str, Any]:
        return request_scope(self._path, f"count={count}".encode("ascii"))
