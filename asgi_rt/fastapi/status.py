"""Names of HTTP status codes and WebSocket close codes: `HTTP_404_NOT_FOUND`, `WS_1008_...`."""

from http import HTTPStatus
from typing import Final

_CLOSE_CODES: Final = (
    "1000_NORMAL_CLOSURE 1001_GOING_AWAY 1002_PROTOCOL_ERROR 1003_UNSUPPORTED_DATA"
    " 1005_NO_STATUS_RCVD 1006_ABNORMAL_CLOSURE 1007_INVALID_FRAME_PAYLOAD_DATA"
    " 1008_POLICY_VIOLATION 1009_MESSAGE_TOO_BIG 1010_MANDATORY_EXT 1011_INTERNAL_ERROR"
    " 1012_SERVICE_RESTART 1013_TRY_AGAIN_LATER 1014_BAD_GATEWAY 1015_TLS_HANDSHAKE"
)
# HTTPStatus has them by one name, the old or the new one, as Python's version has it.
_BOTH_NAMES: Final = (
    "413_CONTENT_TOO_LARGE 413_REQUEST_ENTITY_TOO_LARGE 414_URI_TOO_LONG 414_REQUEST_URI_TOO_LONG"
    " 416_RANGE_NOT_SATISFIABLE 416_REQUESTED_RANGE_NOT_SATISFIABLE 422_UNPROCESSABLE_CONTENT"
    " 422_UNPROCESSABLE_ENTITY 306_RESERVED"
)
_HTTP: Final = [*_BOTH_NAMES.split(), *(f"{each.value}_{each.name}" for each in HTTPStatus)]

globals().update({f"HTTP_{name}": int(name[:3]) for name in _HTTP})
globals().update({f"WS_{name}": int(name[:4]) for name in _CLOSE_CODES.split()})


def __getattr__(name: str) -> int:
    # What a type checker reads: the names are made above.
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
