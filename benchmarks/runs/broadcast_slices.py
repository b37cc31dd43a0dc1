"""Broadcasts of few peers, by turns of a moment each: for what is nearly the same."""

from functools import partial

from benchmarks.harness.broadcast_check import broadcast_fault
from benchmarks.harness.broadcast_load import Case, Order
from benchmarks.harness.broadcast_slices import Report, Slices
from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.fleet import Served, serve
from benchmarks.harness.memory import allow_open_files
from benchmarks.harness.process import run_order
from benchmarks.harness.subscriber import Transport
from benchmarks.model import Arm, Metric, Plan, Size
from benchmarks.peers import RAW
from benchmarks.runs.broadcast import RARE_PINGS, SPARE_FILES

METRICS = (Metric("dps", "deliveries per second", 0),)
LIMIT = 60.0
"""Seconds that everything may take beside the slices themselves, a slice of a slow moment apart."""
SLOWEST = 5
"""How many times as long as was ordered a slice may take."""


def streams(plan: Plan) -> list[Arm]:
    """Short messages to event streams."""
    return _compare("sse", plan)


def sockets(plan: Plan) -> list[Arm]:
    """Short messages to WebSockets."""
    return _compare("ws", plan)


def _compare(transport: Transport, plan: Plan) -> list[Arm]:
    size = plan.size
    arms = [(Arm(peer.name, peer.name, RAW.name), peer) for peer in plan.chosen()]
    refused = allow_open_files(size.connections * len(arms) + SPARE_FILES)
    if refused is not None:
        for arm, _ in arms:
            arm.give_up("missing", refused)
        return [arm for arm, _ in arms]
    server_core, load_core = cores_to_pin() or (None, None)
    check = partial(broadcast_fault, transport)
    with serve(arms, check, server_core, RARE_PINGS) as served:
        if served:
            _measure(transport, size, served, load_core)
    return [arm for arm, _ in arms]


def _measure(transport: Transport, size: Size, served: list[Served], core: int | None) -> None:
    orders = [
        Order(
            port=entry.server.port,
            transport=transport,
            subscribers=size.connections,
            cases=(Case(),),
            seconds=size.seconds,
            server_pid=entry.server.pid,
        )
        for entry in served
    ]
    slices = Slices(tuple(orders), size.rounds, core)
    limit = LIMIT + SLOWEST * size.rounds * size.seconds * len(served)
    try:
        report = Report(**run_order("benchmarks.harness.broadcast_slices", slices, limit))
    except RuntimeError as error:
        for entry in served:
            entry.arm.give_up("wrong", str(error))
        return
    if report.fault is not None:
        served[report.at].arm.give_up("wrong", report.fault)
        _measure_without(report.at, transport, size, served, core)
        return
    for entry, samples in zip(served, report.dps, strict=True):
        for dps in samples:
            entry.arm.record(dps=dps)


def _measure_without(
    at: int, transport: Transport, size: Size, served: list[Served], core: int | None
) -> None:
    others = served[:at] + served[at + 1 :]
    if others:
        _measure(transport, size, others, core)
