"""Raw ASGI, by hand: one `send` per event."""

from typing import Any
from urllib.parse import parse_qs

import orjson

from benchmarks.harness.quotes import quote, turn

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")],
}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        # What a server reads as "this app has no lifespan".
        raise NotImplementedError(f"no {scope['type']} here")
    query = parse_qs(scope["query_string"].decode("ascii"))
    count = int(query.get("count", ["0"])[0])
    await send(START)
    if scope["path"] == "/ready":
        for n in range(count):
            await send(event(n))
    elif scope["path"] == "/waiting":
        for n in range(count):
            await turn()
            await send(event(n))
    elif scope["path"] == "/idle":
        await send(event(0))
        while (await receive())["type"] != "http.disconnect":
            pass
    await send({"type": "http.response.body", "body": b""})


def event(n: int) -> dict[str, Any]:
    body = b"data: " + orjson.dumps(quote(n)) + b"\n\n"
    return {"type": "http.response.body", "body": body, "more_body": True}
