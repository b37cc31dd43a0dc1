"""A hub's topics on a WebSocket."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import anyio

from asgi_rt.errors import WebSocketClosed
from asgi_rt.feeds.wire import (
    check_encode,
    encoded,
    envelope,
    envelope_of_cursor,
    envelope_of_gap,
    plain,
    sends,
)
from asgi_rt.hub.filtering import Filter
from asgi_rt.hub.hub import MAX_BYTES, MAX_MESSAGES, Hub
from asgi_rt.hub.mailbox import Overflow
from asgi_rt.hub.message import Cursor, Gap, Message
from asgi_rt.hub.subscription import Subscription
from asgi_rt.websocket.closing import CRASHED, check_code
from asgi_rt.websocket.connection import WebSocket
from asgi_rt.websocket.pusher import Pusher

__all__ = ["Attachment", "attach"]

_TOO_SLOW: Final = "you read too slowly"
_CURSOR_FIELD: Final = "cursor"


class Attachment(Pusher):
    """One subscription whose messages are sent over a WebSocket. `attach` makes one.

    While nothing waits, a message is sent in the turn of its publisher. Where the client does not
    take it at once a task goes on with it, and with what waits behind it, until nothing is left.
    """

    __slots__ = (
        "_begun",
        "_encode",
        "_is_sending",
        "_loading",
        "_ws",
        "subscription",
    )

    def __init__(
        self,
        ws: WebSocket,
        subscription: Subscription,
        encode: Callable[[Message], str | bytes],
    ) -> None:
        super().__init__(ws)
        self.subscription = subscription
        self._ws = ws
        self._encode = encode
        self._begun: Coroutine[Any, Any, None] | None = None
        self._is_sending = False
        self._loading: anyio.CancelScope | None = None

    async def __aenter__(self) -> Subscription:
        subscription = self.subscription
        self.require_open("attach()")
        await subscription.start()
        try:
            if self._encode is envelope:
                await self._send_cursor()
        except BaseException:
            await subscription.aclose()
            raise
        subscription.sink = self
        if self.server_send is not None:
            subscription.server_send = self.server_send
            subscription.encode = sends(self._encode)
        self.begin()
        self.tell(subscription.end)
        self.wake()
        return subscription

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.subscription.sink = None
        self.untell(self.subscription.end)
        self.end()
        if self._loading is not None:
            self._loading.cancel()
        # What is being sent is not cancelled: half a message might stand on the wire.
        await self.subscription.aclose()

    async def _send_cursor(self) -> None:
        """Tell where the client begins; the first message of its history goes with that."""
        subscription = self.subscription
        first = None
        # A client that loses its connection before it has all that it missed begins there again.
        cursor = subscription.after if subscription.recovered else subscription.start_cursor
        if subscription.recovered is None:
            first = subscription.take()
            if isinstance(first, Message) and first.epoch is not None:
                cursor = Cursor(first.epoch, first.position - 1)
        place = None if cursor is None else str(cursor)
        await self._ws.send_text(envelope_of_cursor(place, subscription.recovered))
        if first is not None:
            await self._send(first)

    # For the hub

    def wake(self) -> None:
        subscription = self.subscription
        if subscription.is_disconnected:
            self.close(subscription.close_code, _TOO_SLOW)
        elif not self._is_sending and not subscription.is_over:
            self.go_on(None)

    def stop_pushes(self) -> None:
        self.subscription.stop_pushes()

    def allow_pushes(self) -> None:
        if not self._is_sending:
            self.subscription.allow_pushes()

    # Beside the handler

    def go_on(self, begun: Coroutine[Any, Any, None] | None) -> None:
        """Send the rest of what was begun, and what waits, in a task."""
        self.subscription.stop_pushes()
        self._is_sending = True
        self._begun = begun
        self.start(self._send_all)

    async def _send_all(self) -> None:
        """Send what was begun, and what waits, until nothing does."""
        try:
            with suppress(WebSocketClosed):
                if self._begun is not None:
                    await self._begun
                while (item := await self._next()) is not None:
                    await self._send(item)
        except Exception:
            # Without that message the others would be no whole: the client is to come back.
            self.close(*CRASHED)
            raise
        finally:
            self._begun = None
            self._is_sending = False
        if self.is_idle:
            self.subscription.allow_pushes()

    async def _next(self) -> Message | Gap | None:
        subscription = self.subscription
        while (item := subscription.take()) is None and subscription.must_load:
            with anyio.CancelScope() as self._loading:
                await subscription.load()
            self._loading = None
        return item

    async def _send(self, item: Message | Gap) -> None:
        if isinstance(item, Gap):
            await self._ws.send_text(envelope_of_gap(item))
            return
        data = encoded(item, self._encode)
        if isinstance(data, str):
            await self._ws.send_text(data)
        else:
            await self._ws.send_bytes(data)


def attach(
    ws: WebSocket,
    hub: Hub,
    *topics: str,
    envelopes: bool = False,
    encode: Callable[[Message], str | bytes] | None = None,
    policy: Overflow = Overflow.DROP_OLDEST,
    max_messages: int = MAX_MESSAGES,
    max_bytes: int = MAX_BYTES,
    after: str | None = None,
    history: int = 0,
    filter: Filter | None = None,  # noqa: A002 - as in `Hub.subscribe`
    origin: str | None = None,
    close_code: int = 1013,
) -> Attachment:
    """Have what is published to some topics sent over a WebSocket, as long as a block lasts.

    `async with attach(ws, hub, "rooms.1") as subscription:` after `accept`. The handler goes on to
    receive and send. Each message is sent as its payload: a text, or binary for bytes. Where
    messages are missing the text `{"type": "gap", "reason": ..., "missed": ...}` stands in their
    place.

    With `envelopes` the client can resume. It is told first where it begins, which is before any
    `history`, and whether anything is missing since the cursor that it came with, by
    `{"type": "cursor", "cursor": ..., "recovered": ...}`, and each message is
    `{"type": "message", "topic": ..., "cursor": ..., "data": ...}`; bytes are base64, and
    `"encoding"` says so. `after` is then by default the `cursor` of the query. `encode` makes
    something else of a message, and must be the same function for all connections.

    What waits is bounded by `policy`, `max_messages` and `max_bytes`; see `Hub.subscribe` for these
    and the rest. Who is sent away (`Overflow.DISCONNECT`) is closed with `close_code`. Leaving the
    block drops what waits. Raises LifecycleError before `accept`, and ValueError for a `close_code`
    that may not be sent. What `encode` raises, or gives that is neither a str nor bytes, closes the
    connection with 1011.
    """
    check_code(close_code)
    check_encode(encode)
    if envelopes and encode is not None:
        raise ValueError("`envelopes` is one way to encode a message: give that or `encode`")
    if not isinstance(ws, WebSocket):  # pyright: ignore[reportUnnecessaryIsInstance] - callers vary
        raise TypeError(
            f"attach() was given {type(ws).__module__}.{type(ws).__name__}, not a WebSocket of"
            " asgi_rt, which `async with asgi_rt.embed.wrap(websocket) as ws:` makes of others"
        )
    if envelopes and after is None:
        after = ws.query.get(_CURSOR_FIELD) or None
    subscription = hub.subscribe(
        *topics,
        policy=policy,
        max_messages=max_messages,
        max_bytes=max_bytes,
        after=after,
        history=history,
        filter=filter,
        origin=origin,
        close_code=close_code,
    )
    return Attachment(ws, subscription, encode or (envelope if envelopes else plain))
