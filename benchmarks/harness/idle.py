"""Opens many connections that then stay silent, and sees how much memory the server takes.

What kind of connection, says the module that is run: `sse_idle`, `ws_idle`.
"""

import json
import selectors
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Protocol

from benchmarks.harness.cpu import pin
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.memory import settled_bytes

AT_ONCE = 64
"""Connections that are being opened at the same time."""
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


class Connection(Protocol):
    """One that has asked to be opened. ProtocolError and ConnectionError, too, are its faults."""

    sock: socket.socket

    def ready(self) -> bool:
        """Take what has come; True once that was all before the silence."""
        ...

    def expect_alive(self) -> None:
        """Raises NotIdle if it has ended, or is of no use any more."""
        ...

    def close(self) -> None: ...


Connect = Callable[[Order], Connection]


def measure(order: Order, connect: Connect) -> Report:
    """Open the connections and report. Raises TimeoutError if one is not open within 30 s."""
    try:
        with ExitStack() as stack:
            _open(order, WARMUP_CONNECTIONS, connect, stack)
        before = settled_bytes(order.server_pid, order.still)
        with ExitStack() as stack:
            started = perf_counter()
            connections = _open(order, order.connections, connect, stack)
            seconds = perf_counter() - started
            after = settled_bytes(order.server_pid, order.still)
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


def _open(order: Order, count: int, connect: Connect, stack: ExitStack) -> list[Connection]:
    """`count` open connections; they are closed with `stack`."""
    connections: list[Connection] = []
    opening = 0
    with selectors.DefaultSelector() as selector:
        while len(connections) < count or opening:
            while opening < AT_ONCE and len(connections) < count:
                connection = connect(order)
                stack.callback(connection.close)
                connections.append(connection)
                selector.register(connection.sock, selectors.EVENT_READ, connection)
                opening += 1
            ready = selector.select(30)
            if not ready:
                raise TimeoutError(f"{opening} connections not open after 30 s")
            for key, _ in ready:
                if key.data.ready():
                    selector.unregister(key.fileobj)
                    opening -= 1
    return connections


def main(connect: Connect) -> None:
    order = Order(**json.loads(sys.argv[1]))
    if order.core is not None:
        pin(0, order.core)
    json.dump(asdict(measure(order, connect)), sys.stdout)
