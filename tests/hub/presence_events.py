"""A presence to be tested, and what it publishes, in short."""

from contextlib import asynccontextmanager

import pytest
from hub.waiting_backplane import WaitingBackplane

from asgi_rt.hub import Hub
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.presence import Presence

TOPIC = "rooms.1"
backplanes = pytest.mark.parametrize("waits", [False, True], ids=["at once", "waiting"])


@asynccontextmanager
async def opened(waits):
    """A presence, and a subscription to the events of all rooms."""
    hub = Hub(backplane=WaitingBackplane() if waits else MemoryBackplane())
    presence = Presence(hub)
    async with hub, hub.subscribe(presence.topic("rooms.*")) as subscription:
        yield presence, subscription


def taken(subscription):
    """The events that have come, as they are."""
    events = []
    while (message := subscription.take()) is not None:
        assert message.kind == "json"
        events.append(message.data)
    return events


def changes(subscription):
    """The events that have come, in short."""
    return [(event["type"], event["member"], event["metadata"]) for event in taken(subscription)]


async def names(presence, topic=TOPIC):
    return [each.member for each in await presence.members(topic)]


def is_in_order(kinds):
    """Whether one member's events are such as can happen: joined, updated any times, left."""
    is_there = False
    for kind in kinds:
        if (kind == "joined") == is_there:
            return False
        is_there = kind != "left"
    return not is_there
