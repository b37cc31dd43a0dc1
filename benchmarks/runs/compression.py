"""What compressing a response costs, and how small it gets: one JSON body, and a stream of lines.

The same plain ASGI app stands behind asgi_rt's middleware and behind Starlette's, which knows gzip.
"""

import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from benchmarks.harness.exchange import App, fetch, request_scope, timed_batch
from benchmarks.harness.inprocess import MICROSECONDS, Contender, Workload, compare
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import ASGI_RT, STARLETTE

METRICS = (MICROSECONDS, Metric("bytes", "bytes of body", 0))
PEERS = (replace(ASGI_RT, packages=(*ASGI_RT.packages, "brotli", "zstandard")), STARLETTE)

KINDS = ("whole", "stream")
BODY_BYTES = 100_000
LINES = 100


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to compress: whose middleware, in which coding, and how hard it tries."""

    peer: str
    coding: str
    level: int

    def label(self, kind: str) -> str:
        return f"{self.peer} {kind} {self.coding} {self.level}"

    def load(self) -> App:
        return _MIDDLEWARE[self.peer](self.coding, self.level)


# Each by its default level, and gzip by the other's as well.
REFERENCE = _Way(STARLETTE.name, "gzip", 9)
WAYS = (
    REFERENCE,
    _Way(STARLETTE.name, "gzip", 6),
    _Way(ASGI_RT.name, "gzip", 6),
    _Way(ASGI_RT.name, "gzip", 9),
    _Way(ASGI_RT.name, "br", 4),
    _Way(ASGI_RT.name, "zstd", 3),
)


def compression(plan: Plan) -> list[Arm]:
    """A body of 100 KB in one message, and a hundred lines in a message each."""
    chosen = {peer.name for peer in plan.chosen()}
    contenders: list[Contender] = []
    responses: list[_Response] = []

    def add(label: str, peer: str, load: Callable[[], App], response: _Response) -> None:
        arm = Arm(label, peer, REFERENCE.label(response.kind))
        contenders.append(Contender(arm, load, response))
        responses.append(response)

    for kind in KINDS:
        add(f"not compressed {kind}", "control", lambda: _app, _Response(kind, None))
        for way in WAYS:
            if way.peer in chosen:
                add(way.label(kind), way.peer, way.load, _Response(kind, way.coding))
    arms = compare(contenders, plan.size)
    for arm, response in zip(arms, responses, strict=True):
        for _ in arm.samples.get(MICROSECONDS.key, []):
            arm.record(bytes=response.size)
    return arms


# What is sent


def _rows() -> list[bytes]:
    """Lines of JSON as an API has them, the same in every run."""
    drawn = random.Random(1)
    colours = ("red", "green", "blue", "black", "white")
    rows: list[bytes] = []
    for number in range(1000):
        row = {
            "id": number,
            "name": f"user {drawn.randrange(10**6)}",
            "email": f"u{drawn.randrange(10**6)}@example.com",
            "active": drawn.random() < 0.7,
            "score": round(drawn.random(), 6),
            "tags": drawn.sample(colours, 2),
        }
        rows.append(json.dumps(row, separators=(",", ":")).encode())
    return rows


_ROWS = _rows()
_WHOLE = b"[" + b",".join(_ROWS)[: BODY_BYTES - 2].rpartition(b",{")[0] + b"]"
_STREAM = [row + b"\n" for row in _ROWS[:LINES]]
_BODIES = {"whole": _WHOLE, "stream": b"".join(_STREAM)}


async def _app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    # Made afresh each time, as one of the middlewares changes what it is given.
    if scope["path"] == "/whole":
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(_WHOLE)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _WHOLE})
        return
    headers = [(b"content-type", b"application/x-ndjson")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for line in _STREAM:
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


# Who compresses it


def _behind_asgi_rt(coding: str, level: int) -> App:
    from asgi_rt.middleware.compression import CompressionMiddleware

    return CompressionMiddleware(_app, encodings=[coding], levels={coding: level})


def _behind_starlette(coding: str, level: int) -> App:
    from starlette.middleware.gzip import GZipMiddleware

    return GZipMiddleware(_app, compresslevel=level)


_MIDDLEWARE: dict[str, Callable[[str, int], App]] = {
    ASGI_RT.name: _behind_asgi_rt,
    STARLETTE.name: _behind_starlette,
}


class _Response(Workload):
    """One response after another, whose client accepts one coding."""

    def __init__(self, kind: str, coding: str | None) -> None:
        self.kind = kind
        self._coding = coding
        accepted = [] if coding is None else [(b"accept-encoding", coding.encode())]
        scope = request_scope(f"/{kind}")
        others = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        self._scope = {**scope, "headers": [*others, *accepted]}
        self.size = 0
        """How many bytes of body are sent."""

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        answer = await fetch(app, self._scope, state)
        self.size = len(answer.body)
        if _decode(self._coding, answer.body) != _BODIES[self.kind]:
            return f"GET /{self.kind}: the body is another than the app's"
        return None

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        return await timed_batch(app, [self._scope], state, turns), turns


def _decode(coding: str | None, body: bytes) -> bytes | None:
    """None where it does not end with its coding."""
    if coding is None:
        return body
    if coding == "gzip":
        decoder: Any = zlib.decompressobj(31)
    elif coding == "br":
        decoded: bytes = import_module("brotli").decompress(body)
        return decoded
    else:
        decoder = import_module("zstandard").ZstdDecompressor().decompressobj()
    decoded = decoder.decompress(body)
    return decoded if decoder.eof and not decoder.unused_data else None
