"""The demo's chat: a page and a WebSocket for each room, at the same path."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from asgi_rt import HTTPError, RedirectResponse, Request, Response, Router, WebSocket
from asgi_rt.demo.pages import page
from asgi_rt.demo.rooms import Room, Rooms, Visitor
from asgi_rt.websocket import Dispatcher

__all__ = ["router"]

_ROOM: Final = re.compile("[a-z0-9-]{1,32}")
_MAX_NAME: Final = 24
_MAX_TEXT: Final = 1000
_MAX_MESSAGE_BYTES: Final = 8192
_MESSAGES_PER_SECOND: Final = 10

router = Router()
messages = Dispatcher()


@dataclass
class Say:
    """Tell everybody in the room."""

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError("there is nothing to say")
        if len(self.text) > _MAX_TEXT:
            raise ValueError(f"at most {_MAX_TEXT} characters can be said at once")


@dataclass
class Rename:
    """Go by another name."""

    name: str

    def __post_init__(self) -> None:
        self.name = _clean(self.name)
        if not self.name:
            raise ValueError("a name has a letter at least")


def _clean(name: str) -> str:
    return " ".join(name.split())[:_MAX_NAME].rstrip()


@router.get("/chat")
async def chat(request: Request) -> Response:
    return RedirectResponse("/chat/lobby")


@router.get("/chat/{room}")
async def room_page(request: Request) -> Response:
    _room_name(request)
    return page("chat.html")


# Pages of this origin alone may connect, as that is the default.
@router.websocket(
    "/chat/{room}",
    max_message_bytes=_MAX_MESSAGE_BYTES,
    messages_per_second=_MESSAGES_PER_SECOND,
)
async def room_socket(ws: WebSocket) -> None:
    """The room, for who comes with `?name=`, until they leave or are too slow to follow."""
    rooms: Rooms = ws.state["rooms"]
    room_name = _room_name(ws)
    name = _clean(ws.query.get("name", "")) or "guest"
    await ws.accept()
    async with ws.session() as session:

        def give_up() -> None:
            session.start(ws.close, 1013, "you read too slowly")

        with rooms.visit(room_name, name, give_up) as (room, visitor):
            ws.state["room"], ws.state["visitor"] = room, visitor
            session.start(_send_all, ws, visitor)
            await messages.serve(ws)


def _room_name(connection: Request | WebSocket) -> str:
    name: str = connection.path_params["room"]
    if _ROOM.fullmatch(name) is None:
        raise HTTPError(404, "a room is named with up to 32 of a-z, 0-9 and -")
    return name


async def _send_all(ws: WebSocket, visitor: Visitor) -> None:
    async for text in visitor.waiting:
        await ws.send_text(text)


@messages.on("say", Say)
async def say(ws: WebSocket, message: Say) -> None:
    room, visitor = _place(ws)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    room.announce({"type": "said", "name": visitor.name, "text": message.text, "time": time})


@messages.on("rename", Rename)
async def rename(ws: WebSocket, message: Rename) -> None:
    room, visitor = _place(ws)
    room.rename(visitor, message.name)


@messages.on("ping")
async def ping(ws: WebSocket, message: dict[str, Any]) -> dict[str, str]:
    """An answer, by which a page can tell that the connection is alive: it sees no pings."""
    return {"type": "pong"}


def _place(ws: WebSocket) -> tuple[Room, Visitor]:
    return ws.state["room"], ws.state["visitor"]
