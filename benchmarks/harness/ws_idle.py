"""WebSockets that are accepted and then stay silent.

It runs as `python -m benchmarks.harness.ws_idle <order as JSON>` and prints its report as JSON.
"""

from benchmarks.harness import idle, ws_connection
from benchmarks.harness.echoes import WrongEcho, exchange, text


class Socket(ws_connection.Connection):
    """A WebSocket on which nothing has been said."""

    __slots__ = ()

    def __init__(self, order: idle.Order) -> None:
        super().__init__(order.host, order.port, order.path)

    def ready(self) -> bool:
        """Take what has come; True once it is open. Raises ProtocolError and NotIdle."""
        if said := self.read():
            raise idle.NotIdle(f"the server said something unasked: {said[0].payload[:40]!r}")
        return self.opened

    def expect_alive(self) -> None:
        """Whoever waits for a message must still echo one. Raises NotIdle."""
        try:
            exchange(self, text(0, 0).encode())
        except WrongEcho as error:
            raise idle.NotIdle(str(error)) from None


if __name__ == "__main__":
    idle.main(Socket)
