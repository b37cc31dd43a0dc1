"""What is left under uvicorn of what an app serves, behind layers of middleware."""

from dataclasses import replace
from functools import partial

from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.fleet import Served, answers, serve
from benchmarks.harness.layers import SETTING, Layers, stacks
from benchmarks.harness.questions import HELLO, fault
from benchmarks.model import Arm, Plan, Size
from benchmarks.peers import STARLETTE, Peer
from benchmarks.runs.request_uvicorn import load_in_turn

FEW_COUNTS = (5,)
COUNTS = {STARLETTE.name: (1, 5, 20)}
"""Of one app all, for the chart; of the others `FEW_COUNTS`."""


def small_json(plan: Plan) -> list[Arm]:
    """`GET /json` from a server of its own for every kind and number of layers."""
    # One app after another: all their servers at once would take the machine's memory.
    return [arm for peer in plan.chosen() for arm in _compare_layers(peer, plan.size)]


def _compare_layers(peer: Peer, size: Size) -> list[Arm]:
    counts = COUNTS.get(peer.name, FEW_COUNTS)
    layered = {layers.label(peer.name): layers for layers in stacks(counts, SETTING)}
    arms = [
        (
            Arm(label, peer.name, reference=Layers().label(peer.name)),
            replace(peer, application=layers.application),
        )
        for label, layers in layered.items()
    ]
    server_core, load_core = cores_to_pin() or (None, None)
    check = answers(HELLO.path, partial(fault, HELLO))
    with serve(arms, check, server_core) as served:
        for entry in served:
            _check_layers(entry, layered[entry.arm.label])
        load_in_turn(served, HELLO, size, load_core)
    return [arm for arm, _ in arms]


def _check_layers(entry: Served, layers: Layers) -> None:
    wrong = answers(HELLO.path, layers.fault)(entry.server.port)
    if wrong is not None:
        entry.arm.give_up("wrong", wrong)
