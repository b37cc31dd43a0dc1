"""What a handler that yields answers with: JSON lines, server-sent events, or the bytes it says."""

import logging
from collections.abc import Coroutine, Iterator
from typing import Any, Final

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.fastapi.dependencies.models import Dependant
from asgi_rt.fastapi.responses import StreamingResponse
from asgi_rt.fastapi.serialization import Encode
from asgi_rt.fastapi.sse import ItemEventStream
from asgi_rt.handlers import handler_name
from asgi_rt.http.streaming import Source

__all__ = ["EventsResponse", "JSONLinesResponse", "warn_of_held"]

_logger: Final = logging.getLogger("asgi_rt.fastapi")


class JSONLinesResponse(StreamingResponse):
    """Each item of the source as one line of JSON, which `encode_item` makes without its end."""

    __slots__ = ("_encode_item",)
    media_type = "application/jsonl"

    def __init__(self, source: Source, encode_item: Encode, **options: Any) -> None:
        super().__init__(source, **options)
        self._encode_item = encode_item

    def encode(self, item: Any) -> bytes:
        line: bytes = self._encode_item(item)
        return line + b"\n"


class EventsResponse(ItemEventStream):
    """Each item as an event. What is left to do is done before sending returns."""

    __slots__ = ()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        sending = super().__call__(scope, receive, send)
        self._scope = {}
        return sending


def warn_of_held(dependant: Dependant, label: str) -> None:
    """Say which dependencies stay open as long as a stream does, which may have no end."""
    held = dict.fromkeys(_held(dependant))
    for name in held:
        _logger.warning(
            "%s: the dependency %s stays open for as long as the stream lasts; with"
            ' Depends(%s, scope="function") it is closed before the stream begins',
            label,
            name,
            name,
        )


def _held(dependant: Dependant) -> Iterator[str]:
    for each in dependant.dependencies:
        yield from _held(each)
        if each.lifetime == "request":
            yield handler_name(each.call)
