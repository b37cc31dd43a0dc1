"""A server in memory that takes neither side: it asks an app what a script says and notes all."""

import gzip
import json
import re
from dataclasses import dataclass, field
from typing import Any

import anyio

from tests.fastapi.asked import Ask, Say, Script, Talk, Wait, target

__all__ = ["run"]

_DEADLINE = 10  # seconds; guards only against hanging
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_ADDRESSES = {"client": ("testclient", 50000), "server": ("testserver", 80)}
_BOUNDARY = re.compile(rb"boundary=([0-9a-f]+)")


@dataclass(slots=True)
class _Lifespan:
    """Runs the app's lifespan around the rest, and keeps its state and what it said of itself."""

    app: Any
    state: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    started: anyio.Event = field(default_factory=anyio.Event)
    ending: anyio.Event = field(default_factory=anyio.Event)
    _asked: int = 0

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": _ASGI, "state": self.state}
        try:
            await self.app(scope, self._receive, self._send)
        except Exception as error:
            self.said.append(f"raised {type(error).__name__}")
        finally:
            self.started.set()

    async def _receive(self) -> dict[str, Any]:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        await self.ending.wait()
        if self._asked > 2:
            await anyio.sleep_forever()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.said.append(message["type"])
        if message["type"].startswith("lifespan.startup"):
            self.started.set()


async def run(app: Any, script: Script) -> list[Any]:
    """What came of each step: dictionaries of plain values, to compare and to read."""
    with anyio.fail_after(_DEADLINE):
        if not script.lifespan:
            return [await _step(app, step, None) for step in script.steps]
        lifespan = _Lifespan(app)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lifespan.run)
            await lifespan.started.wait()
            outcomes: list[Any] = []
            if lifespan.said == ["lifespan.startup.complete"]:
                outcomes = [await _step(app, each, lifespan.state) for each in script.steps]
            lifespan.ending.set()
    return [*outcomes, lifespan.said]


async def _step(app: Any, step: Ask | Talk, state: dict[str, Any] | None) -> dict[str, Any]:
    answer = _Answer(step) if isinstance(step, Ask) else _Conversation(step)
    scope = answer.scope()
    if state is not None:
        scope["state"] = dict(state)
    try:
        await app(scope, answer.receive, answer.send)
    except Exception as error:
        answer.raised = type(error).__name__
    return answer.outcome()


def _headers(pairs: Any) -> list[tuple[str, str]]:
    """In lower case, by name, in their order where a name is there several times."""
    fields = [
        (bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in pairs
    ]
    named = [(name.lower(), _settled(name.lower(), value)) for name, value in fields]
    return sorted(named, key=lambda each: each[0])


def _settled(name: str, value: str) -> str:
    # A set of methods has no order.
    return ", ".join(sorted(value.split(", "))) if name == "allow" else value


class _Answer:
    """One request, and what the app answers."""

    def __init__(self, step: Ask) -> None:
        self.raised: str | None = None
        self._step = step
        self._chunks = list(step.chunks)
        self._start: dict[str, Any] | None = None
        self._body = b""
        self._complete = anyio.Event()
        self._messages: list[str] = []

    def scope(self) -> dict[str, Any]:
        path, raw_path, query = target(self._step.url)
        fields = self._step.headers
        if not any(name.lower() == "host" for name, _ in fields):
            fields = (("host", "testserver"), *fields)
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "method": self._step.method,
            "scheme": "http",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in fields],
            **_ADDRESSES,
            **dict(self._step.scope),
        }

    async def receive(self) -> dict[str, Any]:
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}
        await self._complete.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._messages.append("start")
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += bytes(message.get("body", b""))
            if not message.get("more_body", False):
                self._messages.append("end")
                self._complete.set()
        else:
            self._messages.append(message["type"])

    def outcome(self) -> dict[str, Any]:
        start = self._start or {}
        headers = _headers(start.get("headers", ()))
        # To HEAD a server sends no body, and what the validator of a file is is its own affair.
        body = b"" if self._step.method == "HEAD" else self._body
        headers = [(n, '"*"' if n == "etag" else v) for n, v in headers]
        for _, value in headers:
            for boundary in _BOUNDARY.findall(value.encode("latin-1")):
                # A boundary of byte ranges is a random one.
                body = body.replace(boundary, b"*" * len(boundary))
                headers = [(n, v.replace(boundary.decode(), "*")) for n, v in headers]
        if ("content-encoding", "gzip") in headers:
            # The coded bytes hold the time and are the compressor's own affair.
            body = gzip.decompress(body)
            headers = [(n, "*" if n == "content-length" else v) for n, v in headers]
        return {
            "status": start.get("status"),
            "headers": headers,
            "body": body,
            "messages": self._messages,
            "raised": self.raised,
        }


class _Conversation:
    """One WebSocket, and all that the app sent."""

    def __init__(self, step: Talk) -> None:
        self.raised: str | None = None
        self.sent: list[Any] = []
        self._step = step
        self._steps = list(step.steps)
        self._connected = False
        self._left = False
        self._count = 0
        self._waited = 0
        self._news = anyio.Event()
        self._closed: int | None = None
        self._closing = anyio.Event()

    def scope(self) -> dict[str, Any]:
        path, raw_path, query = target(self._step.url)
        fields = (("host", "testserver"), *self._step.headers)
        return {
            "type": "websocket",
            "asgi": _ASGI,
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in fields],
            "subprotocols": list(self._step.subprotocols),
            "extensions": {"websocket.http.response": {}} if self._step.denies else {},
            **_ADDRESSES,
        }

    async def receive(self) -> dict[str, Any]:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while self._steps and self._closed is None and not self._left:
            step = self._steps[0]
            if isinstance(step, Wait):
                await self._wait_for(self._waited + step.count)
                self._steps.pop(0)
                self._waited += step.count
                continue
            self._steps.pop(0)
            if isinstance(step, Say):
                return _received(step.data)
            self._left = True
            return {"type": "websocket.disconnect", "code": step.code, "reason": step.reason}
        if self._left:
            # What a server does that is asked once more is its own affair.
            await anyio.sleep_forever()
        await self._closing.wait()
        self._left = True
        return {"type": "websocket.disconnect", "code": self._closed, "reason": ""}

    async def _wait_for(self, count: int) -> None:
        while self._count < count and self._closed is None:
            self._news = anyio.Event()
            await self._news.wait()

    async def send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            headers = _headers(message.get("headers", ()))
            self.sent.append(("accept", message.get("subprotocol"), headers))
        elif kind == "websocket.send":
            text, data = message.get("text"), message.get("bytes")
            self.sent.append(text if text is not None else bytes(data))
            self._count += 1
        elif kind == "websocket.close":
            self._closed = message.get("code", 1000)
            self._closing.set()
            self.sent.append(("close", self._closed, _reason(message.get("reason"))))
        elif kind == "websocket.http.response.start":
            self.sent.append(("denied", message["status"], _headers(message.get("headers", ()))))
        else:
            self.sent.append(
                (kind, bytes(message.get("body", b"")), message.get("more_body", False))
            )
        self._news.set()

    def outcome(self) -> dict[str, Any]:
        return {"sent": self.sent, "raised": self.raised}


def _reason(given: Any) -> str:
    """A server can send only a text of at most 123 bytes, whatever it is given."""
    text = given or ""
    if not isinstance(text, str):
        text = json.dumps(text, separators=(",", ":"), ensure_ascii=False)
    return text.encode()[:123].decode("utf-8", "ignore")


def _received(data: str | bytes) -> dict[str, Any]:
    kind = "text" if isinstance(data, str) else "bytes"
    return {"type": "websocket.receive", kind: data}
