"""One response to a client that asked for an event stream: is it one, what does it bring."""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import anyio
import httpx2

from asgi_rt.errors import AsgiRtError

__all__ = ["EventResponse", "EventSourceError", "is_event_stream", "refusal", "split_blocks"]

# A line end that follows a line end, or stands where it might follow one of the chunk before.
_BLANK_LINE: Final = re.compile(rb"(?:\A|(?<=\n)|(?<=\r)(?!\n))(?:\r\n|\n|\r)")
# Seconds that closing a connection may take while a cancellation waits.
_CLOSE_TIMEOUT: Final = 5.0
# Seconds and bytes that are spent on what a server says instead of a stream.
_BODY_TIMEOUT: Final = 5.0
_BODY_BYTES: Final = 1000
# Chunks that may still lie about in a connection when it is closed.
_MAX_LEFT: Final = 1000


class EventSourceError(AsgiRtError):
    """The server does not deliver the event stream, or not any more.

    `status` and `body`, its first 1000 bytes as text, are what it answered instead. They are None
    and "" when there was no answer; the `__cause__` is then httpx2's own exception, if any.
    """

    def __init__(self, reason: str, *, url: str, status: int | None = None, body: str = "") -> None:
        self.reason = reason
        self.url = url
        self.status = status
        self.body = body
        super().__init__(f"{url}: {reason}" + (f": {body!r}" if body else ""))


def is_event_stream(response: httpx2.Response) -> bool:
    """Whether these are the status and the content type that an event stream must have."""
    content_type: str = response.headers.get("content-type", "")
    essence = content_type.partition(";")[0].strip().lower()
    return response.status_code == 200 and essence == "text/event-stream"


def split_blocks(data: bytes) -> list[bytes]:
    """`data` in pieces of which each holds one blank line at most, and that at its end.

    A decoder that is fed with one of them gives one event at most, and its `last_event_id` is then
    exactly the one that belongs to this event.
    """
    ends = [match.end() for match in _BLANK_LINE.finditer(data)]
    if not ends or ends[-1] < len(data):
        ends.append(len(data))
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class EventResponse:
    """The body of one response, as the bytes come. For one task at a time.

    A `read` that raises or is cancelled closes the connection: httpx2 cannot go on after that.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.is_closed = False
        self._raw, self._chunks = _raw_and_decompressed(response)

    async def read(self) -> bytes:
        """What comes next, decompressed; b"" at the end. Raises httpx2's exceptions."""
        try:
            return await anext(self._chunks, b"")
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connection, unless the whole body was read. Again does nothing.

        The caller's cancellation is held off for five seconds at most.
        """
        self.is_closed = True
        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            try:
                await self._unwind()
            finally:
                with contextlib.suppress(httpx2.RequestError):
                    await self.response.aclose()

    async def _unwind(self) -> None:
        # httpx2 iterates generators in generators and does not close each of them when the
        # outermost is closed; what is left open is a warning on trio. An error from the innermost,
        # which waits for the network, ends them all.
        with anyio.CancelScope() as scope:
            scope.cancel()
            with contextlib.suppress(httpx2.RequestError):
                for _ in range(_MAX_LEFT):
                    if await anext(self._raw, None) is None:
                        break
        for chunks in (self._chunks, self._raw):
            with contextlib.suppress(httpx2.RequestError):
                await chunks.aclose()


def _raw_and_decompressed(
    response: httpx2.Response,
) -> tuple[AsyncGenerator[bytes], AsyncGenerator[bytes]]:
    if response.is_stream_consumed:  # by an event hook of the client, for one
        content = response.aiter_bytes()
        return content, content
    raw = response.aiter_raw()
    if "content-encoding" not in response.headers:
        return raw, raw
    # A response of its own decompresses: an error there would leave the raw chunks half closed.
    decoding = httpx2.Response(
        200, headers=response.headers, stream=_RawStream(raw), request=response.request
    )
    return raw, decoding.aiter_bytes()


class _RawStream(httpx2.AsyncByteStream):
    """Raw chunks for a reader that may close what it reads only if that is no generator."""

    def __init__(self, chunks: AsyncGenerator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)


async def refusal(response: EventResponse) -> EventSourceError:
    """What to raise for a response that is no event stream. Reads a little of it and closes it."""
    body = bytearray()
    try:
        with anyio.move_on_after(_BODY_TIMEOUT), contextlib.suppress(httpx2.RequestError):
            while len(body) < _BODY_BYTES and (data := await response.read()):
                body += data
    finally:
        await response.aclose()
    answer = response.response
    reason = f"the server answered {answer.status_code} {answer.reason_phrase}".rstrip()
    if answer.status_code == 200:
        kind = answer.headers.get("content-type")
        reason += f" with the content type {kind}" if kind else " without a content type"
        reason += " where text/event-stream was asked for"
    return EventSourceError(
        reason,
        url=str(answer.url),
        status=answer.status_code,
        body=bytes(body[:_BODY_BYTES]).decode(errors="replace"),
    )
