"""Event streams under uvicorn: how many events, at what cost, and how late they arrive."""

from functools import partial

from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.event_stream import stream_fault
from benchmarks.harness.fleet import Served, answers, serve
from benchmarks.harness.process import run_order
from benchmarks.harness.quotes import CHECKED
from benchmarks.harness.sse_load import Order, Report
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import RAW

P99 = Metric("p99_ms", "p99 ms", 3)
METRICS = (
    Metric("eps", "events per second", 0),
    Metric("event_bytes", "bytes per event", 1),
    Metric("server_us", "server µs per event"),
    Metric("p50_ms", "p50 ms", 3),
    P99,
    Metric("server_cpu", "server CPU %", 0),
    Metric("client_cpu", "load CPU %", 0),
)


def ready(plan: Plan) -> list[Arm]:
    """Streams whose source has the next event at once, always."""
    return _compare(plan, "/ready")


def waiting(plan: Plan) -> list[Arm]:
    """Streams whose source waits for a turn of the loop before each event."""
    return _compare(plan, "/waiting")


def _compare(plan: Plan, path: str) -> list[Arm]:
    arms = [(Arm(peer.name, peer.name, reference=RAW.name), peer) for peer in plan.chosen()]
    server_core, load_core = cores_to_pin() or (None, None)
    check = answers(f"{path}?count={CHECKED}", partial(stream_fault, CHECKED))
    with serve(arms, check, server_core) as served:
        for _ in range(plan.size.rounds):
            for entry in served:
                if entry.arm.status == "measured":
                    _load_once(entry, path, plan, load_core)
    return [arm for arm, _ in arms]


def _load_once(entry: Served, path: str, plan: Plan, core: int | None) -> None:
    order = Order(
        port=entry.server.port,
        path=path,
        streams=plan.size.connections,
        seconds=plan.size.seconds,
        server_pid=entry.server.pid,
        timeout=plan.size.seconds * 10 + 10,
        core=core,
    )
    try:
        report = Report(**run_order("benchmarks.harness.sse_load", order, order.timeout * 2))
    except RuntimeError as error:
        entry.arm.give_up("wrong", str(error))
        return
    if report.fault is not None:
        entry.arm.give_up("wrong", report.fault)
        return
    figures = {metric.key: getattr(report, metric.key) for metric in METRICS}
    entry.arm.record(**{key: value for key, value in figures.items() if value is not None})
