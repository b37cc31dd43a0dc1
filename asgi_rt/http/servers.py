"""Knowing a server's own `receive` from anybody else's.

Most of what is awaited belongs to a task. The `receive` of some servers waits for nothing but a
future, so that a callback can do what takes a task elsewhere. That is so behind what passes it on
as well, and says so by an attribute `passes_on`.
"""

from typing import Any, Final

from asgi_rt.asgi import Receive

__all__ = ["waits_for_futures"]

# Seen in the source of all its protocols, for HTTP and for WebSockets.
_PLAIN_SERVERS: Final = frozenset({"uvicorn"})


def waits_for_futures(receive: Receive) -> bool:
    """Whether a `receive` can be run step by step outside of a task, on asyncio.

    It is a server's own, or one whose owner passes that on and waits for nothing else: it has the
    attribute `passes_on`, which is the `receive` it awaits, or None where that is not so just now.
    """
    owner: Any = getattr(receive, "__self__", None)
    while (inner := getattr(owner, "passes_on", None)) is not None:
        owner = getattr(inner, "__self__", None)
    return type(owner).__module__.partition(".")[0] in _PLAIN_SERVERS
