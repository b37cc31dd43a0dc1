"""A load generator for WebSockets: connections over plain sockets, one process.

It runs as `python -m benchmarks.harness.ws_load <order as JSON>` and prints its report as JSON.
Each connection sends its next message as soon as it has the echo of the last: a closed loop. The
messages are framed and masked before the time runs, and an echo is compared as the bytes of its
frame, so that next to nothing is left to do here but to read and to write.
"""

import json
import os
import selectors
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from time import perf_counter

from benchmarks.harness.cpu import cpu_seconds, pin
from benchmarks.harness.echoes import PATH, WrongEcho, expect_echo, text
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.load import percentile
from benchmarks.harness.websocket import TEXT, client_frame, server_frame
from benchmarks.harness.ws_connection import READ_BYTES, Connection

TEXTS = 16
"""Different messages of one connection, sent over and over."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to load: `warmup` seconds that do not count, then `seconds` that do.

    A message whose echo has not come `timeout` seconds after the last one was sent is lost.
    """

    port: int
    connections: int
    warmup: float
    seconds: float
    server_pid: int
    timeout: float = 10.0
    core: int | None = None
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, or the first `fault`.

    CPU is in percent of one core; `server_us` is what one message costs, there and back. Both are
    None where the system does not tell.
    """

    fault: str | None = None
    mps: float = 0.0
    server_us: float | None = None
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    server_cpu: float | None = None
    client_cpu: float = 0.0


@dataclass(frozen=True, slots=True)
class _Message:
    text: bytes
    sent: bytes
    echo: bytes


class _Client:
    """A connection and the message that it waits for the echo of."""

    __slots__ = ("_messages", "awaited", "connection", "sent_at", "waiting")

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self._messages = cycle([_message(number, at) for at in range(TEXTS)])
        self.waiting = False

    def send_next(self, now: float) -> None:
        self.awaited = next(self._messages)
        self.sent_at = now
        self.waiting = True
        self.connection.sock.send(self.awaited.sent)

    def read(self) -> bool:
        """True once the echo has come, whole and right. Raises WrongEcho and others."""
        data = self.connection.sock.recv(READ_BYTES)
        if data != self.awaited.echo:
            received = self.connection.take(data)
            if not received:
                return False
            expect_echo(self.awaited.text, received)
        self.waiting = False
        return True


class Load:
    """All the connections of one order. Not reusable; `close` it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._latencies: list[float] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> Report:
        """Load the server for the ordered time.

        Raises WrongEcho, ProtocolError and ConnectionError, and TimeoutError for a lost message.
        """
        order = self._order
        self._connect()
        for client in self._clients():
            client.send_next(perf_counter())
        self._exchange_for(order.warmup)
        self._latencies.clear()
        server, own = cpu_seconds(order.server_pid), time.process_time()
        elapsed = self._exchange_for(order.seconds)
        own_used = time.process_time() - own
        server_end = cpu_seconds(order.server_pid)
        count = len(self._latencies)
        self._await_the_last()
        used = None if server is None or server_end is None else server_end - server
        return Report(
            mps=count / elapsed,
            server_us=None if used is None or not count else used / count * 1e6,
            p50_ms=percentile(self._latencies, 50) * 1e3,
            p99_ms=percentile(self._latencies, 99) * 1e3,
            server_cpu=None if used is None else used / elapsed * 100,
            client_cpu=own_used / elapsed * 100,
        )

    def close(self) -> None:
        for client in self._clients():
            client.connection.close()
        self._selector.close()

    def _connect(self) -> None:
        order = self._order
        for number in range(order.connections):
            connection = Connection(order.host, order.port, PATH, order.timeout)
            client = _Client(connection, number)
            self._selector.register(connection.sock, selectors.EVENT_READ, client)
            connection.wait_opened()
            # Read only when the selector says so, and a message always fits the send buffer.
            connection.sock.settimeout(None)

    def _clients(self) -> Iterator[_Client]:
        return (key.data for key in list(self._selector.get_map().values()))

    def _exchange_for(self, seconds: float) -> float:
        started = perf_counter()
        deadline = started + seconds
        select, latencies = self._selector.select, self._latencies
        while (now := perf_counter()) < deadline:
            for key, _ in select(deadline - now):
                client: _Client = key.data
                if client.read():
                    now = perf_counter()
                    latencies.append(now - client.sent_at)
                    client.send_next(now)
        return now - started

    def _await_the_last(self) -> None:
        """Every message must come back, also those that were sent too late to be counted."""
        deadline = perf_counter() + self._order.timeout
        while missing := sum(client.waiting for client in self._clients()):
            ready = self._selector.select(max(0.0, deadline - perf_counter()))
            if not ready:
                raise TimeoutError(f"{missing} echoes missing after {self._order.timeout:g} s")
            for key, _ in ready:
                key.data.read()


def measure(order: Order) -> Report:
    """Load the server and report on it, or on the fault."""
    load = Load(order)
    try:
        return load.run()
    except (WrongEcho, ProtocolError, ConnectionError, TimeoutError) as error:
        return Report(fault=f"{PATH}: {error}")
    finally:
        load.close()


def _message(connection: int, number: int) -> _Message:
    payload = text(connection, number).encode()
    sent = client_frame(TEXT, payload, os.urandom(4))
    return _Message(payload, sent, server_frame(TEXT, payload))


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    if order.core is not None:
        pin(0, order.core)
    json.dump(asdict(measure(order)), sys.stdout)


if __name__ == "__main__":
    main()
