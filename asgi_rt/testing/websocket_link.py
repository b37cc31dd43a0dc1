"""What the app holds in its hands during a WebSocket connection: `receive` and `send`."""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import anyio
import anyio.lowlevel

from asgi_rt.asgi import Message
from asgi_rt.testing.condition import Condition
from asgi_rt.testing.errors import ClientGoneError
from asgi_rt.testing.message_pipe import MessagePipe
from asgi_rt.testing.options import ServerOptions
from asgi_rt.testing.protocol import BodyPart, ResponseHead
from asgi_rt.testing.websocket_protocol import Accepted, Closed, Frame, Stage, WebSocketProtocol

__all__ = ["Ending", "WebSocketLink"]

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_FORBIDDEN = ResponseHead(403, [_TEXT])
_SERVER_ERROR = ResponseHead(500, [_TEXT])


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended, as the client sees it."""

    code: int
    reason: str
    by: Literal["client", "server", "network"]
    how: str
    is_own: bool = False
    """Whether the client did it, and so knows it before it reads as far."""


class WebSocketLink:
    """The server's side of one connection: tells the app what the client does, and the reverse.

    `receive` and `send` may be called from several tasks of the app at once. A cancelled `receive`
    loses no message, a cancelled `send` has sent nothing. One `websocket.disconnect` is handed out,
    also after the app's own close; a `receive` after it waits for ever, as there is nothing more.
    """

    def __init__(
        self,
        *,
        name: str,
        protocol: WebSocketProtocol,
        pipe: MessagePipe,
        changed: Condition,
        options: ServerOptions,
    ) -> None:
        self.accepted: Accepted | None = None
        self.denial: ResponseHead | None = None
        self.denial_body = bytearray()
        self.is_denied = False
        """Whether the denial is complete."""
        self.ending: Ending | None = None
        self.is_gone = False
        """Whether the connection was ended by another than the app: then its `send` fails."""
        self.receivers = 0
        """How many tasks of the app wait in `receive`."""
        self.messages_sent = 0
        self._name = name
        self._protocol = protocol
        self._pipe = pipe
        self._changed = changed
        self._options = options
        self._inbox: deque[Message] = deque([{"type": "websocket.connect"}])

    @property
    def is_answered(self) -> bool:
        """Whether there is a whole response to the handshake."""
        return self.accepted is not None or self.is_denied

    @property
    def unreceived(self) -> int:
        """How many messages the app has not received yet."""
        return len(self._inbox)

    def deliver(self, kind: Literal["text", "bytes"], data: str | bytes) -> None:
        """Hand a message of the client's to the app. After the end it is dropped."""
        if self.ending is None:
            self._put({"type": "websocket.receive", kind: data})

    def close(self, code: int | None, reason: str) -> None:
        """A close frame of the client's; without a code if that is None. Again does nothing."""
        shown = 1005 if code is None else code
        disconnect: Message = {"type": "websocket.disconnect", "code": shown}
        if self._options.is_spec(2, 3):
            disconnect["reason"] = reason
        self._leave(
            Ending(shown, reason, "client", "the client closed it", is_own=True), disconnect
        )

    def lose(self) -> None:
        """The connection is lost. What is in the pipe is dropped. After the end it does nothing."""
        if self.ending is not None:
            return
        code = 1006 if self.accepted is None else 1005  # as uvicorn has it, without a reason
        ending = Ending(1006, "", "network", "the connection was lost", is_own=True)
        self._leave(ending, {"type": "websocket.disconnect", "code": code})
        self._pipe.break_()

    def shut_down(self, code: int) -> None:
        """The server goes down. After the end it does nothing."""
        ending = Ending(code, "", "server", "the server went down")
        self._leave(ending, {"type": "websocket.disconnect", "code": code})

    def app_ended(self) -> None:
        """The app's task is over: a server then closes the transport, without a close frame."""
        if self.ending is None:
            self.ending = Ending(1006, "", "network", "the app ended without websocket.close")
        self._pipe.finish()

    def fail(self) -> None:
        """The app has ended without an answer: the server gives one."""
        self.denial = _SERVER_ERROR
        self.denial_body += b"Internal Server Error"
        self.is_denied = True

    async def receive(self) -> Message:
        """What happened next at the client's side."""
        self.receivers += 1
        try:
            await self._changed.wait_until(lambda: bool(self._inbox))
        finally:
            self.receivers -= 1
        message = self._inbox.popleft()
        self._changed.notify_all()
        return message

    async def send(self, message: Message) -> None:
        """Wait for room in the pipe, then take a message of the app's.

        As with uvicorn a close waits too, while the client reads nothing and the pipe is full.
        """
        await self._pipe.drain()
        if self.denial is not None:
            # Nothing bounds a denial: an endless one must not starve the client's timeout.
            await anyio.lowlevel.checkpoint()
        if self.is_gone:
            await self._send_to_nobody()
            return
        match self._protocol.receive(message):
            case Accepted() as accepted:
                self.accepted = accepted
            case Frame() as frame:
                self.messages_sent += 1
                self._pipe.put(frame)
            case Closed(code, reason):
                self._close_by_app(code, reason)
            case ResponseHead() as head:
                self.denial = head
            case BodyPart(data):
                self.denial_body += data
                if self._protocol.stage is Stage.END:
                    self._end_denial()
        self._changed.notify_all()

    def _close_by_app(self, code: int, reason: str) -> None:
        if self.accepted is None:
            self.denial = _FORBIDDEN
            self._end_denial()
            return
        disconnect: Message = {"type": "websocket.disconnect", "code": code}
        if self._options.is_spec(2, 3):
            disconnect["reason"] = reason
        self._end(Ending(code, reason, "server", "the app closed it"), disconnect)

    def _end_denial(self) -> None:
        self.is_denied = True
        ending = Ending(1006, "", "server", "the app denied the handshake")
        self._end(ending, {"type": "websocket.disconnect", "code": 1006})

    def _leave(self, ending: Ending, disconnect: Message) -> None:
        if self.ending is None:
            self.is_gone = True
            self._end(ending, disconnect)

    def _end(self, ending: Ending, disconnect: Message) -> None:
        self.ending = ending
        self._put(disconnect)
        self._pipe.finish()

    def _put(self, message: Message) -> None:
        self._inbox.append(message)
        self._changed.notify_all()

    async def _send_to_nobody(self) -> None:
        # An app that goes on sending must not starve the loop on which it is to be stopped.
        await anyio.lowlevel.checkpoint()
        if self._options.raises_after_disconnect:
            raise ClientGoneError(f"{self._name}: the connection is over")
