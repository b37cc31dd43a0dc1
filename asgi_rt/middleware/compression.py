"""Compressed responses: streams as they come, whole bodies at once."""

from collections.abc import Iterable, Mapping
from typing import Final

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.middleware.compressible import (
    CONTENT_TYPES,
    ContentTypes,
    Treatment,
    declared_length,
    fields_of,
    mark_encoded,
    mark_not_modified,
    mark_only_head,
    mark_varying,
    treatment,
)
from asgi_rt.middleware.encoders import MakeEncoder, load_encoders
from asgi_rt.middleware.encoding import EncodedStream, encode
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.negotiation import Choice, choose_coding

__all__ = ["CompressionMiddleware"]

# What leaves less open for as long as a stream may be comes first, and it finds most in short
# chunks: of a hundred lines of JSON gzip leaves a third, zstd and br two fifths.
_STREAM_PREFERENCE: Final[tuple[str, ...]] = ("gzip", "zstd", "br")
_FILES: Final = frozenset({"http.response.pathsend", "http.response.zerocopysend"})
_NOT_MODIFIED: Final = 304
# The length that these have is not that of a body which could be compressed.
_OTHER_LENGTHS: Final = frozenset({206, _NOT_MODIFIED})


class CompressionMiddleware:
    """Compresses the bodies of responses for clients that accept it, by gzip, br and zstd.

    A response with a `Content-Length` has to have at least `minimum_size` bytes. Its head waits for
    the first message of its body: a body that comes in one is compressed as a whole, and sent as it
    is where it would not get smaller. Every other is a stream: its head leaves at once, and each
    chunk is compressed and flushed so that it can be decoded when it arrives. What is larger than
    128 KiB is compressed in worker threads.

    - `encodings`: the codings offered, of "zstd", "br" and "gzip". Of those that the client prefers
      alike, the first is taken. By default what is installed, in this order; br needs the extra
      `brotli`, zstd the extra `zstd`.
    - `stream_encodings`: the same for streams, whose encoders stay for as long as they are open. By
      default those of `encodings`, in the order gzip, zstd, br; none leaves streams as they are.
    - `levels`: how hard they try: zstd from 1 to 19 (3), br from 0 to 11 (4; for streams always
      3), gzip from 1 to 9 (6).
    - `content_types`: what is compressed, such as "application/json", "text/*" or "*+json".
    - `exclude_content_types`: what is not, though the others have it: "text/event-stream", for
      instance, where very many streams are open at once.

    Left alone are responses that have a `Content-Encoding`, a digest, or `Cache-Control:
    no-transform`; parts of files, those to HEAD, 204, 304 and 1xx, files that the server reads, and
    WebSockets. An entity tag becomes weak where the body is compressed, and `Vary` names
    `Accept-Encoding` wherever the answer depends on that. Bodies of requests are never
    decompressed.

    Raises ValueError for an option that cannot be, and MissingExtra for an encoding that was asked
    for and is not installed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        encodings: Iterable[str] | None = None,
        stream_encodings: Iterable[str] | None = None,
        levels: Mapping[str, int] | None = None,
        minimum_size: int = 500,
        content_types: Iterable[str] = CONTENT_TYPES,
        exclude_content_types: Iterable[str] = (),
    ) -> None:
        if minimum_size < 0:
            raise ValueError(f"minimum_size is a number of bytes, 0 or more, not {minimum_size}")
        self.app = app
        whole = load_encoders(encodings, levels)
        if stream_encodings is None:
            stream_encodings = [name for name in _STREAM_PREFERENCE if name in whole]
        streamed = load_encoders(stream_encodings, levels)
        self.least_size = max(1, minimum_size)
        self.encoders: Mapping[str, MakeEncoder] = {**whole, **streamed}
        self.encodings = tuple(whole)
        self.stream_encodings = tuple(streamed)
        self.content_types = ContentTypes(content_types, excluded=exclude_content_types)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP exchange; WebSockets and the lifespan go straight to the app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sender = _Sender(self, scope, send)
        try:
            await self.app(scope, receive, sender.send)
        finally:
            sender.release()


class _Sender:
    """The `send` of one exchange."""

    __slots__ = ("_held", "_options", "_scope", "_send", "_stream")

    def __init__(self, options: CompressionMiddleware, scope: Scope, send: Send) -> None:
        self._options = options
        self._scope = scope
        self._send = send
        self._held: tuple[Head, Choice] | None = None
        """A head that waits for its body, or for the first of it, and what was chosen for it."""
        self._stream: EncodedStream | None = None

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            head = Head(message)
            self._begin(head)
            if self._held is not None:
                return
            message = head.message
        elif kind == "http.response.body":
            if self._held is not None:
                message = await self._send_held(self._held, message)
            if self._stream is not None:
                chunk = message.get("body", b"")
                is_last = not message.get("more_body", False)
                if chunk or is_last:
                    encoded = await self._stream.encode(chunk, is_last=is_last)
                    message = {**message, "body": encoded}
        elif kind in _FILES:
            await self._pass_file(kind)
        await self._send(message)

    def release(self) -> None:
        """Let go of what is held; nothing can be sent any more."""
        self._held = None
        if self._stream is not None:
            self._stream.close()

    # The head

    def _begin(self, head: Head) -> None:
        """Make a head what its body will be, or hold it until that is known."""
        options, status = self._options, head.status
        fields = fields_of(head.headers.raw)
        length = declared_length(fields)
        offered = options.stream_encodings if length is None else options.encodings
        choice = self._choose(offered)
        if length is not None and status not in _OTHER_LENGTHS:
            least = 1 if choice.refuses_identity else options.least_size
            if length < least:
                return
        what = treatment(
            status,
            fields,
            method=self._scope["method"],
            has_range=b"accept-ranges" in fields and self._requested(b"range") is not None,
            included=options.content_types,
        )
        if what is Treatment.LEAVE or not offered:
            return
        mark_varying(head.headers, fields)
        if what is Treatment.VARY:
            self._describe(head, choice)
        elif choice.coding is not None:
            if length is None:
                self._begin_stream(head, choice.coding)
            else:
                self._held = head, choice

    def _describe(self, head: Head, choice: Choice) -> None:
        """Have a head without its body say nothing that is not true of a compressed one."""
        if head.status == _NOT_MODIFIED:
            mark_not_modified(head.headers, self._requested(b"if-none-match") or "")
        elif self._scope["method"] == "HEAD" and choice.coding is not None:
            mark_only_head(head.headers)

    def _choose(self, offered: tuple[str, ...]) -> Choice:
        return choose_coding(self._requested(b"accept-encoding"), offered)

    def _requested(self, name: bytes) -> str | None:
        """A header field of the request, repeated ones joined."""
        values = [value for other, value in self._scope["headers"] if other == name]
        return b",".join(values).decode("latin-1") if values else None

    def _begin_stream(self, head: Head, coding: str) -> None:
        mark_encoded(head.headers, coding, None)
        self._stream = EncodedStream(self._options.encoders[coding])

    # The body

    async def _send_held(self, held: tuple[Head, Choice], message: Message) -> Message:
        """Send the head that waits for this message of its body; the message as it goes on."""
        self._held = None
        head, choice = held
        if not message.get("more_body", False):
            message = await self._encoded_whole(head, choice, message)
        elif (coding := self._choose(self._options.stream_encodings).coding) is not None:
            self._begin_stream(head, coding)
        await self._send(head.message)
        return message

    async def _encoded_whole(self, head: Head, choice: Choice, message: Message) -> Message:
        body = message.get("body", b"")
        assert choice.coding is not None
        encoder = self._options.encoders[choice.coding](len(body))
        encoded = await encode(encoder, body, encoder.finish)
        if len(encoded) >= len(body) and not choice.refuses_identity:
            return message
        mark_encoded(head.headers, choice.coding, len(encoded))
        return {**message, "body": encoded}

    async def _pass_file(self, kind: str) -> None:
        """Send the head that waits as it is, for a file that the server reads itself."""
        if self._stream is not None:
            raise RuntimeError(
                f"{kind} was sent in a body that is compressed, as its head has no content-length;"
                " give it one, or content-encoding: identity"
            )
        if self._held is not None:
            (head, _), self._held = self._held, None
            await self._send(head.message)
