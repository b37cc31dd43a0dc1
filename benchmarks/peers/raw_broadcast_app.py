"""Raw ASGI, by hand: the `send` of every client in a set, and a loop over them."""

from typing import Any
from urllib.parse import parse_qsl

from benchmarks.harness.broadcast import EVENTS, Publisher

Sends = set[Any]

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")],
}
streams: Sends = set()
sockets: Sends = set()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await stay(sockets, receive, send)
    elif scope["type"] != "http":
        # What a server reads as "this app has no lifespan".
        raise NotImplementedError(f"no {scope['type']} here")
    elif scope["path"] == EVENTS:
        await send(START)
        await stay(streams, receive, send)
    elif scope["path"] == "/publish":
        publisher.start(dict(parse_qsl(scope["query_string"].decode("ascii"))))
        await answer("publishing", send)
    else:
        await answer(str(len(streams) + len(sockets)), send)


async def stay(sends: Sends, receive: Any, send: Any) -> None:
    """One of `sends` until the client leaves."""
    sends.add(send)
    try:
        while not (await receive())["type"].endswith(".disconnect"):
            pass
    finally:
        sends.discard(send)


async def publish(text: str) -> None:
    body = b"data: " + text.encode() + b"\n\n"
    event = {"type": "http.response.body", "body": body, "more_body": True}
    for send in list(streams):
        await send(event)
    message = {"type": "websocket.send", "text": text}
    for send in list(sockets):
        await send(message)


async def answer(text: str, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


publisher = Publisher(publish)
