"""The envelope of a typed message: what comes in is read, replies and refusals are put in frames.

Everything that a client sent may be hostile, so what is said about it is short: never more than
`MAX_QUOTE` characters of its text at a time, and `MAX_LISTED` errors.
"""

from typing import Any, Final, NamedTuple, Protocol, TypeAlias, cast, runtime_checkable

from asgi_rt.codec import dump_json, load_json
from asgi_rt.errors import HTTPError

__all__ = [
    "MAX_DEPTH",
    "MAX_LISTED",
    "MAX_QUOTE",
    "FieldError",
    "MessageId",
    "Refusal",
    "cut",
    "error_frame",
    "field_errors",
    "http_error_frame",
    "quote",
    "read_id",
    "read_object",
    "reply_frame",
]

MAX_DEPTH: Final = 128
"""How deep a message may be nested. orjson reads 1024 levels but writes only 254: without a limit
of our own, a handler that sends back a part of what it got could be made to crash."""
MAX_QUOTE: Final = 64
MAX_LISTED: Final = 20
_MAX_TEXT: Final = 200
_MAX_ID: Final = 128
_MAX_COUNTED: Final = 1000

MessageId: TypeAlias = str | int


class FieldError(NamedTuple):
    """What is wrong in a message, and where: the keys and indexes that lead to it."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


@runtime_checkable
class _ListsErrors(Protocol):
    """pydantic's ValidationError, without importing pydantic."""

    def error_count(self) -> int: ...

    def errors(
        self, *, include_url: bool, include_context: bool, include_input: bool
    ) -> list[dict[str, Any]]: ...


class Refusal(Exception):
    """A message that no handler gets to see. Never leaves this package."""

    def __init__(self, code: str, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        self.code = code
        self.detail = detail
        self.errors = errors
        super().__init__(code, detail)


def cut(text: str, max_chars: int = _MAX_TEXT) -> str:
    """`text`, or its beginning with an ellipsis where it is longer than `max_chars`."""
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def quote(text: str) -> str:
    """A client's text in quotation marks, cut."""
    return f'"{cut(text, MAX_QUOTE)}"'


def field_errors(error: Exception, loc: tuple[str | int, ...] = ()) -> list[FieldError]:
    """What an exception says is wrong: its `errors()` where it is pydantic's, else its text.

    Of pydantic's only place, text and type are taken: the rest holds what the client sent.
    """
    if not isinstance(error, _ListsErrors):
        return [FieldError(loc, cut(str(error)), "wrong_value")]
    count = error.error_count()
    if count > _MAX_COUNTED:  # it would take long to list them
        return [FieldError(loc, f"there are {count} errors", "many_errors")]
    listed = error.errors(include_url=False, include_context=False, include_input=False)
    return [FieldError((*loc, *each["loc"]), each["msg"], each["type"]) for each in listed]


def read_object(data: str | bytes) -> dict[str, Any]:
    """The JSON object in a frame. Raises Refusal for anything else.

    JSON as RFC 8259 has it: UTF-8, no NaN. Of a key that comes twice the last value stands.
    """
    try:
        message = load_json(data)
    except ValueError as error:
        raise Refusal("malformed", f"the message is not JSON: {cut(str(error))}") from None
    if not isinstance(message, dict):
        raise Refusal("malformed", "the message is not a JSON object")
    if _may_be_deep(data) and _is_deep(message):
        raise Refusal("malformed", f"the message is nested deeper than {MAX_DEPTH} levels")
    return cast("dict[str, Any]", message)


def _may_be_deep(data: str | bytes) -> bool:
    # Counting is one pass in C; a message that is too short for it is not even counted.
    if len(data) < 2 * MAX_DEPTH:
        return False
    if isinstance(data, str):
        return data.count("{") + data.count("[") > MAX_DEPTH
    return data.count(b"{") + data.count(b"[") > MAX_DEPTH


def _is_deep(message: Any) -> bool:
    level: list[Any] = [message]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in _nested(each)]
        if not level:
            return False
    return True


def _nested(value: dict[str, Any] | list[Any]) -> list[Any]:
    children = value.values() if isinstance(value, dict) else value
    return [child for child in children if isinstance(child, dict | list)]


def read_id(message: dict[str, Any]) -> MessageId | None:
    """The "id" by which the client tells replies apart, if it gave one. Raises Refusal."""
    message_id = message.get("id")
    # By the exact type: a bool is an int to Python, and is none to anybody else.
    if message_id is None or type(message_id) is int:
        return message_id
    if type(message_id) is str and len(message_id) <= _MAX_ID:
        return message_id
    raise Refusal(
        "malformed", f'"id" must be an integer or a string of at most {_MAX_ID} characters'
    )


def reply_frame(reply: Any, message_id: MessageId | None) -> dict[str, Any]:
    """What a handler returned, with the id of the message that it answers.

    Raises TypeError for what is not an object in JSON.
    """
    frame = reply
    if not isinstance(frame, dict):
        frame = load_json(dump_json(reply))  # a dataclass, a model: as the client will see it
        if not isinstance(frame, dict):
            raise TypeError(f"a reply is an object in JSON, not a {type(reply).__qualname__}")
    return _with_id(cast("dict[str, Any]", frame), message_id)


def _with_id(frame: dict[str, Any], message_id: MessageId | None) -> dict[str, Any]:
    return frame if message_id is None else {**frame, "id": message_id}


def error_frame(refusal: Refusal, key: str, message_id: MessageId | None) -> dict[str, Any]:
    """The frame that tells a client what is wrong with its message."""
    frame: dict[str, Any] = {key: "error", "code": refusal.code, "detail": refusal.detail}
    if refusal.errors:
        frame["errors"] = [_shown(error) for error in refusal.errors[:MAX_LISTED]]
    return _with_id(frame, message_id)


def http_error_frame(error: HTTPError, key: str, message_id: MessageId | None) -> dict[str, Any]:
    """The frame for an HTTPError of a handler's: its status is the code."""
    frame = {
        **error.extensions,
        key: "error",
        "code": error.status_code,
        "detail": error.detail or error.title,
    }
    return _with_id(frame, message_id)


def _shown(error: FieldError) -> dict[str, Any]:
    loc = [cut(part, MAX_QUOTE) if isinstance(part, str) else part for part in error.loc]
    return {"loc": loc[:MAX_LISTED], "msg": cut(error.msg), "type": cut(error.type, MAX_QUOTE)}
