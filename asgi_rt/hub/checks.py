"""What is refused of what a hub is asked for, where it is asked and not among its subscribers."""

import inspect
from collections.abc import Sequence
from typing import Any, Final

from asgi_rt.hub.message import Message
from asgi_rt.hub.topics import check_pattern

__all__ = ["check_subscription", "checked_message"]

# It is kept with each message, and is not in the bytes that are counted.
_MAX_KEY_LENGTH: Final = 255


def checked_message(topic: str, data: Any, key: object, exclude: object, max_bytes: int) -> Message:
    """A message of data that can be one. Raises TypeError or ValueError."""
    if key is not None and not isinstance(key, str):
        raise TypeError(f"key is a str, not {key!r}")
    if key is not None and len(key) > _MAX_KEY_LENGTH:
        raise ValueError(f"a key has {_MAX_KEY_LENGTH} characters at most, not {len(key)}")
    if exclude is not None and not isinstance(exclude, str):
        raise TypeError(f"exclude is a str, or a subscription, not {exclude!r}")
    message = Message.of(topic, data, key=key, exclude=exclude)
    if len(message.payload) > max_bytes:
        raise ValueError(
            f"a message of {len(message.payload)} bytes to {topic!r} is larger than the hub's"
            f" max_message_bytes, {max_bytes}"
        )
    return message


def check_subscription(
    topics: Sequence[str], *, history: int, choose: object, origin: object
) -> None:
    """Raise TypeError or ValueError for what cannot be subscribed with."""
    if not topics:
        raise ValueError("a subscription is to one topic or pattern at least")
    for topic in topics:
        check_pattern(topic)
    if history < 0:
        raise ValueError(f"history is a number of messages, 0 or more, not {history}")
    if inspect.iscoroutinefunction(choose):
        raise TypeError("a filter is called in the publisher's turn: a `def`, not `async def`")
    if origin is not None and not isinstance(origin, str):
        raise TypeError(f"origin is a str, not {origin!r}")
