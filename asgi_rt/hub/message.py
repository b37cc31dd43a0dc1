"""One published message, and what stands for messages that are missing."""

import re
from sys import getsizeof
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    cast,
)

from asgi_rt.codec import dump_json, load_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MAX_WIRES", "Cursor", "Encoding", "Gap", "Kind", "Message", "parse_cursor"]

Kind: TypeAlias = Literal["text", "json", "bytes"]

_UNREAD: Final = object()
MAX_WIRES: Final = 8
"""How many forms of a message are made once for all who ask for the same."""
_CURSOR: Final = re.compile(r"([!-~]{1,64})-(0|[1-9][0-9]{0,17})")


class Cursor(NamedTuple):
    """A place in all that was published: `epoch` tells one run of a backplane from others."""

    epoch: str
    position: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.position}"


def parse_cursor(text: object) -> Cursor | None:
    """The cursor that a client gives back; None for what was never one, of whatever type."""
    found = _CURSOR.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else Cursor(found[1], int(found[2]))


class Gap(NamedTuple):
    """Messages that a subscriber does not get, in the place where they are missing.

    `reason` is "overflow" (it was too slow for its mailbox), "expired" (they are not kept any
    more), "unknown" (its cursor is of another run, or malformed) or "outage" (the backplane was
    away). `missed` is how many, None where nobody knows. `id` is where it goes on.
    """

    reason: Literal["overflow", "expired", "unknown", "outage"]
    missed: int | None
    id: str | None


class Account(Protocol):
    """Where it is counted what is made of a message, and kept with it."""

    def grow(self, size_bytes: int) -> None:
        """Count something that was made."""
        ...


class Message:
    """What was published, made once for all who get it. Not to be changed by any of them."""

    __slots__ = (
        "_data",
        "_is_stripped",
        "_wires",
        "account",
        "epoch",
        "exclude",
        "key",
        "kind",
        "payload",
        "position",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes,
        kind: Kind,
        *,
        key: str | None = None,
        exclude: str | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        """Its data as bytes: the text as UTF-8, the JSON document, or the bytes themselves."""
        self.kind: Kind = kind
        """Whether its data is a text, a value that was made JSON, or bytes."""
        self.key = key
        """What of its topic it replaces, for subscribers that coalesce."""
        self.exclude = exclude
        """The origin whose subscribers do not get it."""
        self.position = 0
        """Where it stands in all that was published; the backplane says it."""
        self.epoch: str | None = None
        """What its id begins with, where it can be asked for by it."""
        self.account: Account | None = None
        """Where what is made of it is counted."""
        self._data: Any = _UNREAD
        self._wires: dict[Any, Any] | None = None
        self._is_stripped = False

    @classmethod
    def of(
        cls, topic: str, data: Any, *, key: str | None = None, exclude: str | None = None
    ) -> "Message":
        """A message that holds `data`, as it is now.

        Raises TypeError for what cannot be made JSON, and ValueError for a text with lone
        surrogates, which no wire carries.
        """
        if isinstance(data, str):
            return cls(topic, data.encode("utf-8"), "text", key=key, exclude=exclude)
        if isinstance(data, bytes | bytearray | memoryview):
            return cls(topic, bytes(cast("bytes", data)), "bytes", key=key, exclude=exclude)
        # A copy: what orjson gives keeps the kilobytes that it was written into.
        return cls(topic, b"%b" % dump_json(data), "json", key=key, exclude=exclude)

    @property
    def id(self) -> str | None:
        """The cursor after which what follows it can be asked for; None without history."""
        return None if self.epoch is None else f"{self.epoch}-{self.position}"

    @property
    def data(self) -> Any:
        """What was published: str, bytes, or what its JSON holds.

        Read once, the same for all, while the message is new; then for each who asks.
        """
        data = self._data
        if data is not _UNREAD:
            return data
        data = self.payload
        if self.kind == "json":
            data = load_json(self.payload)
        elif self.kind == "text":
            data = self.payload.decode("utf-8")
        if not self._is_stripped:
            self._data = data
            if self.kind != "json":
                self._count(data)
            elif self.account is not None:
                self.account.grow(_size_when_read(self.payload))
        return data

    def wire(self, encode: "Callable[[Message], Any]") -> Any:
        """What `encode` makes of this message, made once for all who ask with the same `encode`.

        That is so for the first eight, as each subscriber may have come with a function of its own,
        and until the message is stripped.
        """
        wires = self._wires
        if wires is None:
            if self._is_stripped:
                return encode(self)
            wires = self._wires = {}
        made = wires.get(encode, _UNREAD)
        if made is _UNREAD:
            made = encode(self)
            if len(wires) < MAX_WIRES:
                wires[encode] = made
                self._count(made)
        return made

    def _count(self, made: object) -> None:
        if self.account is not None and made is not self.payload:
            self.account.grow(made.nbytes if isinstance(made, memoryview) else getsizeof(made))

    def strip(self) -> None:
        """Keep nothing that is made of it: this may be kept for long, and few ask for it later."""
        self.account = None
        self._data = _UNREAD
        self._wires = None
        self._is_stripped = True

    def __repr__(self) -> str:
        return f"<Message {self.topic!r} {self.kind} of {len(self.payload)} bytes, id {self.id}>"


def _size_when_read(document: bytes) -> int:
    """What the values of a JSON document take, more or less and rather more."""
    values, names, objects, arrays = (document.count(sign) for sign in (b",", b":", b"{", b"["))
    width, value = (1, 56) if document.isascii() else (4, 80)
    return width * len(document) + value * values + 64 * names + 150 * objects + 64 * arrays


class Encoding(Protocol):
    """What makes the ASGI messages that a connection sends; one for all who send the same."""

    joins: ClassVar[bool]
    """Whether several messages can be sent as one."""

    def __call__(self, message: Message) -> dict[str, Any]:
        """What sends one message. Made once, for all connections: servers only read it."""
        ...

    def join(self, messages: "Sequence[Message]") -> dict[str, Any]:
        """What sends several messages, where it `joins`."""
        ...
