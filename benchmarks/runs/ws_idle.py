"""What a WebSocket that has nothing to say costs in memory."""

from benchmarks.harness.echoes import PATH, echo_fault
from benchmarks.model import Arm, Metric, Plan
from benchmarks.runs.idle import OPENED, Kind, compare

KIB = Metric("kib", "KiB per connection", 1)
RESIDENT_MB = Metric("resident_mb", "server RSS MB", 0)
METRICS = (KIB, RESIDENT_MB, OPENED)
SOCKETS = Kind("benchmarks.harness.ws_idle", PATH, echo_fault)


def idle(plan: Plan) -> list[Arm]:
    """Many open WebSockets, each accepted and waiting for a first message."""
    return compare(plan, SOCKETS)
