"""Short messages sent back over WebSockets: how many, at what cost, and how soon."""

from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.echoes import echo_fault
from benchmarks.harness.fleet import Served, serve
from benchmarks.harness.process import run_order
from benchmarks.harness.ws_load import Order, Report
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import RAW

METRICS = (
    Metric("mps", "messages per second", 0),
    Metric("server_us", "server µs per message"),
    Metric("p50_ms", "p50 ms", 3),
    Metric("p99_ms", "p99 ms", 3),
    Metric("server_cpu", "server CPU %", 0),
    Metric("client_cpu", "load CPU %", 0),
)
WARMUP = 0.2


def echo(plan: Plan) -> list[Arm]:
    """Many connections, each with one message on its way."""
    arms = [(Arm(peer.name, peer.name, reference=RAW.name), peer) for peer in plan.chosen()]
    server_core, load_core = cores_to_pin() or (None, None)
    with serve(arms, echo_fault, server_core) as served:
        for _ in range(plan.size.rounds):
            for entry in served:
                if entry.arm.status == "measured":
                    _load_once(entry, plan, load_core)
    return [arm for arm, _ in arms]


def _load_once(entry: Served, plan: Plan, core: int | None) -> None:
    order = Order(
        port=entry.server.port,
        connections=plan.size.connections,
        warmup=min(WARMUP, plan.size.seconds),
        seconds=plan.size.seconds,
        server_pid=entry.server.pid,
        core=core,
    )
    try:
        limit = order.warmup + order.seconds + 30
        report = Report(**run_order("benchmarks.harness.ws_load", order, limit))
    except RuntimeError as error:
        entry.arm.give_up("wrong", str(error))
        return
    if report.fault is not None:
        entry.arm.give_up("wrong", report.fault)
        return
    figures = {metric.key: getattr(report, metric.key) for metric in METRICS}
    entry.arm.record(**{key: value for key, value in figures.items() if value is not None})
