"""asgi_rt's responses as Starlette's: what a Starlette or FastAPI handler may return."""

import os
from collections.abc import Mapping
from typing import Any, Final, Literal

from starlette.datastructures import MutableHeaders
from starlette.responses import Response

import asgi_rt.http.files
import asgi_rt.http.response
import asgi_rt.http.streaming
import asgi_rt.sse.stream
from asgi_rt import feeds
from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.background import STATE_KEY as BACKGROUND_KEY
from asgi_rt.background import BackgroundTask, BackgroundTasks
from asgi_rt.embed.exception_handlers import has_handler
from asgi_rt.errors import ClientDisconnected, HTTPError
from asgi_rt.http.response import problem_response
from asgi_rt.http.streaming import Source
from asgi_rt.hub.hub import Hub
from asgi_rt.websocket.denial import send_denial

__all__ = [
    "EmbeddedResponse",
    "EventSourceResponse",
    "FileResponse",
    "StreamingResponse",
    "sse_feed",
]


_OWN_BACKGROUND: Final = (BackgroundTask, BackgroundTasks)


class EmbeddedResponse(Response):
    """Any response of asgi_rt's, as one of Starlette's. To be sent once.

    Status, headers and background are those of `response`, and may be changed until it is sent.
    What its source raises before the head is raised, for the app's exception handlers; an HTTPError
    that none of them takes is answered as it is by an App, such as the 503 while the server goes
    down. Where the lifespan was joined with `join_lifespans` it is told of that.

    Background tasks of Starlette's and FastAPI's run before sending returns, and so before FastAPI
    leaves the dependencies of the request. Those of asgi_rt's are the app's, where it was joined.
    """

    body = b""

    def __init__(self, response: asgi_rt.http.response.Response) -> None:
        self.response = response

    # As properties, for both sides see what the other has changed.

    @property
    def status_code(self) -> int:
        return self.response.status_code

    @status_code.setter
    def status_code(self, value: int) -> None:
        self.response.status_code = value

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        return self.response.headers.raw

    @raw_headers.setter
    def raw_headers(self, value: list[tuple[bytes, bytes]]) -> None:
        self.response.headers.raw[:] = value

    @property
    def headers(self) -> MutableHeaders:
        return MutableHeaders(raw=self.response.headers.raw)

    @property
    def background(self) -> Any:
        return self.response.background

    @background.setter
    def background(self, value: Any) -> None:
        self.response.background = value

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, in answer to a request or to refuse a WebSocket.

        Raises what the response of asgi_rt's raises, but for a client that has left.
        """
        if self.background is not None and not isinstance(self.background, _OWN_BACKGROUND):
            state = scope.get("state", {})
            scope = {**scope, "state": {key: state[key] for key in state if key != BACKGROUND_KEY}}
        if scope["type"] == "websocket":
            await send_denial(self.response, scope, receive, send)
            return
        try:
            await self.response(scope, receive, send)
        except ClientDisconnected:
            pass
        except HTTPError as error:
            if self.response.head_sent or has_handler(error, scope):
                raise
            await problem_response(error)(scope, receive, send)


class StreamingResponse(EmbeddedResponse):
    """`asgi_rt.StreamingResponse` with the arguments of Starlette's; `options` are its own.

    Among them `send_timeout`, `head_wait` and `max_lifetime`. The head waits a moment for the first
    chunk, so that an error until then can become an error response; `head_wait=0` sends it at once.
    """

    def __init__(
        self,
        content: Source,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            asgi_rt.http.streaming.StreamingResponse(
                content,
                status_code,
                headers=headers,
                media_type=media_type,
                background=background,
                **options,
            )
        )


class EventSourceResponse(EmbeddedResponse):
    """`asgi_rt.EventStream` with the arguments of Starlette's responses; `options` are its own.

    `content` gives `asgi_rt.Event`s, or what becomes the data of one. It pings when idle, sees its
    client leave, lets go of a frozen one, and tells its clients when the server goes down.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        content: Source,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Any = None,
        **options: Any,
    ) -> None:
        if media_type not in (None, self.media_type):
            raise ValueError(f"server-sent events are {self.media_type}, not {media_type}")
        super().__init__(
            asgi_rt.sse.stream.EventStream(
                content, status_code, headers=headers, background=background, **options
            )
        )


class FileResponse(EmbeddedResponse):
    """`asgi_rt.FileResponse` with the arguments of Starlette's; `options` are its own.

    Ranges, conditions and entity tags are RFC 9110's. Raises OSError where the file cannot be
    opened, when it is sent, before the head.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Any = None,
        filename: str | None = None,
        content_disposition_type: Literal["attachment", "inline"] = "attachment",
        **options: Any,
    ) -> None:
        super().__init__(
            asgi_rt.http.files.FileResponse(
                path,
                status_code,
                headers=headers,
                media_type=media_type,
                background=background,
                filename=filename,
                content_disposition=content_disposition_type,
                **options,
            )
        )


def sse_feed(hub: Hub, *topics: str, **options: Any) -> EmbeddedResponse:
    """`asgi_rt.sse_feed` as a Starlette response: a hub's topics as server-sent events."""
    return EmbeddedResponse(feeds.sse_feed(hub, *topics, **options))
