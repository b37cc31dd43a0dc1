"""What a dataclass says a message must be, worked out once.

Simple fields: str, int, float, bool, None, `list` and `dict` whatever they hold, Any, Literal,
an Enum by its values, a dataclass, and unions of these. Anything deeper, such as `list[int]` or a
constraint, is refused when the dataclass is given rather than left unchecked: that is what a
library such as pydantic is for.
"""

import inspect
import types
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from itertools import chain, islice
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from asgi_rt.codec import dump_json
from asgi_rt.websocket.envelope import MAX_LISTED, FieldError, field_errors

__all__ = ["UncheckableError", "dataclass_check"]

Loc: TypeAlias = tuple[str | int, ...]
Read: TypeAlias = Callable[[Any, Loc, list[FieldError]], Any]


class UncheckableError(Exception):
    """A dataclass that says more than is checked here. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one value must be: of one of some kinds, and then what `read` makes of it.

    `read` puts what is wrong into the list that it is given, and then returns anything.
    """

    kinds: frozenset[type[Any]]
    expected: str
    read: Read

    def of(self, value: Any, loc: Loc, errors: list[FieldError]) -> Any:
        if type(value) not in self.kinds:
            errors.append(FieldError(loc, f"must be {self.expected}", "wrong_type"))
            return None
        return self.read(value, loc, errors)


def _as_it_is(value: Any, loc: Loc, errors: list[FieldError]) -> Any:
    return value


def _as_float(value: Any, loc: Loc, errors: list[FieldError]) -> float:
    return float(value)


_NAMES: Final[dict[type[Any], str]] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "an object",
}
_SCALARS: Final[frozenset[type[Any]]] = frozenset({str, int, float, bool, type(None)})
_ANYTHING: Final = Shape(_SCALARS | {list, dict}, "anything", _as_it_is)
_SIMPLE: Final[dict[Any, Shape]] = {
    **{kind: Shape(frozenset({kind}), name, _as_it_is) for kind, name in _NAMES.items()},
    # JavaScript writes 1.0 as 1.
    float: Shape(frozenset({float, int}), "a number", _as_float),
    None: Shape(frozenset({type(None)}), "null", _as_it_is),
    Any: _ANYTHING,
    object: _ANYTHING,
    list[Any]: Shape(frozenset({list}), "a list", _as_it_is),
    list[object]: Shape(frozenset({list}), "a list", _as_it_is),
    dict[str, Any]: Shape(frozenset({dict}), "an object", _as_it_is),
    dict[str, object]: Shape(frozenset({dict}), "an object", _as_it_is),
}


def dataclass_check(
    model: type, *, besides: Iterable[str]
) -> Callable[[dict[str, Any], list[FieldError]], Any]:
    """A function that makes a `model` of a message, or adds to a list what is wrong with it.

    What `besides` names may be in the message without being fields. Raises UncheckableError.
    """
    read = _dataclass_read(model, (), frozenset(besides))
    return lambda message, errors: read(message, (), errors)


def _dataclass_read(model: type, outer: tuple[type, ...], besides: frozenset[str]) -> Read:
    shapes = _field_shapes(model, outer)
    required = [
        each.name
        for each in fields(model)
        if each.init and each.default is MISSING and each.default_factory is MISSING
    ]
    known = besides | shapes.keys()

    def read(value: dict[str, Any], loc: Loc, errors: list[FieldError]) -> Any:
        found: list[FieldError] = [
            FieldError((*loc, name), "is missing", "missing")
            for name in required
            if name not in value
        ]
        unexpected = islice((name for name in value if name not in known), MAX_LISTED)
        found += [FieldError((*loc, name), "is not expected", "unexpected") for name in unexpected]
        arguments = {
            name: shape.of(value[name], (*loc, name), found)
            for name, shape in shapes.items()
            if name in value
        }
        if not found:
            try:
                return model(**arguments)
            except (ValueError, TypeError) as error:  # of its `__post_init__`
                found = field_errors(error, loc)
        errors += found
        return None

    return read


def _field_shapes(model: type, outer: tuple[type, ...]) -> dict[str, Shape]:
    if model in outer:
        # A client could nest it until Python's own stack is used up.
        raise UncheckableError(f"{model.__qualname__} holds itself")
    names = [each.name for each in fields(model) if each.init]
    if sorted(inspect.signature(model).parameters) != sorted(names):
        raise UncheckableError(f"{model.__qualname__} is not made of its fields alone")
    try:
        hints = get_type_hints(model, include_extras=True)
    except NameError as error:
        raise UncheckableError(
            f"{model.__qualname__} has an annotation unknown here: {error}"
        ) from None
    return {
        name: _shape(hints[name], f"{model.__qualname__}.{name}", (*outer, model)) for name in names
    }


def _shape(hint: Any, where: str, outer: tuple[type, ...]) -> Shape:
    origin: Any = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union_shape([_shape(each, where, outer) for each in get_args(hint)])
    if origin is Literal:
        return _value_shape([(value, value) for value in get_args(hint)], where)
    shape = _class_shape(hint, where, outer) if inspect.isclass(hint) else None
    try:
        return shape or _SIMPLE[hint]
    except (KeyError, TypeError):
        name = str(hint) if origin else getattr(hint, "__qualname__", str(hint))
        raise UncheckableError(f"{where} is {name}, which is more than is checked here") from None


def _class_shape(kind: type[Any], where: str, outer: tuple[type, ...]) -> Shape | None:
    if issubclass(kind, Enum):
        return _value_shape([(each.value, each) for each in kind.__members__.values()], where)
    if is_dataclass(kind):
        read = _dataclass_read(kind, outer, frozenset())
        return Shape(frozenset({dict}), f"an object ({kind.__name__})", read)
    return None


def _value_shape(pairs: list[tuple[Any, Any]], where: str) -> Shape:
    """One of some values, and what each means."""
    if not {type(value) for value, _ in pairs} <= _SCALARS:
        raise UncheckableError(f"{where} has a value that is no string, number, bool or None")
    # By type as well: 1, 1.0 and True are one and the same key.
    meanings: dict[tuple[type[Any], Any], Any] = {
        (type(value), value): meaning for value, meaning in pairs
    }
    expected = _either(dump_json(value).decode() for _, value in meanings)

    def read(value: Any, loc: Loc, errors: list[FieldError]) -> Any:
        try:
            return meanings[type(value), value]
        except KeyError:
            errors.append(FieldError(loc, f"must be {expected}", "wrong_value"))
            return None

    return Shape(frozenset(kind for kind, _ in meanings), expected, read)


def _union_shape(shapes: list[Shape]) -> Shape:
    """One of several: the first that takes a value, of those that are for its kind."""
    expected = _either(shape.expected for shape in shapes)
    kinds = frozenset(chain.from_iterable(shape.kinds for shape in shapes))
    # A float takes an integer as well, but not where something is there for integers.
    by_exactness = sorted(shapes, key=lambda shape: shape is _SIMPLE[float])
    takers = {kind: [each for each in by_exactness if kind in each.kinds] for kind in kinds}

    def read(value: Any, loc: Loc, errors: list[FieldError]) -> Any:
        candidates = takers[type(value)]
        if len(candidates) == 1 and type(value) is dict:
            return candidates[0].read(value, loc, errors)  # it tells more than can be told here
        for candidate in candidates:
            found: list[FieldError] = []
            made = candidate.read(value, loc, found)
            if not found:
                return made
        errors.append(FieldError(loc, f"must be {expected}", "wrong_value"))
        return None

    return Shape(kinds, expected, read)


def _either(choices: Iterable[str]) -> str:
    *others, last = dict.fromkeys(choices)
    return f"{', '.join(others)} or {last}" if others else last
