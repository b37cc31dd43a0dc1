"""One message to many subscribers: how many deliveries a second, and how late they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.harness.broadcast_check import broadcast_fault
from benchmarks.harness.broadcast_load import Case, Order, Report
from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.fleet import Served, serve
from benchmarks.harness.memory import allow_open_files
from benchmarks.harness.process import run_order
from benchmarks.harness.subscriber import Transport
from benchmarks.model import Arm, Metric, Plan, Size
from benchmarks.peers import RAW

EVERY_LEVEL = (25, 50, 75)
COUNTS = (10, 100, 500, 2_000, 10_000)
PLAIN = Case()
LONG = Case(size=4096)
BURSTS = Case(burst=20)
FROZEN = Case(frozen=True)
LONG_FROZEN = Case(size=4096, frozen=True)
SPARE_FILES = 256
# The reader answers no pings. What they cost in memory while none is due stays in the figures.
RARE_PINGS = ("--ws-ping-interval", "3600")
LONGEST_CASE = 120.0
"""Seconds, of which most are for whoever is slow."""


def metrics(levels: Sequence[int]) -> tuple[Metric, ...]:
    """What is measured where latencies are taken at these percents of the saturation."""
    return (
        Metric("dps", "deliveries per second", 0),
        Metric("server_us", "server µs per delivery"),
        Metric("delivery_bytes", "bytes per delivery", 1),
        *(
            Metric(f"p{percent}_{level}", f"p{percent} ms at {level} %", 3)
            for level in levels
            for percent in (50, 99)
        ),
        Metric("server_cpu", "server CPU %", 0),
        Metric("client_cpu", "load CPU %", 0),
    )


@dataclass(frozen=True, slots=True)
class Broadcasts:
    """A scenario: which connections, how many, what is sent, and where latencies are taken.

    There are as many subscribers as the plan has connections; with `counts` one after another,
    none of them more than that.
    """

    transport: Transport
    cases: tuple[Case, ...] = (PLAIN,)
    counts: tuple[int, ...] = ()
    levels: tuple[int, ...] = EVERY_LEVEL

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return metrics(self.levels)

    def __call__(self, plan: Plan) -> list[Arm]:
        return _Comparison(self, plan).run()

    def counts_for(self, size: Size) -> list[int]:
        few = [count for count in self.counts if count <= size.connections]
        return few or [size.connections]

    def label(self, peer: str, case: Case = PLAIN, count: int = 0) -> str:
        """What the arm is called: by all that not every arm of the scenario has."""
        words = [peer]
        if self.counts:
            words.append(f"{count:,} subscribers")
        if case.size != PLAIN.size:
            words.append(f"{case.size // 1024} KiB")
        if case.burst != 1:
            words.append(f"bursts of {case.burst}")
        if case.frozen:
            words.append("one frozen")
        return ", ".join(words)


class _Comparison:
    """One run of a scenario: an arm for every peer, case and number of subscribers."""

    def __init__(self, broadcasts: Broadcasts, plan: Plan) -> None:
        self._broadcasts = broadcasts
        self._plan = plan
        self._counts = broadcasts.counts_for(plan.size)
        self._arms = {
            (peer.name, count, case): self._arm(peer.name, count, case)
            for count in self._counts
            for case in broadcasts.cases
            for peer in plan.chosen()
        }
        # Of the server, and of the load.
        self._cores: tuple[int | None, int | None] = cores_to_pin() or (None, None)

    def run(self) -> list[Arm]:
        self._leave_out_what_is_too_many()
        # Of whether a peer comes up at all: the arms of its cases are others.
        peers = [(Arm(peer.name, peer.name), peer) for peer in self._plan.chosen()]
        check = partial(broadcast_fault, self._broadcasts.transport)
        with serve(peers, check, self._cores[0], RARE_PINGS) as served:
            for _ in range(self._plan.size.rounds):
                for count in self._counts:
                    for entry in served:
                        self._load_once(entry, count)
        for arm, peer in peers:
            if arm.status != "measured":
                for own in self._arms_of(peer.name):
                    own.give_up(arm.status, arm.reason)
        return list(self._arms.values())

    def _arm(self, peer: str, count: int, case: Case) -> Arm:
        label = partial(self._broadcasts.label, case=case, count=count)
        reference = label(RAW.name)
        if case.frozen:
            # Raw ASGI may stall; what matters is what the others lose by such a client.
            reference = self._broadcasts.label(peer, replace(case, frozen=False), count)
        return Arm(label(peer), peer, reference)

    def _arms_of(self, peer: str) -> list[Arm]:
        return [arm for arm in self._arms.values() if arm.peer == peer]

    def _leave_out_what_is_too_many(self) -> None:
        for (_, count, _), arm in self._arms.items():
            if (refused := allow_open_files(count + SPARE_FILES)) is not None:
                arm.give_up("missing", refused)

    def _load_once(self, entry: Served, count: int) -> None:
        size, peer = self._plan.size, entry.arm.peer
        arms = {
            case: arm
            for case in self._broadcasts.cases
            if (arm := self._arms[peer, count, case]).status == "measured"
        }
        if not arms:
            return
        order = Order(
            port=entry.server.port,
            transport=self._broadcasts.transport,
            subscribers=count,
            cases=tuple(replace(case, levels=self._broadcasts.levels) for case in arms),
            seconds=size.seconds,
            server_pid=entry.server.pid,
            patience=min(5.0, max(2.0, size.seconds * 10)),
            core=self._cores[1],
        )
        try:
            limit = LONGEST_CASE * (len(arms) + 1)
            answer = run_order("benchmarks.harness.broadcast_load", order, limit)
        except RuntimeError as error:
            for arm in arms.values():
                arm.give_up("wrong", str(error))
            return
        for arm, values in zip(arms.values(), answer["cases"], strict=True):
            report = Report(**values)
            if report.status == "measured":
                arm.record(**report.figures)
            else:
                arm.give_up(report.status, report.reason)
