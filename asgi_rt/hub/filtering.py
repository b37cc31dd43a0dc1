"""Calling the function that tells which messages a subscriber gets."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from asgi_rt.hub.message import Message

__all__ = ["FAILURES", "Filter", "lets_through", "log_failure"]

Filter: TypeAlias = Callable[[Message], bool]

FAILURES = (Exception, asyncio.CancelledError)
"""What fails one subscriber alone. The latter, raised by what is only called, is nobody's
cancellation: it was asked for the result of something that was cancelled.
"""
_logger = logging.getLogger("asgi_rt.hub")


def lets_through(choose: Filter, message: Message) -> bool:
    """What a filter says of a message. Raises TypeError where that can only be true."""
    said: object = choose(message)
    if said is True or said is False:
        return said
    if inspect.iscoroutine(said):
        said.close()  # else it warns that nobody awaited it
    if inspect.isawaitable(said) or inspect.isgenerator(said) or inspect.isasyncgen(said):
        raise TypeError(f"a filter returns a bool at once, and this one a {type(said).__name__}")
    return bool(said)


def log_failure(name: str) -> None:
    """Say what was raised by the filter of a subscription."""
    with suppress(Exception):  # a handler's, which would have others miss the message
        _logger.exception("the filter of %s failed: the message is not for it", name)
