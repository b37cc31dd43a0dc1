"""The query string, as `application/x-www-form-urlencoded` (WHATWG URL section 5.1), but strict."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

__all__ = ["Query", "parse_field", "parse_query"]

_MAX_FIELDS: Final = 1000
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Query(Mapping[str, str]):
    """The fields of a query, in order, repeated keys kept.

    `query[key]` is the last value, as a later one overrides; `get_all(key)` gives every one.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = tuple(pairs)
        """Every field, in order."""

    def __getitem__(self, key: str) -> str:
        for name, value in reversed(self.pairs):
            if name == key:
                return value
        raise KeyError(key)

    def get_all(self, key: str) -> list[str]:
        """Every value of that key, in order; an empty list where there is none."""
        return [value for name, value in self.pairs if name == key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self.pairs))

    def __len__(self) -> int:
        return len({name for name, _ in self.pairs})

    def __repr__(self) -> str:
        return f"Query({list(self.pairs)!r})"


def parse_query(raw: bytes, *, max_fields: int = _MAX_FIELDS) -> Query:
    """The fields that a query string holds.

    Raises ValueError where a field is not UTF-8, a percent sign is not followed by two hexadecimal
    digits, or there are more than `max_fields`.
    """
    if not raw:
        return Query()
    fields = [field for field in raw.split(b"&") if field]
    if len(fields) > max_fields:
        raise ValueError(f"the query has {len(fields)} fields; at most {max_fields} are read")
    return Query(map(parse_field, fields))


def parse_field(field: bytes, source: str = "query") -> tuple[str, str]:
    """The name and the value of one field. `source` says in errors where it stood.

    Raises ValueError as `parse_query` does.
    """
    name, _, value = field.partition(b"=")
    return _decode(name, source), _decode(value, source)


def _decode(text: bytes, source: str) -> str:
    if _BAD_ESCAPE.search(text) is not None:
        raise ValueError(
            f"the {source} field {_shown(text)} holds a % that two hexadecimal digits do not follow"
        )
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the {source} field {_shown(text)} is not UTF-8") from None


def _shown(text: bytes) -> str:
    return repr(text[:60].decode("ascii", "backslashreplace"))
