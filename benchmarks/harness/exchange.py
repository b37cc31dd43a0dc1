"""One HTTP exchange with an app, without a server: what uvicorn would hand it and take from it."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from time import perf_counter
from typing import Any

from benchmarks.harness.questions import CLIENT_HEADERS, Answer, Question

App = Callable[..., Any]
Scope = dict[str, Any]
Message = dict[str, Any]


def request_scope(path: str, query: bytes = b"") -> Scope:
    """The scope that uvicorn with httptools makes for a GET of `path`, its state left out."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 53124),
        "scheme": "http",
        "root_path": "",
        "headers": list(CLIENT_HEADERS),
        "method": "GET",
        "path": path,
        "raw_path": path.encode("ascii"),
        "query_string": query,
    }


def question_scope(question: Question) -> Scope:
    """The same for what a question asks; its body is not in it."""
    scope = request_scope(question.path, question.query.encode("ascii"))
    scope["method"] = question.verb
    if question.body:
        scope["headers"] += [
            (b"content-type", question.content_type.encode("ascii")),
            (b"content-length", b"%d" % len(question.body)),
        ]
    return scope


class _Exchange:
    """A server's `receive` and `send`, reused from request to request to keep the harness thin."""

    __slots__ = ("body", "last", "received")

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self.received = False
        self.last: Message = {}

    async def receive(self) -> Message:
        if self.received:
            # Nothing more comes until the client goes, and this client stays.
            await asyncio.Event().wait()
        self.received = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.last = message


class Client(_Exchange):
    """The same for one exchange alone: its end is a disconnect to whoever waits for the client."""

    __slots__ = ("over",)

    def __init__(self, body: bytes = b"") -> None:
        super().__init__(body)
        self.over = asyncio.Event()

    async def receive(self) -> Message:
        if self.received:
            await self.over.wait()
            return {"type": "http.disconnect"}
        return await super().receive()

    async def send(self, message: Message) -> None:
        self.last = message
        if not message.get("more_body") and message["type"] == "http.response.body":
            self.over.set()


async def timed_batch(
    app: App, scopes: Sequence[Scope], state: dict[str, Any], count: int, body: bytes = b""
) -> float:
    """Seconds that `count` requests take, one after another, cycling through `scopes`.

    Each has the same `body`, which has come before the app asks for it.
    Raises RuntimeError if the last one was left without the end of its response.
    """
    exchange = _Exchange(body)
    receive, send = exchange.receive, exchange.send
    templates = islice(cycle(scopes), count)
    started = perf_counter()
    for template in templates:
        scope = template.copy()
        # A server copies the state per request; a shared one would let frameworks cache in it.
        scope["state"] = state.copy()
        exchange.received = False
        await app(scope, receive, send)
    elapsed = perf_counter() - started
    _expect_end(exchange.last)
    return elapsed


async def timed_stream(
    app: App, scope: Scope, state: dict[str, Any], client: Client | None = None
) -> float:
    """Seconds that one long exchange takes. Raises RuntimeError if its response has no end."""
    client = client or Client()
    started = perf_counter()
    await app({**scope, "state": state.copy()}, client.receive, client.send)
    elapsed = perf_counter() - started
    _expect_end(client.last)
    return elapsed


async def fetch(
    app: App,
    scope: Scope,
    state: dict[str, Any],
    timeout: float = 10.0,
    client: Client | None = None,
) -> Answer:
    """The app's whole answer to one request. Raises TimeoutError after `timeout` seconds."""
    client = client or Client()
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)
        await client.send(message)

    async with asyncio.timeout(timeout):
        await app({**scope, "state": state.copy()}, client.receive, send)
    starts = [m for m in messages if m["type"] == "http.response.start"]
    if len(starts) != 1 or messages[-1].get("more_body"):
        kinds = [m["type"] for m in messages]
        raise RuntimeError(f"not one whole response: {kinds}")
    headers = header_dict(starts[0])
    return Answer(
        status=starts[0]["status"],
        content_type=headers.get("content-type", ""),
        body=b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body"),
        headers=headers,
    )


def header_dict(start: Message) -> dict[str, str]:
    """The headers of an `http.response.start`, their names in lower case."""
    pairs = start.get("headers", ())
    return {bytes(k).lower().decode("latin-1"): bytes(v).decode("latin-1") for k, v in pairs}


def _expect_end(last: Message) -> None:
    if last.get("type") != "http.response.body" or last.get("more_body"):
        raise RuntimeError(f"the response did not end; its last message was {last!r}")
