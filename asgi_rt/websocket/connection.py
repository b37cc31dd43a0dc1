"""One WebSocket connection, as a handler sees it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn

from asgi_rt.asgi import Scope
from asgi_rt.codec import dump_json
from asgi_rt.errors import WebSocketClosed
from asgi_rt.http.connection import HTTPConnection
from asgi_rt.http.headers import HeadersLike, raw_headers
from asgi_rt.websocket.closing import check_code
from asgi_rt.websocket.denial import denial_of, deny
from asgi_rt.websocket.incoming import ANY, JSON, Messages
from asgi_rt.websocket.link import Link
from asgi_rt.websocket.outgoing import LARGE_BYTES
from asgi_rt.websocket.session import Session

__all__ = ["WebSocket"]


def require(value: object, kind: type | tuple[type, ...], name: str) -> None:
    """Raise TypeError for what cannot be sent so: servers would send what nobody meant."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}() was given {type(value).__name__}, not what its name says")


class WebSocket(HTTPConnection):
    """One WebSocket connection: its handshake, its messages, its end.

    It is always read from, whether or not the handler receives: what arrives meanwhile waits in a
    bounded inbox, so a handler that only sends sees the end, and the client's pongs are seen.

    Any task of its event loop may use it, and several at once: each message that comes goes to one
    of those who receive; sends are made one after the other, each task's in its order. When the
    connection is over, all that still waits and every later call raises WebSocketClosed, with the
    code, the reason and who ended it; only `close` and `wait_closed` do not.
    """

    subprotocol: str | None = None
    """What was agreed on in the handshake."""

    def __init__(self, scope: Scope, link: Link) -> None:
        self.scope = scope
        self.path_params = scope.get("path_params") or self.path_params
        self.link = link
        """Its parts, for those who build upon it."""
        self._incoming = link.incoming
        self._outgoing = link.outgoing

    # The handshake

    @property
    def offered_subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, in the order of its preference."""
        offered: list[str] = self.scope.get("subprotocols", [])
        return offered

    async def accept(
        self, subprotocol: str | None = None, *, headers: HeadersLike | None = None
    ) -> None:
        """Open the connection.

        Without a `subprotocol`, the first of the route's that the client offers is agreed on, or
        none. Raises WebSocketClosed where the client has left, LifecycleError where the handshake
        was answered before, and ValueError for a subprotocol that was not offered.
        """
        link = self.link
        link.require_unanswered("accept()")
        offered = self.offered_subprotocols
        if subprotocol is None:
            subprotocol = link.options.choose(offered)
        elif subprotocol not in offered:
            raise ValueError(
                f"the subprotocol {subprotocol!r} was not offered; {offered} were,"
                " and a client fails a handshake that answers with another"
            )
        raw = raw_headers(headers)
        for name, _ in raw:
            if name.startswith(b"sec-websocket-"):
                raise ValueError(f"{name.decode()} is the server's to send, not the app's")
        await self._outgoing.answer(
            {"type": "websocket.accept", "subprotocol": subprotocol, "headers": raw}
        )
        if subprotocol is not None:
            self.subprotocol = subprotocol
        link.open()

    async def deny(
        self, status_code: int = 403, body: Any = None, *, headers: HeadersLike | None = None
    ) -> NoReturn:
        """Refuse the handshake with an HTTP response; raises WebSocketClosed, to end the handler.

        `body` is what a handler of a route may return, or a whole Response, whose status stands;
        None is a problem document for a status of 400 or more. Where the server cannot send a
        response it is a plain refusal, which is a 403. Raises LifecycleError where the handshake
        was answered before.
        """
        self.link.require_unanswered("deny()")
        await deny(self.link, self.scope, denial_of(status_code, body, headers))
        raise self.link.error()

    # Messages

    def receive(self) -> Coroutine[Any, Any, str | bytes]:
        """The next message: str if it is a text, bytes if it is binary."""
        return Messages[Any](self._incoming, ANY, stops=False).__anext__()

    def receive_text(self) -> Coroutine[Any, Any, str]:
        """The next message, a text. A binary one closes the connection with 1003."""
        return Messages[Any](self._incoming, str, stops=False).__anext__()

    def receive_bytes(self) -> Coroutine[Any, Any, bytes]:
        """The next message, a binary one. A text closes the connection with 1003."""
        return Messages[Any](self._incoming, bytes, stops=False).__anext__()

    def receive_json(self) -> Coroutine[Any, Any, Any]:
        """The value of the next message, text or binary. What is no JSON closes it with 1007."""
        return Messages[Any](self._incoming, JSON, stops=False).__anext__()

    def iter_text(self) -> Messages[str]:
        """The messages to come as `receive_text` gives them, until the connection is over.

        However it ends, the iteration just stops; `closed` tells how.
        """
        return Messages(self._incoming, str, stops=True)

    def iter_bytes(self) -> Messages[bytes]:
        """The messages to come as `receive_bytes` gives them, until the connection is over."""
        return Messages(self._incoming, bytes, stops=True)

    def iter_json(self) -> Messages[Any]:
        """The messages to come as `receive_json` gives them, until the connection is over."""
        return Messages(self._incoming, JSON, stops=True)

    def __aiter__(self) -> Messages[str | bytes]:
        """The messages to come as `receive` gives them, until the connection is over."""
        return Messages(self._incoming, ANY, stops=True)

    @property
    def discarded(self) -> int:
        """How many messages were dropped unread, with `unread="discard"`."""
        return self._incoming.discarded

    async def send_text(self, text: str) -> None:
        """Send a text. Waits while the client does not read, at most `send_timeout` seconds.

        When that is over the connection is closed. Cancelling it may lose the message or not.
        """
        outgoing = self._outgoing
        if type(text) is not str:
            require(text, str, "send_text")
        credit = outgoing.credit
        if credit <= 0 or len(text) >= LARGE_BYTES:
            await outgoing.send({"type": "websocket.send", "text": text}, len(text))
            return
        # The same as `LoopOutgoing.send`, without the call: 0.1 us of an echo's 17.
        outgoing.credit = 0
        server_send = outgoing.server_send
        try:
            sent = outgoing.under_way = server_send({"type": "websocket.send", "text": text})
            await sent
        except (OSError, RuntimeError, asyncio.CancelledError) as error:
            await outgoing.fail(error)
        finally:
            outgoing.under_way = None
            if outgoing.is_due:
                outgoing.settle()
            else:
                outgoing.credit = credit - 1

    def send_bytes(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Send a binary message; see `send_text`."""
        require(data, (bytes, bytearray, memoryview), "send_bytes")
        return self._outgoing.send({"type": "websocket.send", "bytes": data}, len(data))

    def send_json(self, value: Any) -> Coroutine[Any, Any, None]:
        """Send a value as JSON, in a text; see `send_text`. Raises TypeError like `dump_json`."""
        return self.send_text(dump_json(value).decode())

    # The end

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent and received: it was accepted and is not over."""
        return self.link.is_open

    @property
    def closed(self) -> WebSocketClosed | None:
        """How the connection ended; None while it has not."""
        return self.link.error() if self.link.is_over else None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection; where it is over already, nothing.

        The reason is cut at the 123 bytes that fit. It does not wait for the client's answer; at
        most 5 seconds for it to read what stands before. Before `accept` it refuses the handshake,
        with a 403. Raises ValueError for a code that may not be sent, RFC 6455 section 7.4.
        """
        check_code(code)
        # Beside as well, as this may just have ended the session that it stands in.
        self.link.fail(code, reason)
        await self._outgoing.send_close()

    async def wait_closed(self) -> WebSocketClosed:
        """Return when the connection is over: how it ended. Cancelling it loses nothing.

        Raises LifecycleError before `accept`, as nothing is read by then.
        """
        if not self.link.is_over:
            self.link.require_open("the end cannot be waited for")
            self.link.look()
        await self.link.wait()
        return self.link.error()

    def session(self) -> Session:
        """Tasks that end with this connection: `async with ws.session() as session`."""
        return Session(self.link)
