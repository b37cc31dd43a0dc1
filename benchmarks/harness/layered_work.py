"""What an app behind layers of middleware is asked to do, over and over, without a server."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.harness.clients import Leaving, Staying, Uploading, collect_handlers, head_of, leave
from benchmarks.harness.exchange import App, Client, Scope, fetch, request_scope, timed_stream
from benchmarks.harness.inprocess import Requests
from benchmarks.harness.layers import Layers
from benchmarks.harness.questions import HELLO, Question, fault
from benchmarks.harness.rows import CHUNKS, STREAM

CHUNKS_BEFORE_LEAVING = 10
UPLOAD_BYTES = 1_000_000
PART_BYTES = 65_536
"""How much of a body uvicorn hands over at once, at most."""
UPLOADED = Question("/upload", {"bytes": UPLOAD_BYTES})


class Work(ABC):
    """One kind of request; a `Workload`."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers

    @abstractmethod
    async def fault(self, app: App, state: dict[str, Any]) -> str | None: ...

    @abstractmethod
    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]: ...

    def also(self) -> dict[str, float]:
        """What the last turns have shown besides their time."""
        return {}


class SmallJSON(Work):
    """`GET /json`, answered with a small JSON object."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._requests = Requests([HELLO])

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        answer = await fetch(app, request_scope(HELLO.path), state)
        return fault(HELLO, answer) or self.layers.fault(answer)

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        return await self._requests.timed(app, state, turns)


class _Exchanges(Work):
    """One exchange after another, each with a client of its own."""

    operations = 1
    """How many one exchange counts as."""

    def __init__(
        self, layers: Layers, question: Question, scope: Scope, client: Callable[[], Client]
    ) -> None:
        super().__init__(layers)
        self._question = question
        self._scope = scope
        self._client = client

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        answer = await fetch(app, self._scope, state, client=self._client())
        return fault(self._question, answer) or self.layers.fault(answer)

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        seconds = 0.0
        for _ in range(turns):
            seconds += await timed_stream(app, self._scope, state, self._client())
        return seconds, turns * self.operations


class Stream(_Exchanges):
    """`GET /stream`, whose source waits before each chunk."""

    operations = CHUNKS

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers, STREAM, request_scope(STREAM.path), Staying)


class Upload(_Exchanges):
    """`POST /upload`, whose body the handler reads."""

    def __init__(self, layers: Layers) -> None:
        parts = _parts(UPLOAD_BYTES)
        super().__init__(layers, UPLOADED, _upload_scope(), lambda: Uploading(parts))


class Departure(Work):
    """`GET /endless`, whose client leaves; timed is how long the app goes on after that."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._scope = request_scope("/endless")
        self._over_percent = 0.0

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        client = Leaving(CHUNKS_BEFORE_LEAVING)
        async with asyncio.timeout(10):
            await leave(app, self._scope, state, client)
        await collect_handlers([client])
        return self.layers.fault(head_of(client))

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        clients = [Leaving(CHUNKS_BEFORE_LEAVING) for _ in range(turns)]
        seconds = 0.0
        for client in clients:
            seconds += await leave(app, self._scope, state, client)
        self._over_percent = sum(client.is_handler_over for client in clients) / turns * 100
        await collect_handlers(clients)
        return seconds, turns

    def also(self) -> dict[str, float]:
        return {"over_percent": self._over_percent}


def _upload_scope() -> Scope:
    scope = request_scope(UPLOADED.path)
    sent = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(UPLOAD_BYTES).encode()),
    ]
    return {**scope, "method": "POST", "headers": [*scope["headers"], *sent]}


def _parts(size: int) -> Sequence[bytes]:
    whole, rest = divmod(size, PART_BYTES)
    return [bytes(PART_BYTES)] * whole + [bytes(rest)]
