"""What a route says about its WebSockets. One for each route, shared by all its connections."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from asgi_rt.websocket.guard import Limits, OriginRule

__all__ = ["WebSocketOptions"]

Unread: TypeAlias = Literal["wait", "discard", "close"]
_MAX_MESSAGE_BYTES: Final = 1024 * 1024
_TOKEN_CHARACTERS: Final = frozenset(
    "!#$%&'*+-.^_`|~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class WebSocketOptions:
    """The limits and the choices of one route. Raises ValueError for what cannot be meant."""

    origins: OriginRule | str | Iterable[str] | None = "same"
    """Which pages may connect; see `OriginRule`."""
    max_message_bytes: int | None = _MAX_MESSAGE_BYTES
    """Of one message; a text counts in UTF-8. None leaves it to the server, 16 MiB with uvicorn."""
    messages_per_second: float | None = None
    """How many a client may send, on average; up to one second's worth may come at once."""
    idle_timeout: float | None = None
    """Seconds that a client may send nothing."""
    subprotocols: Iterable[str] = ()
    """Those that are spoken here, the preferred one first."""
    send_timeout: float | None = 30.0
    """Seconds that one send may take, as a client that does not read holds it up."""
    unread: Unread = "wait"
    """What becomes of messages when the inbox is full: the client is made to wait for the handler,
    or they are discarded and counted, or the connection is closed with 1013."""
    max_unread_messages: int = 1024
    """How many messages the inbox holds that the handler has not received yet."""
    max_unread_bytes: int = 1024 * 1024
    """How many bytes of them; one message more may be there."""
    unread_timeout: float | None = 20.0
    """Seconds that the inbox may be full while nothing is received, where the client is made to
    wait. Then the connection is closed with 1013: nothing is seen of a client that has vanished
    meanwhile. None lets it wait for ever."""
    limits: Limits = field(init=False)
    origin_rule: OriginRule = field(init=False)

    def __post_init__(self) -> None:
        limits = Limits(self.max_message_bytes, self.messages_per_second, self.idle_timeout)
        object.__setattr__(self, "limits", limits)
        object.__setattr__(self, "origin_rule", OriginRule.parse(self.origins))
        object.__setattr__(self, "subprotocols", _subprotocols(self.subprotocols))
        if self.unread not in get_args(Unread):
            raise ValueError(f"unread is one of {get_args(Unread)}, not {self.unread!r}")
        for name in ("send_timeout", "unread_timeout"):
            seconds: float | None = getattr(self, name)
            if seconds is not None and not 0 < seconds < math.inf:
                raise ValueError(f"{name} must be more than 0 and finite, not {seconds}")
        for name in ("max_unread_messages", "max_unread_bytes"):
            value: int | None = getattr(self, name)
            if value is None or not value > 0:
                raise ValueError(f"{name} must be more than 0, not {value}: an inbox is bounded")

    def choose(self, offered: list[str]) -> str | None:
        """The first of our subprotocols that the client offers; None where it offers none."""
        return next((each for each in self.subprotocols if each in offered), None)


def _subprotocols(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ValueError(f"`subprotocols` is a list, as [{names!r}]")
    names = tuple(names)
    for name in names:
        if not name or not _TOKEN_CHARACTERS.issuperset(name):
            raise ValueError(f"{name!r} is not the name of a subprotocol, RFC 6455 section 4.1")
    return names
