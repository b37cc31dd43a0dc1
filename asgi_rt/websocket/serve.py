"""Running a handler for one connection, from the client's request to the right ending."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import anyio

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.errors import HTTPError, WebSocketClosed
from asgi_rt.http.response import problem_response
from asgi_rt.websocket.beside import GroupBeside
from asgi_rt.websocket.closing import CRASHED, closing_for
from asgi_rt.websocket.connection import WebSocket
from asgi_rt.websocket.denial import deny
from asgi_rt.websocket.ending import By, the_error
from asgi_rt.websocket.lifecycle import State
from asgi_rt.websocket.link import Link
from asgi_rt.websocket.options import WebSocketOptions

__all__ = ["REFUSED", "WebSocketHandler", "refuse_with", "serve_websocket"]

WebSocketHandler: TypeAlias = Callable[[WebSocket], Awaitable[Any]]

REFUSED: Final = WebSocketOptions(origins=None)
"""The options for a connection that is refused whoever asks for it."""
_RETRY_AFTER_SECONDS: Final = "5"


def refuse_with(error: HTTPError) -> WebSocketHandler:
    """A handler that answers every handshake with this error."""

    async def refuse(ws: WebSocket) -> None:
        raise error

    return refuse


async def serve_websocket(
    handler: WebSocketHandler,
    options: WebSocketOptions,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve one connection. What crashes is told to the client, without a detail, and raised.

    A handler that returns closes with 1000. HTTPError is the answer to a handshake, and after it a
    close with the code for its status. See docs/websocket.md for all the endings.
    """
    link = Link(scope, receive, send, options)
    ws = WebSocket(scope, link)
    if link.beside is None:
        await _serve_in_group(handler, ws, link)
        return
    # All in one coroutine, for a connection may wait all its life, and stands here: 0.4 KiB each.
    try:
        link.begin()
        if await link.incoming.connect():
            check_handshake(link, scope)
            await handler(ws)
            link.end(1000, "", "server")
    except Exception as error:
        if await _is_crash(error, link, scope):
            raise
    except BaseException as error:
        link.end(*_ending_of_cancelled(link))
        if not await link.was_cut_off(error):
            raise
    finally:
        await link.finish()


async def _serve_in_group(handler: WebSocketHandler, ws: WebSocket, link: Link) -> None:
    """The same on trio, whose tasks need a group."""
    crash: Exception | None = None
    async with anyio.create_task_group() as group:
        link.beside = GroupBeside(group)
        link.begin(group.cancel_scope)
        try:
            if await link.incoming.connect():
                check_handshake(link, ws.scope)
                await handler(ws)
                link.end(1000, "", "server")
        except Exception as error:
            if await _is_crash(error, link, ws.scope):
                crash = error
        except BaseException:
            link.end(*_ending_of_cancelled(link))
            raise
        finally:
            await link.finish()
            group.cancel_scope.cancel()
    if crash is not None:
        try:
            raise crash
        finally:
            del crash  # its traceback knows this frame


def check_handshake(link: Link, scope: Scope) -> None:
    """Raise HTTPError for a handshake that no handler is to see."""
    refused = link.options.origin_rule.refusal(scope.get("headers", []), scope.get("scheme", "ws"))
    if refused is not None:
        raise HTTPError(403, refused)
    if link.is_draining:
        headers = {"retry-after": _RETRY_AFTER_SECONDS}
        raise HTTPError(503, "the server is going down", headers=headers)


async def _is_crash(error: Exception, link: Link, scope: Scope) -> bool:
    """Tell the client of an error; whether nobody expected it."""
    error = the_error(error)
    is_expected = link.is_expected(error)
    if link.is_over:
        return not is_expected
    if link.lifecycle.app is State.CONNECTING:
        with suppress(WebSocketClosed):
            await deny(link, scope, problem_response(_refusal(error, is_expected)))
    else:
        link.end(*(closing_for(error) if is_expected else CRASHED), "server")
    return not is_expected


def _refusal(error: Exception, is_expected: bool) -> HTTPError:
    if isinstance(error, HTTPError):
        return error
    return HTTPError(403 if is_expected else 500)


def _ending_of_cancelled(link: Link) -> tuple[int, str, By]:
    if link.is_draining:
        return 1012, "the server is going down", "server"
    return 1011, "the connection was cut off", "server"
