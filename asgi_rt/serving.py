"""Sending what a handler returned."""

import inspect
from typing import Any, Final

from asgi_rt.asgi import Message, RawHeaders, Send
from asgi_rt.codec import dump_json
from asgi_rt.errors import ClientDisconnected
from asgi_rt.http.request import Request
from asgi_rt.http.response import Response, response_for
from asgi_rt.http.streaming import YieldResponse

__all__ = [
    "BEGUN",
    "JSON_TYPE",
    "KNOWN_LENGTHS",
    "LENGTHS",
    "HeadWatch",
    "content_length",
    "is_disconnect",
    "send_result",
]


def content_length(size: int) -> tuple[bytes, bytes]:
    """The `content-length` header of a body."""
    return b"content-length", b"%d" % size


KNOWN_LENGTHS: Final = 4096
LENGTHS: Final = [content_length(size) for size in range(KNOWN_LENGTHS)]
"""The headers of short bodies, made once: 0.06 us less a request."""
JSON_TYPE: Final = (b"content-type", b"application/json")
_PLAIN: Final = frozenset({dict, list})


class HeadWatch:
    """Has a `send` that knows whether the head went through it, and what the server raised."""

    __slots__ = ("error", "head_sent", "sends_on")

    def __init__(self, send: Send) -> None:
        self.sends_on = send
        """For `sends_from_anywhere`."""
        self.head_sent = False
        self.error: OSError | None = None

    async def send(self, message: Message) -> None:
        self.head_sent = True
        try:
            await self.sends_on(message)
        except OSError as error:
            self.error = error
            raise


class _Begun:
    head_sent = True


BEGUN: Final = _Begun()


def is_disconnect(error: Exception, begun: Any) -> bool:
    """Whether an error says that the client has left, so that nobody is left to answer.

    `begun` is what answers the request. OSError out of `send` is how servers say it from ASGI
    spec_version 2.4 on; any other OSError is the application's.
    """
    if isinstance(error, ClientDisconnected):
        return True
    if not isinstance(error, OSError):
        return False
    return begun is BEGUN or (isinstance(begun, HeadWatch) and begun.error is error)


async def send_result(result: Any, request: Request, send: Send) -> None:
    """Send what a handler returned; see `response_for` for what becomes what.

    `request.response` is set before the first message, so that whoever handles an error can tell
    whether the head is out. Raises ClientDisconnected where the server says that the client left.
    """
    if type(result) in _PLAIN:
        # The commonest result goes without an object for it: 0.5 us less of 2.4 us.
        await _send_json(dump_json(result), request, send)
        return
    if inspect.isasyncgen(result) or inspect.isgenerator(result):
        result = YieldResponse(result)
    response = response_for(result)
    if isinstance(response, Response):
        request.response = response
        receive = request.inbox if response.is_streamed else request.receive
        await response(request.scope, receive, send)
    else:
        watched = request.response = HeadWatch(send)
        await response(request.scope, request.inbox, watched.send)


async def _send_json(body: bytes, request: Request, send: Send) -> None:
    headers: RawHeaders = [JSON_TYPE, content_length(len(body))]
    if request.scope["method"] == "HEAD":
        body = b""
    request.response = BEGUN
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
    except OSError as error:
        raise ClientDisconnected from error
