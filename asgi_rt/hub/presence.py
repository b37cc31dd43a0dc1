"""Who is where: the members of a topic, what is known of them, and events as they come and go."""

from typing import Any, Final

from asgi_rt.codec import dump_json, load_json
from asgi_rt.hub.backplane.protocol import Member
from asgi_rt.hub.hub import Hub
from asgi_rt.hub.locks import Locks
from asgi_rt.hub.place import Place
from asgi_rt.hub.subscription import Subscription
from asgi_rt.hub.topics import check_pattern, check_topic

__all__ = ["Presence"]

_MAX_MEMBER: Final = 255
"""How many characters a member's name may have."""
_MAX_METADATA_BYTES: Final = 4096
# What an event has beside its metadata at most: the longest topic and member, as JSON.
_EVENT_BYTES: Final = 4096


class Presence:
    """Who is at which topic of a hub. One for each hub; made wherever the hub is made.

    A chat room that shows who is there:

    ```python
    hub = Hub()
    presence = Presence(hub)

    @app.websocket("/rooms/{room}")
    async def chat(ws):
        room, name = ws.path_params["room"], ws.query.get("name", "")
        if len(room) > 20 or not 1 <= len(name) <= 50:
            raise HTTPError(422, "a room has 1 to 20 characters, and a name 1 to 50")
        topic = "rooms." + topic_token(room)
        await ws.accept()
        async with (
            attach(ws, hub, topic, presence.topic(topic)) as feed,
            presence.join(topic, name, {"status": "here"}, exclude=feed),
        ):
            members = await presence.members(topic)
            await ws.send_json({"type": "members", "members": [each.member for each in members]})
            async for text in ws.iter_text():
                await hub.publish(topic, {"from": name, "text": text})
    ```

    Each change is published at `presence.topic(topic)`, as JSON:
    `{"type": "joined", "topic": ..., "member": ..., "metadata": ...}`. The type is "joined" for the
    first connection of a member, "updated" for a further one, and for new metadata, and "left" for
    the last. `members` agrees with an event by the time it is published, so who subscribes first
    and lists the members then misses nobody. Those of one member come in the order in which they
    happened, as far as one process made them. Nobody is waited for: subscribers that block and are
    full lose events, counted. Subscribers that coalesce keep the newest event of each member.

    No event tells when the newest of several connections goes and `members` has the metadata of the
    one before, nor when those of a process that broke off are given up by the backplane.

    `prefix` is what the topics of the events begin with. `max_metadata_bytes` is what the metadata
    of a connection may have as JSON; with 4096 more it is to fit into a message of the hub, or
    ValueError is raised.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        prefix: str = "presence",
        max_metadata_bytes: int = _MAX_METADATA_BYTES,
    ) -> None:
        check_topic(prefix)
        if not max_metadata_bytes >= 4:
            raise ValueError(
                f"max_metadata_bytes is at least 4, the size of null, not {max_metadata_bytes}"
            )
        if max_metadata_bytes + _EVENT_BYTES > hub.max_message_bytes:
            raise ValueError(
                f"an event may be larger than the hub's max_message_bytes, {hub.max_message_bytes}:"
                f" that is to be max_metadata_bytes, {max_metadata_bytes}, and {_EVENT_BYTES} more"
            )
        self.hub = hub
        self.prefix = prefix
        self._max_metadata_bytes = max_metadata_bytes
        self._locks = Locks()

    def topic(self, topic: str) -> str:
        """Where the events of a topic are published; for a pattern, of all that match it.

        Raises ValueError for what is neither.
        """
        events = f"{self.prefix}.{topic}"
        check_pattern(events)
        return events

    def join(
        self,
        topic: str,
        member: str,
        metadata: Any = None,
        *,
        exclude: Subscription | str | None = None,
    ) -> Place:
        """A connection of somebody at a topic, for as long as an `async with` of it lasts.

        `member` is who, 1 to 255 characters: once, however many connections they have, and known by
        the metadata of the newest. `exclude` is who does not get the events of this connection, as
        in `Hub.publish`. Raises ValueError for a topic, member or metadata that is none, or too
        large, and TypeError for what is no str and metadata that cannot be made JSON; see `Place`
        for the rest.
        """
        for name, text in (("a topic", topic), ("a member", member)):
            if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
                raise TypeError(f"{name} is a str, not {text!r}")
        events = self.topic(topic)
        check_topic(events)
        if not 1 <= len(member) <= _MAX_MEMBER:
            raise ValueError(f"a member has 1 to {_MAX_MEMBER} characters, not {len(member)}")
        f"{topic}{member}".encode()  # ValueError for what no JSON can hold
        return Place(
            self.hub,
            self._locks,
            topic,
            member,
            self._checked(metadata),
            events=events,
            check=self._checked,
            exclude=exclude,
        )

    async def members(self, topic: str) -> list[Member]:
        """Who is there, the longest there first. Their metadata is shared: do not change it.

        Raises BackplaneError where that cannot be known.
        """
        check_topic(topic)
        return await self.hub.backplane.members(topic)

    async def count(self, topic: str) -> int:
        """How many members are there. Nobody is listed for it. Raises BackplaneError."""
        check_topic(topic)
        return await self.hub.backplane.member_count(topic)

    def _checked(self, metadata: Any) -> Any:
        """Metadata as every backplane gives it: a copy, of what JSON can hold."""
        document = dump_json([metadata])  # no deeper than it will stand in an event
        size_bytes = len(document) - 2
        if size_bytes > self._max_metadata_bytes:
            raise ValueError(
                f"metadata of {size_bytes} bytes is larger than the presence's"
                f" max_metadata_bytes, {self._max_metadata_bytes}"
            )
        return load_json(document)[0]
