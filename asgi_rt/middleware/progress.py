"""How far a response is, as its messages tell."""

from typing import Final

from asgi_rt.asgi import Message

__all__ = ["ends_response", "is_event_stream"]

_BODIES: Final = frozenset({"http.response.body", "http.response.zerocopysend"})
_EVENT_STREAM: Final = b"text/event-stream"


def ends_response(message: Message) -> bool:
    """Whether the body is complete with it; trailers, of which few servers know, may follow."""
    kind: str = message["type"]
    if kind in _BODIES:
        return not message.get("more_body", False)
    return kind == "http.response.pathsend"


def is_event_stream(head: Message) -> bool:
    """Whether it begins a stream of server-sent events, which has no end on purpose."""
    return any(
        name.lower() == b"content-type" and value.lower().startswith(_EVENT_STREAM)
        for name, value in head.get("headers", ())
    )
