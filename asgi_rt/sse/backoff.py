"""How long a client waits before it asks a server again."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["reconnect_delay", "retry_after_seconds"]

# What a server may ask for. A client that stays away for longer is lost, whoever made the mistake.
_MAX_ASKED: Final = 86_400.0
# What the backoff grows from, if the server's own `retry` is less: 0 would never grow.
_LEAST_BACKOFF: Final = 0.5
_MAX_DOUBLINGS: Final = 32


def reconnect_delay(
    retry: float,
    failures: int,
    *,
    max_retry: float,
    jitter: float,
    retry_after: float | None = None,
) -> float:
    """Seconds to wait before the next attempt to connect.

    `retry` seconds after a connection that brought something (`failures` is 0) and after the first
    attempt that failed; twice as long after each further one, up to `max_retry`. `retry_after`
    seconds, where the server named them, take the place of the doubling. It is never less than
    `retry`, and what the server asks for is waited in full, up to a day.

    `jitter`, from 0 to 1, adds up to half of that, `max_retry` at most: clients that were cut off
    together shall not come back together. The HTML standard, section 9.2.3, leaves room for both.
    """
    wait = min(retry, _MAX_ASKED)
    if failures:
        grown = max(wait, _LEAST_BACKOFF)
        if retry_after is not None:
            grown = max(grown, min(retry_after, _MAX_ASKED))
        else:
            grown *= 2 ** min(failures - 1, _MAX_DOUBLINGS)
            grown = min(grown, max_retry)
        wait = max(wait, grown)
    return wait + jitter * min(wait / 2, max_retry)


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """The seconds that a `Retry-After` field names, 0 for a date that has passed.

    None without the field and for one that cannot be read. `now` is in seconds since the epoch.
    RFC 9110, section 10.2.3.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:18])  # int() refuses some thousands of digits
    try:
        date = parsedate_to_datetime(value)
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, at - now)
