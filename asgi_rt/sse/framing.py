"""Server-sent events as bytes, both ways: `Event`, `encode` and `Decoder`.

The format is that of the HTML standard, sections 9.2.5 (parsing) and 9.2.6 (interpreting an event
stream). A line ends with CR, LF or CRLF and with nothing else: U+2028, U+0085 and the like are
ordinary characters, so `str.splitlines` has no place here. What this module writes ends its lines
with LF alone.
"""

from typing import Any, Final, cast

from asgi_rt.codec import dump_json, dump_plain

__all__ = [
    "Decoder",
    "Event",
    "EventTooLarge",
    "encode",
    "encode_comment",
    "encode_data",
    "encode_item",
]

# As numbers: bytes are searched for a number in a quarter of the time.
_NUL: Final = 0
_LF: Final = 10
_CR: Final = 13
_FRAME_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
_BOM: Final = b"\xef\xbb\xbf"
# The most milliseconds a `retry` field may hold: 18 digits, thirty million years. int() refuses
# some thousands of digits, and a client that never comes back is nothing to ask for.
_MAX_RETRY_DIGITS: Final = 18
_UNBOUNDED: Final = 1 << 62


class EventTooLarge(ValueError):
    """A server sent an event of more than `max_event_bytes` bytes; the stream is given up."""

    def __init__(self, max_event_bytes: int) -> None:
        self.max_event_bytes = max_event_bytes
        super().__init__(
            f"the server sent an event of more than {max_event_bytes} bytes; raise"
            " `max_event_bytes` if such events are expected"
        )


class Event:
    """One block of an event stream. Immutable; equal to an event that has the same fields.

    `data` as str goes as it is, over as many lines as it has; None means no data line; anything
    else is sent as JSON. `event` is the name that a client listens for ("" and None: the default,
    "message"). `id` becomes the client's Last-Event-ID ("" takes it away). `retry` is in
    milliseconds. `comment` is for whoever reads the stream by eye. A client dispatches an event
    only if there is data, the empty str included.

    Raises ValueError for a line end in `event` or `id`, a NUL in `id`, a `retry` that is not an
    integer of at most 18 digits, and if there is no field at all; TypeError for an `event`, `id`
    or `comment` that is no str. Data that cannot be sent is refused by `encode`.
    """

    # Written by hand: 0.15 us to construct from data; a frozen dataclass with a check takes 0.6.
    __match_args__ = ("data", "event", "id", "retry", "comment")
    __slots__ = ("_comment", "_data", "_event", "_id", "_retry")

    def __init__(
        self,
        data: Any = None,
        event: str | None = None,
        id: str | None = None,  # noqa: A002 - the field's name
        retry: int | None = None,
        comment: str | None = None,
    ) -> None:
        if event is not None:
            _check_one_line("event", event)
        if id is not None:
            _check_one_line("id", id)
            if "\0" in id:
                raise ValueError(f"an event's id must hold no NUL, clients ignore it: {id!r}")
        if retry is not None:
            _check_retry(retry)
        if comment is not None:
            _check_str("comment", comment)
        self._data = data
        self._event = event or None
        self._id = id
        self._retry = retry
        self._comment = comment
        if data is None and self._fields() == (None, None, None, None, None):
            raise ValueError("an event needs at least one of data, event, id, retry and comment")

    @property
    def data(self) -> Any:
        """What is sent. A str in an event that was decoded."""
        return self._data

    @property
    def event(self) -> str | None:
        """The name, or None for the default, "message"."""
        return self._event

    @property
    def id(self) -> str | None:
        """The id field of this block, or None without one."""
        return self._id

    @property
    def retry(self) -> int | None:
        """How long a client shall wait before it reconnects, in milliseconds."""
        return self._retry

    @property
    def comment(self) -> str | None:
        """Text that clients ignore. None in an event that was decoded."""
        return self._comment

    def encode(self) -> bytes:
        """Its bytes; see the function of that name."""
        # Not through the properties: they make it half a microsecond longer.
        head = ""
        if self._comment is not None:
            head = f": {_commented(self._comment)}\n"
        if self._event is not None:
            head += f"event: {self._event}\n"
        if self._id is not None:
            head += f"id: {self._id}\n"
        if self._retry is not None:
            head += f"retry: {self._retry}\n"
        if self._data is None:
            return f"{head}\n".encode()
        return head.encode() + encode_data(self._data) if head else encode_data(self._data)

    def _fields(self) -> tuple[Any, str | None, str | None, int | None, str | None]:
        return self._data, self._event, self._id, self._retry, self._comment

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if isinstance(other, Event) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        fields = zip(self.__match_args__, self._fields(), strict=True)
        given = (f"{name}={value!r}" for name, value in fields if value is not None)
        return f"Event({', '.join(given)})"

    def __reduce__(self) -> tuple[type["Event"], tuple[Any, ...]]:
        return Event, self._fields()


def _check_str(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"an event's {name} is a str, not {type(value).__qualname__}: {value!r}")


def _check_one_line(name: str, value: str) -> None:
    _check_str(name, value)
    if "\n" in value or "\r" in value:
        raise ValueError(f"an event's {name} must be a single line: {value!r}")


def _check_retry(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"an event's retry is an int, in milliseconds, not {value!r}")
    if not 0 <= value < 10**_MAX_RETRY_DIGITS:
        raise ValueError(
            f"an event's retry is 0 or more, of at most {_MAX_RETRY_DIGITS} digits, not {value}"
        )


def encode(event: Event) -> bytes:
    """The bytes of one event, its blank line included. Send them whole.

    The fields stand in the order comment, event, id, retry, data. Raises TypeError for data that
    is not JSON, UnicodeEncodeError (a ValueError) for a str that holds a lone surrogate.
    """
    return event.encode()


def encode_data(value: Any) -> bytes:
    """The bytes of an event that has only data: a str as it is, anything else, None too, as JSON.

    The cheap way for one value. Raises like `encode`.
    """
    if isinstance(value, str):
        raw = value.encode()
    else:
        try:
            raw = dump_plain(value)
        except TypeError:
            raw = dump_json(value)
    return b"data: %b\n\n" % (_spread(raw) if _LF in raw or _CR in raw else raw)


def encode_item(item: Any) -> bytes:
    """The bytes of what a stream may give: an Event, whole frames as bytes, or an event's data.

    Raises like `encode`, and ValueError for bytes that do not end with a blank line.
    """
    # The commonest goes without a further call: a tenth of what an event costs.
    if item.__class__ is dict:
        try:
            raw = dump_plain(item)
        except TypeError:
            raw = dump_json(item)
        return b"data: %b\n\n" % (_spread(raw) if _LF in raw or _CR in raw else raw)
    if isinstance(item, Event):
        return item.encode()
    if isinstance(item, bytes | bytearray | memoryview):
        return _whole_frames(bytes(cast("bytes", item)))
    return encode_data(item)


def _spread(raw: bytes) -> bytes:
    """Data of several lines. JSON too: a piece that was serialised elsewhere may hold line ends."""
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")


def _whole_frames(frames: bytes) -> bytes:
    if frames and not frames.endswith(_FRAME_ENDS):
        raise ValueError(
            "bytes in a stream of events are frames that end with a blank line, as encode() makes"
            " them; yield str for the data of an event"
        )
    return frames


def encode_comment(text: str) -> bytes:
    """The bytes of a comment, which clients ignore: what keeps a connection from idling out."""
    return f": {_commented(text)}\n\n".encode()


def _commented(text: str) -> str:
    """`text` with a colon before each line but the first."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\n: ")


class Decoder:
    """Event streams from bytes, cut anywhere: inside a line end, the BOM or a character too.

    One for each connection: a block that was not finished when a connection ended is discarded
    with its decoder. Not for use by several tasks at once. Takes time in proportion to the bytes,
    however small the pieces, and holds at most `max_event_bytes` (None: no bound) of an unfinished
    block.
    """

    last_event_id: str
    """The id to reconnect with: that of the newest block that had one, "" before the first."""
    retry: int | None
    """The newest valid `retry` of the stream, in milliseconds."""

    def __init__(self, *, max_event_bytes: int | None = 16 * 1024 * 1024) -> None:
        if max_event_bytes is not None and max_event_bytes < 1:
            raise ValueError(f"max_event_bytes is at least 1, or None, not {max_event_bytes}")
        self.last_event_id = ""
        self.retry = None
        self._max_bytes = _UNBOUNDED if max_event_bytes is None else max_event_bytes
        self._too_large = False
        self._line = bytearray()  # the beginning of the line that is not yet finished
        self._at_start = True  # no line of the stream was finished yet
        self._after_cr = False  # an LF that comes next belongs to the line end before it
        # The block that is not yet finished.
        self._data: list[bytes] = []
        self._event = b""
        self._id: str | None = None
        self._block_retry: int | None = None
        self._size = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete, in order.

        Their `data` is a str, their `id` and `retry` are those of their own block. A block without
        data is no event, but counts for `last_event_id` and `retry`. What is not UTF-8 becomes
        U+FFFD. Raises EventTooLarge as soon as the events before the one at fault are handed out,
        and from then on.
        """
        if self._too_large:
            raise EventTooLarge(self._max_bytes)
        events: list[Event] = []
        try:
            for line in self._finished_lines(data):
                if line:
                    self._take_line(line)
                elif (event := self._end_block()) is not None:
                    events.append(event)
            self._check_size(len(self._line))
        except EventTooLarge:
            self._too_large = True
            self._line.clear()
            self._data.clear()
            if not events:
                raise
        return events

    def _finished_lines(self, data: bytes) -> list[bytes]:
        """The lines that these bytes end, without their ends; what is left begins the next line."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()  # of bytes: at CR, LF and CRLF alone
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        if lines:
            if self._line:
                lines[0] = bytes(self._line) + lines[0]
                self._line.clear()
            if self._at_start:
                self._at_start = False
                if lines[0].startswith(_BOM):
                    lines[0] = lines[0][len(_BOM) :]
                    self._size = len(_BOM)  # as it was counted while the line was unfinished
        self._line += rest
        return lines

    def _take_line(self, line: bytes) -> None:
        self._check_size(len(line))
        # Cut before it is decoded: no longer character of UTF-8 holds a byte of these.
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        match name:
            case b"data":
                self._data.append(value)
            case b"event":
                self._event = value
            case b"id":
                if _NUL not in value:
                    self._id = value.decode(errors="replace")
            case b"retry":
                if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                    self._block_retry = self.retry = int(value)
            case _:  # a comment, or a field of a later version: nothing is kept of it
                return
        self._size += len(line)

    def _end_block(self) -> Event | None:
        # Only here, not when the id is read: the id of an unfinished block does not count.
        if self._id is not None:
            self.last_event_id = self._id
        event = None
        if self._data:
            text = b"\n".join(self._data).decode(errors="replace")
            name = self._event.decode(errors="replace")
            event = Event(text, name, self._id, self._block_retry)
            self._data.clear()
        self._event = b""
        self._id = self._block_retry = None
        self._size = 0
        return event

    def _check_size(self, more: int) -> None:
        if self._size + more > self._max_bytes:
            raise EventTooLarge(self._max_bytes)
