"""Answering a handshake with an HTTP response, or with a plain refusal where that cannot be.

The extension is ASGI's `websocket.http.response`.
"""

from typing import Any, Final

import anyio

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.http.headers import HeadersLike, raw_headers
from asgi_rt.http.response import Response, problem_response, response_for
from asgi_rt.http.servers import waits_for_futures
from asgi_rt.websocket.link import Link

__all__ = ["denial_of", "deny", "offers_denials", "send_denial"]

_SETTLE_SECONDS: Final = 1.0
_EXTENSION: Final = "websocket.http.response"


def denial_of(status_code: int, body: Any, headers: HeadersLike | None) -> Response:
    """The response that a handshake is denied with.

    Raises TypeError for an ASGI app, and ValueError for a status that is no final answer.
    """
    if not 200 <= status_code <= 599:
        raise ValueError(f"{status_code} is no status that a handshake can be denied with")
    if body is None and status_code >= 400:
        response = problem_response(HTTPError(status_code))
    elif isinstance(body, Response):
        response = body
    else:
        made = response_for(b"" if body is None else body)
        if not isinstance(made, Response):
            raise TypeError("a handshake is denied with a Response, not with an ASGI app")
        response = made
        response.status_code = status_code
    for name, value in raw_headers(headers):
        response.headers.append(name.decode("latin-1"), value.decode("latin-1"))
    return response


def offers_denials(scope: Scope) -> bool:
    """Whether the server can send a response in place of a handshake."""
    return _EXTENSION in (scope.get("extensions") or {})


async def send_denial(response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response in place of a handshake, to a server that offers it.

    Returns when the server has noticed, at most a second later: uvicorn's websockets-sansio logs an
    error where the app returns before it has.
    """

    async def receive_as_http() -> Message:
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return {"type": "http.disconnect"}

    async def send_as_denial(message: Message) -> None:
        # Servers take it with both, whatever the specification lets out.
        answer: Message = {"headers": [], "body": b"", **message}
        answer["type"] = f"websocket.{message['type']}"
        await send(answer)

    with anyio.CancelScope(shield=True):  # half an answer helps nobody
        scope = {**scope, "type": "http", "method": "GET"}
        await response(scope, receive_as_http, send_as_denial)
        if waits_for_futures(receive):
            with anyio.move_on_after(_SETTLE_SECONDS):
                # Until the connection is gone, which it tells after the end of the denial.
                for _ in range(2):
                    await receive()


async def deny(link: Link, scope: Scope, response: Response) -> None:
    """Send it; the connection is over then. Takes at most 5 seconds a message."""
    reason = f"the handshake was denied with status {response.status_code}"
    if not offers_denials(scope):
        link.end(1008, reason, "server")
        await link.outgoing.send_close()
        return
    await send_denial(response, scope, link.incoming.receive, link.outgoing.answer)
    link.end(1008, reason, "server")
