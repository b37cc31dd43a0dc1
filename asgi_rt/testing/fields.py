"""The fields of the messages that an app sends, read by a strict server. No I/O."""

from collections.abc import Iterable
from typing import Any, Never, cast

from asgi_rt.asgi import Message, RawHeaders
from asgi_rt.testing.errors import MessageError

__all__ = ["Fields"]


class Fields:
    """Reads fields and refuses what may not stand there. `name` stands before each error."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def flag(self, message: Message, key: str) -> bool:
        """A bool, False when it is missing. Raises `MessageError` for another type."""
        value = message.get(key, False)
        if not isinstance(value, bool):
            self.refuse(f"{key} must be a bool, not {value!r}")
        return value

    def headers(self, message: Message) -> RawHeaders:
        """The headers, none when they are missing. Raises `MessageError` for what is no header."""
        given: object = message.get("headers", ())
        if isinstance(given, str | bytes | dict) or not isinstance(given, Iterable):
            self.refuse(f"headers must be a list of (name, value) pairs, not {given!r}")
        return [self._header(item) for item in cast("Iterable[object]", given)]

    def refuse(self, reason: str) -> Never:
        """Raise a `MessageError` that says `reason`."""
        raise MessageError(f"{self._name}: {reason}")

    def _header(self, item: Any) -> tuple[bytes, bytes]:
        if not isinstance(item, list | tuple) or len(cast("Any", item)) != 2:
            self.refuse(f"a header must be a (name, value) pair, not {item!r}")
        name, value = cast("tuple[object, object]", item)
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            self.refuse(f"a header's name and value must be bytes, not ({name!r}, {value!r})")
        if not name or name != name.lower() or name.startswith(b":"):
            self.refuse(f"a header's name must be lower case and no pseudo-header, not {name!r}")
        if not set(name + value).isdisjoint(b"\r\n\0"):
            self.refuse(f"a header must hold no line break and no NUL, not ({name!r}, {value!r})")
        return name, value
