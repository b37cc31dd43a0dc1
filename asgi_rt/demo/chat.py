"""The demo's chat: a page and a WebSocket for each room, at the same path.

What is said in a room is published to a topic of the hub, and kept there for a while; who is there
is the hub's presence. Every message is an object in JSON. The page connects with `?name=`, and
after a lost connection with the `cursor` of the last message that it has. It sends

    {"type": "say", "text": ...}
    {"type": "rename", "name": ...}
    {"type": "ping"}

and is sent, of itself,

    {"type": "welcome", "member": ..., "name": ..., "people": [{"member": ..., "name": ...}],
     "said": how many messages were said so far}
    {"type": "renamed", "name": ...}
    {"type": "pong"}
    {"type": "error", "code": ..., "detail": ...}

of others who come, change their names and go, as `Presence` publishes it,

    {"type": "joined", "topic": ..., "member": ..., "metadata": {"name": ...}}
    {"type": "updated", ...} and {"type": "left", ...}, with the same fields

and of what is said, by anybody, as `attach` sends it with envelopes: behind a cursor what came
after it, and without one the last that was said; then what is said from now on.

    {"type": "cursor", "cursor": ..., "recovered": true, false or null}
    {"type": "message", "topic": ..., "cursor": ...,
     "data": {"number": ..., "member": ..., "name": ..., "text": ..., "time": ...}}
    {"type": "gap", "reason": ..., "missed": a number or null, "cursor": ...}

Who comes back and finds a gap has missed something for good: if it is "expired", what was said
beyond the number of the last message that they have. Who reads too slowly is sent away
with 1013, and comes back by the cursor.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from asgi_rt import (
    HTTPError,
    Overflow,
    RedirectResponse,
    Request,
    Response,
    Router,
    WebSocket,
    attach,
)
from asgi_rt.demo.pages import page
from asgi_rt.demo.rooms import Rooms, Visitor
from asgi_rt.websocket import Dispatcher

__all__ = ["router"]

_ROOM: Final = re.compile("[a-z0-9-]{1,32}")
_MAX_NAME: Final = 24
_MAX_TEXT: Final = 1000
_MAX_MESSAGE_BYTES: Final = 8192
_MESSAGES_PER_SECOND: Final = 10
_HISTORY: Final = 50

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
    """The name as it can be shown; empty where nothing of it would be seen."""
    seen = "".join(each for each in name if each.isprintable() or each.isspace())
    return " ".join(seen.split())[:_MAX_NAME].rstrip()


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
    room = _room_name(ws)
    name = _clean(ws.query.get("name", "")) or "guest"
    await ws.accept()
    with rooms.visit(room, name) as visitor:
        await _take_part(ws, rooms, visitor)


async def _take_part(ws: WebSocket, rooms: Rooms, visitor: Visitor) -> None:
    hub, presence, topic = rooms.hub, rooms.presence, rooms.topic(visitor.room)
    slow: Any = {"policy": Overflow.DISCONNECT, "max_messages": rooms.max_waiting}
    async with (
        attach(ws, hub, presence.topic(topic), **slow) as comings,
        presence.join(topic, visitor.member, {"name": visitor.name}, exclude=comings) as place,
    ):
        ws.state["visitor"], ws.state["place"] = visitor, place
        await ws.send_json(await _welcome(rooms, visitor))
        # After the welcome, so that a page knows itself before it hears anything.
        async with attach(ws, hub, topic, envelopes=True, history=_HISTORY, **slow):
            await messages.serve(ws)


async def _welcome(rooms: Rooms, visitor: Visitor) -> dict[str, Any]:
    members = await rooms.presence.members(rooms.topic(visitor.room))
    people = [{"member": each.member, **each.metadata} for each in members]
    return {
        "type": "welcome",
        "member": visitor.member,
        "name": visitor.name,
        "people": people,
        "said": rooms.said(visitor.room),
    }


def _room_name(connection: Request | WebSocket) -> str:
    name: str = connection.path_params["room"]
    if _ROOM.fullmatch(name) is None:
        raise HTTPError(404, "a room is named with up to 32 of a-z, 0-9 and -")
    return name


@messages.on("say", Say)
async def say(ws: WebSocket, message: Say) -> None:
    rooms: Rooms = ws.state["rooms"]
    visitor: Visitor = ws.state["visitor"]
    said = {
        "number": rooms.count_message(visitor.room),
        "member": visitor.member,
        "name": visitor.name,
        "text": message.text,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    await rooms.hub.publish(rooms.topic(visitor.room), said)


@messages.on("rename", Rename)
async def rename(ws: WebSocket, message: Rename) -> dict[str, str]:
    rooms: Rooms = ws.state["rooms"]
    visitor: Visitor = ws.state["visitor"]
    rooms.rename(visitor, message.name)
    await ws.state["place"].update({"name": visitor.name})
    return {"type": "renamed", "name": visitor.name}


@messages.on("ping")
async def ping(ws: WebSocket, message: dict[str, Any]) -> dict[str, str]:
    """An answer, by which a page can tell that the connection is alive: it sees no pings."""
    return {"type": "pong"}
