"""Subscribers to whom nothing is published while the memory of their server is read.

It runs as `python -m benchmarks.harness.broadcast_idle <order as JSON>` and prints its report as
JSON.
"""

from benchmarks.harness import idle
from benchmarks.harness.broadcast import SOCKETS, Publishing
from benchmarks.harness.broadcast_requests import publish
from benchmarks.harness.subscriber import Subscriber, WrongDelivery

TIMEOUT = 30.0


class Silent(Subscriber):
    """A subscriber that has got nothing, but must get the one message of the end."""

    __slots__ = ()

    def __init__(self, order: idle.Order) -> None:
        super().__init__(order.host, order.port, "ws" if order.path == SOCKETS else "sse")

    def expect_alive(self) -> None:
        """Wait for the message. Raises NotIdle, and TimeoutError where it does not come."""
        self.sock.settimeout(TIMEOUT)
        try:
            while not self.count:
                self.read([])
        except WrongDelivery as error:
            raise idle.NotIdle(str(error)) from None


def publish_one(order: idle.Order) -> None:
    publish(order.host, order.port, Publishing(count=1))


if __name__ == "__main__":
    idle.main(Silent, rouse=publish_one)
