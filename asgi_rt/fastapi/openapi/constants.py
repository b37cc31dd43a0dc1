"""What is the same in every document."""

from typing import Any, Final

__all__ = ["EVENT_FIELDS", "METHODS_WITH_BODY", "REF_PREFIX", "REF_TEMPLATE"]

METHODS_WITH_BODY: Final = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"}
REF_PREFIX: Final = "#/components/schemas/"
REF_TEMPLATE: Final = REF_PREFIX + "{model}"
# What stands in a server-sent event beside its data.
EVENT_FIELDS: Final[dict[str, Any]] = {
    "event": {"type": "string"},
    "id": {"type": "string"},
    "retry": {"type": "integer", "minimum": 0},
}
