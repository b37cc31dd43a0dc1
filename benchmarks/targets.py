"""The figures that the project promises, each a ratio of two arms of one scenario."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.model import median_ratio
from benchmarks.results import Result
from benchmarks.runs.request_inprocess import RAW_HELLO
from benchmarks.runs.routes_inprocess import FEW, MANY, label


@dataclass(frozen=True, slots=True)
class Target:
    """`arm` over `against`, as the median of the ratios per round, is at most or at least `limit`.

    Both are labels of arms in `scenario`; the figure is that scenario's first metric.
    """

    scenario: str
    arm: str
    against: str
    comparison: Literal["<=", ">="]
    limit: float

    def promise(self) -> str:
        words = {"<=": "at most", ">=": "at least"}[self.comparison]
        return f"{self.scenario}: {self.arm} {words} {self.limit:g} x {self.against}"

    def kept_by(self, value: float) -> bool:
        return value <= self.limit if self.comparison == "<=" else value >= self.limit


def _slower_peers(scenario: str) -> list[Target]:
    """How many times as long as asgi_rt the others need."""
    factors = {"muffin": 2, "blacksheep": 2, "falcon": 2, "starlette": 4, "fastapi": 15}
    return [Target(scenario, peer, "asgi_rt", ">=", factor) for peer, factor in factors.items()]


def _flat_routes(*, typed: bool) -> Target:
    many = label("asgi_rt", MANY["asgi_rt"], typed=typed)
    return Target("routes-inprocess", many, label("asgi_rt", FEW, typed=typed), "<=", 1.3)


TARGETS: tuple[Target, ...] = (
    Target("json-inprocess", "asgi_rt", "raw", "<=", 2.0),
    Target("path-inprocess", "asgi_rt", RAW_HELLO, "<=", 2.8),
    *_slower_peers("json-inprocess"),
    *_slower_peers("path-inprocess"),
    _flat_routes(typed=False),
    _flat_routes(typed=True),
    Target("json-uvicorn", "asgi_rt", "raw", ">=", 0.9),
    Target("path-uvicorn", "asgi_rt", "raw", ">=", 0.9),
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
    arms = {arm["label"]: arm for arm in record["arms"]}
    if target.arm not in arms or target.against not in arms:
        return None
    primary = record["metrics"][0]["key"]
    value = median_ratio(
        arms[target.arm]["samples"].get(primary, []),
        arms[target.against]["samples"].get(primary, []),
    )
    met = value is not None and target.kept_by(value)
    return {"promise": target.promise(), "value": value, "met": met}
