"""Event streams that have sent one event and then stay silent.

It runs as `python -m benchmarks.harness.sse_idle <order as JSON>` and prints its report as JSON.
"""

import socket
from contextlib import suppress
from time import perf_counter_ns

from benchmarks.harness import idle
from benchmarks.harness.event_stream import BodyReader, EventCounter, WrongStream
from benchmarks.harness.load import READ_BYTES


class Stream:
    """A stream of one event that has not ended."""

    def __init__(self, order: idle.Order) -> None:
        self.sock = socket.create_connection((order.host, order.port), 30)
        self._body = BodyReader()
        self._counter = EventCounter(1)
        # As bare as HTTP/1.1 allows: the scope holds the headers for as long as a stream is open,
        # and those of an ordinary client would be 0.7 KiB of every figure.
        request = f"GET {order.path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.sock.sendall(request.encode("ascii"))

    def ready(self) -> bool:
        """Take what has come; True once the event has. Raises ProtocolError and NotIdle."""
        data = self.sock.recv(READ_BYTES)
        try:
            self._counter.feed(self._body.feed(data), perf_counter_ns())
            if not data or self._body.ended:
                raise idle.NotIdle("the server ended a stream that was to stay open")
            if self._counter.events:
                self._counter.finish()
        except WrongStream as error:
            raise idle.NotIdle(str(error)) from None
        return bool(self._counter.events)

    def expect_alive(self) -> None:
        """Pings may have come since, but neither events nor an end."""
        self.sock.setblocking(False)
        with suppress(BlockingIOError):
            self.ready()

    def close(self) -> None:
        self.sock.close()


if __name__ == "__main__":
    idle.main(Stream)
