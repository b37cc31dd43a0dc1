"""Ending an app whose response nobody is going to send."""

import logging
from collections.abc import Iterator
from typing import Final, cast

from asgi_rt.asgi import Scope

__all__ = ["Discarded", "Gone", "is_harmless", "raises_for_the_gone", "worst"]

_logger = logging.getLogger("asgi_rt.middleware")
_RAISES_FROM: Final = (2, 4)


class Discarded(BaseException):
    """Raised in an app, out of its `send`, whose response nobody is going to send.

    No Exception, for it is no failure that an app could answer. No cancellation either: out of a
    child task it must reach the app itself.
    """


class Gone(OSError):
    """Raised in an app whose response was replaced, as by a server whose client has left."""


def raises_for_the_gone(scope: Scope) -> bool:
    """Whether the server raises OSError in a `send` after the client has left."""
    version: str = scope.get("asgi", {}).get("spec_version", "2.0")
    return tuple(int(part) for part in version.split(".") if part.isdecimal()) >= _RAISES_FROM


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    """The errors of a group, of its groups too; an error itself; none for None."""
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(each)
    elif error is not None:
        yield error


def is_harmless(error: BaseException | None) -> bool:
    """Whether an app ended well, or by no more than that nobody wanted its response.

    Frameworks make errors of their own of what a server raises when its client has left.
    """
    return all(
        isinstance(each, Discarded) or any(isinstance(cause, Gone) for cause in _causes(each))
        for each in _leaves(error)
    )


def worst(failure: BaseException | None) -> BaseException | None:
    """What an app has raised that is to be raised though its dispatch side has failed as well."""
    for each in _leaves(failure):
        if not is_harmless(each):
            if not isinstance(each, Exception):
                return each
            _logger.error("an app failed when its response was given up", exc_info=each)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
