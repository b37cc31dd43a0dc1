"""Answering a handshake with an HTTP response, or with a plain refusal where that cannot be.

The extension is ASGI's `websocket.http.response`.
"""

from typing import Any, Final

import anyio

from asgi_rt.asgi import Message, Scope
from asgi_rt.errors import HTTPError
from asgi_rt.http.headers import HeadersLike, raw_headers
from asgi_rt.http.response import Response, problem_response, response_for
from asgi_rt.websocket.link import Link

__all__ = ["denial_of", "deny"]

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


async def deny(link: Link, scope: Scope, response: Response) -> None:
    """Send it; the connection is over then. Takes at most 5 seconds a message."""
    reason = f"the handshake was denied with status {response.status_code}"
    if _EXTENSION not in (scope.get("extensions") or {}):
        link.end(1008, reason, "server")
        await link.outgoing.send_close()
        return

    async def send(message: Message) -> None:
        # Servers take it with both, whatever the specification lets out.
        answer: Message = {"headers": [], "body": b"", **message}
        answer["type"] = f"websocket.{message['type']}"
        await link.outgoing.answer(answer)

    with anyio.CancelScope(shield=True):  # half an answer helps nobody
        scope = {**scope, "type": "http", "method": "GET"}
        await response(scope, link.incoming.as_http, send)
        with anyio.move_on_after(_SETTLE_SECONDS):
            await link.incoming.settle_denial()
    link.end(1008, reason, "server")
