"""Event streams without a server: what a framework itself costs per event."""

from typing import Any

from benchmarks.harness.event_stream import stream_fault
from benchmarks.harness.exchange import App, fetch, request_scope, timed_stream
from benchmarks.harness.inprocess import Contender, compare
from benchmarks.harness.quotes import CHECKED
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import RAW

METRICS = (Metric("us", "µs per event", 3),)
SOURCES = ("ready", "waiting")


def events(plan: Plan) -> list[Arm]:
    """One stream into a `send` that does nothing; its source is always ready, or waits."""
    contenders = [
        Contender(
            Arm(f"{peer.name} {source}", peer.name, reference=f"{RAW.name} {source}"),
            peer.load,
            _Stream(f"/{source}"),
        )
        for source in SOURCES
        for peer in plan.chosen()
    ]
    return compare(contenders, plan.size)


class _Stream:
    """One stream of as many events as there are turns."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        wrong = stream_fault(CHECKED, await fetch(app, self._scope(CHECKED), state))
        return None if wrong is None else f"GET {self._path}: {wrong}"

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        return await timed_stream(app, self._scope(turns), state), turns

    def _scope(self, count: int) -> dict[str, Any]:
        return request_scope(self._path, f"count={count}".encode("ascii"))
