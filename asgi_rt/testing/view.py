"""What can be seen of an exchange, from either kind of client."""

from dataclasses import dataclass

import httpx2

from asgi_rt.asgi import RawHeaders, Scope
from asgi_rt.testing.connection import Connection
from asgi_rt.testing.pipe import Pipe
from asgi_rt.testing.protocol import ResponseHead, ResponseProtocol, ServerPush
from asgi_rt.testing.task import PlainTask

__all__ = ["ExchangeParts", "ExchangeView"]


@dataclass(frozen=True, slots=True)
class ExchangeParts:
    """What one exchange is made of."""

    name: str
    request: httpx2.Request
    scope: Scope
    protocol: ResponseProtocol
    pipe: Pipe
    connection: Connection
    task: PlainTask


class ExchangeView:
    """The state of an exchange at this moment. Reading it waits for nothing."""

    def __init__(self, parts: ExchangeParts) -> None:
        self._parts = parts

    def __repr__(self) -> str:
        state = "done" if self.is_done else "running"
        return f"<{type(self).__name__} {self._parts.name}: {state}, {self.bytes_sent} bytes sent>"

    @property
    def request(self) -> httpx2.Request:
        return self._parts.request

    @property
    def scope(self) -> Scope:
        """The scope the app was called with; what the app puts into it can be seen."""
        return self._parts.scope

    @property
    def status(self) -> int:
        """The status of the response. Raises `RuntimeError` before there is one."""
        return self._head.status

    @property
    def headers(self) -> RawHeaders:
        """The headers of the response. Raises `RuntimeError` before there is one."""
        return self._head.headers

    @property
    def is_started(self) -> bool:
        """Whether the app has sent `http.response.start`."""
        return self._parts.protocol.is_started

    @property
    def is_complete(self) -> bool:
        """Whether the app has sent the last message of the response."""
        return self._parts.protocol.is_complete

    @property
    def is_blocked(self) -> bool:
        """Whether the app waits in `send` for room in the pipe."""
        return self._parts.pipe.is_blocked

    @property
    def is_frozen(self) -> bool:
        """Whether the reader is frozen."""
        return self._parts.pipe.is_frozen

    @property
    def is_disconnected(self) -> bool:
        """Whether the client has left before it had the whole response."""
        return self._parts.connection.is_disconnected

    @property
    def is_done(self) -> bool:
        """Whether the app's task has ended."""
        return self._parts.task.is_done

    @property
    def bytes_sent(self) -> int:
        """How much of the body the app has sent to a client that was there."""
        return self._parts.protocol.body_bytes

    @property
    def bytes_buffered(self) -> int:
        """How much of that lies unread in the pipe."""
        return self._parts.pipe.bytes_buffered

    @property
    def early_hints(self) -> list[list[bytes]]:
        """The links of each `http.response.early_hint`."""
        return self._parts.connection.early_hints

    @property
    def pushes(self) -> list[ServerPush]:
        """What the app wanted pushed with `http.response.push`."""
        return self._parts.connection.pushes

    @property
    def trailers(self) -> RawHeaders:
        """The trailers so far, from `http.response.trailers`."""
        return self._parts.connection.trailers

    @property
    def _head(self) -> ResponseHead:
        head = self._parts.connection.head
        if head is None:
            raise RuntimeError(f"{self._parts.name}: there is no response yet; wait for head()")
        return head
