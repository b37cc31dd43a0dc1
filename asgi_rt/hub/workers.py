"""Whether there are other processes that a hub in memory does not reach."""

import logging
import os
from collections.abc import Mapping

__all__ = ["warn_of_workers"]

_VARIABLE = "WEB_CONCURRENCY"
_logger = logging.getLogger("asgi_rt.hub")


def warn_of_workers(environment: Mapping[str, str] = os.environ) -> None:
    """Log a warning where the server says that it runs several processes.

    It says so by the variable WEB_CONCURRENCY, which uvicorn, gunicorn and most platforms read, and
    which `asgi-rt run --workers` sets.
    """
    number = environment.get(_VARIABLE, "")
    if number.isdecimal() and int(number) > 1:
        _logger.warning(
            "%s is %s, and this hub reaches the clients of its own process alone: what is"
            " published in one worker is not heard in the others; run one worker, or give the hub a"
            " backplane",
            _VARIABLE,
            number,
        )
