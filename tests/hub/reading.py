"""What a subscriber has got, put so that it can be compared."""

from typing import Any

import anyio

from asgi_rt.hub import Gap, Subscription

DEADLINE = 10.0
"""Seconds that only guard against hanging."""


def waiting(subscription: Subscription) -> list[Any]:
    """What can be taken without a wait: the data of messages, and gaps."""
    items: list[Any] = []
    while (item := subscription.take()) is not None:
        items.append(item if isinstance(item, Gap) else item.data)
    return items


async def read(subscription: Subscription, count: int) -> list[Any]:
    """The next so many, as `async for` gives them: the data of messages, and gaps."""
    items: list[Any] = []
    with anyio.fail_after(DEADLINE):
        while len(items) < count:
            item = await anext(subscription)
            items.append(item if isinstance(item, Gap) else item.data)
    return items


async def read_to_end(subscription: Subscription) -> list[Any]:
    """All that it gives until it ends."""
    with anyio.fail_after(DEADLINE):
        return [item if isinstance(item, Gap) else item.data async for item in subscription]
