"""Whether there are other processes that a hub in memory does not reach."""

import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import PurePath
from typing import Final

__all__ = ["said_of_workers", "warn_of_workers"]

_VARIABLE: Final = "WEB_CONCURRENCY"
_OPTIONS: Final = {
    "uvicorn": ("--workers",),
    "fastapi": ("--workers",),
    "granian": ("--workers",),
    "gunicorn": ("--workers", "-w"),
    "hypercorn": ("--workers", "-w"),
}
"""What each server is told the number of its workers by."""
_VARIABLES: Final = {
    "granian": ("GRANIAN_WORKERS",),
    "hypercorn": (),
    "uvicorn": (_VARIABLE, "UVICORN_WORKERS"),
}
"""What servers read that do not read WEB_CONCURRENCY alone, as gunicorn and most platforms do. That
is also what `asgi-rt run --workers` sets.
"""
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_MOST_DIGITS: Final = 6
_logger = logging.getLogger("asgi_rt.hub")


def warn_of_workers(
    environment: Mapping[str, str] = os.environ, arguments: Sequence[str] | None = None
) -> None:
    """Log a warning where the server says that it runs several processes.

    It says so by its command line, which its workers see as theirs, or by a variable of the
    environment.
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

    The command line goes before the environment, as it does for the servers; of two options the one
    that comes later counts. Where uvicorn reloads it has one worker, whatever is said.
    """
    server = _server(arguments)
    if _reloads(server, environment, arguments):
        return None
    said = [(name, environment.get(name, "")) for name in _VARIABLES.get(server, (_VARIABLE,))]
    if server == "gunicorn":
        said += _options(server, _split(environment.get("GUNICORN_CMD_ARGS", "")))
    said += _options(server, arguments[1:])
    numbers = [
        (name, int(value))
        for name, value in said
        if value.isdecimal() and len(value) <= _MOST_DIGITS
    ]
    return numbers[-1] if numbers else None


def _reloads(server: str, environment: Mapping[str, str], arguments: Sequence[str]) -> bool:
    if server == "fastapi" and "dev" in arguments[1:2]:
        return "--no-reload" not in arguments
    if server == "uvicorn" and environment.get("UVICORN_RELOAD", "").lower() in _TRUE:
        return True
    return server in ("uvicorn", "fastapi") and "--reload" in arguments


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # gunicorn refuses it
        return []


def _server(arguments: Sequence[str]) -> str:
    program = PurePath(arguments[0] if arguments else "")
    return program.parent.name if program.name == "__main__.py" else program.stem


def _options(server: str, arguments: Sequence[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        for name in _OPTIONS.get(server, ()):
            if argument == name:
                found.append((name, following))
            elif argument.startswith(f"{name}="):
                found.append((name, argument.removeprefix(f"{name}=")))
            elif not name.startswith("--") and argument.startswith(name):
                found.append((name, argument.removeprefix(name)))
    return found
