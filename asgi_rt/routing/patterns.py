"""Path patterns: `/items/{item_id:int}` parsed, and built into a path again. Pure.

A pattern is a list of segments, what stands between slashes. A segment is literal, one parameter,
literal text and parameters mixed (`{name}.{extension}`), or a `path` parameter, which takes one or
more segments. Patterns are written decoded: `/Größe`, not `/Gr%C3%B6%C3%9Fe`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import quote
from uuid import UUID

from asgi_rt.errors import ReverseError, RouteError

__all__ = [
    "CONVERTERS",
    "SAFE_IN_SEGMENT",
    "Converter",
    "Literal",
    "Mixed",
    "Param",
    "Pattern",
    "Rest",
    "Segment",
    "parse_pattern",
]

_PARAM: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([A-Za-z_][A-Za-z0-9_]*))?\}")
SAFE_IN_SEGMENT: Final = "!$&'()*+,;=:@"
# Enough for every float written out, and few enough for int(), which takes quadratic time.
_MAX_DIGITS: Final = 400
_FLOAT: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


class Converter(Protocol):
    """Turns a segment of a path into a value and back. A custom one is any object with these two.

    Both must be fast and may run for paths that in the end match another route.
    """

    def parse(self, text: str) -> Any:
        """The value that `text`, which is not empty, stands for; ValueError where it is none."""
        ...

    def format(self, value: Any) -> str:
        """The text that stands for `value`; ValueError where there is none."""
        ...


class _Str:
    def parse(self, text: str) -> str:
        return text

    def format(self, value: Any) -> str:
        return str(value)


class _Int:
    def parse(self, text: str) -> int:
        if text.isdecimal() and text.isascii() and len(text) <= _MAX_DIGITS:
            return int(text)
        if text[0] == "-" and text[1:2] != "-":
            return -self.parse(text[1:] or "x")
        raise ValueError(text)

    def format(self, value: Any) -> str:
        number = int(value)
        if not isinstance(value, str) and number != value:
            raise ValueError(f"{value!r} is not a whole number")
        text = str(number)
        if len(text) > _MAX_DIGITS:
            raise ValueError(f"it has more than {_MAX_DIGITS} digits")
        return text


class _Float:
    def parse(self, text: str) -> float:
        if len(text) > _MAX_DIGITS or _FLOAT.fullmatch(text) is None:
            raise ValueError(text)
        value = float(text)
        if not isfinite(value):
            raise ValueError(text)
        return value

    def format(self, value: Any) -> str:
        number = float(value)
        if not isfinite(number):
            raise ValueError(f"{value!r} is not a finite number")
        return f"{Decimal(repr(number)):f}"  # all of its digits, and no exponent


class _UUIDConverter:
    def parse(self, text: str) -> UUID:
        if _UUID.fullmatch(text) is None:
            raise ValueError(text)
        return UUID(text)

    def format(self, value: Any) -> str:
        return str(value if isinstance(value, UUID) else UUID(str(value)))


_STR: Final = _Str()
CONVERTERS: Final[Mapping[str, Converter]] = {
    "str": _STR,
    "int": _Int(),
    "float": _Float(),
    "uuid": _UUIDConverter(),
    "path": _STR,
}
"""The converters every app has. `str` takes one segment, `path` the rest, slashes included."""

# The smaller, the sooner it is tried. Custom converters stand between the numbers and `str`.
_MIXED_RANK: Final = 1
_RANKS: Final = {"int": 2, "uuid": 2, "float": 3, "str": 5}
_CUSTOM_RANK: Final = 4


@dataclass(frozen=True, slots=True)
class Literal:
    """A segment that matches itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Param:
    """A segment that is one parameter."""

    name: str
    kind: str
    converter: Converter

    @property
    def rank(self) -> int:
        return _RANKS.get(self.kind, _CUSTOM_RANK)

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts the parameters that may stand at one place: the most specific first."""
        return (self.rank, self.kind)

    @property
    def key(self) -> object:
        """Equal for segments that match the same, whatever their parameters are called."""
        return (self.kind, id(self.converter))

    @property
    def takes_anything(self) -> bool:
        return self.converter is _STR


class Mixed:
    """A segment of literal text and parameters, by turns.

    Where it can be split in several ways, the first parameters take as much as they can; if a
    converter refuses that, as little as they can. So `{slug}-{id:int}` and `{id:int}-{slug}` both
    match what they should, in a time that grows with the length of the segment alone.
    """

    takes_anything = False

    def __init__(self, parts: tuple[str | Param, ...]) -> None:
        self.parts = parts
        self.params = tuple(part for part in parts if isinstance(part, Param))
        self._prefix = parts[0] if isinstance(parts[0], str) else ""
        self._suffix = parts[-1] if isinstance(parts[-1], str) else ""
        self._separators = [part for part in parts[1:-1] if isinstance(part, str)]

    @property
    def order(self) -> tuple[Any, ...]:
        """As `Param.order`: the most literal text first, then the most specific parameters."""
        literal = sum(len(part) for part in self.parts if isinstance(part, str))
        ranks = tuple(param.rank for param in self.params)
        shape = tuple(part if isinstance(part, str) else part.kind for part in self.parts)
        return (_MIXED_RANK, -literal, ranks, shape)

    @property
    def key(self) -> object:
        """As `Param.key`."""
        return tuple(part if isinstance(part, str) else part.key for part in self.parts)

    def parse(self, text: str) -> list[Any]:
        """The values of the parameters; ValueError where the text does not match."""
        return self._read(text)[1]

    def format(self, texts: list[str]) -> str:
        """The segment with these texts for its parameters; ValueError if it is read otherwise."""
        left = iter(texts)
        text = "".join(part if isinstance(part, str) else next(left) for part in self.parts)
        read, _ = self._read(text)
        if read != texts:
            raise ValueError(f"{text!r} would be read back as {read}")
        return text

    def _read(self, text: str) -> tuple[list[str], list[Any]]:
        texts = self._split_late(text)
        try:
            return texts, self._convert(texts)
        except ValueError:
            if not self._separators:  # there is but one way to split
                raise
        texts = self._split_early(text)
        return texts, self._convert(texts)

    def _convert(self, texts: list[str]) -> list[Any]:
        return [param.converter.parse(text) for param, text in zip(self.params, texts, strict=True)]

    def _between_ends(self, text: str) -> str:
        start, end = len(self._prefix), len(text) - len(self._suffix)
        if start >= end or not text.startswith(self._prefix) or not text.endswith(self._suffix):
            raise ValueError(text)
        return text[start:end]

    def _split_late(self, text: str) -> list[str]:
        """Split at the last places that leave something for every parameter."""
        rest = self._between_ends(text)
        pieces: list[str] = []
        for separator in reversed(self._separators):
            at = rest.rfind(separator, 1, len(rest) - 1)
            if at < 0:
                raise ValueError(text)
            pieces.append(rest[at + len(separator) :])
            rest = rest[:at]
        pieces.append(rest)
        return pieces[::-1]

    def _split_early(self, text: str) -> list[str]:
        """Split at the first such places. There are some, for the last ones were found before."""
        rest = self._between_ends(text)
        pieces: list[str] = []
        for separator in self._separators:
            at = rest.find(separator, 1)
            pieces.append(rest[:at])
            rest = rest[at + len(separator) :]
        return [*pieces, rest]


@dataclass(frozen=True, slots=True)
class Rest:
    """A `path` parameter: one segment or more, slashes included; a single one may be empty."""

    name: str


Segment: TypeAlias = Literal | Param | Mixed | Rest


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern. `text` is how it was written."""

    text: str
    segments: tuple[Segment, ...]
    converters: Mapping[str, Converter]
    """The converter of each parameter, by the parameter's name, in the order of the path."""

    @property
    def is_literal(self) -> bool:
        return not self.converters

    def format(self, params: Mapping[str, Any]) -> str:
        """The percent-encoded path for these parameters. Raises ReverseError where they misfit."""
        missing = self.converters.keys() - params.keys()
        unknown = params.keys() - self.converters.keys()
        if missing or unknown:
            raise ReverseError(
                f"{self.text} takes the parameters {sorted(self.converters)};"
                f" missing: {sorted(missing)}, unknown: {sorted(unknown)}"
            )
        path = "".join("/" + self._format_segment(part, params) for part in self.segments)
        if path.startswith("//") and isinstance(self.segments[0], Rest):
            # As a reference, what begins with two slashes names another host.
            if not params[self.segments[0].name]:
                raise ReverseError(f"{self.text}: {path} would be the URL of another host")
            return "/%2F" + path[2:]
        return path

    def _format_segment(self, segment: Segment, params: Mapping[str, Any]) -> str:
        if isinstance(segment, Literal):
            return quote(segment.text, safe=SAFE_IN_SEGMENT)
        try:
            return _quote_segment(segment, params)
        except (ValueError, TypeError, OverflowError) as error:
            names = ", ".join(repr(name) for name, _ in _params(segment))
            raise ReverseError(f"{self.text}: the parameter {names}: {error}") from error


def _quote_segment(segment: Param | Mixed | Rest, params: Mapping[str, Any]) -> str:
    texts: list[str] = []
    for name, converter in _params(segment):
        text = converter.format(params[name])
        if not text and not isinstance(segment, Rest):
            raise ValueError("it cannot be empty")
        texts.append(text)
    text = segment.format(texts) if isinstance(segment, Mixed) else texts[0]
    safe = SAFE_IN_SEGMENT + ("/" if isinstance(segment, Rest) else "")
    quoted = quote(text, safe=safe)
    if not {".", ".."}.isdisjoint(quoted.split("/")):
        raise ValueError("clients resolve . and .. before they ask")
    return quoted


def parse_pattern(text: str, converters: Mapping[str, Converter] = CONVERTERS) -> Pattern:
    """The pattern that `text` describes. Raises RouteError for one that could never match."""
    _refuse_unmatchable(text)
    segments = tuple(_parse_segment(text, part, converters) for part in text.split("/")[1:])
    named: dict[str, Converter] = {}
    for segment in segments:
        for name, converter in _params(segment):
            if name in named:
                raise RouteError(f"{text}: the parameter {name!r} stands in it twice")
            named[name] = converter
    if sum(isinstance(segment, Rest) for segment in segments) > 1:
        raise RouteError(f"{text}: of two `path` parameters nobody could say which takes what")
    return Pattern(text, segments, named)


def _refuse_unmatchable(text: str) -> None:
    if not text.startswith("/"):
        raise RouteError(f"{text!r} can never match: a path begins with a slash")
    outside = _PARAM.sub("", text)
    for character, reason in (
        ("?", "what follows a ? is the query, not the path"),
        ("#", "a client never sends what follows a #"),
        ("%", "patterns are written decoded, as `/a b`, not `/a%20b`"),
    ):
        if character in outside:
            raise RouteError(f"{text} can never match: {reason}")
    if "{" in outside or "}" in outside:
        raise RouteError(f"{text}: a parameter is written {{name}} or {{name:converter}}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RouteError(f"{text!r} can never match: it is not Unicode text") from None
    if any(part in (".", "..") for part in text.split("/")):
        raise RouteError(f"{text} can never match: clients resolve . and .. before they ask")


def _parse_segment(text: str, part: str, converters: Mapping[str, Converter]) -> Segment:
    pieces: list[str | Param] = []
    at = 0
    for match in _PARAM.finditer(part):
        if match.start() > at:
            pieces.append(part[at : match.start()])
        elif pieces:
            raise RouteError(f"{text}: two parameters need literal text between them")
        kind = match[2] or "str"
        if kind not in converters:
            raise RouteError(
                f"{text}: there is no converter {kind!r}; there are {', '.join(converters)}"
            )
        pieces.append(Param(match[1], kind, converters[kind]))
        at = match.end()
    if at < len(part):
        pieces.append(part[at:])
    return _segment_of(text, pieces)


def _segment_of(text: str, pieces: list[str | Param]) -> Segment:
    if not pieces:
        return Literal("")
    first = pieces[0]
    spans = [piece for piece in pieces if isinstance(piece, Param) and piece.kind == "path"]
    if len(pieces) == 1:
        if isinstance(first, str):
            return Literal(first)
        return Rest(first.name) if spans else first
    if spans:
        raise RouteError(f"{text}: a `path` parameter stands alone between its slashes")
    return Mixed(tuple(pieces))


def _params(segment: Segment) -> list[tuple[str, Converter]]:
    if isinstance(segment, Rest):
        return [(segment.name, _STR)]
    if isinstance(segment, Param):
        return [(segment.name, segment.converter)]
    if isinstance(segment, Mixed):
        return [(param.name, param.converter) for param in segment.params]
    return []
