"""The request body on its way to the app: pulled only when the app asks for it."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextvars import Context

import anyio.to_thread
import httpx2

from asgi_rt.asgi import Message
from asgi_rt.testing.condition import Condition
from asgi_rt.testing.task import PlainTask

__all__ = ["RequestBody", "ThreadedContent"]

Content = httpx2.AsyncByteStream | httpx2.SyncByteStream


class RequestBody:
    """The body of one request as `http.request` messages.

    An iterable body is pulled by a task of its own, begun at the first `ask`: were it pulled in
    the app's `receive`, cancelling that would end the caller's generator and lose a chunk.
    """

    def __init__(
        self,
        request: httpx2.Request,
        changed: Condition,
        *,
        context: Context,
        on_error: Callable[[], None],
    ) -> None:
        self.error: BaseException | None = None
        """What the caller's iterable raised: the upload breaks off there."""
        self.is_delivered = False
        self._changed = changed
        self._context = context
        self._on_error = on_error
        self._name = f"body of {request.method} {request.url.path}"
        self._task: PlainTask | None = None
        self._next: Message | None = None
        self._is_wanted = False
        self._is_pulling = False
        self._is_closed = False
        if isinstance(request.stream, httpx2.ByteStream):
            self._next = _message(b"".join(request.stream), has_more=False)
        else:
            self._content = request.stream

    def take(self) -> Message | None:
        """The next message, or None when there is none yet: then `ask` for one."""
        message, self._next = self._next, None
        if message is not None and not message["more_body"]:
            self.is_delivered = True
        return message

    @property
    def is_ready(self) -> bool:
        return self._next is not None

    @property
    def is_asked(self) -> bool:
        return self._is_wanted

    def ask(self) -> None:
        """Have the next chunk pulled, unless it is on its way."""
        self._is_wanted = True
        self._changed.notify_all()
        if self._task is None:
            self._task = PlainTask(
                self._feed, name=self._name, context=self._context, on_done=self._fed
            )

    async def aclose(self, timeout: float | None) -> None:
        """Close the caller's iterable, after `timeout` seconds by force. May be called again."""
        self._is_closed = True
        self._changed.notify_all()
        if self._task is not None:
            if self._is_pulling:
                self._task.cancel()
            await self._task.end(timeout)

    async def _feed(self) -> None:
        async with contextlib.aclosing(_chunks(self._content)) as chunks:
            while await self._wanted():
                self._is_pulling = True
                chunk = await anext(chunks, None)
                self._is_pulling = self._is_wanted = False
                self._next = _message(chunk or b"", has_more=chunk is not None)
                self._changed.notify_all()
                if chunk is None:
                    return

    async def _wanted(self) -> bool:
        await self._changed.wait_until(lambda: self._is_wanted or self._is_closed)
        return not self._is_closed

    def _fed(self) -> None:
        if self._task is not None and not self._task.is_cancelled:
            self.error = self._task.error
        if self.error is not None:
            self._on_error()


class ThreadedContent(httpx2.AsyncByteStream):
    """A blocking iterable as an async one: each item is pulled in a worker thread.

    Cancelling a pull abandons its thread: the iterable is then left to end by itself.
    """

    def __init__(self, content: httpx2.SyncByteStream) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        iterator = iter(self._content)
        try:
            while True:
                chunk = await anyio.to_thread.run_sync(next, iterator, None, abandon_on_cancel=True)
                if chunk is None:
                    return
                yield chunk
        finally:
            if isinstance(iterator, Generator):
                with contextlib.suppress(ValueError):  # an abandoned thread is still inside
                    iterator.close()


def _message(body: bytes, *, has_more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": has_more}


async def _chunks(content: Content) -> AsyncGenerator[bytes]:
    if not isinstance(content, httpx2.AsyncByteStream):
        content = ThreadedContent(content)
    chunks: AsyncIterator[bytes] = content.__aiter__()
    try:
        async for chunk in chunks:
            if chunk:  # an empty chunk is the end of a chunked body on the wire
                yield chunk
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
