"""What the log says of subscribers that are slow: the first loss of each, in few lines."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from asgi_rt.hub.subscription import Subscription
from asgi_rt.token_bucket import TokenBucket

__all__ = ["SlowLog"]

# A network that fails makes all clients slow at once, and is not to fill the disk as well.
_LINES_A_SECOND: Final = 0.1
_LINES_AT_ONCE: Final = 10
_NAMED_TOPICS: Final = 3
_logger = logging.getLogger("asgi_rt.hub")


class SlowLog:
    """The lines of one hub: ten at once, and one each ten seconds. Others are counted."""

    __slots__ = ("_clock", "_lines", "_unsaid")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines = TokenBucket(_LINES_A_SECOND, _LINES_AT_ONCE, clock())
        self._unsaid = 0

    def note(self, subscription: Subscription) -> None:
        """Say that a subscriber has lost its first message, or was sent away."""
        if not self._lines.take(self._clock()):
            self._unsaid += 1
            return
        unsaid, self._unsaid = self._unsaid, 0
        _warn(
            "subscriber %s to %s is slow: %s, as more waited for it than %s messages or %s bytes"
            " (policy %s)%s",
            subscription.id,
            _named(subscription.topics),
            "it was sent away" if subscription.is_disconnected else "it has lost its first message",
            subscription.mailbox.max_messages,
            subscription.mailbox.max_bytes,
            subscription.policy.value,
            f"; {unsaid} before it were not named" if unsaid else "",
        )

    def say_rest(self) -> None:
        """Say how many were left out since the last line, if any were."""
        unsaid, self._unsaid = self._unsaid, 0
        if unsaid:
            _warn("%d more subscribers were slow, and are not named", unsaid)


def _warn(text: str, *values: object) -> None:
    # A handler that fails is not to have a message lost for those who are not slow.
    with suppress(Exception):
        _logger.warning(text, *values)


def _named(topics: tuple[str, ...]) -> str:
    named = ", ".join(topics[:_NAMED_TOPICS])
    unnamed = len(topics) - _NAMED_TOPICS
    return f"{named} and {unnamed} more" if unnamed > 0 else named
