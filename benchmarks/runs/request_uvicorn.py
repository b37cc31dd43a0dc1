"""One request and its JSON answer under uvicorn: what is left of a framework's cost on a wire."""

from collections.abc import Sequence
from functools import partial

from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.fleet import Served, answers, serve
from benchmarks.harness.load import Order, Report
from benchmarks.harness.process import run_order
from benchmarks.harness.questions import HELLO, ITEM, Question, fault
from benchmarks.model import Arm, Metric, Plan, Size
from benchmarks.peers import RAW

METRICS = (
    Metric("rps", "requests per second", 0),
    Metric("p50_ms", "p50 ms"),
    Metric("p99_ms", "p99 ms"),
    Metric("server_cpu", "server CPU %", 0),
    Metric("client_cpu", "load CPU %", 0),
)
WARMUP = 0.25


def static_json(plan: Plan) -> list[Arm]:
    """`GET /json` from every peer's own server."""
    return _compare(plan, HELLO)


def path_parameter(plan: Plan) -> list[Arm]:
    """`GET /items/42` from every peer's own server."""
    return _compare(plan, ITEM)


def _compare(plan: Plan, question: Question) -> list[Arm]:
    arms = [(Arm(peer.name, peer.name, reference=RAW.name), peer) for peer in plan.chosen()]
    server_core, load_core = cores_to_pin() or (None, None)
    check = answers(question.path, partial(fault, question))
    with serve(arms, check, server_core) as served:
        load_in_turn(served, question, plan.size, load_core)
    return [arm for arm, _ in arms]


def load_in_turn(
    served: Sequence[Served], question: Question, size: Size, core: int | None
) -> None:
    """Load each server once in each round, from `core`."""
    for _ in range(size.rounds):
        for entry in served:
            if entry.arm.status == "measured":
                _load_once(entry, question, size, core)


def _load_once(entry: Served, question: Question, size: Size, core: int | None) -> None:
    order = Order(
        port=entry.server.port,
        path=question.path,
        answer=question.answer,
        connections=size.connections,
        warmup=min(WARMUP, size.seconds),
        seconds=size.seconds,
        server_pid=entry.server.pid,
        core=core,
    )
    try:
        limit = order.warmup + order.seconds + 30
        report = Report(**run_order("benchmarks.harness.load", order, limit))
    except RuntimeError as error:
        entry.arm.give_up("wrong", str(error))
        return
    if report.wrong or not report.responses:
        entry.arm.give_up("wrong", report.fault or f"GET {question.path}: no answer under load")
        return
    figures = {metric.key: getattr(report, metric.key) for metric in METRICS}
    entry.arm.record(**{key: value for key, value in figures.items() if value is not None})
