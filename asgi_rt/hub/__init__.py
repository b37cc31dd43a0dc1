"""Many subscribers: publish, subscribe, slow consumers. Knows no HTTP."""

from asgi_rt.hub.backplane.protocol import Member
from asgi_rt.hub.history import History
from asgi_rt.hub.hub import Hub
from asgi_rt.hub.mailbox import Overflow
from asgi_rt.hub.message import Gap, Message
from asgi_rt.hub.outcome import Published
from asgi_rt.hub.place import Place
from asgi_rt.hub.presence import Presence
from asgi_rt.hub.subscription import Subscription
from asgi_rt.hub.topics import topic_token

__all__ = [
    "Gap",
    "History",
    "Hub",
    "Member",
    "Message",
    "Overflow",
    "Place",
    "Presence",
    "Published",
    "Subscription",
    "topic_token",
]
