"""What an event stream that has nothing to say costs in memory."""

import os
from functools import partial

from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.event_stream import stream_fault
from benchmarks.harness.fleet import Served, serve
from benchmarks.harness.memory import allow_open_files, resident_bytes
from benchmarks.harness.process import run_order
from benchmarks.harness.sse_idle import Order, Report
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import RAW

KIB = Metric("kib", "KiB per stream", 1)
METRICS = (
    KIB,
    Metric("resident_mib", "server RSS MiB", 0),
    Metric("opened", "opened per second", 0),
)
SPARE_FILES = 256
LIMIT = 120.0
"""Seconds that one measurement may take."""


def idle(plan: Plan) -> list[Arm]:
    """Many open streams, each silent after its first event, on a server started for them alone."""
    arms = [(Arm(peer.name, peer.name, reference=RAW.name), peer) for peer in plan.chosen()]
    refused = allow_open_files(plan.size.connections + SPARE_FILES)
    if refused is None and resident_bytes(os.getpid()) is None:
        refused = "the memory of another process is not known here"
    if refused is not None:
        for arm, _ in arms:
            arm.give_up("missing", refused)
    server_core, load_core = cores_to_pin() or (None, None)
    for _ in range(plan.size.rounds):
        # Memory that a server has held once it may keep: every round has its own servers.
        left = [(arm, peer) for arm, peer in arms if arm.status == "measured"]
        with serve(left, "/ready?count=0", partial(stream_fault, 0), server_core) as served:
            for entry in served:
                _open_once(entry, plan, load_core)
                entry.server.stop()
    return [arm for arm, _ in arms]


def _open_once(entry: Served, plan: Plan, core: int | None) -> None:
    order = Order(
        port=entry.server.port,
        path="/idle",
        streams=plan.size.connections,
        still=plan.size.seconds,
        server_pid=entry.server.pid,
        core=core,
    )
    try:
        report = Report(**run_order("benchmarks.harness.sse_idle", order, LIMIT))
    except RuntimeError as error:
        entry.arm.give_up("wrong", str(error))
        return
    if report.fault is not None:
        entry.arm.give_up("wrong", report.fault)
        return
    entry.arm.record(**{metric.key: getattr(report, metric.key) for metric in METRICS})
