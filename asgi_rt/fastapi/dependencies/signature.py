"""Signatures read: each parameter is a field, a dependency, or a part of the exchange."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable
from copy import copy
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import AliasChoices, Json
from pydantic.fields import FieldInfo

from asgi_rt.background import BackgroundTasks
from asgi_rt.fastapi import params
from asgi_rt.fastapi.datastructures import UploadFile
from asgi_rt.fastapi.dependencies import annotations
from asgi_rt.fastapi.dependencies.annotations import is_kind_of, is_of, is_scalar, model_of
from asgi_rt.fastapi.dependencies.calls import is_generator
from asgi_rt.fastapi.dependencies.models import (
    PLACES,
    Dependant,
    Kind,
    ModelField,
    SecurityScopes,
    Special,
    model_fields,
)
from asgi_rt.fastapi.exceptions import DependencyScopeError
from asgi_rt.fastapi.params import Undefined
from asgi_rt.http.connection import HTTPConnection
from asgi_rt.http.request import Request
from asgi_rt.http.response import Response
from asgi_rt.websocket.connection import WebSocket

__all__ = ["flat_dependant", "flat_params", "form_model", "get_dependant"]
__all__ += ["get_parameterless_sub_dependant", "is_json", "parameter_model"]

# In this order: the others derive from HTTPConnection.
_SPECIAL: Final[tuple[tuple[type, Special], ...]] = (
    (Request, "request"),
    (WebSocket, "websocket"),
    (HTTPConnection, "connection"),
    (Response, "response"),
    (BackgroundTasks, "background"),
    (SecurityScopes, "security_scopes"),
)
_NONE: Final = inspect.Signature.empty
_OURS: Final = (params.Param, params.Body, params.Depends)
_ATTRIBUTES: Final = {name for name in FieldInfo.__slots__ if not name.startswith("_")}


def get_dependant(
    *,
    path: str,
    call: Callable[..., Any],
    name: str | None = None,
    own_oauth_scopes: Iterable[str] | None = None,
    parent_oauth_scopes: Iterable[str] | None = None,
    use_cache: bool = True,
    scope: Literal["function", "request"] | None = None,
) -> Dependant:
    """What `call` asks for, and what its dependencies ask for, at a route of that path.

    Raises AssertionError for parameters that contradict themselves, FastAPIError for types that
    cannot be validated, and DependencyScopeError for a dependency that would outlive its own.
    """
    own, inherited = list(own_oauth_scopes or ()), list(parent_oauth_scopes or ())
    made = Dependant(call, path, name, use_cache, scope, own, inherited)
    in_path = set(re.findall("{([^}:]*)", path))
    for each in annotations.typed_signature(call).parameters.values():
        found = _Parameter(each.name, each.annotation, each.default, in_path).read()
        if isinstance(found, params.Depends):
            made.dependencies.append(_sub_dependant(made, found, each.name))
        elif isinstance(found, ModelField):
            place = found.kind if found.kind in PLACES else "body"
            getattr(made, f"{place}_params").append(found)
        else:
            made.special[each.name] = found
    return made


def _sub_dependant(parent: Dependant, depends: params.Depends, name: str) -> Dependant:
    if depends.scope == "function" and is_generator(parent.call) and parent.lifetime == "request":
        called = getattr(parent.call, "__name__", "<unnamed_callable>")
        raise DependencyScopeError(
            f'The dependency "{called}" has a scope of "request", it cannot depend on dependencies'
            ' with scope "function".'
        )
    assert depends.dependency is not None
    return get_dependant(
        path=parent.path,
        call=depends.dependency,
        name=name,
        own_oauth_scopes=getattr(depends, "scopes", None),
        parent_oauth_scopes=parent.parent_oauth_scopes + parent.own_oauth_scopes,
        use_cache=depends.use_cache,
        scope=depends.scope,
    )


def get_parameterless_sub_dependant(*, depends: params.Depends, path: str) -> Dependant:
    """A dependency whose value nobody takes, as routers and decorators have them."""
    call, own = depends.dependency, getattr(depends, "scopes", None)
    assert callable(call), "A parameter-less dependency must have a callable dependency"
    return get_dependant(path=path, call=call, scope=depends.scope, own_oauth_scopes=own)


class _Parameter:
    """One parameter of a signature, while it is found out what it is."""

    def __init__(self, name: str, annotation: Any, value: Any, in_path: set[str]) -> None:
        self.name = name
        self.value = value
        annotation = getattr(annotation, "__value__", annotation)  # of a `type X = ...`
        self.annotation: Any = Any if annotation is _NONE else annotation
        self.is_annotated = get_origin(self.annotation) is Annotated
        self.type: Any = get_args(self.annotation)[0] if self.is_annotated else self.annotation
        self.names_in_path = in_path
        self.is_in_path = name in in_path

    def read(self) -> ModelField | params.Depends | Special:
        declared = self._declared()
        if isinstance(declared, params.Depends):
            inferred = dataclasses.replace(declared, dependency=self.type)
            return inferred if declared.dependency is None else declared
        for kind, special in _SPECIAL:
            if is_kind_of(self.type, kind):
                assert declared is None, f"Cannot specify FastAPI annotation for type {self.type!r}"
                return special
        return self._field(self._inferred() if declared is None else declared)

    def _declared(self) -> FieldInfo | params.Depends | None:
        """What the parameter is said to be, in `Annotated` or by its default value."""
        declared = self._annotated()
        if isinstance(self.value, params.Depends):
            assert not isinstance(declared, params.Depends), (
                "Cannot specify `Depends` in `Annotated` and default value"
                f" together for {self.name!r}"
            )
            assert declared is None, (
                "Cannot specify a FastAPI annotation in `Annotated` and `Depends` as a"
                f" default value together for {self.name!r}"
            )
            return self.value
        if isinstance(self.value, FieldInfo):
            assert not isinstance(declared, FieldInfo), (
                "Cannot specify FastAPI annotations in `Annotated` and default value"
                f" together for {self.name!r}"
            )
            self.value.annotation = self.type
            return declared or self.value
        return declared

    def _annotated(self) -> FieldInfo | params.Depends | None:
        found = [each for each in get_args(self.annotation)[1:] if isinstance(each, _OURS)]
        if not self.is_annotated or not found:
            return None
        if isinstance(found[-1], params.Depends):
            return found[-1]
        info = _merged(found[-1], self.annotation)
        assert info.default is Undefined, (
            f"`{type(info).__name__}` default value cannot be set in"
            f" `Annotated` for {self.name!r}. Set the default value with `=` instead."
        )
        if self.value is not _NONE:
            assert not self.is_in_path, "Path parameters cannot have default values"
            info.default = self.value
        return info

    def _inferred(self) -> FieldInfo:
        """What a parameter is that nothing is said about."""
        default = ... if self.value is _NONE or self.is_in_path else self.value
        declare: type[params.Param | params.Body] = params.Query
        if self.is_in_path:
            declare = params.Path
        elif is_of(self.type, UploadFile) or is_of(self.type, UploadFile, many=True):
            declare = params.File
        elif not is_scalar(self.type):
            declare = params.Body
        info: FieldInfo = declare(default, annotation=self.annotation)
        if self.is_annotated:
            default, info = info.default, _merged(info, self.annotation)
            info.default = default
            if self.is_in_path:
                info.default_factory = None
        return info

    def _field(self, info: FieldInfo) -> ModelField:
        if self.is_in_path:
            refusal = f"Cannot use `{type(info).__name__}` for path param {self.name!r}"
            assert isinstance(info, params.Path), refusal
        wanted = info.validation_alias
        if isinstance(info, params.Path) and isinstance(wanted, AliasChoices):
            for choice in self.names_in_path.intersection(map(str, wanted.choices)):
                info = copy(info)
                info.validation_alias = choice
        if not info.alias:
            hyphens = getattr(info, "convert_underscores", False)
            info.alias = self.name.replace("_", "-") if hyphens else self.name
        made = ModelField.make(self.annotation, info, self.name, _kind_of(info, self.name))
        kind = info.annotation
        if self.is_in_path:
            assert is_scalar(kind), "Path params must be of one of the supported types"
        elif isinstance(info, params.Query):
            fits = is_scalar(kind) or annotations.is_scalar_sequence(kind) or model_of(kind)
            assert fits, f"Query parameter {self.name!r} must be one of the supported types"
        return made


def _merged(info: FieldInfo, annotation: Any) -> FieldInfo:
    """A declaration as `annotation` has it together with all that pydantic reads there."""
    whole = FieldInfo.from_annotation(annotation)
    made = copy(info)
    for name in _ATTRIBUTES:
        setattr(made, name, getattr(whole, name))
    return made


def _kind_of(info: FieldInfo, name: str) -> Kind:
    if isinstance(info, params.Body):
        is_form = isinstance(info, params.Form)
        return "file" if isinstance(info, params.File) else "form" if is_form else "body"
    refusal = f"non-body parameters must be in path, query, header or cookie: {name}"
    assert isinstance(info, params.Param), refusal
    kind: Kind = info.in_.value
    return kind


def is_json(field: ModelField) -> bool:
    """Whether one text holds all of it, as JSON."""
    return any(type(each) is Json for each in field.field_info.metadata)


def parameter_model(field: ModelField) -> Any:
    """The model whose members are the parameters that `field` stands for; None where it is one."""
    model = None if is_json(field) else model_of(field.annotation)
    return None if field.kind == "path" and model is not field.annotation else model


def form_model(field: ModelField) -> Any:
    """The model whose members are the fields of the form that `field` stands for, or None."""
    info = field.field_info
    return parameter_model(field) if isinstance(info, params.Form) and not info.embed else None


def flat_dependant(dependant: Dependant) -> list[Dependant]:
    """It and all that it depends on, in order, those that share one value once."""
    found: dict[tuple[Any, ...], Dependant] = {}
    waiting = [dependant]
    while waiting:
        each = waiting.pop()
        if found.setdefault(each.cache_key, each) is each:
            waiting += reversed(each.dependencies)
    return list(found.values())


def flat_params(dependant: Dependant) -> list[ModelField]:
    """Every parameter outside of the body: path, query, header, cookie."""
    flat: list[ModelField] = []
    every = flat_dependant(dependant)
    for field in (field for place in PLACES for each in every for field in each.params(place)):
        model = parameter_model(field)
        flat += [field] if model is None else model_fields(model, field.kind)
    return flat
