"""Rooms that people are in, where all hear what one says."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

import anyio

from asgi_rt import HTTPError
from asgi_rt.codec import dump_json

__all__ = ["Room", "Rooms", "Visitor"]

_MAX_VISITORS: Final = 500
_MAX_WAITING: Final = 100


class Visitor:
    """Somebody in a room, and what still has to be sent to them.

    Telling somebody something never waits: not for them to read it, nor for anybody else. Who is
    `max_waiting` messages behind is given up, by a call of `give_up`.
    """

    def __init__(self, name: str, give_up: Callable[[], None], *, max_waiting: int) -> None:
        self.name = name
        self._give_up = give_up
        self._inlet, self.waiting = anyio.create_memory_object_stream[str](max_waiting)

    def tell(self, text: str) -> None:
        try:
            self._inlet.send_nowait(text)
        except anyio.WouldBlock:
            self._give_up()

    def close(self) -> None:
        self._inlet.close()
        self.waiting.close()


class Room:
    """The people in one room. All of it belongs to one event loop."""

    def __init__(self) -> None:
        self._visitors: list[Visitor] = []

    @property
    def names(self) -> list[str]:
        """Who is there, in the order in which they came."""
        return [visitor.name for visitor in self._visitors]

    def announce(self, message: dict[str, Any]) -> None:
        """Tell everybody. It is written once for all, and waits for nobody."""
        text = dump_json(message).decode()
        for visitor in tuple(self._visitors):
            visitor.tell(text)

    def admit(self, visitor: Visitor) -> None:
        """Let somebody in: they are told who is there, and the others that they came."""
        visitor.name = self._free_name(visitor.name)
        self.announce({"type": "joined", "name": visitor.name})
        self._visitors.append(visitor)
        welcome = {"type": "welcome", "name": visitor.name, "names": self.names}
        visitor.tell(dump_json(welcome).decode())

    def dismiss(self, visitor: Visitor) -> None:
        self._visitors.remove(visitor)
        self.announce({"type": "left", "name": visitor.name})

    def rename(self, visitor: Visitor, name: str) -> None:
        """Raises HTTPError where somebody has that name, its owner included."""
        if name in self.names:
            raise HTTPError(409, f"{name} is here already")
        old, visitor.name = visitor.name, name
        self.announce({"type": "renamed", "old": old, "name": name})

    def _free_name(self, wanted: str) -> str:
        names = self.names
        numbered = (wanted if number == 1 else f"{wanted} {number}" for number in count(1))
        return next(name for name in numbered if name not in names)


class Rooms:
    """The rooms that somebody is in, by name."""

    def __init__(
        self, *, max_visitors: int = _MAX_VISITORS, max_waiting: int = _MAX_WAITING
    ) -> None:
        self._rooms: dict[str, Room] = {}
        self._max_visitors = max_visitors
        self._max_waiting = max_waiting
        self._count = 0

    def __len__(self) -> int:
        return len(self._rooms)

    @contextmanager
    def visit(
        self, room_name: str, name: str, give_up: Callable[[], None]
    ) -> Generator[tuple[Room, Visitor], None, None]:
        """Be in a room as long as the block lasts. Raises HTTPError 503 where too many are."""
        if self._count >= self._max_visitors:
            raise HTTPError(503, "too many people are here")
        room = self._rooms.setdefault(room_name, Room())
        visitor = Visitor(name, give_up, max_waiting=self._max_waiting)
        self._count += 1
        room.admit(visitor)
        try:
            yield room, visitor
        finally:
            self._count -= 1
            room.dismiss(visitor)
            visitor.close()
            if not room.names:
                del self._rooms[room_name]
