"""Path patterns: `/items/{item_id:int}` parsed, and built into a path again. Pure.

A pattern is a list of segments, what stands between slashes. A segment is literal, one parameter,
literal text and parameters mixed (`{name}.{extension}`), or a `path` parameter, which takes one or
more segments. Patterns are written decoded: `/Größe`, not `/Gr%C3%B6%C3%9Fe`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import quote
from uuid import UUID

from asgi_rt.errors import ReverseError, RouteError

__all__ = [
    "CONVERTERS",
    "STR_RANK",
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
_SAFE_IN_SEGMENT: Final = "!$&'()*+,;=:@"
_MAX_DIGITS: Final = 300
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
        text = str(value)
        if not text:
            raise ValueError("a `str` parameter cannot be empty")
        return text


class _Path(_Str):
    def format(self, value: Any) -> str:
        return str(value)


class _Int:
    def parse(self, text: str) -> int:
        # The length is bounded: int() takes quadratic time, and refuses beyond 4300 digits.
        if text.isdecimal() and text.isascii() and len(text) <= _MAX_DIGITS:
            return int(text)
        if text[0] == "-" and text[1:2] != "-":
            return -self.parse(text[1:] or "x")
        raise ValueError(text)

    def format(self, value: Any) -> str:
        return str(int(value))


class _Float:
    def parse(self, text: str) -> float:
        if len(text) > _MAX_DIGITS or _FLOAT.fullmatch(text) is None:
            raise ValueError(text)
        return float(text)

    def format(self, value: Any) -> str:
        text = f"{float(value):f}"
        if _FLOAT.fullmatch(text) is None:
            raise ValueError(f"{value!r} is not a finite number")
        return text


class _UUIDConverter:
    def parse(self, text: str) -> UUID:
        if _UUID.fullmatch(text) is None:
            raise ValueError(text)
        return UUID(text)

    def format(self, value: Any) -> str:
        return str(value if isinstance(value, UUID) else UUID(str(value)))


_PATH: Final = _Path()
CONVERTERS: Final[Mapping[str, Converter]] = {
    "str": _Str(),
    "int": _Int(),
    "float": _Float(),
    "uuid": _UUIDConverter(),
    "path": _PATH,
}
"""The converters every app has. `str` takes one segment, `path` the rest, slashes included."""

# The smaller, the sooner it is tried. Custom converters stand between the numbers and `str`.
STR_RANK: Final = 5
_RANKS: Final = {"int": 2, "uuid": 2, "float": 3, "str": STR_RANK}
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


@dataclass(frozen=True, slots=True)
class Mixed:
    """A segment of literal text and parameters; each parameter takes as little as it can."""

    parts: tuple[str | Param, ...]

    rank = 1

    @property
    def shape(self) -> str:
        """What tells it apart from other segments, whatever its parameters are called."""
        return "".join(
            part if isinstance(part, str) else f"{{:{part.kind}}}" for part in self.parts
        )

    def compile(self) -> re.Pattern[str]:
        return re.compile(
            "".join(re.escape(part) if isinstance(part, str) else "(.+?)" for part in self.parts),
            re.DOTALL,
        )


@dataclass(frozen=True, slots=True)
class Rest:
    """A `path` parameter: one or more segments, of which all but the first may be missing."""

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
        return "".join("/" + self._format_segment(part, params) for part in self.segments)

    def _format_segment(self, segment: Segment, params: Mapping[str, Any]) -> str:
        if isinstance(segment, Literal):
            return quote(segment.text, safe=_SAFE_IN_SEGMENT)
        if isinstance(segment, Rest):
            return quote(self._format_param(segment.name, params), safe=_SAFE_IN_SEGMENT + "/")
        parts = segment.parts if isinstance(segment, Mixed) else (segment,)
        text = "".join(
            part if isinstance(part, str) else self._format_param(part.name, params)
            for part in parts
        )
        return quote(text, safe=_SAFE_IN_SEGMENT)

    def _format_param(self, name: str, params: Mapping[str, Any]) -> str:
        try:
            return self.converters[name].format(params[name])
        except (ValueError, TypeError) as error:
            raise ReverseError(f"{self.text}: the parameter {name!r}: {error}") from error


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
        return [(segment.name, _PATH)]
    if isinstance(segment, Param):
        return [(segment.name, segment.converter)]
    if isinstance(segment, Mixed):
        return [(part.name, part.converter) for part in segment.parts if isinstance(part, Param)]
    return []
