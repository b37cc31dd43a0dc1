"""Values taken out of a request and validated, one call of pydantic's for each parameter."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from pydantic import ValidationError

from asgi_rt.fastapi import params
from asgi_rt.fastapi.datastructures import UploadFile
from asgi_rt.fastapi.dependencies.annotations import is_of, is_sequence, sequence_type
from asgi_rt.fastapi.dependencies.models import (
    PLACES,
    Dependant,
    Errors,
    Loc,
    ModelField,
    located,
    missing,
    model_fields,
)
from asgi_rt.fastapi.dependencies.signature import form_model, is_json, parameter_model
from asgi_rt.fastapi.params import Undefined
from asgi_rt.http.connection import HTTPConnection

__all__ = ["Every", "FormValues", "Parameters", "Sources", "Target"]

Every: TypeAlias = Mapping[str, list[Any]]
"""All the values of each name."""
_BODY: Final = ("body", "form", "file")
_CONSTANT: Final = (type(None), bool, int, float, complex, str, bytes, Enum, type)


class FormValues(dict[str, list[Any]]):
    """All the values of each name of a form, and the content of files that are asked for so."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(grouped(pairs))
        self.contents: dict[int, bytes] = {}
        """By the `id` of the file."""

    async def load(self, names: Iterable[str]) -> None:
        """Read the files of these names, from where they stand, and leave them there for others."""
        for each in (each for name in names for each in self.get(name, ())):
            if isinstance(each, UploadFile):
                position = each.file.tell()
                try:
                    self.contents[id(each)] = await each.read()
                finally:
                    await each.seek(position)


class Target:
    """Where one value goes, validated, or its default."""

    __slots__ = ("_constant", "_field", "name", "validate")

    def __init__(self, field: ModelField) -> None:
        info = field.field_info
        self.name = field.name
        self.validate: Callable[..., Any] = field.validator
        self._field = field
        is_constant = isinstance(info.default, _CONSTANT) and not info.validate_default
        self._constant = info.default if is_constant else Undefined

    def put(self, value: Any, loc: Loc, values: dict[str, Any], errors: Errors) -> None:
        """Validate a value that came, or see to one that did not (`Undefined`)."""
        if value is Undefined:
            self.put_default(loc, values, errors)
            return
        try:
            values[self.name] = self.validate(value, from_attributes=True)
        except ValidationError as error:
            errors += located(error, loc)

    def put_default(self, loc: Loc, values: dict[str, Any], errors: Errors) -> None:
        """There is no value: the default, or an error."""
        if self._constant is not Undefined:
            values[self.name] = self._constant
        elif self._field.required:
            errors.append(missing(loc))
        elif self._field.field_info.validate_default:
            self.put(self._field.default, loc, values, errors)
        else:
            values[self.name] = self._field.default


class _Gathered:
    """One value out of all those that the names of a field have: of a sequence every one."""

    def __init__(self, field: ModelField, kind: str, *, is_header: bool = False) -> None:
        self.name = field.name
        self._is_header = kind == "header"
        self.names = [
            (alias, key.lower() if self._is_header else key, key)
            for alias, key in field.aliases(is_header=is_header)
        ]
        """Each as validation takes it, as it is looked up, and as it is shown."""
        self._is_form = kind in _BODY
        self._is_sequence = is_sequence(field.annotation)
        is_once = kind in ("path", "cookie") or is_json(field)
        self._gathers = self._is_sequence and not is_once
        info = field.field_info
        self.wants_bytes = isinstance(info, params.File) and (
            is_of(field.annotation, bytes) or is_of(field.annotation, bytes, many=True)
        )
        is_made = self.wants_bytes and self._gathers
        self._make: Callable[[list[Any]], Any] = (
            sequence_type(field.annotation) if is_made else list[Any]
        )

    def find(self, every: Every) -> tuple[tuple[str, str, str], Any, list[str]]:
        """The name that has a value, the value or `Undefined`, and the names that are used up."""
        used: list[str] = []
        for name in self.names:
            used.append(name[1])
            value = self._value(every.get(name[1]), every)
            if value is not Undefined:
                return name, value, used
        return self.names[0], Undefined, used

    def _value(self, found: list[Any] | None, every: Every) -> Any:
        if found is not None and self._is_form:
            kept = [each for each in found if not _is_empty_file(each)]
            found = kept if self._gathers or kept[-1:] == found[-1:] != [""] else None
        if not found:
            return Undefined
        if self.wants_bytes and isinstance(every, FormValues):
            found = [every.contents.get(id(each), each) for each in found]
        if self._gathers:
            return self._make(found)
        value = found[0 if self._is_header else -1]
        return Undefined if self._is_sequence and not len(value) else value


def _is_empty_file(value: Any) -> bool:
    # What browsers send where no file is selected.
    return isinstance(value, UploadFile) and value.filename == "" and value.size == 0


class _Parameter:
    """One parameter: a value that may be one of several, and may go by several names."""

    def __init__(self, field: ModelField) -> None:
        self.target = Target(field)
        self.name = field.name
        gathered = _Gathered(field, field.kind)
        self.members = [gathered]
        self.loc: Loc = ("body" if field.kind in _BODY else field.kind, gathered.names[0][2])
        self.key: Any = gathered.names[0][1]
        """The name, if no more than to look there has to be done."""
        if field.kind in _BODY or len(gathered.names) > 1 or is_sequence(field.annotation):
            self.key = None
        elif field.kind == "header":
            self.key = self.key.encode("latin-1", "replace")

    def read(self, every: Every, values: dict[str, Any], errors: Errors) -> None:
        """Take it out of all that is in its place."""
        (_, _, shown), value, _ = self.members[0].find(every)
        self.target.put(value, (self.loc[0], shown), values, errors)


class _Model(_Parameter):
    """A model whose members are parameters."""

    def __init__(self, field: ModelField, model: Any) -> None:
        super().__init__(field)
        self.key = None
        default = field.kind == "header" and getattr(field.field_info, "convert_underscores", True)
        self._is_optional = field.annotation is not model
        self._takes_extra = model.model_config.get("extra") in ("allow", "forbid")
        self._shows_alias = model.model_config.get("loc_by_alias", True)
        self.members = list[_Gathered]()
        for each in model_fields(model, field.kind):
            hyphens = default and getattr(each.field_info, "convert_underscores", True)
            self.members.append(_Gathered(each, field.kind, is_header=hyphens))
        names = [name for member in self.members for name in member.names]
        self._keys = {key for _, key, _ in names}
        # A header whose name has the underscores of the member is not that member's.
        self._others = {alias.lower() for alias, _, shown in names if alias != shown}

    def read(self, every: Every, values: dict[str, Any], errors: Errors) -> None:
        members: dict[str, Any] = {}
        known = set(self._others)
        shown_as: dict[Any, str] = {}
        for member in self.members:
            (alias, _, shown), value, used = member.find(every)
            known.update(used)
            if value is not Undefined:
                members[alias] = value
            if alias != shown:
                shown_as[member.name] = shown
        for key, extra in every.items():  # for the model to refuse, ignore or keep
            if key not in known:
                members[key] = extra[0] if len(extra) == 1 else extra
        is_given = not self._keys.isdisjoint(every) or (self._takes_extra and bool(members))
        group = members if is_given or not self._is_optional else Undefined
        before = len(errors)
        self.target.put(group, self.loc[:1], values, errors)
        if shown_as and self._shows_alias:
            for error in errors[before:]:
                at = error["loc"]
                if len(at) > 1 and at[1] in shown_as:
                    error["loc"] = (at[0], shown_as[at[1]], *at[2:])


def _parameter(field: ModelField) -> _Parameter:
    model = form_model(field) if field.kind in _BODY else parameter_model(field)
    return _Parameter(field) if model is None else _Model(field, model)


class Parameters:
    """What one callable takes out of the named values of a request, by the place of them."""

    def __init__(self, dependant: Dependant, *, is_form: bool) -> None:
        fields = {place: dependant.params(place) for place in PLACES}
        fields["form"] = dependant.body_params if is_form else []
        groups = [(kind, [*map(_parameter, some)]) for kind, some in fields.items() if some]
        self._groups = [(k, [(e, e.key, e.target.validate) for e in some]) for k, some in groups]
        self.are_any = bool(groups)
        members = [member for _, some in groups for each in some for member in each.members]
        self.contents = {key for each in members if each.wants_bytes for _, key, _ in each.names}
        """The names of the files whose content is wanted."""

    def read(self, sources: "Sources", values: dict[str, Any], errors: Errors) -> None:
        """Take them, validated; in the order of the places, then of their declaration."""
        for kind, entries in self._groups:
            one = sources.one(kind)
            for each, key, validate in entries:
                if key is None:
                    each.read(sources.every(kind), values, errors)
                elif (value := one.get(key)) is None:
                    each.target.put_default(each.loc, values, errors)
                else:
                    try:
                        values[each.name] = validate(value)
                    except ValidationError as error:
                        errors += located(error, each.loc)


class Sources:
    """The named values of one request, parsed when they are first asked for."""

    # Set on the class, so that a request that asks for none of them pays for none of them.
    _query: dict[str, str] | None = None
    _headers: "_Headers | None" = None
    _every: dict[str, Every] | None = None

    def __init__(self, connection: HTTPConnection, form: FormValues) -> None:
        self._connection = connection
        self._form = form

    def one(self, kind: str) -> Any:
        """One value of each name, which `get` gives: the last, but the first of a header."""
        if kind == "path":
            return self._connection.path_params
        if kind == "query":
            if self._query is None:
                self._query = _last(self._connection)
            return self._query
        if kind == "header":
            if self._headers is None:
                self._headers = _Headers(reversed(self._connection.scope["headers"]))
            return self._headers
        return self._connection.cookies if kind == "cookie" else self._form

    def every(self, kind: str) -> Every:
        """Every value of each name; those of headers are in lower case."""
        if self._every is None:
            self._every = {"form": self._form}
        if kind not in self._every:
            pairs: Iterable[tuple[str, Any]]
            if kind == "query":
                pairs = _query(self._connection)
            elif kind == "header":
                raw = self._connection.scope["headers"]
                pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
            else:
                pairs = self.one(kind).items()
            self._every[kind] = grouped(pairs)
        return self._every[kind]


class _Headers(dict[bytes, bytes]):
    """Headers by their names in bytes: of many, few are asked for, so few are decoded."""

    def get(self, name: bytes, default: None = None) -> str | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - decodes
        value = super().get(name)
        return default if value is None else value.decode("latin-1")


def _query(connection: HTTPConnection) -> list[tuple[str, str]]:
    text: str = connection.scope.get("query_string", b"").decode("latin-1")
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    return [(name, value) for name, _, value in [f.partition("=") for f in text.split("&") if f]]


def _last(connection: HTTPConnection) -> dict[str, str]:
    """The last value of each name in the query, in half the time that `dict(_query())` takes."""
    text: str = connection.scope.get("query_string", b"").decode("latin-1")
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True))
    found: dict[str, str] = {}
    for field in text.split("&"):
        name, _, found[name] = field.partition("=")
    return found


def grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    """Every value of each name, in order."""
    every: dict[str, list[Any]] = {}
    for name, value in pairs:
        every.setdefault(name, []).append(value)
    return every
