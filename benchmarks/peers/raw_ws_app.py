"""Raw ASGI, by hand: a `receive` and a `send` per message."""

from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        # What a server reads as "this app has no lifespan".
        raise NotImplementedError(f"no {scope['type']} here")
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
