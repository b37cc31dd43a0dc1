"""Cancelling something at each of its waits in turn."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import anyio


class _CountedWaits:
    """Awaits a coroutine, and cancels a scope as it begins its `at`-th wait."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], scope: anyio.CancelScope, at: int):
        self._coroutine = coroutine
        self._scope = scope
        self._left = at

    def __await__(self) -> Generator[Any, Any, None]:
        step = self._coroutine.__await__()
        resume: Callable[[], Any] = lambda: next(step)  # noqa: E731 - it changes below
        while True:
            try:
                waits_for = resume()
            except StopIteration:
                return
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()
            try:
                value = yield waits_for
            except BaseException as error:
                thrown = error
                resume = lambda: step.throw(thrown)  # noqa: B023, E731 - called before it changes
            else:
                resume = lambda: step.send(value)  # noqa: B023, E731


async def cancelled_at_each_wait(
    scenario: Callable[[], Coroutine[Any, Any, None]], check: Callable[[], Awaitable[None]]
) -> int:
    """Run a scenario again and again, cancelled at its first wait, at its second, and so on.

    After each, `check` is to find everything as it should be. Returns how many waits there were.
    """
    at = 0
    while True:
        at += 1
        with anyio.CancelScope() as scope:
            await _CountedWaits(scenario(), scope, at)
        await check()
        if not scope.cancel_called:
            assert at > 1, "nothing was waited for, so nothing was cancelled"
            return at - 1
