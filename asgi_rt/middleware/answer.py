"""Answering a connection in place of the app below."""

from contextlib import suppress
from inspect import isasyncgen, isgenerator
from typing import Any, Final

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.http.response import response_for
from asgi_rt.http.streaming import YieldResponse
from asgi_rt.websocket.denial import offers_denials, send_denial

__all__ = ["answer_instead"]

_POLICY: Final = 1008


async def answer_instead(value: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Send what a handler may return, and a WebSocket the denial of its handshake with it.

    For when nothing was received of a WebSocket yet. Where the server cannot send a response in
    place of a handshake, it is closed before it is accepted, which its client sees as a 403.
    """
    if isgenerator(value) or isasyncgen(value):
        value = YieldResponse(value)
    response = response_for(value)
    if scope["type"] == "http":
        await response(scope, receive, send)
    elif (await receive())["type"] == "websocket.connect":
        if offers_denials(scope):
            await send_denial(response, scope, receive, send)
        else:
            with suppress(OSError):  # how a server says that the client has left
                await send({"type": "websocket.close", "code": _POLICY, "reason": ""})
