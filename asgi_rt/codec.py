"""JSON in and out. The only module that imports orjson."""

from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final

import orjson

__all__ = ["dump_json", "dump_json_line", "dump_plain", "dump_with", "load_json"]

_LINE_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE

# Decimal goes as a string: a float would lose digits, and a client can tell.
_REPLACEMENTS: Final[dict[type, Callable[[Any], Any]]] = {
    set: list,
    frozenset: list,
    deque: list,
    Decimal: str,
    PurePath: str,
    Mapping: dict,
}


def _replace(value: Any) -> Any:
    """Stand in for a value that orjson does not know; called by orjson for those alone."""
    for kind, replacement in _REPLACEMENTS.items():
        if isinstance(value, kind):
            return replacement(value)
    model_dump = getattr(value, "model_dump", None)  # a pydantic model, without importing pydantic
    if model_dump is not None:
        return model_dump(mode="json")
    raise TypeError(f"a value of type {type(value).__qualname__} cannot be written as JSON")


dump_plain: Final[Callable[[Any], bytes]] = orjson.dumps
"""A value as compact UTF-8 JSON, if orjson takes it as it is; else TypeError. The quickest."""


def dump_json(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON.

    Takes what orjson takes (dataclasses, datetimes, UUIDs and enums included) and also keys that
    are not str, sets, deques, mappings, paths, Decimals (as strings) and pydantic models. Raises
    TypeError for anything else.
    """
    try:
        return orjson.dumps(value)  # half the time that it takes with the options
    except TypeError:
        return orjson.dumps(value, _replace, orjson.OPT_NON_STR_KEYS)


def dump_with(value: Any, replace: Callable[[Any], Any]) -> bytes:
    """`value` as compact UTF-8 JSON; `replace` is given what orjson does not know, and dataclasses.

    Keys must be str. Raises TypeError for what cannot be written, whatever `replace` raises.
    """
    return orjson.dumps(value, replace, orjson.OPT_PASSTHROUGH_DATACLASS)


def dump_json_line(value: Any) -> bytes:
    """`value` as one line of NDJSON, the newline included. Raises TypeError like `dump_json`."""
    try:
        return orjson.dumps(value, None, orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(value, _replace, _LINE_OPTIONS)


def load_json(data: bytes | bytearray | memoryview | str) -> Any:
    """The value that a JSON document holds. Raises ValueError, which tells line and column."""
    return orjson.loads(data)
