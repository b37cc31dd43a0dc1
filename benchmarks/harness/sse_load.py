"""Reads event streams as fast as they come: plain sockets, one process.

It runs as `python -m benchmarks.harness.sse_load <order as JSON>` and prints its report as JSON.
The streams are of a fixed number of events, so that each can be checked to the last; how many take
the ordered time is found out first, which warms the server up as well.
"""

import json
import selectors
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from time import perf_counter, perf_counter_ns

from benchmarks.harness.cpu import cpu_seconds, pin
from benchmarks.harness.event_stream import BodyReader, EventCounter, WrongStream
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.load import READ_BYTES, percentile, request_bytes

FIRST_COUNT = 256
MOST_EVENTS = 100_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """`streams` streams at once of `path`, as long as they take about `seconds`.

    A run that takes more than `timeout` seconds, or has read nothing for as long, has failed.
    """

    port: int
    path: str
    streams: int
    seconds: float
    server_pid: int
    timeout: float = 60.0
    core: int | None = None
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, or the `fault` that the first wrong stream had.

    CPU is in percent of one core; `server_us` is what one event costs. Both are None where the
    system does not tell.
    """

    fault: str | None = None
    eps: float = 0.0
    event_bytes: float = 0.0
    server_us: float | None = None
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    server_cpu: float | None = None
    client_cpu: float = 0.0


@dataclass(slots=True)
class _Stream:
    sock: socket.socket
    counter: EventCounter
    body: BodyReader = field(default_factory=BodyReader)
    received: int = 0

    def read(self) -> bool:
        """Take what has come; True at the end. Raises ProtocolError and WrongStream."""
        data = self.sock.recv(READ_BYTES)
        now = perf_counter_ns()
        if not data:
            raise WrongStream(f"the server hung up after {self.counter.events} events")
        self.received += len(data)
        self.counter.feed(self.body.feed(data), now)
        if self.body.ended:
            self.counter.finish()
        return self.body.ended


@dataclass(frozen=True, slots=True)
class _Run:
    streams: list[_Stream]
    seconds: float


def measure(order: Order) -> Report:
    """Read streams of the ordered size and report on them. Raises TimeoutError if they stall."""
    try:
        count = _count_for(order)
        server, client = cpu_seconds(order.server_pid), time.process_time()
        run = _read_all(order, count)
        client_used = time.process_time() - client
        server_end = cpu_seconds(order.server_pid)
    except (ProtocolError, WrongStream, ConnectionError) as error:
        return Report(fault=f"GET {order.path}: {error}")
    events = count * order.streams
    latencies = [latency for stream in run.streams for latency in stream.counter.latencies]
    server_used = None if server is None or server_end is None else server_end - server
    return Report(
        eps=events / run.seconds,
        event_bytes=sum(stream.received for stream in run.streams) / events,
        server_us=None if server_used is None else server_used / events * 1e6,
        p50_ms=percentile(latencies, 50) / 1e6,
        p99_ms=percentile(latencies, 99) / 1e6,
        server_cpu=None if server_used is None else server_used / run.seconds * 100,
        client_cpu=client_used / run.seconds * 100,
    )


def _count_for(order: Order) -> int:
    """How many events per stream take about the ordered time."""
    count = max(1, FIRST_COUNT // order.streams)
    while (run := _read_all(order, count)).seconds < order.seconds / 10:
        count *= 3
    wanted = round(count * order.seconds / run.seconds)
    return max(1, min(wanted, MOST_EVENTS // order.streams))


def _read_all(order: Order, count: int) -> _Run:
    """Open the streams, then read them all to their ends; connecting does not count."""
    request = request_bytes(f"{order.path}?count={count}")
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        streams: list[_Stream] = []
        for _ in range(order.streams):
            sock = stack.enter_context(socket.create_connection((order.host, order.port), 10))
            # Read only when the selector says so, and a request always fits the send buffer.
            sock.settimeout(None)
            streams.append(_Stream(sock, EventCounter(count)))
            selector.register(sock, selectors.EVENT_READ, streams[-1])
        started = perf_counter()
        deadline = started + order.timeout
        for stream in streams:
            stream.sock.sendall(request)
        open_streams = len(streams)
        while open_streams:
            ready = selector.select(order.timeout)
            if not ready or perf_counter() > deadline:
                raise TimeoutError(f"{open_streams} streams not ended in {order.timeout:g} s")
            for key, _ in ready:
                if key.data.read():
                    selector.unregister(key.fileobj)
                    open_streams -= 1
        return _Run(streams, perf_counter() - started)


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    if order.core is not None:
        pin(0, order.core)
    json.dump(asdict(measure(order)), sys.stdout)


if __name__ == "__main__":
    main()
