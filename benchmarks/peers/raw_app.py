"""Raw ASGI, by hand: the floor that everything else is measured against."""

from typing import Any

import orjson


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        # What a server reads as "this app has no lifespan".
        raise NotImplementedError(f"no {scope['type']} here")
    path: str = scope["path"]
    status = 200
    if path == "/json":
        body = orjson.dumps({"message": "Hello, World!"})
    elif path.startswith("/items/") and path[7:].isdecimal():
        body = orjson.dumps({"id": int(path[7:])})
    else:
        status = 404
        body = b'{"title":"Not Found"}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
