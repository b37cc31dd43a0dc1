"""Whether there are other processes that a hub in memory does not reach."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final

__all__ = ["said_of_workers", "warn_of_workers"]

_VARIABLE: Final = "WEB_CONCURRENCY"
_OPTIONS: Final = {"uvicorn": ("--workers",), "gunicorn": ("--workers", "-w")}
"""What each server is told the number of its workers by."""
_logger = logging.getLogger("asgi_rt.hub")


def warn_of_workers(
    environment: Mapping[str, str] = os.environ, arguments: Sequence[str] | None = None
) -> None:
    """Log a warning where the server says that it runs several processes.

    It says so by its command line, which its workers see as theirs, or by the variable
    WEB_CONCURRENCY, which uvicorn, gunicorn and most platforms read, and which
    `asgi-rt run --workers` sets.
    """
    said = said_of_workers(environment, sys.argv if arguments is None else arguments)
    if said is not None and said[1] > 1:
        _logger.warning(
            "%s is %d, and this hub reaches the clients of its own process alone: what is"
            " published in one worker is not heard in the others; run one worker, or give the hub a"
            " backplane",
            *said,
        )


def said_of_workers(
    environment: Mapping[str, str], arguments: Sequence[str]
) -> tuple[str, int] | None:
    """What says how many workers there are, and how many; None where nothing does.

    The command line goes before the environment, as it does for the servers.
    """
    said = [(_VARIABLE, environment.get(_VARIABLE, "")), *_options(arguments)]
    numbers = [(name, int(value)) for name, value in said if value.isdecimal()]
    return numbers[-1] if numbers else None


def _options(arguments: Sequence[str]) -> list[tuple[str, str]]:
    if not arguments:
        return []
    program = PurePath(arguments[0])
    server = program.parent.name if program.name == "__main__.py" else program.stem
    found: list[tuple[str, str]] = []
    for name in _OPTIONS.get(server, ()):
        for argument, following in zip(arguments[1:], [*arguments[2:], ""], strict=True):
            if argument == name:
                found.append((name, following))
            elif argument.startswith(f"{name}="):
                found.append((name, argument.removeprefix(f"{name}=")))
    return found
