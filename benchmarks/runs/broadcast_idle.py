"""What a subscriber to whom nothing is published costs in memory."""

from functools import partial

from benchmarks.harness.broadcast import EVENTS, SOCKETS
from benchmarks.harness.broadcast_check import broadcast_fault
from benchmarks.model import Arm, Metric, Plan
from benchmarks.runs.broadcast import RARE_PINGS
from benchmarks.runs.idle import OPENED, Kind, compare

MODULE = "benchmarks.harness.broadcast_idle"
KIB = Metric("kib", "KiB per subscriber", 1)
METRICS = (KIB, Metric("resident_mb", "server RSS MB", 0), OPENED)
STREAMS = Kind(MODULE, EVENTS, partial(broadcast_fault, "sse"), RARE_PINGS)
WEBSOCKETS = Kind(MODULE, SOCKETS, partial(broadcast_fault, "ws"), RARE_PINGS)


def streams(plan: Plan) -> list[Arm]:
    """Many event streams that wait for what is published."""
    return compare(plan, STREAMS)


def sockets(plan: Plan) -> list[Arm]:
    """Many WebSockets that wait for what is published."""
    return compare(plan, WEBSOCKETS)
