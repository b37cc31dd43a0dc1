"""When a client that lost its stream asks for it again, and when it gives up."""

import logging
import random
from collections.abc import Awaitable, Callable

import anyio

from asgi_rt.sse.backoff import reconnect_delay

__all__ = ["Reconnection"]

_logger = logging.getLogger("asgi_rt.sse")


class Reconnection:
    """Counts the attempts that brought nothing and keeps the time of the next one.

    `retry`, in seconds, may be set to what the server asks for. With `is_enabled` False no failure
    is followed by another attempt, nor is the failure number `max_attempts` in a row.
    """

    def __init__(
        self, *, is_enabled: bool, retry: float, max_retry: float, max_attempts: int | None
    ) -> None:
        if retry < 0 or max_retry < 0:
            raise ValueError(f"retry and max_retry are seconds, not {retry} and {max_retry}")
        if max_attempts is not None and max_attempts < 1:
            raise ValueError(f"max_attempts is at least 1, or None, not {max_attempts}")
        self.is_enabled = is_enabled
        self.retry = retry
        self._max_retry = max_retry
        self._max_attempts = max_attempts
        self._failures = 0
        self._is_fruitful = False
        self._due: float | None = None
        self.replace_clock()

    def replace_clock(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        now: Callable[[], float] = anyio.current_time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Have a test's own time, in seconds, and chance, from 0 to 1, instead of the real ones."""
        self._sleep = sleep
        self._now = now
        self._random = chance

    async def wait(self) -> None:
        """Return when the next attempt, which begins then, is due.

        A wait that was cancelled goes on the next time: callers who have little patience each time
        do not begin it anew.
        """
        if self._due is not None:
            await self._sleep(max(0.0, self._due - self._now()))
            self._due = None
        self._is_fruitful = False

    def received(self) -> None:
        """The attempt brought something: whatever ends it now, it was no failure."""
        self._failures = 0
        self._is_fruitful = True

    def plan(self, error: Exception, *, retry_after: float | None = None) -> None:
        """Set the time of the next attempt, or raise `error` if there shall be none.

        `retry_after`, in seconds, is what the server answered.
        """
        if not self._is_fruitful:
            self._failures += 1
        if not self.is_enabled or self._failures == self._max_attempts:
            raise error
        wait = reconnect_delay(
            self.retry,
            self._failures,
            max_retry=self._max_retry,
            jitter=self._random(),
            retry_after=retry_after,
        )
        self._due = self._now() + wait
        level = logging.WARNING if self._failures else logging.INFO
        _logger.log(level, "%s; the next attempt is in %.1f seconds", error, wait)
