"""Running a handler for one connection, from the client's request to the right ending.

A handler that returns closes with 1000. HTTPError answers a handshake, and is after it a close
with the code for its status; what crashes is told to the client without a detail, and raised. See
docs/websocket.md for all the endings.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Final, TypeAlias

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.background import plain_task_group
from asgi_rt.drain import drain_of
from asgi_rt.errors import HTTPError, WebSocketClosed
from asgi_rt.http.response import problem_response
from asgi_rt.websocket.beside import GroupBeside
from asgi_rt.websocket.closing import CRASHED, By, closing_for
from asgi_rt.websocket.connection import WebSocket
from asgi_rt.websocket.denial import deny
from asgi_rt.websocket.ending import the_error
from asgi_rt.websocket.lifecycle import State
from asgi_rt.websocket.link import Link
from asgi_rt.websocket.options import WebSocketOptions

__all__ = ["REFUSED", "WebSocketHandler", "WebSocketRun", "check_handshake", "refuse_with"]

WebSocketHandler: TypeAlias = Callable[[WebSocket], Awaitable[Any]]

REFUSED: Final = WebSocketOptions(origins=None)
"""The options for a connection that is refused whoever asks for it."""
_RETRY_AFTER_SECONDS: Final = "5"


def refuse_with(error: HTTPError) -> WebSocketHandler:
    """A handler that answers every handshake with this error."""

    async def refuse(ws: WebSocket) -> None:
        raise error

    return refuse


class WebSocketRun:
    """One run of a handler, in parts: whoever runs it begins, calls the handler, and finishes.

    In parts, for a connection stands in each call all its life, and each of its messages goes
    through all of them: a call takes 0.4 KiB, and 0.3 us of an echo's 17.
    """

    __slots__ = ("_link", "handler", "ws")

    link_class: ClassVar[type[Link]] = Link
    websocket_class: ClassVar[type[WebSocket]] = WebSocket
    """What the handler gets; a subclass may give it another."""

    def __init__(
        self,
        handler: WebSocketHandler,
        options: WebSocketOptions,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self.handler = handler
        self._link = link = self.link_class(scope, receive, send, options)
        self.ws = self.websocket_class(scope, link)

    @property
    def needs_group(self) -> bool:
        """Whether it must run in `run_in_group`: on trio, whose tasks need one."""
        return self._link.beside is None

    async def begin(self) -> None:
        """Wait for the client's request. Raises HTTPError to refuse it."""
        self._link.begin()
        await self._link.incoming.connect()
        check_handshake(self._link.options, self.ws.scope)

    def end(self) -> None:
        """The handler has returned."""
        self._link.end(1000, "", "server")

    async def is_crash(self, error: BaseException) -> bool:
        """Tell the client of what ended the handler; whether it is to be raised."""
        if isinstance(error, Exception):
            return await _is_crash(error, self._link, self.ws.scope)
        self._link.end(*_ending_of_cancelled(self._link))
        return not await self._link.was_cut_off(error)

    async def finish(self) -> None:
        """End what is left. To be awaited on every way out."""
        await self._link.finish()

    async def run_in_group(self) -> None:
        """Begin, call the handler, finish."""
        async with self.in_group():
            try:
                await self.begin()
                await self.handler(self.ws)
                self.end()
            except BaseException as error:
                if await self.is_crash(error):
                    raise
            finally:
                await self.finish()

    @asynccontextmanager
    async def in_group(self) -> AsyncGenerator[None, None]:
        """What all of the run is to stand in where it `needs_group`."""
        async with plain_task_group() as group:
            self._link.beside = GroupBeside(group)
            self._link.scope = group.cancel_scope
            yield


def check_handshake(options: WebSocketOptions, scope: Scope) -> None:
    """Raise HTTPError for a handshake that no handler is to see."""
    refused = options.origin_rule.refusal(scope.get("headers", []), scope.get("scheme", "ws"))
    if refused is not None:
        raise HTTPError(403, refused)
    drain = drain_of(scope)
    if drain is not None and drain.is_draining:
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
