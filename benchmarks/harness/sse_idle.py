"""Opens many event streams that then stay silent, and sees how much memory the server takes.

It runs as `python -m benchmarks.harness.sse_idle <order as JSON>` and prints its report as JSON.
"""

import json
import selectors
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from time import perf_counter, perf_counter_ns

from benchmarks.harness.cpu import pin
from benchmarks.harness.event_stream import BodyReader, EventCounter, WrongStream
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.load import READ_BYTES
from benchmarks.harness.memory import settled_bytes

AT_ONCE = 64
"""Streams that are opened before the first event of each has come."""
WARMUP_STREAMS = 4


@dataclass(frozen=True, slots=True)
class Order:
    """`streams` streams of `path`; memory counts once it has stood still for `still` seconds."""

    port: int
    path: str
    streams: int
    still: float
    server_pid: int
    core: int | None = None
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Report:
    """Memory per stream and in all, or the `fault`; how many streams were opened per second."""

    fault: str | None = None
    kib: float = 0.0
    resident_mib: float = 0.0
    opened: float = 0.0


@dataclass(slots=True)
class _Stream:
    sock: socket.socket
    body: BodyReader = field(default_factory=BodyReader)
    counter: EventCounter = field(default_factory=lambda: EventCounter(1))

    def has_first_event(self) -> bool:
        """Take what has come. Raises ProtocolError and WrongStream."""
        data = self.sock.recv(READ_BYTES)
        self.counter.feed(self.body.feed(data), perf_counter_ns())
        if not data or self.body.ended:
            raise WrongStream("the server ended a stream that was to stay open")
        if self.counter.events:
            self.counter.finish()
        return bool(self.counter.events)

    def expect_open(self) -> None:
        """Pings may have come since, but neither events nor an end."""
        self.sock.setblocking(False)
        with suppress(BlockingIOError):
            self.has_first_event()


def measure(order: Order) -> Report:
    """Open the streams and report. Raises TimeoutError if one has no first event within 30 s."""
    try:
        with ExitStack() as stack:
            _open(order, WARMUP_STREAMS, stack)
        before = settled_bytes(order.server_pid, order.still)
        with ExitStack() as stack:
            started = perf_counter()
            streams = _open(order, order.streams, stack)
            seconds = perf_counter() - started
            after = settled_bytes(order.server_pid, order.still)
            for stream in streams:
                stream.expect_open()
    except (ProtocolError, WrongStream, ConnectionError) as error:
        return Report(fault=f"GET {order.path}: {error}")
    if before is None or after is None:
        return Report(fault="the server has gone, or its memory is not known")
    return Report(
        kib=(after - before) / order.streams / 1024,
        resident_mib=after / 2**20,
        opened=order.streams / seconds,
    )


def _open(order: Order, count: int, stack: ExitStack) -> list[_Stream]:
    """`count` streams whose first events have come; they are closed with `stack`."""
    # As bare as HTTP/1.1 allows: the scope holds the headers for as long as a stream is open, and
    # those of an ordinary client would be 0.7 KiB of every figure.
    request = f"GET {order.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii")
    streams: list[_Stream] = []
    waiting = 0
    with selectors.DefaultSelector() as selector:
        while len(streams) < count or waiting:
            while waiting < AT_ONCE and len(streams) < count:
                sock = stack.enter_context(socket.create_connection((order.host, order.port), 30))
                sock.sendall(request)
                streams.append(_Stream(sock))
                selector.register(sock, selectors.EVENT_READ, streams[-1])
                waiting += 1
            ready = selector.select(30)
            if not ready:
                raise TimeoutError(f"{waiting} streams without an event after 30 s")
            for key, _ in ready:
                if key.data.has_first_event():
                    selector.unregister(key.fileobj)
                    waiting -= 1
    return streams


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    if order.core is not None:
        pin(0, order.core)
    json.dump(asdict(measure(order)), sys.stdout)


if __name__ == "__main__":
    main()
