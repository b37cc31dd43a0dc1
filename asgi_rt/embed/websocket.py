"""asgi_rt's WebSocket on one of Starlette's or FastAPI's."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

import starlette.websockets
from starlette.exceptions import HTTPException, WebSocketException
from starlette.websockets import WebSocketDisconnect, WebSocketState

from asgi_rt.asgi import Message, Receive, Send
from asgi_rt.embed.exception_handlers import has_handler
from asgi_rt.errors import HTTPError, WebSocketClosed
from asgi_rt.websocket.closing import closing_for
from asgi_rt.websocket.connection import WebSocket
from asgi_rt.websocket.ending import the_error
from asgi_rt.websocket.options import WebSocketOptions
from asgi_rt.websocket.serve import WebSocketRun

__all__ = ["wrap"]


@asynccontextmanager
async def wrap(
    websocket: starlette.websockets.WebSocket, **options: Any
) -> AsyncGenerator[WebSocket, None]:
    """asgi_rt's WebSocket in the place of Starlette's, for as long as the block lasts.

    ```python
    @app.websocket("/rooms/{room}")
    async def room(websocket: fastapi.WebSocket, room: str):
        topic = "rooms." + topic_token(room)
        async with wrap(websocket) as ws:
            await ws.accept()
            async with attach(ws, hub, topic):
                async for text in ws.iter_text():
                    await hub.publish(topic, text)
    ```

    Inside the block only `ws` is used. The end of the block is the end of the connection, as the
    end of a handler is: 1000 where it is left, 1011 for an error, which is raised on, the code of
    an HTTPError; WebSocketClosed ends the block quietly. Starlette's HTTPException is taken for an
    HTTPError, and its WebSocketException says code and reason. What else the app has an exception
    handler for is left to that, with the connection still open. Where `websocket` was accepted
    before, so is `ws`.

    `options` are those of `WebSocketOptions`. For a page of another origin, unless `origins`
    allows it, and while the server goes down, the handshake is denied as it is by an App, or what
    was accepted before is closed, and Starlette's WebSocketException is raised in place of the
    block.
    """
    limits = WebSocketOptions(**options)
    link = _Link(websocket)
    run = WebSocketRun(_never, limits, websocket.scope, link.receive, link.send)
    async with AsyncExitStack() as stack:
        if run.needs_group:
            await stack.enter_async_context(run.in_group())
        try:
            try:
                await run.begin()
            except HTTPError as error:
                await _refuse(websocket, link, run, error)
            if link.is_accepted:
                await run.ws.accept()
            try:
                yield run.ws
            except BaseException as error:
                if _is_the_apps(error, run.ws):
                    run.ws.link.end(1011, "", "network")  # what is to be sent is the handler's
                    raise
                if not _is_closing(error, run.ws) and await run.is_crash(_known(error)):
                    raise
            else:
                run.end()
        finally:
            await run.finish()


async def _refuse(
    websocket: starlette.websockets.WebSocket, link: "_Link", run: WebSocketRun, error: HTTPError
) -> NoReturn:
    """Deny the handshake, and let Starlette have a reason to call nobody.

    It could deny it itself, and then uvicorn would log an error (see `send_denial`).
    """
    if link.is_accepted:
        run.ws.link.end(1008, "", "network")  # the close is Starlette's to send
    else:
        await run.is_crash(error)
        link.mute()
    raise WebSocketException(*closing_for(error)) from None


def _is_the_apps(error: BaseException, ws: WebSocket) -> bool:
    """Whether it is for an exception handler of the app to say how the connection ends."""
    is_known = isinstance(error, HTTPException | WebSocketException | HTTPError | WebSocketClosed)
    return not is_known and has_handler(error, ws.scope)


def _is_closing(error: BaseException, ws: WebSocket) -> bool:
    """Close with the code and the reason of Starlette's exception, if it is that one."""
    error = the_error(error) if isinstance(error, Exception) else error
    if not isinstance(error, WebSocketException):
        return False
    ws.link.fail(error.code, error.reason)
    return True


def _known(error: BaseException) -> BaseException:
    """The error, or what stands for it here."""
    found = the_error(error) if isinstance(error, Exception) else error
    if isinstance(found, HTTPException):
        return HTTPError(found.status_code, str(found.detail), headers=found.headers)
    return error


class _Link:
    """The two ends of Starlette's connection, as a server has them.

    By way of its own methods, so that its state stays right. They only pass on what they are given.
    """

    def __init__(self, websocket: starlette.websockets.WebSocket) -> None:
        self._websocket = websocket
        self._was_over = websocket.client_state is WebSocketState.DISCONNECTED
        self._is_connected = websocket.client_state is not WebSocketState.CONNECTING
        self.is_accepted = websocket.application_state is WebSocketState.CONNECTED

    def mute(self) -> None:
        """Have Starlette's exception handler close what is closed."""
        self._websocket.application_state = WebSocketState.CONNECTING
        self._websocket._send = _nowhere  # pyright: ignore[reportPrivateUsage] - it has no other way

    @property
    def passes_on(self) -> Receive | None:
        """For `waits_for_futures`."""
        return getattr(self._websocket, "_receive", None)

    @property
    def sends_on(self) -> Send | None:
        """For `sends_from_anywhere`."""
        return getattr(self._websocket, "_send", None)

    async def receive(self) -> Message:
        if self._is_connected:
            self._is_connected = False
            return {"type": "websocket.connect"}
        if self._was_over:
            return {"type": "websocket.disconnect", "code": 1006}
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            # Starlette's own raises here, and some servers tell twice that a denial is over.
            return await self._websocket._receive()  # pyright: ignore[reportPrivateUsage] - see above
        return await self._websocket.receive()

    async def send(self, message: Message) -> None:
        if self.is_accepted and message["type"] == "websocket.accept":
            return
        try:
            await self._websocket.send(message)
        except WebSocketDisconnect as error:
            raise OSError("the client has left") from error


async def _nowhere(message: Message) -> None:
    pass


async def _never(ws: WebSocket) -> NoReturn:
    raise AssertionError("the block is the handler")
