"""Holds the subscribers of several servers, and has one after another publish: one process.

It runs as `python -m benchmarks.harness.broadcast_slices <order as JSON>` and prints its report as
JSON. A machine that others share is now fast and now slow, by a third and more, for tenths of a
second at a time. So no server publishes for longer than that before the next one does: those that
are compared are measured in the same moment, many times over.
"""

import http.client
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.harness.broadcast import Publishing
from benchmarks.harness.broadcast_load import Load, Order, Stalled, order_of
from benchmarks.harness.broadcast_requests import WrongAnswer
from benchmarks.harness.cpu import pin
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.subscriber import WrongDelivery


@dataclass(frozen=True, slots=True)
class Slices:
    """`count` slices of each server. All orders are alike but for the server: they have one case,
    and their `seconds` are those of one slice.
    """

    orders: tuple[Order, ...]
    count: int
    core: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Of each server and slice the deliveries a second; or the number of the server at fault."""

    dps: list[list[float]]
    at: int = 0
    fault: str | None = None


def measure(slices: Slices) -> Report:
    """Load the servers by turns."""
    at = 0
    dps: list[list[float]] = [[] for _ in slices.orders]
    with ExitStack() as stack:
        try:
            loads: list[Load] = []
            for at, order in enumerate(slices.orders):  # noqa: B007 - told where it fails
                loads.append(Load(order, stack))
            counts: list[int] = []
            for at, load in enumerate(loads):  # noqa: B007 - likewise
                counts.append(load.count_for(slices.orders[0].cases[0]))
            publishing = _publishing(slices.orders[0], min(counts))
            for number in range(slices.count):
                # There and back again, so that none always follows the same one.
                turns = list(enumerate(loads))
                for at, load in reversed(turns) if number % 2 else turns:
                    seconds = load.run(publishing).seconds
                    dps[at].append(publishing.count * slices.orders[at].subscribers / seconds)
        except (
            Stalled,
            WrongAnswer,
            WrongDelivery,
            ProtocolError,
            OSError,
            http.client.HTTPException,
        ) as error:
            return Report([], at, f"{type(error).__name__}: {error}")
    return Report(dps)


def _publishing(order: Order, count: int) -> Publishing:
    case = order.cases[0]
    return Publishing(count, case.size, case.burst)


def slices_of(values: dict[str, Any]) -> Slices:
    """The order that `asdict` and JSON have made these values of."""
    orders = tuple(order_of(each) for each in values["orders"])
    return replace(Slices(**{**values, "orders": ()}), orders=orders)


def main() -> None:
    slices = slices_of(json.loads(sys.argv[1]))
    if slices.core is not None:
        pin(0, slices.core)
    json.dump(asdict(measure(slices)), sys.stdout)


if __name__ == "__main__":
    main()
