"""What goes to the server of one exchange, and whether the client was there for all of it."""

import time
from typing import Final

from asgi_rt.asgi import Message, Scope, Send
from asgi_rt.middleware.discarding import Discarded, Gone, raises_for_the_gone
from asgi_rt.middleware.progress import ends_response
from asgi_rt.middleware.replayed_body import ReplayedBody

__all__ = ["BODIES", "Outgoing"]

BODIES: Final = frozenset(
    {"http.response.body", "http.response.pathsend", "http.response.zerocopysend"}
)
"""The messages that are a piece of a body."""
_clock = time.monotonic
_LOOK_SECONDS: Final = 1.0
"""How often it is looked whether the client of a stream that dispatch has made is there."""


class Outgoing:
    """The way to the server.

    Before ASGI 2.4 a server says nothing in a `send` after its client has left, so it is looked
    for: now and then in a stream that nobody watches, and before the end where somebody asks.
    """

    request: ReplayedBody
    scope: Scope
    _server_send: Send
    # Set on the class, so that an exchange that goes straight through does not pay for them.
    has_begun = False
    """Whether a head of `send_noted` is on its way."""
    is_complete = False
    """Whether the end went to the server, by `send_noted`, when nobody knew the client gone."""
    is_end_asked_for = False
    """Whether somebody is to be told of the end, so that it is worth a look for the client."""
    looks_for_client = False
    """Whether a stream may be sent that nobody watches, so that its sender must be told."""
    raises_at_end = False
    """Whether its sender must be told even after its end, as it tells others."""
    _has_body = False
    _looked_at: float | None = None
    _lost: OSError | None = None  # what has told `send_ours` that the client has left

    async def send_noted(self, message: Message) -> None:
        """Send to the server, and note how far the response is."""
        if self._is_last(message):
            await self._send_last(message)
        else:
            await self._server_send(message)

    async def send_ours(self, message: Message) -> None:
        """Send a message of the response that the dispatch function has made.

        Raises OSError where it is seen that the client has left.
        """
        is_last = self._is_last(message)
        try:
            if is_last:
                await self._send_last(message)
            else:
                await self._server_send(message)
        except OSError as error:
            self._lost = error  # it is the app's to know, and no failure
            raise
        if is_last:
            is_gone = self.raises_at_end and not self.is_complete
        else:
            is_gone = (
                self.looks_for_client
                and self._is_time_to_look()
                and await self.request.is_seen_to_have_left()
            )
        if is_gone:
            self._lost = Gone("the client has left")
            raise self._lost

    def _is_last(self, message: Message) -> bool:
        """Whether it is the end of the response. Notes what else it is."""
        kind = message["type"]
        if kind in BODIES:
            if ends_response(message):
                return True
            self._has_body = True
        elif kind == "http.response.start":
            self.has_begun = True
        return False

    def _is_time_to_look(self) -> bool:
        """Whether a stream goes on for so long that its client may have left."""
        now = _clock()
        if self._looked_at is None:
            self._looked_at = now
            return False
        if now - self._looked_at <= _LOOK_SECONDS:
            return False
        self._looked_at = now
        return True

    async def _send_last(self, message: Message) -> None:
        is_there = not self.request.is_known_to_be_left
        # A response of one piece is over too soon for a look to tell anything.
        if is_there and self.is_end_asked_for and self._has_body:
            is_there = not await self._is_silently_gone()
        try:
            await self._server_send(message)
        except (Exception, Discarded):
            raise
        except BaseException:
            # The send of a last message is cancelled by those who wait for the end of the response:
            # the server has taken it, as far as can be told.
            self.is_complete = is_there
            raise
        self.is_complete = is_there

    async def _is_silently_gone(self) -> bool:
        """Whether the client has left, on a server that does not say so in a `send`."""
        # An app that waits for a message is told first, and two must not wait for one.
        if raises_for_the_gone(self.scope) or self.request.is_waited_for:
            return False
        return await self.request.has_left()
