"""Opens many connections to one server, some at a time."""

import selectors
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol, TypeVar

AT_ONCE = 64
"""Connections that are being opened at the same time."""
LIMIT = 30.0
"""Seconds within which a server must answer one of them."""


class Opening(Protocol):
    """A connection that has asked to be opened."""

    @property
    def sock(self) -> socket.socket: ...

    def ready(self) -> bool:
        """Take what has come; True once it is open."""
        ...

    def close(self) -> None: ...


C = TypeVar("C", bound=Opening)


def open_all(count: int, connect: Callable[[], C], stack: ExitStack) -> list[C]:
    """`count` open connections; they are closed with `stack`.

    Raises TimeoutError if the server falls silent before all are open.
    """
    connections: list[C] = []
    opening = 0
    with selectors.DefaultSelector() as selector:
        while len(connections) < count or opening:
            while opening < AT_ONCE and len(connections) < count:
                connection = connect()
                stack.callback(connection.close)
                connections.append(connection)
                selector.register(connection.sock, selectors.EVENT_READ, connection)
                opening += 1
            ready = selector.select(LIMIT)
            if not ready:
                raise TimeoutError(f"{opening} connections not open after {LIMIT:g} s")
            for key, _ in ready:
                if key.data.ready():
                    selector.unregister(key.fileobj)
                    opening -= 1
    return connections
