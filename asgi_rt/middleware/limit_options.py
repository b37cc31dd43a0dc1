"""What the layers that limit something take as options, checked when they are made."""

import math
from collections.abc import Callable
from typing import Any

from asgi_rt.handlers import handler_name, is_async

__all__ = ["check_count", "check_function", "check_seconds"]


def check_count(name: str, value: int, *, least: int = 1) -> int:
    """A whole number of at least `least`. Raises TypeError and ValueError that name the option."""
    if not isinstance(value, int) or isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise TypeError(f"{name} is a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return value


def check_seconds(name: str, value: float | None) -> float | None:
    """Seconds, more than 0 and finite, or None for no limit. Raises as `check_count`."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise TypeError(f"{name} is a number of seconds, or None for no limit, not {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be more than 0 and finite, not {value}; None is no limit")
    return value


def check_function(name: str, value: Callable[..., Any]) -> None:
    """A plain function. Raises TypeError: what an `async def` returns is always true."""
    if not callable(value):
        raise TypeError(f"{name} is a function of the connection, not {value!r}")
    if is_async(value):
        raise TypeError(f"{name} is called, not awaited: make {handler_name(value)} a `def`")
