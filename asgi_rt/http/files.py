"""Files as responses: whole, in ranges, or not at all where the client has them already.

A file is opened once, and its size, its validators and its bytes come from what was opened.
Everything that may wait for a disk runs in worker threads; a file of one chunk takes one hop.
"""

import mimetypes
import os
import re
import secrets
import time
from collections.abc import Iterable
from typing import ClassVar, Final, Literal, NamedTuple
from urllib.parse import quote

import anyio
import anyio.to_thread

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.background import Background, run_background
from asgi_rt.errors import HTTPError
from asgi_rt.http.file_body import FileBody, Opener, OpenFile, open_path
from asgi_rt.http.headers import HeadersLike, MutableHeaders
from asgi_rt.http.ranges import (
    CONDITIONAL_FIELDS,
    ByteRange,
    Selection,
    content_range,
    format_date,
    frame_parts,
    parse_date,
    select,
)
from asgi_rt.http.response import Response, has_body, problem_response
from asgi_rt.http.streaming import StreamingResponse

__all__ = ["FileResponse", "format_disposition"]

_CHUNK_BYTES: Final = 256 * 1024
_CLOSE_SECONDS: Final = 5.0
_PATHSEND: Final = "http.response.pathsend"
_CONDITIONAL: Final = {name.encode("ascii"): name for name in CONDITIONAL_FIELDS}
# What a 304 leaves out: it describes a body, and there is none.
_CONTENT_FIELDS: Final = frozenset(
    {
        b"accept-ranges",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-type",
    }
)
_COMPRESSED_TYPES: Final = {
    "br": "application/x-brotli",
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Also what some clients decode or take for a path, although the grammar allows it quoted.
_NOT_QUOTABLE: Final = re.compile(r"[^ !#$&\'()*+,\-.0-9:;<=>?@A-Z\[\]^_`a-z{|}~]")
_EXTENDED_SAFE: Final = "!#$&+^`|"

if not mimetypes.inited:
    mimetypes.init()  # it reads the system's tables: here, so that no request waits for them


class FileResponse(Response):
    """A regular file, as it is when the response is sent. An ASGI application, to be sent once.

    GET and HEAD are answered with 200, 206 (several ranges as `multipart/byteranges`), 304, 412 or
    416, as RFC 9110 has it; conditions and ranges count only where `status_code` is 200. The entity
    tag is made of the time of modification, in nanoseconds, and the size. It is a strong one, which
    ranges need; only a program that writes as many other bytes within one tick of the file system's
    clock defeats it. `headers` override what would be sent, `etag` included.

    `media_type` is guessed from the name where none is given. With a `filename` the client is told
    to save it under that name, or, with `content_disposition="inline"`, to show it. `send_timeout`
    is how many seconds a client may take nothing; `chunk_bytes` are read at a time. `opener` opens
    the file in another way. Where the server offers `http.response.pathsend` it reads whole files
    itself, by their path.

    Raises OSError before the head where the file cannot be opened or read, or is no regular file;
    EOFError, and truncates the body so that the client can tell, where the file was cut short
    meanwhile. What is appended meanwhile is left out. The file is closed on every way out.
    """

    is_streamed: ClassVar[bool] = True
    always_validates: ClassVar[bool] = False
    """Whether there are validators whatever `status_code` is."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int = 200,
        *,
        filename: str | None = None,
        media_type: str | None = None,
        headers: HeadersLike | None = None,
        content_disposition: Literal["attachment", "inline"] = "attachment",
        background: Background | None = None,
        send_timeout: float | None = 30.0,
        chunk_bytes: int = _CHUNK_BYTES,
        opener: Opener = open_path,
    ) -> None:
        if not has_body(status_code):
            raise ValueError(f"a response with the status {status_code} cannot carry a file")
        if chunk_bytes < 1:
            raise ValueError(f"chunk_bytes must be at least 1, not {chunk_bytes}")
        self.path = os.fspath(path)
        super().__init__(
            b"",
            status_code,
            headers=headers,
            media_type=media_type or _guess_type(filename or self.path),
            background=background,
        )
        if filename is not None:
            disposition = format_disposition(content_disposition, filename)
            self.headers.setdefault("content-disposition", disposition)
        self.send_timeout = send_timeout
        self.chunk_bytes = chunk_bytes
        self.head_sent = False
        self._opener = opener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or what is to be said instead. Cancelled, it closes the file first."""
        answer: Response | None = None
        try:
            answer = await self._prepare(scope)
            await answer(scope, receive, send)
        finally:
            if answer is not None:
                self.head_sent = answer.head_sent
            elif self.background is not None:
                await run_background(self.background, scope, completed=False)

    async def _prepare(self, scope: Scope) -> Response:
        """The response to send, which owns the file if it is still open."""
        file = OpenFile(self.path, self._opener)
        try:
            found = await anyio.to_thread.run_sync(self._find, file, scope)
        except BaseException:
            # An event loop's own cancellation leaves the thread at work; closing waits for it.
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await file.aclose()
            raise
        answer = self._answer(file, found)
        answer.background = self.background
        return answer

    def _find(self, file: OpenFile, scope: Scope) -> "_Found":
        """Open the file and read what fits into one chunk, in one worker thread hop."""
        try:
            status = file.open()
            headers = self._describe(status)
            selection = self._select(scope, headers, status.st_size)
            by_path = self._is_by_path(scope, selection)
            is_read = not by_path and scope["method"] != "HEAD"
            length = sum(part.stop - part.start for part in selection.ranges) if is_read else 0
            first = b""
            if length:
                start, stop = selection.ranges[0]
                first = file.read(start, min(self.chunk_bytes, stop - start))
            if len(first) == length:
                file.close()
        except BaseException:
            file.close()
            raise
        return _Found(status.st_size, headers, selection, first, by_path)

    def _describe(self, status: os.stat_result) -> MutableHeaders:
        headers = MutableHeaders(list(self.headers.raw))
        if self.status_code != 200 and not self.always_validates:
            # A validator would let the client reuse this as a good answer.
            return headers
        headers.setdefault("accept-ranges", "bytes")
        headers.setdefault("etag", f'"{status.st_mtime_ns:x}-{status.st_size:x}"')
        # RFC 9110 section 8.8.2.1: a time that is yet to come must not be sent.
        if 0 <= status.st_mtime <= time.time():
            headers.setdefault("last-modified", format_date(int(status.st_mtime)))
        return headers

    def _select(self, scope: Scope, headers: MutableHeaders, size: int) -> Selection:
        method: str = scope["method"]
        fields = _conditional_fields(scope["headers"])
        if not fields or self.status_code != 200 or method not in ("GET", "HEAD"):
            return Selection(200, (ByteRange(0, size),))
        return select(
            method,
            fields,
            size=size,
            etag=headers.get("etag"),
            last_modified=parse_date(headers.get("last-modified", "")),
        )

    def _is_by_path(self, scope: Scope, selection: Selection) -> bool:
        is_whole = scope["method"] == "GET" and selection.status_code == self.status_code == 200
        return is_whole and _PATHSEND in (scope.get("extensions") or {})

    def _answer(self, file: OpenFile, found: "_Found") -> Response:
        status_code = found.selection.status_code
        headers = found.headers
        if status_code == 304:
            kept = [pair for pair in headers.raw if pair[0] not in _CONTENT_FIELDS]
            return Response(None, 304, headers=MutableHeaders(kept))
        if status_code == 412:
            return problem_response(HTTPError(412, "the file has changed or is another one"))
        if status_code == 416:
            return problem_response(_unsatisfiable(found.size))
        pieces = _frame(headers, found.selection, found.size)
        if found.by_path:
            return _PathResponse(self.path, headers)
        return _FileStream(
            FileBody(file, pieces, chunk_bytes=self.chunk_bytes, first=found.first),
            206 if status_code == 206 else self.status_code,
            headers=headers,
            send_timeout=self.send_timeout,
        )


class _Found(NamedTuple):
    """What a worker thread found out about a file and a request for it."""

    size: int
    headers: MutableHeaders
    selection: Selection
    first: bytes
    """The beginning of the first range to send."""
    by_path: bool
    """Whether the server is told the path, and reads the file itself."""


class _FileStream(StreamingResponse):
    default_headers = ()  # a proxy does well to buffer a file
    is_refused_in_drain = False  # it has an end, and what it belongs to is being served still


class _PathResponse(Response):
    """The head, and the path of the file that the server is to send, by the ASGI extension."""

    def __init__(self, path: str, headers: MutableHeaders) -> None:
        super().__init__(headers=headers)
        # Not abspath: it takes `link/..` for nothing, which is not where the system goes.
        self._path = os.path.join(os.getcwd(), path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        completed = False
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.headers.raw})
            await send({"type": _PATHSEND, "path": self._path})
            completed = True
        except OSError:
            pass  # the client has left
        finally:
            if self.background is not None:
                await run_background(self.background, scope, completed=completed)


def _frame(
    headers: MutableHeaders, selection: Selection, size: int
) -> tuple[bytes | ByteRange, ...]:
    """The pieces of the body; `headers` get its length and, for a part, its range or type."""
    status_code, ranges = selection
    if len(ranges) == 1:
        start, stop = ranges[0]
        headers["content-length"] = str(stop - start)
        if status_code == 206:
            headers["content-range"] = content_range(ranges[0], size)
        return ranges
    body = frame_parts(
        ranges, size, media_type=headers.get("content-type"), boundary=secrets.token_hex(16)
    )
    headers["content-type"] = body.media_type
    headers["content-length"] = str(body.content_length)
    return body.pieces


def _unsatisfiable(size: int) -> HTTPError:
    return HTTPError(
        416,
        f"the file has {size} bytes, and the range holds none of them",
        headers={"content-range": content_range(None, size)},
    )


def _conditional_fields(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = _CONDITIONAL.get(raw_name)
        if name is not None:
            value = raw_value.decode("latin-1")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _guess_type(name: str) -> str:
    # The slash keeps a name that looks like a URL from being taken for one.
    media_type, encoding = mimetypes.guess_type("/" + os.path.basename(name))
    if encoding is not None:  # the file is the archive, not what is in it
        return _COMPRESSED_TYPES.get(encoding, "application/octet-stream")
    return media_type or "application/octet-stream"


def format_disposition(kind: Literal["attachment", "inline"], filename: str) -> str:
    """The value of `Content-Disposition` for that name, whatever it holds. RFC 6266 and 8187.

    Control characters become `_`, in the ASCII form of the name whatever is not plain as well.
    """
    name = _CONTROL.sub("_", filename)
    plain = _NOT_QUOTABLE.sub("_", name)
    if plain == name:
        return f'{kind}; filename="{plain}"'
    extended = quote(name, safe=_EXTENDED_SAFE, errors="replace")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{extended}"
