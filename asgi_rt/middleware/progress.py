"""How far a response is, as its messages tell."""

from typing import Final

from asgi_rt.asgi import Message

__all__ = ["CUT_OFF", "ends_response", "is_event_stream", "readable"]

CUT_OFF: Final = "asgi_rt.cut_off"
"""True in the scope of a response that a layer has broken off: its client may still be there."""

_BODIES: Final = frozenset({"http.response.body", "http.response.zerocopysend"})
_EVENT_STREAM: Final = b"text/event-stream"


def ends_response(message: Message) -> bool:
    """Whether the body is complete with it; trailers, of which few servers know, may follow."""
    kind: str = message["type"]
    if kind in _BODIES:
        return not message.get("more_body", False)
    return kind == "http.response.pathsend"


def readable(head: Message) -> Message:
    """The head with fields that can be read again, before somebody reads those that cannot.

    ASGI asks for an iterable, and a server reads it once.
    """
    fields = head.get("headers", ())
    return head if isinstance(fields, list | tuple) else {**head, "headers": [*fields]}


def is_event_stream(head: Message) -> bool:
    """Whether it begins a stream of server-sent events, which has no end on purpose."""
    return any(
        name.lower() == b"content-type" and value.lower().startswith(_EVENT_STREAM)
        for name, value in head.get("headers", ())
    )
