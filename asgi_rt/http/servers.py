"""Knowing a server's own `receive` and `send` from anybody else's.

Most of what is awaited belongs to a task. The `receive` and the `send` of some servers wait for
nothing but a future, so that a callback, or another task, can do what takes a task elsewhere. That
is so behind what passes them on as well, and says so by an attribute `passes_on` or `sends_on`.
"""

from typing import Any, Final

from asgi_rt.asgi import Receive, Send

__all__ = ["sends_from_anywhere", "waits_for_futures"]

# Seen in the source of all its protocols, for HTTP and for WebSockets.
_PLAIN_SERVERS: Final = frozenset({"uvicorn"})


def waits_for_futures(receive: Receive) -> bool:
    """Whether a `receive` can be run step by step outside of a task, on asyncio.

    It is a server's own, or one whose owner passes that on and waits for nothing else: it has the
    attribute `passes_on`, which is the `receive` it awaits, or None where that is not so just now.
    """
    return _is_a_servers(receive, "passes_on")


def sends_from_anywhere(send: Send) -> bool:
    """Whether a `send` can be begun in one task and carried on in another, on asyncio.

    It is a server's own, or one whose owner passes all messages on to that as they are: it has the
    attribute `sends_on`, which is the `send` it awaits, or None where that is not so just now.
    """
    return _is_a_servers(send, "sends_on")


def _is_a_servers(function: Any, inwards: str) -> bool:
    owner: Any = getattr(function, "__self__", None)
    while (inner := getattr(owner, inwards, None)) is not None:
        owner = getattr(inner, "__self__", None)
    return type(owner).__module__.partition(".")[0] in _PLAIN_SERVERS
