"""What layers of middleware cost, by their kind and number, without a server."""

from dataclasses import replace

from benchmarks.harness.inprocess import MICROSECONDS, Contender, compare
from benchmarks.harness.layered_work import Departure, SmallJSON, Stream, Upload, Work
from benchmarks.harness.layers import Layers, stacks
from benchmarks.model import Arm, Metric, Plan, Size
from benchmarks.peers import Peer

PER_LAYER = Metric("layer_us", "µs per layer")
PER_CHUNK_AND_LAYER = Metric("layer_us", "µs per chunk and layer", 3)
REQUEST_METRICS = (MICROSECONDS, PER_LAYER)
STREAM_METRICS = (Metric("us", "µs per chunk", 3), PER_CHUNK_AND_LAYER)
LEAVING_METRICS = (
    Metric("us", "µs until the app returns"),
    PER_LAYER,
    Metric("over_percent", "handlers over by then %", 0),
)

COUNTS = (1, 3, 5, 10, 20)


def small_json(plan: Plan) -> list[Arm]:
    """A small JSON answer."""
    return _compare(plan, SmallJSON)


def stream(plan: Plan) -> list[Arm]:
    """A response in many chunks."""
    return _compare(plan, Stream)


def upload(plan: Plan) -> list[Arm]:
    """A large body, read by the handler."""
    return _compare(plan, Upload)


def leaving(plan: Plan) -> list[Arm]:
    """A client that leaves in the middle of a response."""
    return _compare(plan, Departure)


def _compare(plan: Plan, work: type[Work]) -> list[Arm]:
    # One app after another, so that the rounds of what is compared are short.
    return [arm for peer in plan.chosen() for arm in _compare_layers(peer, work, plan.size)]


def _compare_layers(peer: Peer, work: type[Work], size: Size) -> list[Arm]:
    layered = stacks(COUNTS)
    bare, *others = compare([_contender(peer, work(layers)) for layers in layered], size)
    for arm, layers in zip(others, layered[1:], strict=True):
        _record_cost(arm, bare, layers.count)
    return [bare, *others]


def _contender(peer: Peer, work: Work) -> Contender:
    arm = Arm(work.layers.label(peer.name), peer.name, reference=Layers().label(peer.name))
    load = replace(peer, application=work.layers.application).load
    return Contender(arm, load, work, work.also)


def _record_cost(arm: Arm, bare: Arm, count: int) -> None:
    """What one of `count` layers has cost in each round, beside the app without any."""
    if arm.samples and bare.samples:
        key = MICROSECONDS.key
        for time, without in zip(arm.samples[key], bare.samples[key], strict=True):
            arm.record(**{PER_LAYER.key: (time - without) / count})
