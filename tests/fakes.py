"""Fakes that stand in for a server and a client."""

from typing import Any

import anyio

from asgi_rt.asgi import Message, Scope


def http_scope(
    path: str = "/",
    *,
    method: str = "GET",
    spec_version: str = "2.3",
    headers: list[tuple[bytes, bytes]] | None = None,
    **more: Any,
) -> Scope:
    """An HTTP scope such as a server makes."""
    plain, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec_version},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": plain,
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers or [],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        **more,
    }


class FakeServer:
    """The server's side of one HTTP exchange, with a client that can stall and leave.

    Like uvicorn it drops what is sent after a disconnect, or raises OSError from spec 2.4 on. A
    send that is blocked when the client leaves is let go, unless `stuck`.
    """

    def __init__(self, *, spec_version: str = "2.3", stuck: bool = False, **scope: Any) -> None:
        self.scope = http_scope(spec_version=spec_version, **scope)
        self.messages: list[Message] = []
        self.left = anyio.Event()
        self.blocked = anyio.Event()
        self._raises = spec_version >= "2.4"
        self._stuck = stuck
        self._is_frozen = False
        self._thawed = anyio.Event()
        self._asked = False
        self._sent = anyio.Event()

    def leave(self) -> None:
        """The client disconnects."""
        self.left.set()
        if not self._stuck:
            self._thawed.set()

    def freeze(self) -> None:
        """From now on the client reads nothing: sends block, after the message was taken."""
        self._is_frozen = True
        self._thawed = anyio.Event()

    def thaw(self) -> None:
        self._is_frozen = False
        self._thawed.set()

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return await self.receive_disconnect()

    async def receive_disconnect(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.left.is_set():
            if self._raises:
                raise OSError("the client is gone")
            return
        self.messages.append(message)
        sent, self._sent = self._sent, anyio.Event()
        sent.set()
        if self._is_frozen:
            self.blocked.set()
            await self._thawed.wait()

    async def sent(self, count: int) -> None:
        """Return when at least `count` messages were sent."""
        while len(self.messages) < count:
            await self._sent.wait()

    async def body_has(self, size: int) -> None:
        """Return when at least `size` bytes of body were sent."""
        while len(self.body) < size:
            await self._sent.wait()

    @property
    def status(self) -> int | None:
        """The status of the response; None if none has begun."""
        return self.messages[0]["status"] if self.messages else None

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def is_complete(self) -> bool:
        return bool(self.messages) and self.messages[-1].get("more_body") is False
