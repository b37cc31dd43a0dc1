"""Rooms that people are in: what they hear goes over a hub, and who is there is its presence."""

import secrets
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from asgi_rt import HTTPError, Hub
from asgi_rt.hub import Presence, topic_token

__all__ = ["Rooms", "Visitor"]

_MAX_VISITORS: Final = 500
_MAX_WAITING: Final = 100
_MAX_COUNTED_ROOMS: Final = 1000


@dataclass
class Visitor:
    """Somebody in a room."""

    room: str
    name: str
    """Theirs alone in this room, as long as they are there."""
    member: str
    """Who they are to the presence, by whatever name they go: made for each visit."""


class Rooms:
    """Who is in which room. All of it belongs to one event loop.

    `max_visitors` is for all rooms together. A visitor for whom more than `max_waiting` messages
    wait is too slow.
    """

    def __init__(
        self, hub: Hub, *, max_visitors: int = _MAX_VISITORS, max_waiting: int = _MAX_WAITING
    ) -> None:
        self.hub = hub
        self.presence = Presence(hub)
        self.max_waiting = max_waiting
        self._max_visitors = max_visitors
        self._count = 0
        self._names: dict[str, set[str]] = {}
        self._said: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        """How many rooms somebody is in."""
        return len(self._names)

    @staticmethod
    def topic(room: str) -> str:
        """Where what is said in a room is published. Its name is no pattern, whatever it is."""
        return f"rooms.{topic_token(room)}"

    def said(self, room: str) -> int:
        """How many messages were said in a room. Counted for the 1,000 that were last spoken in."""
        return self._said.get(room, 0)

    def count_message(self, room: str) -> int:
        """The number of a message that is said now."""
        self._said[room] = number = self._said.pop(room, 0) + 1
        if len(self._said) > _MAX_COUNTED_ROOMS:
            self._said.popitem(last=False)
        return number

    @contextmanager
    def visit(self, room: str, name: str) -> Generator[Visitor, None, None]:
        """Have a name in a room as long as the block lasts; a number behind it where it is taken.

        Raises HTTPError 503 where too many are there.
        """
        if self._count >= self._max_visitors:
            raise HTTPError(503, "too many people are here")
        names = self._names.setdefault(room, set())
        visitor = Visitor(room, _free_name(name, names), secrets.token_hex(8))
        names.add(visitor.name)
        self._count += 1
        try:
            yield visitor
        finally:
            self._count -= 1
            names.remove(visitor.name)
            if not names:
                del self._names[room]

    def rename(self, visitor: Visitor, name: str) -> None:
        """Raises HTTPError 409 where somebody has that name, its owner included."""
        names = self._names[visitor.room]
        if name in names:
            raise HTTPError(409, f"{name} is here already")
        names.remove(visitor.name)
        names.add(name)
        visitor.name = name


def _free_name(wanted: str, names: set[str]) -> str:
    numbered = (wanted if number == 1 else f"{wanted} {number}" for number in count(1))
    return next(name for name in numbered if name not in names)
