"""Running a coroutine by hand, up to where it asks for something or returns."""

from collections.abc import Awaitable, Generator
from enum import Enum
from types import coroutine
from typing import Any, Final

__all__ = ["ASKED", "Ended", "awaiting", "carry_on"]


class _Mark(Enum):
    ASKED = "asked"


ASKED: Final = _Mark.ASKED
"""What a coroutine yields that asks whoever runs it."""


class Ended:
    """It has returned."""

    __slots__ = ("result",)

    def __init__(self, result: Any) -> None:
        self.result = result


@coroutine
def carry_on(side: Any, waits_for: Any) -> Generator[Any, Any, Any]:
    """Pass on what a coroutine awaits, until it asks or returns."""
    try:
        while waits_for is not ASKED:
            try:
                value = yield waits_for
            except BaseException as error:  # whatever the event loop throws is the coroutine's
                waits_for = side.throw(error)
            else:
                waits_for = side.send(value)
    except StopIteration as stop:
        return Ended(stop.value)
    return ASKED


async def awaiting(awaitable: Awaitable[Any]) -> Any:
    """A coroutine of anything that can be awaited."""
    return await awaitable
