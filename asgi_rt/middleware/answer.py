"""Answering a connection in place of the app below."""

from typing import Any, Final

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.http.response import Response, response_for
from asgi_rt.websocket.denial import offers_denials, send_denial

__all__ = ["answer_instead"]

_POLICY: Final = 1008


async def answer_instead(value: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Send what a handler may return, and a WebSocket the denial of its handshake with it.

    For when nothing was received of a WebSocket yet. Where the server cannot send a response in
    place of a handshake, it is closed before it is accepted, which its client sees as a 403.
    """
    response = response_for(value)
    if scope["type"] == "http":
        await response(scope, receive, send)
    elif (await receive())["type"] == "websocket.connect":
        if isinstance(response, Response) and offers_denials(scope):
            await send_denial(response, scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": _POLICY, "reason": ""})
