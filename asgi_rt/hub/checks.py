"""What is refused of what a hub is asked for, where it is asked and not among its subscribers."""

import inspect
from collections.abc import Sequence
from typing import Any, Final

from asgi_rt.hub.bounds import check_bound
from asgi_rt.hub.message import Message
from asgi_rt.hub.topics import check_pattern

__all__ = ["check_subscription", "checked_message"]

# They are kept with each message, and are not in the bytes that are counted.
_MAX_NAME_LENGTH: Final = 255


def check_hub(backplane: object, max_message_bytes: int) -> None:
    """Raise TypeError or ValueError for what no hub can be made with."""
    if not callable(getattr(backplane, "publish", None)):
        raise TypeError(f"a backplane is an object like MemoryBackplane(), not {backplane!r}")
    check_bound("max_message_bytes", max_message_bytes)


def checked_message(
    topic: str, data: Any, key: str | None, exclude: str | None, max_bytes: int
) -> Message:
    """A message of data that can be one. Raises TypeError or ValueError."""
    _check_name("key", key, "a str")
    _check_name("exclude", exclude, "a str, or a subscription")
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
        if not isinstance(topic, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
            raise TypeError(f"each topic is a str, an argument of its own, not {topic!r}")
        check_pattern(topic)
    if not isinstance(history, int):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
        raise TypeError(f"history is a number of messages, not {history!r}")
    if history < 0:
        raise ValueError(f"history is a number of messages, 0 or more, not {history}")
    _check_filter(choose)
    _check_name("origin", origin, "a str")


def _check_filter(choose: object) -> None:
    if choose is None:
        return
    if not callable(choose):
        raise TypeError(f"a filter is a function of a message, not {choose!r}")
    # Not what a lambda may return, which only a call shows.
    if inspect.iscoroutinefunction(choose) or inspect.iscoroutinefunction(type(choose).__call__):
        raise TypeError("a filter is called in the publisher's turn: a `def`, not `async def`")


def _check_name(what: str, name: object, types: str) -> None:
    if name is None:
        return
    if not isinstance(name, str):
        raise TypeError(f"{what} is {types}, not {name!r}")
    if len(name) > _MAX_NAME_LENGTH:
        raise ValueError(f"{what} has {_MAX_NAME_LENGTH} characters at most, not {len(name)}")
