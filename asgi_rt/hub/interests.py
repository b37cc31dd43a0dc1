"""What a hub has asked its backplane for: each pattern once, however many subscribers it has."""

import logging
from collections.abc import Sequence
from typing import Final

import anyio

from asgi_rt.errors import BackplaneError
from asgi_rt.hub.backplane.protocol import Backplane, Listener

__all__ = ["Interests"]

_RELEASE_SECONDS: Final = 5.0
_logger = logging.getLogger("asgi_rt.hub")


class _Interest:
    __slots__ = ("holders", "is_carried", "lock", "may_be_carried")

    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.holders = 0
        self.is_carried = False
        # A call that was cancelled, or failed, may have been done all the same.
        self.may_be_carried = False


class Interests:
    """The patterns that a backplane carries for a hub. Any task of its loop may use it.

    Whoever asks for a pattern returns when the backplane carries it, whether they were the first or
    not. Coming and going in any order ends with what is wanted in the end.
    """

    def __init__(self, backplane: Backplane) -> None:
        self._backplane = backplane
        self._interests: dict[str, _Interest] = {}

    @property
    def patterns(self) -> list[str]:
        """What is carried, or will be."""
        return list(self._interests)

    async def acquire(self, listener: Listener, pattern: str) -> None:
        """Have a pattern carried. What was begun is taken back where this raises."""
        interest = self._interests.setdefault(pattern, _Interest())
        interest.holders += 1
        try:
            await self._settle(listener, pattern, interest)
        except BaseException:
            await self.release(listener, [pattern])
            raise

    async def release(self, listener: Listener, patterns: Sequence[str]) -> None:
        """Have patterns carried no longer than others need them.

        Not cut short by cancellation; a backplane that does not answer is given up after seconds,
        and one that fails is logged.
        """
        left = [pattern for pattern in patterns if self._let_go(pattern)]
        if not left:
            return
        with anyio.move_on_after(_RELEASE_SECONDS, shield=True) as scope:
            for pattern in left:
                await self._withdraw(listener, pattern)
        if scope.cancelled_caught:
            _logger.warning("%s: not unsubscribed within %g s", ", ".join(left), _RELEASE_SECONDS)
        for pattern in left:
            self._forget(pattern)

    def _let_go(self, pattern: str) -> bool:
        """Have one holder less; whether that leaves something to do."""
        interest = self._interests[pattern]
        interest.holders -= 1
        # Where others have the lock or wait for it, they find what is wanted by then.
        if interest.holders or interest.lock.locked():
            return False
        if not interest.may_be_carried:
            del self._interests[pattern]
        return interest.may_be_carried

    async def _settle(self, listener: Listener, pattern: str, interest: _Interest) -> None:
        async with interest.lock:
            if not interest.is_carried:
                interest.may_be_carried = True
                await self._backplane.subscribe(listener, pattern)
                interest.is_carried = True

    async def _withdraw(self, listener: Listener, pattern: str) -> None:
        interest = self._interests.get(pattern)
        if interest is None:
            return
        async with interest.lock:
            if interest.holders or not interest.may_be_carried:
                return
            interest.is_carried = False
            try:
                await self._backplane.unsubscribe(listener, pattern)
            except BackplaneError as error:
                _logger.warning("%s was not unsubscribed from: %s", pattern, error)
            interest.may_be_carried = False
            self._forget(pattern)

    def _forget(self, pattern: str) -> None:
        interest = self._interests.get(pattern)
        if interest is not None and not interest.holders:
            del self._interests[pattern]
