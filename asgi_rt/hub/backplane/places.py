"""Who is in which place, by connection: what a presence is made of. Values in, values out."""

from typing import Any, Literal

from asgi_rt.hub.backplane.protocol import Member

__all__ = ["Places"]


class _Presence:
    __slots__ = ("connections", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.connections: dict[str, Any] = {}
        """Their metadata by connection, the newest last."""


class Places:
    """The members of every place. Everything takes effect at once; one task at a time."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, _Presence]] = {}

    def enter(
        self, topic: str, member: str, connection: str, metadata: Any, *, now: float
    ) -> Literal["joined", "updated"]:
        """Have a connection of somebody in a place, or renew its metadata."""
        place = self._places.setdefault(topic, {})
        presence = place.get(member)
        outcome: Literal["joined", "updated"] = "updated"
        if presence is None:
            presence = place[member] = _Presence(now)
            outcome = "joined"
        presence.connections.pop(connection, None)  # to stand last
        presence.connections[connection] = metadata
        return outcome

    def leave(self, topic: str, member: str, connection: str) -> bool:
        """Take a connection out; whether it was there, and was the last of its member's."""
        place = self._places.get(topic)
        presence = None if place is None else place.get(member)
        if place is None or presence is None or connection not in presence.connections:
            return False
        del presence.connections[connection]
        if presence.connections:
            return False
        del place[member]
        if not place:
            del self._places[topic]
        return True

    def members(self, topic: str) -> list[Member]:
        """Who is there, in the order in which they came."""
        return [
            Member(member, _newest(presence), presence.since, len(presence.connections))
            for member, presence in self._places.get(topic, {}).items()
        ]

    def count(self, topic: str) -> int:
        """How many are there."""
        return len(self._places.get(topic, ()))


def _newest(presence: _Presence) -> Any:
    return next(reversed(presence.connections.values()))
