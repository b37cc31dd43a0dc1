"""The body of the response of an app, for a dispatch function that looks at it."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any, Final, Protocol, Self, cast

import anyio

from asgi_rt.asgi import Message, RawHeaders, Receive, Scope, Send
from asgi_rt.http.pull import is_finished
from asgi_rt.middleware.progress import ends_response

__all__ = ["AppBody", "Asked", "WithAppBody", "relay"]

_CLOSE_SECONDS: Final = 5.0
_LENGTH: Final = b"content-length"


class Asked(Protocol):
    """Whoever lets the app go on."""

    def next_message(self) -> Any:
        """What the app sends next; to be awaited."""
        ...


class AppBody(AsyncIterator[Any]):
    """The pieces of a body, as the app sends them; none that is empty.

    A file that the server is to send by itself is the message that says so, and to be sent before
    the next piece is asked for, as the app may close it then. Each piece is asked for
    when it is wanted, so a slow reader holds up the app.
    """

    __slots__ = ("_exchange", "is_over", "is_touched")

    def __init__(self, exchange: Asked) -> None:
        self._exchange = exchange
        self.is_touched = False
        """Whether anybody has begun to read it."""
        self.is_over = False

    def __aiter__(self) -> Self:
        self.is_touched = True
        return self

    async def __anext__(self) -> Any:
        self.is_touched = True
        while not self.is_over:
            message = await self._next_message()
            self.is_over = not message.get("more_body", False)
            if message["type"] != "http.response.body":
                return message
            if message.get("body"):
                return message["body"]
        raise StopAsyncIteration

    async def _next_message(self) -> Message:
        try:
            message: Message = await self._exchange.next_message()
        except BaseException:
            self.is_over = True
            raise
        return message


class WithAppBody:
    """The part of a response that it has of an app: its head, and the body that is to come."""

    message: Message
    """The message of the app's head."""
    status_code: int
    background: Any
    """What is to be called when all is over; None for nothing."""
    _asked: Asked
    _body: AppBody | None = None
    _chunks: AsyncIterable[Any] | None = None
    is_opened: bool = False
    """Whether anybody has looked at the body."""
    is_sent: bool = False
    """Whether it was sent by way of this response."""

    def __init__(self, message: Message, asked: Asked) -> None:
        raise NotImplementedError

    def head(self) -> Message:
        """The message of the head, with status and fields as they were changed."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as far as the app does. Its background is run by the middleware."""
        self.is_sent = True
        head = self.head()
        head["headers"] = self.fields_for_body(head["headers"])
        await send(head)
        await relay(self.body_iterator, send)

    @property
    def body_iterator(self) -> AsyncIterable[Any]:
        """The pieces of the body, as the app sends them. Set it to send others."""
        self.is_opened = True
        if self._chunks is not None:
            return self._chunks
        if self._body is None:
            self._body = AppBody(self._asked)
        return self._body

    @body_iterator.setter
    def body_iterator(self, chunks: AsyncIterable[Any]) -> None:
        self.is_opened = True
        self._chunks = chunks

    @property
    def is_untouched(self) -> bool:
        """Whether the body can go as the app sends it."""
        own, chunks = self._body, self._chunks
        if own is None:
            return chunks is None
        return (chunks is None or chunks is own) and not own.is_touched

    @property
    def is_body_over(self) -> bool:
        """Whether the app's body was read to its end."""
        return self._body is not None and self._body.is_over

    @property
    def announces_trailers(self) -> bool:
        """Whether it was sent with a head that says that trailers follow the body."""
        return self.is_sent and bool(self.message.get("trailers"))

    @property
    def feeds_another(self) -> bool:
        """Whether another response may be made of this one's body."""
        return not self.is_body_over

    def fields_for_body(self, raw: RawHeaders) -> RawHeaders:
        """The header fields without the length of a body that was replaced."""
        if self._chunks is None or self._chunks is self._body:
            return raw
        # Unless it was set for the new one.
        lengths = [pair for pair in self.message.get("headers", ()) if pair[0] == _LENGTH]
        return [pair for pair in raw if pair not in lengths]


async def relay(chunks: AsyncIterable[Any], send: Send) -> None:
    """Send a body piece by piece, and its end. What gives the pieces is closed on every way out.

    A piece is bytes, str, or a message that has the server send a file.
    """
    has_end = False
    try:
        async for chunk in chunks:
            if isinstance(chunk, Mapping):
                message = cast("Message", chunk)
                await send(message)
                has_end = ends_response(message)
            else:
                body = chunk.encode() if isinstance(chunk, str) else chunk
                await send({"type": "http.response.body", "body": body, "more_body": True})
        if not has_end:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        aclose: Any = getattr(chunks, "aclose", None)
        if aclose is not None and not is_finished(chunks):
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await aclose()
