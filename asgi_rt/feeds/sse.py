"""A hub's topics as a stream of server-sent events."""

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.feeds.event_source import EventSource
from asgi_rt.feeds.wire import check_encode, framing_by, framing_named
from asgi_rt.http.request import Request
from asgi_rt.hub.filtering import Filter
from asgi_rt.hub.hub import MAX_BYTES, MAX_MESSAGES, Hub
from asgi_rt.hub.mailbox import Overflow
from asgi_rt.hub.message import Message
from asgi_rt.hub.subscription import Subscription
from asgi_rt.sse.stream import EventStream

__all__ = ["HubStream", "sse_feed"]


class HubStream(EventStream):
    """The events of one subscription, from where the client says that it was.

    An ASGI application, to be sent once. `sse_feed` makes one.
    """

    __slots__ = ("_source",)

    def __init__(self, source: EventSource, **options: Any) -> None:
        super().__init__(source, **options)
        self._source = source

    @property
    def subscription(self) -> Subscription:
        """The subscriber that the client is, to be looked at."""
        return self._source.subscription

    def encode(self, item: bytes) -> bytes:  # pyright: ignore[reportIncompatibleVariableOverride] - both call it alike
        return item

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        self._resume(scope, receive)
        return super().__call__(scope, receive, send)

    async def send_in_step(self, scope: Scope, send: Send) -> None:
        self._resume(scope, _never)
        await super().send_in_step(scope, send)

    def _resume(self, scope: Scope, receive: Receive) -> None:
        """Begin where the client says, unless the handler did."""
        subscription = self._source.subscription
        if subscription.after is None:
            subscription.after = Request(scope, receive).last_event_id


async def _never() -> NoReturn:
    raise AssertionError("the head of a request is asked for, not its body")


def sse_feed(
    hub: Hub,
    *topics: str,
    event: str | None = None,
    encode: Callable[[Message], Any] | None = None,
    policy: Overflow = Overflow.DROP_OLDEST,
    max_messages: int = MAX_MESSAGES,
    max_bytes: int = MAX_BYTES,
    after: str | None = None,
    history: int = 0,
    filter: Filter | None = None,  # noqa: A002 - as in `Hub.subscribe`
    origin: str | None = None,
    **stream: Any,
) -> HubStream:
    """A response that is what is published to some topics, for a handler to return.

    Each message is an event: its data is the payload (bytes as base64), its name `event`, its id
    the message's cursor. `encode` makes an Event of a message instead, and must be the same
    function for all clients, for then each message is encoded once. A client that comes back with
    `Last-Event-ID`, or `?last_event_id=`, gets what it missed; where it misses something for good,
    one event `gap` with `{"reason": ..., "missed": ...}` says so in its place. A client that is
    sent away (`Overflow.DISCONNECT`) sees its stream end, and comes back. A handler of FastAPI
    returns that of `asgi_rt.embed` instead.

    What waits for it is bounded by `policy`, `max_messages` and `max_bytes`; see `Hub.subscribe`
    for these and for `after`, `history`, `filter` and `origin`. `stream` is for EventStream:
    `ping`, `retry`, `send_timeout`, `headers` and so on.
    """
    check_encode(encode)
    if event is not None and encode is not None:
        raise ValueError("an event that `encode` makes has its own name: give `event` or `encode`")
    subscription = hub.subscribe(
        *topics,
        policy=policy,
        max_messages=max_messages,
        max_bytes=max_bytes,
        after=after,
        history=history,
        filter=filter,
        origin=origin,
    )
    framing = framing_named(event) if encode is None else framing_by(encode)
    return HubStream(EventSource(subscription, framing), **stream)
