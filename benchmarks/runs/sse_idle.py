"""What an event stream that has nothing to say costs in memory."""

from functools import partial

from benchmarks.harness.event_stream import stream_fault
from benchmarks.harness.fleet import answers
from benchmarks.model import Arm, Metric, Plan
from benchmarks.runs.idle import OPENED, Kind, compare

KIB = Metric("kib", "KiB per stream", 1)
METRICS = (KIB, Metric("resident_mib", "server RSS MiB", 0), OPENED)
STREAMS = Kind(
    "benchmarks.harness.sse_idle", "/idle", answers("/ready?count=0", partial(stream_fault, 0))
)


def idle(plan: Plan) -> list[Arm]:
    """Many open streams, each silent after its first event."""
    return compare(plan, STREAMS)
