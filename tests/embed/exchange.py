"""One request to an app, by a client that may stall or leave, on a server as strict as uvicorn."""

from collections.abc import Iterable
from typing import Any, Self

import anyio
import anyio.lowlevel
from fakes import FakeServer

from asgi_rt.asgi import ASGIApp, Message

__all__ = ["Exchange", "ask", "turns"]

_BEFORE_THE_HEAD = frozenset({"http.response.early_hint", "http.response.debug"})
_BODILESS = frozenset({204, 304})


class Exchange(FakeServer):
    """What a FakeServer does, and a request body in `chunks`, which is left open if so asked.

    As ASGI has it, `receive` says http.disconnect when the response is complete as well. What it
    has at hand it returns without a wait, so that a cancelled scope gets it. A message that is out
    of turn and a body that breaks its Content-Length are a RuntimeError.
    """

    def __init__(
        self,
        path: str = "/",
        *,
        chunks: Iterable[bytes] = (b"",),
        left_open: bool = False,
        **scope: Any,
    ) -> None:
        super().__init__(path=path, **scope)
        self.received: list[Message] = []
        self.completed = anyio.Event()
        self._chunks = list(chunks)
        self._left_open = left_open
        self._over = anyio.Event()
        self._head: Message | None = None
        self._owed: int | None = None

    async def run(self, app: ASGIApp) -> Self:
        await app(self.scope, self.receive, self.send)
        return self

    def leave(self) -> None:
        super().leave()
        self._over.set()

    async def receive(self) -> Message:
        message: Message = {"type": "http.disconnect"}
        if self._chunks and not self.left.is_set():
            chunk = self._chunks.pop(0)
            more_body = bool(self._chunks) or self._left_open
            message = {"type": "http.request", "body": chunk, "more_body": more_body}
        elif not self._over.is_set():
            await self._over.wait()
        self.received.append(message)
        return message

    async def send(self, message: Message) -> None:
        if not self.left.is_set():
            self._check(message)
        await super().send(message)
        if self.is_complete and not self.left.is_set():
            self.completed.set()
            self._over.set()

    def _check(self, message: Message) -> None:
        kind = message["type"]
        if self.is_complete or (kind == "http.response.start") is (self._head is not None):
            if kind not in _BEFORE_THE_HEAD or self._head is not None:
                raise RuntimeError(f"out of turn: {message}")
        elif kind == "http.response.start":
            self._head = message
            self._owed = self._content_length(message)
        elif self._owed is not None and kind == "http.response.body":
            self._owed -= len(message.get("body", b""))
            if self._owed < 0 or (self._owed and not message.get("more_body")):
                raise RuntimeError(f"the Content-Length is missed by {-self._owed}")

    def _content_length(self, head: Message) -> int | None:
        if self.scope["method"] == "HEAD" or head["status"] in _BODILESS:
            return None
        named = dict(head.get("headers", ()))
        return int(named[b"content-length"]) if b"content-length" in named else None

    @property
    def status(self) -> int | None:
        return None if self._head is None else self._head["status"]

    @property
    def header_list(self) -> list[tuple[bytes, bytes]]:
        assert self._head is not None
        return list(self._head.get("headers", ()))

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.header_list}

    def all_of(self, name: str) -> list[str]:
        """Every value of a header that may come more than once."""
        return [value.decode() for key, value in self.header_list if key == name.encode()]

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def kinds(self) -> list[str]:
        """The types of what was sent, without the part that they share."""
        return [message["type"].removeprefix("http.response.") for message in self.messages]

    @property
    def is_complete(self) -> bool:
        """Whether the client can tell that it has all of the response."""
        if not self.messages:
            return False
        last = self.messages[-1]
        if last["type"] == "http.response.body":
            return not last.get("more_body", False)
        return last["type"] == "http.response.pathsend"


async def ask(app: ASGIApp, path: str = "/", **options: Any) -> Exchange:
    """The exchange of one request, when the app has returned."""
    return await Exchange(path, **options).run(app)


async def turns() -> None:
    """Let every task go on as far as it gets."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()
