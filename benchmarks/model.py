"""What a scenario is, what it is asked for, and what it hands back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from benchmarks.peers import PEERS, Peer

Status = Literal["measured", "missing", "wrong", "stalled"]
"""`missing`: the peer does not load or start here, or the machine does not allow what it is asked;
`wrong`: it did not answer as it must; `stalled`: one client that does not read stops all others."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One kind of figure: its key in the samples, its heading with the unit, its decimals."""

    key: str
    title: str
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: in each of `rounds`, every arm for about `seconds`.

    `connections` is how many clients load a server at once; in process it says nothing. Where it is
    not speed that is measured, a scenario says what `seconds` are to it.
    """

    rounds: int
    seconds: float
    connections: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of one scenario is asked for. `only` names peers; None is all of them."""

    size: Size
    only: frozenset[str] | None = None
    peers: tuple[Peer, ...] = PEERS

    def chosen(self) -> list[Peer]:
        return [peer for peer in self.peers if self.only is None or peer.name in self.only]


@dataclass(slots=True)
class Arm:
    """One thing that is measured, and its raw samples: for each metric one value per round.

    `reference` is the label of the arm that its ratio is taken to.
    """

    label: str
    peer: str
    reference: str | None = None
    status: Status = "measured"
    reason: str = ""
    samples: dict[str, list[float]] = field(default_factory=dict)

    def record(self, **values: float) -> None:
        for key, value in values.items():
            self.samples.setdefault(key, []).append(value)

    def give_up(self, status: Status, reason: str) -> None:
        """Leave the comparison. What was measured so far is dropped: it cannot be trusted."""
        self.status, self.reason = status, reason
        self.samples.clear()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table in `benchmarks.scenarios`. The first metric is the one compared.

    One that takes long is not run `by_default`, but only by its name.
    """

    name: str
    measures: str
    metrics: tuple[Metric, ...]
    run: Callable[[Plan], list[Arm]]
    smallest: Size
    normal: Size
    peers: tuple[Peer, ...] = PEERS
    by_default: bool = True


def median_ratio(values: list[float], reference: list[float]) -> float | None:
    """The median over the rounds of value / reference, or None where a round lacks either.

    The two are compared round by round because a machine's speed drifts between rounds.
    """
    if not values or len(values) != len(reference) or 0 in reference:
        return None
    return median(value / other for value, other in zip(values, reference, strict=True))


def median_difference(values: list[float], reference: list[float]) -> float | None:
    """The median over the rounds of value - reference, or None where a round lacks either."""
    if not values or len(values) != len(reference):
        return None
    return median(value - other for value, other in zip(values, reference, strict=True))
