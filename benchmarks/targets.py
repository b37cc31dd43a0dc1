"""The figures that the project promises, each of one arm of a scenario, mostly beside another."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.harness.layers import Kind, Layers
from benchmarks.model import Metric, median_difference, median_ratio
from benchmarks.peers import ADAPTER, FASTAPI
from benchmarks.results import Result
from benchmarks.runs import broadcast_idle, fastapi_inprocess, sse_idle, ws_idle
from benchmarks.runs.broadcast import BURSTS, Broadcasts
from benchmarks.runs.middleware_inprocess import PER_CHUNK_AND_LAYER, PER_LAYER
from benchmarks.runs.request_inprocess import RAW_HELLO
from benchmarks.runs.routes_inprocess import FEW, MANY, label
from benchmarks.runs.sse_uvicorn import P99


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of `arm` in `scenario` is at most or at least `limit`.

    What is compared is, as `relation` says, the median over the rounds of the arm's figure divided
    by that of the arm `against`, of the difference of the two, or, against none, the arm's own.
    The figure is that of `metric`, or the scenario's first.
    """

    scenario: str
    arm: str
    against: str | None
    comparison: Literal["<=", ">="]
    limit: float
    relation: Literal["ratio", "difference"] = "ratio"
    metric: Metric | None = None

    def promise(self) -> str:
        words = {"<=": "at most", ">=": "at least"}[self.comparison]
        figure = f"{self.metric.title} of {self.arm}" if self.metric else self.arm
        if self.against is None:
            limit = f"{self.limit:g}"
        elif self.relation == "ratio":
            limit = f"{self.limit:g} x {self.against}"
        else:
            limit = f"{self.against} + {self.limit:g}"
        return f"{self.scenario}: {figure} {words} {limit}"

    def value(self, figures: list[float], against: list[float]) -> float | None:
        """What is compared with the limit; None where it was not measured in every round."""
        if self.against is None:
            return median(figures) if figures else None
        compare = median_ratio if self.relation == "ratio" else median_difference
        return compare(figures, against)

    def kept_by(self, value: float) -> bool:
        return value <= self.limit if self.comparison == "<=" else value >= self.limit


def _slower_peers(scenario: str) -> list[Target]:
    """How many times as long as asgi_rt the others need."""
    factors = {"muffin": 2, "blacksheep": 2, "falcon": 2, "starlette": 4, "fastapi": 15}
    return [Target(scenario, peer, "asgi_rt", ">=", factor) for peer, factor in factors.items()]


def _flat_routes(*, typed: bool) -> Target:
    many = label("asgi_rt", MANY["asgi_rt"], typed=typed)
    return Target("routes-inprocess", many, label("asgi_rt", FEW, typed=typed), "<=", 1.3)


def _five(kind: Kind) -> str:
    """Layers are judged by five of them around a Starlette app."""
    return Layers(kind, 5).label("starlette")


def _layer_cost(kind: Kind, factor: float) -> Target:
    """A layer of Starlette's costs at least `factor` times as much in process."""
    base = _five(Kind.BASE_HTTP)
    return Target("middleware-json-inprocess", base, _five(kind), ">=", factor, metric=PER_LAYER)


def _layers_served(kind: Kind, factor: float) -> Target:
    """Behind five layers an app serves at least `factor` times as many requests."""
    return Target("middleware-json-uvicorn", _five(kind), _five(Kind.BASE_HTTP), ">=", factor)


def _bursts(peer: str) -> str:
    return Broadcasts("sse").label(peer, BURSTS)


def _slower_fastapi(scenario: str, case: str, factor: float) -> Target:
    """FastAPI needs at least `factor` times as long as the adapter for the same program."""
    label = fastapi_inprocess.label
    return Target(scenario, label(FASTAPI, case), label(ADAPTER, case), ">=", factor)


TARGETS: tuple[Target, ...] = (
    Target("json-inprocess", "asgi_rt", "raw", "<=", 2.0),
    Target("path-inprocess", "asgi_rt", RAW_HELLO, "<=", 2.8),
    *_slower_peers("json-inprocess"),
    *_slower_peers("path-inprocess"),
    _flat_routes(typed=False),
    _flat_routes(typed=True),
    _layer_cost(Kind.DISPATCH, 20),
    _layer_cost(Kind.HOOK, 60),
    Target(
        "middleware-stream-inprocess",
        _five(Kind.DISPATCH_UNTOUCHED),
        None,
        "<=",
        0.5,
        metric=PER_CHUNK_AND_LAYER,
    ),
    _layers_served(Kind.DISPATCH, 10),
    _layers_served(Kind.HOOK, 15),
    Target("json-uvicorn", "asgi_rt", "raw", ">=", 0.9),
    Target("path-uvicorn", "asgi_rt", "raw", ">=", 0.9),
    Target("sse-ready", "asgi_rt", "raw", ">=", 4.0),
    Target("sse-ready", "asgi_rt", "fastapi", ">=", 35.0),
    Target("sse-ready", "asgi_rt", "raw", "<=", 1.0, relation="difference", metric=P99),
    Target("sse-waiting", "asgi_rt", "raw", ">=", 0.9),
    Target("sse-idle-many", "asgi_rt", None, "<=", 12.0, metric=sse_idle.KIB),
    Target("ws-echo", "asgi_rt", "raw", ">=", 0.95),
    Target("ws-idle-many", "asgi_rt", None, "<=", 21.0, metric=ws_idle.KIB),
    Target("ws-idle-many", "asgi_rt", None, "<=", 260.0, metric=ws_idle.RESIDENT_MB),
    Target("broadcast-sse-slices", "asgi_rt", "raw", ">=", 0.95),
    Target("broadcast-sse", "asgi_rt", "sse-starlette", ">=", 4.0),
    Target("broadcast-sse-cases", _bursts("asgi_rt"), _bursts("raw"), ">=", 2.0),
    Target("broadcast-sse-idle", "asgi_rt", None, "<=", 13.0, metric=broadcast_idle.KIB),
    Target("broadcast-ws-slices", "asgi_rt", "raw", ">=", 0.95),
    Target("broadcast-ws", "asgi_rt", "litestar", ">=", 2.0),
    Target("broadcast-ws-idle", "asgi_rt", None, "<=", 22.0, metric=broadcast_idle.KIB),
    _slower_fastapi("fastapi-requests-inprocess", "json", 6),
    _slower_fastapi("fastapi-requests-inprocess", "path and query", 6),
    _slower_fastapi("fastapi-requests-inprocess", "body", 6),
    _slower_fastapi("fastapi-requests-inprocess", "depends", 6),
    _slower_fastapi("fastapi-streams-inprocess", "items", 20),
    _slower_fastapi("fastapi-streams-inprocess", "events", 20),
    Target("fastapi-startup", ADAPTER, FASTAPI, "<=", 1.0),
)


def check(result: Result, targets: Iterable[Target] = TARGETS) -> list[dict[str, Any]]:
    """How each target fared that this run could tell about.

    One whose scenario or arms were not asked for is left out; one whose arms were asked for and
    could not be measured has no value and is not met.
    """
    checked = [_check(result, target) for target in targets]
    return [outcome for outcome in checked if outcome is not None]


def _check(result: Result, target: Target) -> dict[str, Any] | None:
    record = result["scenarios"].get(target.scenario)
    if record is None:
        return None
    arms = {arm["label"]: arm["samples"] for arm in record["arms"]}
    if target.arm not in arms or target.against not in (None, *arms):
        return None
    key = target.metric.key if target.metric else record["metrics"][0]["key"]
    against = [] if target.against is None else arms[target.against].get(key, [])
    value = target.value(arms[target.arm].get(key, []), against)
    met = value is not None and target.kept_by(value)
    return {"promise": target.promise(), "value": value, "met": met}
