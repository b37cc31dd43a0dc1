"""Reads the responses of a keep-alive HTTP/1.1 connection: no more than a load needs, but rightly.

Values in, values out; the sockets are in `load`. One request is outstanding at a time. A body is
framed by Content-Length or chunked (RFC 9112, section 6.3); a response that only the end of the
connection ends is refused.
"""

from functools import lru_cache

BODILESS = frozenset({204, 304})


class ProtocolError(Exception):
    """The server sent what is not one HTTP/1.1 response to one request."""


class ResponseReader:
    """Takes what a connection receives, in any pieces, and gives back whole responses."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> tuple[int, bytes] | None:
        """The status and body once the response is whole, else None. Raises ProtocolError."""
        if self._pending:
            data = self._pending + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            self._pending = data
            return None
        status, length = _framing(data[:head_end])
        start = head_end + 4
        if length is None:
            chunked = _dechunk(data, start)
            if chunked is None:
                self._pending = data
                return None
            body, end = chunked
        else:
            end = start + length
            if len(data) < end:
                self._pending = data
                return None
            body = data[start:end]
        if len(data) > end:
            raise ProtocolError(f"bytes after the response: {data[end : end + 40]!r}")
        self._pending = b""
        return status, body


def parse_head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    """The status and the headers, names in lower case. Raises ProtocolError."""
    status_line, *lines = head.split(b"\r\n")
    version, _, rest = status_line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ProtocolError(f"not a status line: {status_line[:80]!r}")
    return int(rest[:3]), dict(_field(line) for line in lines)


# A server's heads differ only in the date, so nearly every one has been seen before.
@lru_cache(maxsize=64)
def _framing(head: bytes) -> tuple[int, int | None]:
    """The status, and the length of the body, or None where it is chunked."""
    status, headers = parse_head(head)
    if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
        return status, None
    if status in BODILESS:
        return status, 0
    length = headers.get(b"content-length", b"")
    if not length.isdigit():
        raise ProtocolError(f"neither content-length nor chunked: {head[:200]!r}")
    return status, int(length)


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon:
        raise ProtocolError(f"not a header: {line[:80]!r}")
    return name.lower(), value.strip()


def _dechunk(data: bytes, start: int) -> tuple[bytes, int] | None:
    """The joined chunks from `start` and where they end, or None while some are missing."""
    parts: list[bytes] = []
    while True:
        line_end = data.find(b"\r\n", start)
        if line_end < 0:
            return None
        digits = data[start:line_end].partition(b";")[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            raise ProtocolError(f"not a chunk size: {digits[:40]!r}") from None
        start = line_end + 2
        if size == 0:
            return _after_trailers(data, start, b"".join(parts))
        if len(data) < start + size + 2:
            return None
        parts.append(data[start : start + size])
        start += size + 2


def _after_trailers(data: bytes, start: int, body: bytes) -> tuple[bytes, int] | None:
    if data.startswith(b"\r\n", start):
        return body, start + 2
    end = data.find(b"\r\n\r\n", start)
    return None if end < 0 else (body, end + 4)
