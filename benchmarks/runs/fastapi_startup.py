"""How soon a large FastAPI program answers, on FastAPI and on the adapter."""

from benchmarks.harness.process import run_order
from benchmarks.harness.startup import Order, Report
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import FASTAPI, Peer

METRICS = (
    Metric("ms", "ms to the first answer", 0),
    Metric("build_ms", "of these building ms", 0),
    Metric("all_ms", "ms to an answer of each route", 0),
    Metric("import_ms", "importing before it ms", 0),
    Metric("started_mb", "MB when built", 1),
    Metric("asked_mb", "MB after all answers", 1),
)
ROUTES = 1_000
LIMIT = 60.0


def startup(plan: Plan) -> list[Arm]:
    """A fresh process for each peer and round."""
    arms = [(Arm(peer.name, peer.name, reference=FASTAPI), peer) for peer in plan.chosen()]
    for _ in range(plan.size.rounds):
        for arm, peer in arms:
            if arm.status == "measured":
                _start_once(arm, peer, plan.size.seconds)
    return [arm for arm, _ in arms]


def _start_once(arm: Arm, peer: Peer, still: float) -> None:
    order = Order(peer.module, peer.application, ROUTES, still)
    try:
        report = Report(**run_order("benchmarks.harness.startup", order, LIMIT))
    except RuntimeError as error:
        arm.give_up("missing", str(error))
        return
    if report.fault is not None:
        arm.give_up("wrong", report.fault)
        return
    figures = {metric.key: getattr(report, metric.key) for metric in METRICS}
    arm.record(**{key: value for key, value in figures.items() if value is not None})
