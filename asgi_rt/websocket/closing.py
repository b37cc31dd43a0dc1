"""How a WebSocket ends: close codes and reasons, RFC 6455 sections 5.5.1 and 7.4."""

from typing import Final, Literal, TypeAlias

from asgi_rt.asgi import Message
from asgi_rt.errors import HTTPError, WebSocketClosed

__all__ = [
    "MAX_REASON_BYTES",
    "check_code",
    "closing_for",
    "code_for_status",
    "cut_reason",
    "ending_of",
]

MAX_REASON_BYTES: Final = 123
"""A control frame carries 125 bytes, and the code takes two of them."""

By: TypeAlias = Literal["client", "server", "network"]
"""Who ended a connection; "network" is nobody."""

CRASHED: Final = (1011, "internal error")
"""How a connection ends whose handler has crashed: nothing of it reaches the client."""

_SENDABLE: Final = (range(1000, 1004), range(1007, 1015), range(3000, 5000))
_FOR_STATUS: Final = {413: 1009, 503: 1013}


def check_code(code: int) -> None:
    """Raise ValueError for a code that may not stand in a close frame.

    1005, 1006 and 1015 are what a side reports when it got no code; the others are not assigned.
    """
    if not _may_be_sent(code):
        raise ValueError(
            f"{code} is not a close code that may be sent: use 1000-1003, 1007-1014, or for"
            " meanings of your own 3000-3999 (registered) or 4000-4999 (private)"
        )


def cut_reason(reason: str) -> str:
    """The reason, or as much of it as a close frame holds: 123 bytes, cut between characters.

    A lone surrogate, which UTF-8 cannot carry, becomes "?": a close must not fail for its reason.
    """
    raw = reason.encode("utf-8", "replace")
    return raw[:MAX_REASON_BYTES].decode("utf-8", "ignore")


def ending_of(message: Message, spec_version: str) -> tuple[int, str, By]:
    """The close code and the reason of a `websocket.disconnect`, and who ended the connection.

    `spec_version` is that of the scope's `asgi`. From 2.3 on a server gives the reason of a close
    frame, be it empty. Where it gives none, there was no close frame: a lost connection, which some
    report as 1005 and is 1006, or an end that the server has made itself.
    """
    code: int | None = message.get("code")
    reason: str | None = message.get("reason")
    if code is None:
        code = 1005
    has_no_frame = "reason" not in message and _has_reasons(spec_version)
    if code == 1006 or (code == 1005 and has_no_frame):
        return 1006, reason or "", "network"
    # An int, as servers have enums of their own.
    return int(code), reason or "", "server" if has_no_frame and code == 1012 else "client"


def _has_reasons(spec_version: str) -> bool:
    major, _, minor = spec_version.partition(".")
    try:
        return (int(major), int(minor or 0)) >= (2, 3)
    except ValueError:
        return False


def code_for_status(status_code: int) -> int:
    """The close code that says what an HTTP error status says, for an error after the handshake.

    1009 for 413, 1013 (try again later) for 503, 1008 for any other 4xx, 1011 for the rest.
    """
    return _FOR_STATUS.get(status_code) or (1008 if 400 <= status_code < 500 else 1011)


def closing_for(error: BaseException) -> tuple[int, str]:
    """The code and the reason that a connection ends with because of an error in its handler.

    What nobody expected is an "internal error": nothing of it reaches the client.
    """
    if isinstance(error, HTTPError):
        detail: object = error.detail
        reason = detail if isinstance(detail, str) and detail else error.title
        return code_for_status(error.status_code), cut_reason(reason)
    if isinstance(error, WebSocketClosed) and _may_be_sent(error.code):
        return error.code, cut_reason(error.reason)
    return CRASHED


def _may_be_sent(code: object) -> bool:
    return isinstance(code, int) and any(code in codes for codes in _SENDABLE)
