"""Opens many connections that then stay silent, and sees how much memory the server takes.

What kind of connection, says the module that is run: `sse_idle`, `ws_idle`.
"""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import Protocol

from benchmarks.harness.cpu import pin
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.memory import settled_bytes
from benchmarks.harness.opening import Opening, open_all

WARMUP_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Order:
    """How many connections at `path`; memory counts once it has stood still for `still` seconds."""

    port: int
    path: str
    connections: int
    still: float
    server_pid: int
    core: int | None = None
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Report:
    """Memory per connection and in all, or the `fault`; how many were opened per second."""

    fault: str | None = None
    kib: float = 0.0
    resident_bytes: int = 0
    opened: float = 0.0


class NotIdle(Exception):
    """A connection did not stay open and silent as it must; the text says what it did."""


class Connection(Opening, Protocol):
    """One that is `ready` when all has come that comes before the silence.

    ProtocolError and ConnectionError, too, are its faults.
    """

    def expect_alive(self) -> None:
        """Raises NotIdle if it has ended, or is of no use any more."""
        ...


Connect = Callable[[Order], Connection]
Rouse = Callable[[Order], None]
"""Has the server say something to all, when memory has been read."""


def measure(order: Order, connect: Connect, rouse: Rouse | None = None) -> Report:
    """Open the connections and report. Raises TimeoutError if one is not open within 30 s."""
    try:
        with ExitStack() as stack:
            open_all(WARMUP_CONNECTIONS, partial(connect, order), stack)
        before = settled_bytes(order.server_pid, order.still)
        with ExitStack() as stack:
            started = perf_counter()
            connections = open_all(order.connections, partial(connect, order), stack)
            seconds = perf_counter() - started
            after = settled_bytes(order.server_pid, order.still)
            if rouse is not None:
                rouse(order)
            for connection in connections:
                connection.expect_alive()
    except (ProtocolError, NotIdle, ConnectionError) as error:
        return Report(fault=f"GET {order.path}: {error}")
    if before is None or after is None:
        return Report(fault="the server has gone, or its memory is not known")
    return Report(
        kib=(after - before) / order.connections / 1024,
        resident_bytes=after,
        opened=order.connections / seconds,
    )


def main(connect: Connect, rouse: Rouse | None = None) -> None:
    order = Order(**json.loads(sys.argv[1]))
    if order.core is not None:
        pin(0, order.core)
    json.dump(asdict(measure(order, connect, rouse)), sys.stdout)
