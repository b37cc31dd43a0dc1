"""What the app holds in its hands during an HTTP request: `receive` and `send`."""

import anyio
import anyio.lowlevel

from asgi_rt.asgi import Message
from asgi_rt.testing.condition import Condition
from asgi_rt.testing.content import RequestBody
from asgi_rt.testing.errors import ClientGoneError
from asgi_rt.testing.pipe import Pipe
from asgi_rt.testing.protocol import (
    BodyFile,
    BodyPart,
    EarlyHint,
    Event,
    ResponseHead,
    ResponseProtocol,
    ServerPush,
    Trailers,
)

__all__ = ["Connection"]

_FILE_CHUNK = 65_536


class Connection:
    """The server's side of one exchange: hands out the request, checks and takes the response.

    `receive` and `send` may be called from several tasks of the app at once. A cancelled `receive`
    loses no message. A cancelled `send` has sent its message: only the wait for room ends.
    """

    def __init__(
        self,
        *,
        name: str,
        protocol: ResponseProtocol,
        body: RequestBody,
        pipe: Pipe,
        changed: Condition,
        raises_after_disconnect: bool,
    ) -> None:
        self.is_disconnected = False
        self.head: ResponseHead | None = None
        self.early_hints: list[list[bytes]] = []
        self.pushes: list[ServerPush] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self._name = name
        self._protocol = protocol
        self._body = body
        self._pipe = pipe
        self._changed = changed
        self._raises = raises_after_disconnect

    def disconnect(self) -> None:
        """The client is gone: `receive` says so, and `send` does what the spec version says."""
        self.is_disconnected = True
        self._pipe.break_()

    async def receive(self) -> Message:
        """The next `http.request`; after the last, `http.disconnect` once the exchange is over."""
        while not self._is_over():
            if (message := self._body.take()) is not None:
                return message
            if not self._body.is_delivered:
                self._body.ask()
            await self._changed.wait_until(self._may_receive)
        return {"type": "http.disconnect"}

    def _may_receive(self) -> bool:
        # Another task may have taken what this one asked for: then it must ask again.
        is_due = not (self._body.is_delivered or self._body.is_asked)
        return self._is_over() or self._body.is_ready or is_due

    def _is_over(self) -> bool:
        return self.is_disconnected or self._protocol.is_complete

    async def send(self, message: Message) -> None:
        """Take a message of the response, then wait for room in the pipe."""
        if self.is_disconnected and not self._protocol.is_complete:
            await self._send_to_nobody()
            return
        event = self._protocol.receive(message)
        if isinstance(event, BodyFile):
            await self._send_file(event.path)
        else:
            self._take(event)
        if self._protocol.is_complete:
            self._pipe.finish()
        if isinstance(event, BodyPart) and not event.data:
            # Nothing fills the pipe in answer to a HEAD request: an endless app must not starve
            # the loop there.
            await anyio.lowlevel.checkpoint()
        await self._wait_for_room()

    def _take(self, event: Event) -> None:
        match event:
            case ResponseHead():
                self.head = event
                self._changed.notify_all()
            case BodyPart(data):
                self._pipe.put(data)
            case Trailers(headers):
                self.trailers += headers
            case EarlyHint(links):
                self.early_hints.append(links)
            case ServerPush():
                self.pushes.append(event)
            case BodyFile():
                raise AssertionError("a file is streamed, not taken")

    async def _send_file(self, path: str) -> None:
        async with await anyio.open_file(path, "rb") as file:
            while chunk := await file.read(_FILE_CHUNK):
                if self.is_disconnected:
                    await self._send_to_nobody()
                    return
                self._protocol.count_body(len(chunk))
                self._pipe.put(chunk)
                await self._wait_for_room()
        self._protocol.end_body()

    async def _wait_for_room(self) -> None:
        if self._pipe.is_full:
            await self._pipe.drain()
            if self.is_disconnected:
                await self._send_to_nobody()

    async def _send_to_nobody(self) -> None:
        # An app that goes on sending must not starve the loop on which it is to be stopped.
        await anyio.lowlevel.checkpoint()
        if self._raises:
            raise ClientGoneError(f"{self._name}: the client has disconnected")
