"""Messages as they stand on the wire, made once for all clients who get the same."""

from asyncio import CancelledError
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Final, TypeAlias

from asgi_rt.codec import dump_json
from asgi_rt.errors import HubError
from asgi_rt.hub.message import Gap, Message
from asgi_rt.sse.framing import Event, encode, encode_item

__all__ = [
    "Framing",
    "bodies",
    "envelope",
    "envelope_of_cursor",
    "envelope_of_gap",
    "form_of",
    "frame_of_gap",
    "framing_by",
    "framing_named",
    "plain",
    "sends",
]

Framing: TypeAlias = Callable[[Message], bytes]

_KNOWN: Final = 256
_NULL: Final = "null"


def _text(message: Message) -> str:
    """A payload as a text; bytes, which an event stream cannot carry, as base64."""
    raw = b64encode(message.payload) if message.kind == "bytes" else message.payload
    return raw.decode("utf-8")


def form_of(message: Message, encode: Callable[[Message], Any]) -> Any:
    """What `encode` makes of a message, for all who ask.

    Raises HubError where that asks for the result of what was cancelled: else it would pass for the
    cancellation of whoever sends, or publishes.
    """
    try:
        return message.wire(encode)
    except CancelledError as error:
        raise HubError("what encodes a message asked for what was cancelled") from error


# Cached, as it is by the function that wire forms are shared between subscribers.
@lru_cache(maxsize=_KNOWN)
def framing_named(event: str | None) -> Framing:
    """Frames of server-sent events of one name, with the message's cursor as their id."""

    def frame(message: Message) -> bytes:
        return encode(Event(_text(message), event, message.id))

    Event("", event)  # raises for a name that cannot be sent
    return frame


@lru_cache(maxsize=_KNOWN)
def framing_by(make: Callable[[Message], Any]) -> Framing:
    """Frames of what `make` gives for a message: an Event, the data of one, or frames as bytes.

    None is data as well: JSON's null. An Event without an id gets the message's, by which a client
    can resume; frames stay the same.
    """

    def frame(message: Message) -> bytes:
        made = make(message)
        if not isinstance(made, Event):
            if message.id is None or isinstance(made, bytes | bytearray | memoryview):
                return encode_item(made)
            # An Event whose data is None has no data line, and clients drop it.
            return encode(Event(_NULL if made is None else made, id=message.id))
        if made.id is None and message.id is not None:
            made = Event(made.data, made.event, message.id, made.retry, made.comment)
        return encode(made)

    return frame


class Bodies:
    """The ASGI messages that send frames as pieces of a body."""

    __slots__ = ("_framing",)

    joins: ClassVar[bool] = True

    def __init__(self, framing: Framing) -> None:
        self._framing = framing

    def __call__(self, message: Message) -> dict[str, Any]:
        frame = form_of(message, self._framing)
        return {"type": "http.response.body", "body": frame, "more_body": True}

    def join(self, messages: Sequence[Message]) -> dict[str, Any]:
        body = b"".join([form_of(message, self._framing) for message in messages])
        return {"type": "http.response.body", "body": body, "more_body": True}


@lru_cache(maxsize=_KNOWN)
def bodies(framing: Framing) -> Bodies:
    """What sends those frames; the same for all who have them."""
    return Bodies(framing)


def frame_of_gap(gap: Gap) -> bytes:
    """The event `gap`, by which a client learns that it misses something."""
    return encode(Event({"reason": gap.reason, "missed": gap.missed}, "gap", gap.id))


def plain(message: Message) -> str | bytes:
    """A WebSocket message that is just the payload: text, or binary for bytes."""
    return message.payload if message.kind == "bytes" else message.payload.decode("utf-8")


def check_encode(encode: object) -> None:
    """Raise TypeError for what is no function of a message."""
    if encode is not None and not callable(encode):
        raise TypeError(f"encode is a function of a message, not {encode!r}")


def encoded(message: Message, encode: Callable[[Message], str | bytes]) -> str | bytes:
    """What `encode` makes of a message for a WebSocket. Raises TypeError where it is no such."""
    data: str | bytes = form_of(message, encode)
    _require_sendable(data)
    return data


def _require_sendable(data: object) -> None:
    # A server may send nothing for None, and not say so.
    if not isinstance(data, str | bytes | bytearray | memoryview):
        raise TypeError(f"`encode` gives a str or bytes, not {type(data).__name__}")


class Sends:
    """The ASGI messages that send what `encode` makes over a WebSocket, each by itself."""

    __slots__ = ("_encode",)

    joins: ClassVar[bool] = False

    def __init__(self, encode: Callable[[Message], str | bytes]) -> None:
        self._encode = encode

    def __call__(self, message: Message) -> dict[str, Any]:
        data = encoded(message, self._encode)
        if isinstance(data, str):
            return {"type": "websocket.send", "text": data}
        return {"type": "websocket.send", "bytes": data}

    def join(self, messages: Sequence[Message]) -> dict[str, Any]:
        raise NotImplementedError


@lru_cache(maxsize=_KNOWN)
def sends(encode: Callable[[Message], str | bytes]) -> Sends:
    """What sends that; the same for all who have it."""
    return Sends(encode)


def envelope(message: Message) -> str:
    """A WebSocket message that tells the topic and the cursor as well."""
    head = {"type": "message", "topic": message.topic, "cursor": message.id}
    if message.kind == "bytes":
        head["encoding"] = "base64"
    # The JSON of a value stands there as it was made when it was published.
    data = message.payload if message.kind == "json" else dump_json(_text(message))
    return f'{dump_json(head)[:-1].decode()},"data":{data.decode()}}}'


def envelope_of_gap(gap: Gap) -> str:
    """What tells a WebSocket's client that it misses something."""
    told = {"type": "gap", "reason": gap.reason, "missed": gap.missed}
    return dump_json(told if gap.id is None else {**told, "cursor": gap.id}).decode()


def envelope_of_cursor(cursor: str | None, recovered: bool | None) -> str:
    """What tells a WebSocket's client where it begins, and whether it has missed something."""
    return dump_json({"type": "cursor", "cursor": cursor, "recovered": recovered}).decode()
