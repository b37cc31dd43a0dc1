"""Server-sent events: framing, streams that ping and resume, and a log to resume from.

The client stands in `asgi_rt.sse.client`, for it needs httpx2 (the extra `client`).
"""

from asgi_rt.sse.framing import Decoder, Event, encode
from asgi_rt.sse.log import EventLog
from asgi_rt.sse.stream import EventStream

__all__ = ["Decoder", "Event", "EventLog", "EventStream", "encode"]
