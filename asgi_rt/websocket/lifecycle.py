"""The states of one WebSocket connection, as tables: which message may come, and what it leads to.

A connection has two sides. Each is in a state of its own, and some states of one side move the
other. Nothing outside these tables decides whether a message is in turn.

Messages are ASGI's (https://asgi.readthedocs.io/en/latest/specs/www.html#websocket) under their
types, but for the last body message of a denied handshake: that is `websocket.http.response.end`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeAlias

from asgi_rt.asgi import Message
from asgi_rt.errors import LifecycleError

__all__ = ["LINKS", "TRANSITIONS", "Lifecycle", "Side", "State", "diagram", "message_name"]


# Both are StrEnum, as a plain Enum hashes in Python code, which a lookup per message would feel.
class Side(StrEnum):
    """Whose message it is: the client's are received, the app's are sent."""

    CLIENT = "client"
    APP = "app"


class State(StrEnum):
    """How far one side of the connection is."""

    NEW = "new"
    CONNECTING = "connecting"
    OPEN = "open"
    DENYING = "denying"
    CLOSED = "closed"


_Moves: TypeAlias = Mapping[State, Mapping[str, State]]

TRANSITIONS: Final[Mapping[Side, _Moves]] = {
    Side.CLIENT: {
        State.NEW: {"websocket.connect": State.CONNECTING},
        State.CONNECTING: {"websocket.disconnect": State.CLOSED},
        State.OPEN: {
            "websocket.receive": State.OPEN,
            "websocket.disconnect": State.CLOSED,
        },
        State.DENYING: {},
        # Servers answer every further receive() with the disconnect.
        State.CLOSED: {"websocket.disconnect": State.CLOSED},
    },
    Side.APP: {
        State.NEW: {},
        State.CONNECTING: {
            "websocket.accept": State.OPEN,
            "websocket.close": State.CLOSED,
            "websocket.http.response.start": State.DENYING,
        },
        State.OPEN: {
            "websocket.send": State.OPEN,
            "websocket.close": State.CLOSED,
        },
        State.DENYING: {
            "websocket.http.response.body": State.DENYING,
            "websocket.http.response.end": State.CLOSED,
        },
        State.CLOSED: {},
    },
}
"""Side, its state, message name: the side's next state. A message that is missing is an error."""

LINKS: Final[Mapping[Side, Mapping[State, Mapping[State, State]]]] = {
    Side.CLIENT: {
        State.CONNECTING: {State.NEW: State.CONNECTING},
        State.CLOSED: dict.fromkeys(State, State.CLOSED),
    },
    Side.APP: {
        State.OPEN: {State.CONNECTING: State.OPEN},
    },
}
"""Side, the state it enters, the other side's state: the state that this one goes to."""


def message_name(message: Message) -> str:
    """The name under which the tables hold an ASGI message."""
    name: str = message["type"]
    if name == "websocket.http.response.body" and not message.get("more_body", False):
        return "websocket.http.response.end"
    return name


class Lifecycle:
    """How far both sides of one connection are. It knows nothing of who calls it, and never waits.

    One thread at a time.
    """

    __slots__ = ("app", "client")

    def __init__(self) -> None:
        self.client: State = State.NEW
        self.app: State = State.NEW

    def received(self, name: str) -> None:
        """Note a message of the client. Raises LifecycleError, and notes nothing, out of turn."""
        client = _next(Side.CLIENT, self.client, name)
        if client is not self.client:
            self.client = client
            self.app = _linked(Side.CLIENT, client, self.app)

    def sent(self, name: str) -> None:
        """Note a message of the app. Raises LifecycleError, and notes nothing, out of turn."""
        app = _next(Side.APP, self.app, name)
        if app is not self.app:
            self.app = app
            self.client = _linked(Side.APP, app, self.client)

    def __repr__(self) -> str:
        return f"<Lifecycle client {self.client}, app {self.app}>"


def _next(side: Side, state: State, name: str) -> State:
    allowed = TRANSITIONS[side][state]
    try:
        return allowed[name]
    except KeyError:
        raise LifecycleError(
            f"{name} is out of turn: the {side} side of this WebSocket is {state}, which allows "
            + (", ".join(allowed) or "no message")
        ) from None


def _linked(side: Side, entered: State, other: State) -> State:
    return LINKS[side].get(entered, {}).get(other, other)


_Both: TypeAlias = tuple[State, State]


def diagram() -> str:
    """A mermaid `stateDiagram-v2` of the whole connection, drawn from the tables.

    Each of its states is a pair of the sides' states that can be reached.
    """
    start = (State.NEW, State.NEW)
    end = (State.CLOSED, State.CLOSED)
    steps = _steps(start)
    nodes = dict.fromkeys(node for edge in steps for node in edge)
    lines = ["stateDiagram-v2"]
    lines += [f'    state "client {client}, app {app}" as {client}_{app}' for client, app in nodes]
    lines.append(f"    [*] --> {'_'.join(start)}")
    lines += [
        f"    {'_'.join(before)} --> {'_'.join(after)} : {', '.join(labels)}"
        for (before, after), labels in steps.items()
    ]
    lines.append(f"    {'_'.join(end)} --> [*]")
    return "\n".join(lines)


def _steps(start: _Both) -> dict[tuple[_Both, _Both], list[str]]:
    """Every step that can be taken from `start` on, with the messages that lead to it."""
    steps: dict[tuple[_Both, _Both], list[str]] = {}
    found = [start]
    for before in found:  # grows while it is walked
        for side, state in zip(Side, before, strict=True):
            for name in TRANSITIONS[side][state]:
                after = _after(before, side, name)
                label = f"{side} {name.removeprefix('websocket.')}"
                steps.setdefault((before, after), []).append(label)
                if after not in found:
                    found.append(after)
    return steps


def _after(before: _Both, side: Side, name: str) -> _Both:
    lifecycle = Lifecycle()
    lifecycle.client, lifecycle.app = before
    move = lifecycle.received if side is Side.CLIENT else lifecycle.sent
    move(name)
    return lifecycle.client, lifecycle.app
