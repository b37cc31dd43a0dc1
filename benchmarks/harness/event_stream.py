"""Reads an endless response and checks the events in it, fast enough to keep ahead of any server.

Values in, values out; the sockets are in `sse_load`. `BodyReader` takes the chunks off the wire as
they come. `EventCounter` counts whole events without parsing them; it parses those that carry a
time stamp, and each of them must have been preceded by exactly as many events as its number says.
So nothing that is lost or doubled passes, nor events that change places with a stamped one.
`stream_fault` parses every event of a short stream.
"""

import json
from typing import Any

from benchmarks.harness.http1 import ProtocolError, parse_head
from benchmarks.harness.questions import Answer
from benchmarks.harness.quotes import PRICE, STAMP_EVERY

DATA = b"data:"
STAMP = b'"at":'


class WrongStream(Exception):
    """The stream is not the one that was asked for; the text says where it departs from it."""


class BodyReader:
    """The body of one chunked `text/event-stream` response, piece by piece, as it comes in."""

    __slots__ = ("_chunk_left", "_in_body", "_pending", "ended")

    def __init__(self) -> None:
        self.ended = False
        self._in_body = False
        self._chunk_left = 0
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """What `data` adds to the body. Raises ProtocolError for any other kind of response."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        if self._in_body:
            return self._dechunk(data, 0)
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            self._pending = data
            return b""
        expect_events(data[:head_end])
        self._in_body = True
        return self._dechunk(data, head_end + 2)

    def _dechunk(self, data: bytes, at: int) -> bytes:
        if at == 0 and 0 < len(data) <= self._chunk_left:
            self._chunk_left -= len(data)
            return data
        parts = [data[at : at + self._chunk_left]] if self._chunk_left else []
        at += self._chunk_left
        self._chunk_left = 0
        # From here on `at` is the line end that stands before each chunk's size.
        while True:
            line_end = data.find(b"\r\n", at + 2)
            if line_end < 0:
                self._pending = data[at:]
                break
            size = _chunk_size(data, at, line_end)
            if size == 0:
                self.ended = True
                break
            start = line_end + 2
            at = start + size
            parts.append(data[start:at])
            if at > len(data):
                self._chunk_left = at - len(data)
                break
        return b"".join(parts)


class EventCounter:
    """Counts and checks the events of one stream of `count` quotes."""

    __slots__ = ("_count", "_gap", "_last", "_pending", "_stamped", "events", "latencies")

    def __init__(self, count: int) -> None:
        self.events = 0
        self.latencies: list[int] = []
        """Nanoseconds from the making of a stamped event to its arrival."""
        self._count = count
        self._stamped = 0
        self._gap = b""
        self._pending = b""
        self._last = b""

    def feed(self, text: bytes, now: int) -> None:
        """Take a piece of the body that arrived at `now`, in nanoseconds. Raises WrongStream."""
        text = self._pending + text
        gap = self._gap = self._gap or _find_gap(text)
        last = text.rfind(gap) if gap else -1
        if last < 0:
            self._pending = text
            return
        end = last + len(gap)
        blocks, self._pending = text[:end], text[end:]
        events = _count_data_lines(blocks)
        if events != blocks.count(gap):
            blocks = _without_comments(blocks, gap)
            events = _count_data_lines(blocks)
        self._check_stamped(blocks, now)
        self.events += events
        self._last = blocks or self._last

    def finish(self) -> None:
        """Check that the whole stream has come, and nothing else. Raises WrongStream."""
        if self.events != self._count:
            raise WrongStream(f"{self.events} events instead of {self._count}")
        if self._pending:
            raise WrongStream(f"the stream ends within an event: {self._pending[:80]!r}")
        if self._stamped != -(-self._count // STAMP_EVERY):
            raise WrongStream(f"{self._stamped} of {self._count} events carry a time stamp")
        _expect(_data(self._last[self._last.rfind(DATA) :]), self._count - 1)

    def _check_stamped(self, blocks: bytes, now: int) -> None:
        number, counted = self.events, 0
        at = blocks.find(STAMP)
        while at >= 0:
            start = blocks.rfind(DATA, 0, at)
            end = blocks.find(b"\n", at)
            number += blocks.count(DATA, counted, start)
            counted = start
            event = _expect(_data(blocks[start:end]), number)
            self.latencies.append(now - event["at"])
            self._stamped += 1
            at = blocks.find(STAMP, end)


def expect_events(head: bytes) -> None:
    """Raises ProtocolError unless the head is that of a chunked event stream."""
    status, headers = parse_head(head)
    content_type = headers.get(b"content-type", b"")
    if status != 200 or not content_type.startswith(b"text/event-stream"):
        raise ProtocolError(f"status {status} and content-type {content_type!r}, not a stream")
    if headers.get(b"transfer-encoding", b"").lower() != b"chunked":
        raise ProtocolError(f"the stream is not chunked: {head[:200]!r}")


def stream_fault(count: int, answer: Answer) -> str | None:
    """What is wrong with a stream of `count` quotes, in one line, or None where all is right."""
    if answer.status != 200:
        return f"status {answer.status} instead of 200"
    if not answer.content_type.startswith("text/event-stream"):
        return f"content-type {answer.content_type!r} instead of text/event-stream"
    text = answer.body.replace(b"\r\n", b"\n")
    if text and not text.endswith(b"\n\n"):
        return f"the stream ends within an event: {text[-80:]!r}"
    try:
        blocks = _without_comments(text, b"\n\n").split(b"\n\n")[:-1]
        for number, block in enumerate(blocks):
            _expect(_data(block), number)
    except WrongStream as error:
        return str(error)
    return None if len(blocks) == count else f"{len(blocks)} events instead of {count}"


def lines_fault(count: int, answer: Answer) -> str | None:
    """The same of `count` quotes as JSON Lines."""
    if answer.status != 200:
        return f"status {answer.status} instead of 200"
    if not answer.content_type.startswith("application/jsonl"):
        return f"content-type {answer.content_type!r} instead of application/jsonl"
    lines = answer.body.split(b"\n")
    if lines.pop():
        return f"the stream ends within a line: {answer.body[-80:]!r}"
    try:
        for number, line in enumerate(lines):
            _expect(_data(line), number)
    except WrongStream as error:
        return str(error)
    return None if len(lines) == count else f"{len(lines)} lines instead of {count}"


def _chunk_size(data: bytes, at: int, line_end: int) -> int:
    try:
        # The line end before the size is white space to int().
        return int(data[at:line_end], 16)
    except ValueError:
        raise ProtocolError(f"not a chunk size: {data[at : at + 40]!r}") from None


def _find_gap(text: bytes) -> bytes:
    """What ends the blocks of this stream, or nothing while none has ended."""
    return next((gap for gap in (b"\n\n", b"\r\n\r\n") if gap in text), b"")


def _count_data_lines(blocks: bytes) -> int:
    return blocks.count(b"\n" + DATA) + blocks.startswith(DATA)


def _without_comments(blocks: bytes, gap: bytes) -> bytes:
    """The blocks that are events: pings and reconnection times are none."""
    kept: list[bytes] = []
    for block in blocks.split(gap)[:-1]:
        lines = sum(line.startswith(DATA) for line in block.splitlines())
        if lines > 1:
            raise WrongStream(f"an event of {lines} data lines: {block[:80]!r}")
        if lines:
            kept.append(block + gap)
    return b"".join(kept)


def _data(block: bytes) -> Any:
    """The JSON value in the data line of one event."""
    line = next((line for line in block.splitlines() if line.startswith(DATA)), block)
    try:
        return json.loads(line.removeprefix(DATA))
    except ValueError:
        raise WrongStream(f"the data is not JSON: {block[:80]!r}") from None


def _expect(event: Any, number: int) -> Any:
    stamp = event.get("at") if isinstance(event, dict) else None
    expected: dict[str, Any] = {"n": number, "price": PRICE}
    if number % STAMP_EVERY == 0:
        expected["at"] = stamp
    if event != expected or not (stamp is None or isinstance(stamp, int)):
        raise WrongStream(f"event {number} is {str(event)[:80]}")
    return event
