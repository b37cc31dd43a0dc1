"""A load generator for HTTP/1.1: keep-alive connections over plain sockets, one process.

It runs as `python -m benchmarks.harness.load <order as JSON>` and prints its report as JSON. Each
connection sends its next request as soon as it has the answer to the last, so this is a closed
loop: the latencies are those of a server that is always busy, not of one at a given rate.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

from benchmarks.harness.cpu import cpu_seconds, pin
from benchmarks.harness.http1 import ResponseReader
from benchmarks.harness.questions import CLIENT_HEADERS

READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Order:
    """What to load: `warmup` seconds that do not count, then `seconds` that do."""

    port: int
    path: str
    answer: Any
    connections: int
    warmup: float
    seconds: float
    server_pid: int
    core: int | None = None
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured. CPU is in percent of one core; None where the system does not tell.

    `wrong` counts the answers that were not 200 with the right JSON; `fault` shows the first.
    """

    responses: int
    wrong: int
    fault: str | None
    rps: float
    p50_ms: float
    p99_ms: float
    server_cpu: float | None
    client_cpu: float


@dataclass(slots=True)
class _Connection:
    sock: socket.socket
    reader: ResponseReader = field(default_factory=ResponseReader)
    sent_at: float = 0.0


class Load:
    """All the connections of one order. Not reusable; `close` it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._request = request_bytes(order.path)
        self._right: set[bytes] = set()
        self._wrong = 0
        self._fault: str | None = None
        self._latencies: list[float] = []
        self._selector = selectors.DefaultSelector()
        for _ in range(order.connections):
            sock = socket.create_connection((order.host, order.port), timeout=10)
            # Read only when the selector says so, and a request always fits the send buffer.
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(sock, selectors.EVENT_READ, _Connection(sock))

    def run(self) -> Report:
        """Load the server for the ordered time. Raises ConnectionError if it hangs up."""
        for key in list(self._selector.get_map().values()):
            self._send(key.data, perf_counter())
        self._exchange_for(self._order.warmup)
        self._latencies.clear()
        server, client = cpu_seconds(self._order.server_pid), time.process_time()
        elapsed = self._exchange_for(self._order.seconds)
        client_used = time.process_time() - client
        server_end = cpu_seconds(self._order.server_pid)
        server_used = None if server is None or server_end is None else server_end - server
        return Report(
            responses=len(self._latencies),
            wrong=self._wrong,
            fault=self._fault,
            rps=len(self._latencies) / elapsed,
            p50_ms=percentile(self._latencies, 50) * 1e3,
            p99_ms=percentile(self._latencies, 99) * 1e3,
            server_cpu=None if server_used is None else server_used / elapsed * 100,
            client_cpu=client_used / elapsed * 100,
        )

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.sock.close()
        self._selector.close()

    def _exchange_for(self, seconds: float) -> float:
        started = perf_counter()
        deadline = started + seconds
        while (now := perf_counter()) < deadline:
            for key, _ in self._selector.select(deadline - now):
                self._read(key.data)
        return now - started

    def _read(self, connection: _Connection) -> None:
        data = connection.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server closed a keep-alive connection")
        response = connection.reader.feed(data)
        if response is None:
            return
        now = perf_counter()
        self._latencies.append(now - connection.sent_at)
        status, body = response
        if status != 200 or body not in self._right:
            self._judge(status, body)
        self._send(connection, now)

    def _send(self, connection: _Connection, now: float) -> None:
        connection.sent_at = now
        connection.sock.sendall(self._request)

    def _judge(self, status: int, body: bytes) -> None:
        """Remember a body that is right, so that its like costs one look-up; count the others."""
        try:
            right = status == 200 and json.loads(body) == self._order.answer
        except ValueError:
            right = False
        if right:
            self._right.add(body)
            return
        self._wrong += 1
        if self._fault is None:
            self._fault = f"GET {self._order.path}: status {status}, body {body[:80]!r}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def request_bytes(path: str) -> bytes:
    """A GET of `path` with the headers of an ordinary client."""
    lines = [b"GET " + path.encode("ascii") + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in CLIENT_HEADERS]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    if order.core is not None:
        pin(0, order.core)
    load = Load(order)
    try:
        report = load.run()
    finally:
        load.close()
    json.dump(asdict(report), sys.stdout)


if __name__ == "__main__":
    main()
