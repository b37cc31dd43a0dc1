"""What connections that have nothing to say cost in memory; what they are says the caller."""

import os
from dataclasses import dataclass

from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.fleet import Check, Served, serve
from benchmarks.harness.idle import Order, Report
from benchmarks.harness.memory import allow_open_files, resident_bytes
from benchmarks.harness.process import run_order
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import RAW

OPENED = Metric("opened", "opened per second", 0)
SPARE_FILES = 256
LIMIT = 120.0
"""Seconds that one measurement may take."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The connections that are opened at `path` by `module`, and what is checked before that.

    `options` are uvicorn's.
    """

    module: str
    path: str
    check: Check
    options: tuple[str, ...] = ()


def compare(plan: Plan, kind: Kind) -> list[Arm]:
    """Many open connections, all silent, on a server that was started for them alone."""
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
        with serve(left, kind.check, server_core, kind.options) as served:
            for entry in served:
                _open_once(entry, plan, kind, load_core)
                entry.server.stop()
    return [arm for arm, _ in arms]


def _open_once(entry: Served, plan: Plan, kind: Kind, core: int | None) -> None:
    order = Order(
        port=entry.server.port,
        path=kind.path,
        connections=plan.size.connections,
        still=plan.size.seconds,
        server_pid=entry.server.pid,
        core=core,
    )
    try:
        report = Report(**run_order(kind.module, order, LIMIT))
    except RuntimeError as error:
        entry.arm.give_up("wrong", str(error))
        return
    if report.fault is not None:
        entry.arm.give_up("wrong", report.fault)
        return
    entry.arm.record(
        kib=report.kib,
        resident_mib=report.resident_bytes / 2**20,
        resident_mb=report.resident_bytes / 1e6,
        opened=report.opened,
    )
