"""The rows of the table of scenarios that are about broadcasts: as many for either transport."""

from collections.abc import Callable
from dataclasses import replace

from benchmarks.harness.subscriber import Transport
from benchmarks.model import Arm, Plan, Scenario, Size
from benchmarks.peers import ASGI_RT, RAW, Peer
from benchmarks.runs import broadcast_idle, broadcast_slices
from benchmarks.runs.broadcast import BURSTS, FROZEN, LONG, LONG_FROZEN, PLAIN, Broadcasts

SMALLEST = Size(rounds=1, seconds=0.02, connections=4)
NORMAL = Size(rounds=3, seconds=0.5, connections=500)
FULL = Size(rounds=1, seconds=1.5, connections=10_000)
# Slices of a moment, so many that their median tells what is nearly the same apart.
SMALLEST_SLICES = Size(rounds=2, seconds=0.02, connections=4)
NORMAL_SLICES = Size(rounds=300, seconds=0.08, connections=500)
# Of memory, the seconds are how long it must have stood still.
SMALLEST_IDLE = Size(rounds=1, seconds=0.05, connections=20)
NORMAL_IDLE = Size(rounds=1, seconds=0.5, connections=10_000)


def broadcast_scenarios(
    transport: Transport,
    connections: str,
    peers: tuple[Peer, ...],
    idle: Callable[[Plan], list[Arm]],
) -> tuple[Scenario, ...]:
    """The scenarios of one transport, whose `connections` are called so.

    Those of every size and peer take long, and are not run by default.
    """
    name = f"broadcast-{transport}"
    few_peers = tuple(peer for peer in peers if peer.name in (RAW.name, ASGI_RT.name))
    few_levels = (50,)
    cases = Broadcasts(transport, (PLAIN, LONG, BURSTS, FROZEN), levels=few_levels)
    numbers = Broadcasts(transport, counts=(10, 100, 2_000), levels=few_levels)
    full = Broadcasts(
        transport,
        (PLAIN, LONG, BURSTS, FROZEN, LONG_FROZEN),
        counts=(10, 100, 500, 2_000, 10_000),
    )
    return (
        _row(name, f"short messages to many {connections}", Broadcasts(transport), peers),
        Scenario(
            f"{name}-slices",
            f"short messages to many {connections}, by turns of a moment each",
            broadcast_slices.METRICS,
            broadcast_slices.streams if transport == "sse" else broadcast_slices.sockets,
            SMALLEST_SLICES,
            NORMAL_SLICES,
            few_peers,
        ),
        _row(
            f"{name}-cases",
            f"to many {connections}: long messages, bursts, beside a client that does not read",
            cases,
            few_peers,
        ),
        _row(
            f"{name}-numbers",
            f"short messages to more and more {connections}",
            numbers,
            few_peers,
            replace(NORMAL, connections=max(numbers.counts)),
        ),
        _row(
            f"{name}-full",
            f"all kinds of messages to more and more {connections}",
            full,
            peers,
            FULL,
            by_default=False,
        ),
        _idle_row(f"{name}-idle", connections, idle, few_peers),
        _idle_row(f"{name}-idle-full", connections, idle, peers, by_default=False),
    )


def _row(
    name: str,
    measures: str,
    run: Broadcasts,
    peers: tuple[Peer, ...],
    normal: Size = NORMAL,
    *,
    by_default: bool = True,
) -> Scenario:
    return Scenario(
        name,
        f"{measures}, one server process",
        run.metrics,
        run,
        SMALLEST,
        normal,
        peers,
        by_default,
    )


def _idle_row(
    name: str,
    connections: str,
    run: Callable[[Plan], list[Arm]],
    peers: tuple[Peer, ...],
    *,
    by_default: bool = True,
) -> Scenario:
    measures = f"memory of very many subscribed {connections}, a fresh server each round"
    metrics = broadcast_idle.METRICS
    return Scenario(name, measures, metrics, run, SMALLEST_IDLE, NORMAL_IDLE, peers, by_default)
