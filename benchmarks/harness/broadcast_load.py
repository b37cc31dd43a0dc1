"""Holds all the subscribers of one server, has it publish, and reads what comes: one process.

It runs as `python -m benchmarks.harness.broadcast_load <order as JSON>` and prints its report as
JSON. The subscribers are opened once; then each case of the order has its runs. First as fast as
the server can, with a number of messages that takes about the ordered time, which shorter runs find
out and warm the server up with. That is its saturation. Then at some shares of it, for latencies.

A run is over when every subscriber has taken every message from its socket, so what a server only
keeps in memory is not delivered.
"""

import http.client
import json
import selectors
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import Any

from benchmarks.harness.broadcast import Publishing
from benchmarks.harness.broadcast_requests import WrongAnswer, await_subscribers, publish
from benchmarks.harness.cpu import cpu_seconds, pin
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.load import percentile
from benchmarks.harness.opening import open_all
from benchmarks.harness.subscriber import FrozenClient, Subscriber, Transport, WrongDelivery
from benchmarks.model import Status

FIRST_DELIVERIES = 1_000
MOST_MESSAGES = 1_000_000
FEWEST_STAMPED = 16
"""Messages of a run for latencies that carry the time, where there are as many."""
FILLING = Publishing(count=100, size=4096)
"""More than there is room for, between a server and a client that does not read."""


@dataclass(frozen=True, slots=True)
class Case:
    """Messages of `size` bytes, `burst` in one turn of the loop, perhaps beside a frozen client.

    Latencies are taken at each of `levels`, which are percent of the saturation.
    """

    size: int = 64
    burst: int = 1
    frozen: bool = False
    levels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure on one server; cases beside a frozen client come last.

    Nothing read for `patience` seconds, and the server has stalled.
    """

    port: int
    transport: Transport
    subscribers: int
    cases: tuple[Case, ...]
    seconds: float
    server_pid: int
    patience: float = 5.0
    core: int | None = None
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one case, or why there are none."""

    figures: dict[str, float]
    status: Status = "measured"
    reason: str = ""


class Stalled(Exception):
    """Nothing came any more; the text says how much was missing."""


@dataclass(frozen=True, slots=True)
class Run:
    """How long a run took, and how late the messages were that tell, in nanoseconds."""

    seconds: float
    latencies: list[int]


class Load:
    """The subscribers of one order, open. They are closed with `stack`."""

    def __init__(self, order: Order, stack: ExitStack) -> None:
        self._order = order
        self._stack = stack
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._known = order.subscribers
        await_subscribers(order.host, order.port, 0)
        connect = partial(Subscriber, order.host, order.port, order.transport)
        self._subscribers = open_all(order.subscribers, connect, stack)
        for subscriber in self._subscribers:
            self._selector.register(subscriber.sock, selectors.EVENT_READ, subscriber)
        await_subscribers(order.host, order.port, self._known)

    def measure(self, case: Case) -> dict[str, float]:
        """The figures of one case.

        Raises Stalled, WrongAnswer, WrongDelivery, OSError and HTTPException.
        """
        order = self._order
        if case.frozen and self._known == order.subscribers:
            self._add_frozen_client()
        count = self.count_for(case)
        server, own = cpu_seconds(order.server_pid), time.process_time()
        run = self.run(Publishing(count, case.size, case.burst))
        own_used = time.process_time() - own
        server_end = cpu_seconds(order.server_pid)
        deliveries = count * order.subscribers
        received = sum(subscriber.received for subscriber in self._subscribers)
        figures = {
            "dps": deliveries / run.seconds,
            "delivery_bytes": received / deliveries,
            "client_cpu": own_used / run.seconds * 100,
        }
        if server is not None and server_end is not None:
            figures["server_us"] = (server_end - server) / deliveries * 1e6
            figures["server_cpu"] = (server_end - server) / run.seconds * 100
        for level in case.levels:
            figures |= self._latencies(case, level, count / run.seconds * level / 100)
        for subscriber in self._subscribers:
            subscriber.expect_silence()
        return figures

    def _add_frozen_client(self) -> None:
        order = self._order
        frozen = FrozenClient(order.host, order.port, order.transport)
        self._stack.callback(frozen.close)
        self._known += 1
        await_subscribers(order.host, order.port, self._known)
        self.run(FILLING)

    def count_for(self, case: Case) -> int:
        """How many messages take about the ordered time."""
        wanted = self._order.seconds
        count = max(1, FIRST_DELIVERIES // self._order.subscribers)
        while True:
            count = _whole_bursts(count, case.burst)
            seconds = self.run(Publishing(count, case.size, case.burst)).seconds
            if seconds >= wanted / 8:
                break
            count *= 3
        count = round(count * wanted / seconds)
        return _whole_bursts(max(1, min(count, MOST_MESSAGES)), case.burst)

    def _latencies(self, case: Case, level: int, rate: float) -> dict[str, float]:
        """Milliseconds at `rate` messages a second."""
        count = _whole_bursts(max(1, round(rate * self._order.seconds)), case.burst)
        stamp_every = max(1, min(32, count // FEWEST_STAMPED))
        run = self.run(Publishing(count, case.size, case.burst, stamp_every, rate))
        return {
            f"p50_{level}": percentile(run.latencies, 50) / 1e6,
            f"p99_{level}": percentile(run.latencies, 99) / 1e6,
        }

    def run(self, publishing: Publishing) -> Run:
        """From the request to publish until everybody has everything."""
        order, latencies = self._order, list[int]()
        for subscriber in self._subscribers:
            subscriber.begin()
        missing = publishing.count * len(self._subscribers)
        select = self._selector.select
        patience = order.patience + (publishing.burst / publishing.rate if publishing.rate else 0)
        started = perf_counter()
        publish(order.host, order.port, publishing)
        while missing > 0:
            ready = select(patience)
            if not ready:
                raise Stalled(f"{missing} deliveries missing after {patience:.1f} s of silence")
            for key, _ in ready:
                missing -= key.data.read(latencies)
        seconds = perf_counter() - started
        self._expect_everything(publishing.count)
        return Run(seconds, latencies)

    def _expect_everything(self, count: int) -> None:
        for subscriber in self._subscribers:
            if subscriber.count != count:
                raise WrongDelivery(f"a subscriber got {subscriber.count} messages of {count}")


def measure(order: Order) -> Iterator[Report]:
    """A report for every case. Once a case has failed, those after it have too."""
    failed: Report | None = None
    with ExitStack() as stack:
        load: Load | None = None
        for case in order.cases:
            if failed is None:
                try:
                    load = load or Load(order, stack)
                    yield Report(load.measure(case))
                    continue
                except Stalled as error:
                    failed = Report({}, "stalled" if case.frozen else "wrong", str(error))
                except (
                    WrongAnswer,
                    WrongDelivery,
                    ProtocolError,
                    OSError,
                    http.client.HTTPException,
                ) as error:
                    failed = Report({}, "wrong", f"{type(error).__name__}: {error}")
            yield failed


def order_of(values: dict[str, Any]) -> Order:
    """The order that `asdict` and JSON have made these values of."""
    cases = tuple(Case(**case) for case in values["cases"])
    others = {name: value for name, value in values.items() if name != "cases"}
    return Order(cases=cases, **others)


def _whole_bursts(count: int, burst: int) -> int:
    return -(-count // burst) * burst


def main() -> None:
    order = order_of(json.loads(sys.argv[1]))
    if order.core is not None:
        pin(0, order.core)
    json.dump({"cases": [asdict(report) for report in measure(order)]}, sys.stdout)


if __name__ == "__main__":
    main()
