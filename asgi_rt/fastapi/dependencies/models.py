"""What a signature becomes: fields, and the tree of callables that declare them."""

from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.fields import FieldInfo
from pydantic_core import SchemaValidator, ValidationError

from asgi_rt.fastapi.dependencies.annotations import is_kind_of
from asgi_rt.fastapi.dependencies.calls import innermost, is_generator
from asgi_rt.fastapi.exceptions import FastAPIError
from asgi_rt.fastapi.params import Path, Undefined

__all__ = ["Dependant", "Kind", "ModelField", "SecurityScopes", "Special", "model_fields"]

Kind: TypeAlias = Literal["path", "query", "header", "cookie", "body", "form", "file", "response"]
Special: TypeAlias = Literal[
    "request", "websocket", "connection", "response", "background", "security_scopes"
]
Loc: TypeAlias = tuple[int | str, ...]
Errors: TypeAlias = list[dict[str, Any]]

# What a type on its own has a use for, of a field's attributes; pydantic warns of others.
_OF_TYPES: Final = ("title", "description", "examples", "discriminator", "json_schema_extra")


class ModelField:
    """One value to validate: a parameter, a body, or a response."""

    def __init__(
        self, name: str, field_info: FieldInfo, kind: Kind, config: ConfigDict | None = None
    ) -> None:
        self.name = name
        self.field_info = field_info
        self.kind: Kind = kind
        self.config = config
        """Of a member of a parameter model: how the model is configured."""

    @classmethod
    def make(cls, annotation: Any, info: FieldInfo | None, name: str, kind: Kind) -> "ModelField":
        """A field of that type; without `info`, one without constraints.

        Raises FastAPIError for a type that pydantic cannot validate.
        """
        made = cls(name, FieldInfo(annotation=annotation) if info is None else info, kind)
        try:
            _ = made.adapter
        except PydanticSchemaGenerationError:
            raise FastAPIError(
                f"Invalid args for response field! Hint: check that {annotation} is a valid"
                " Pydantic field type; response_model=None leaves a response as it is"
            ) from None
        return made

    @property
    def annotation(self) -> Any:
        """The type, without its metadata."""
        return self.field_info.annotation

    @property
    def alias(self) -> str:
        """The name outside: the alias if there is one."""
        return self.field_info.alias or self.name

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.field_info.is_required()

    @property
    def default(self) -> Any:
        """The default, a new one where it can be changed; `Undefined` where there is none."""
        return (
            Undefined if self.required else self.field_info.get_default(call_default_factory=True)
        )

    @property
    def typed(self) -> Any:
        """The type with all of its metadata, as pydantic takes it."""
        info = self.field_info
        options = {k: value for k in _OF_TYPES if (value := getattr(info, k)) is not None}
        if info.default_factory is not None:
            options["default_factory"] = info.default_factory
        elif info.default is not Undefined:
            options["default"] = info.default
        return Annotated[(info.annotation, *info.metadata, Field(**options))]

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """What validates and serializes it."""
        return TypeAdapter(self.typed, config=self.config)

    @property
    def validator(self) -> Callable[..., Any]:
        """`validator(value, from_attributes=True)`: raises pydantic's ValidationError."""
        validator = self.adapter.validator
        if isinstance(validator, SchemaValidator):
            return validator.validate_python  # a Python frame less than the adapter's
        return self.adapter.validate_python

    def serialize(self, value: Any, *, by_alias: bool = True, **options: Any) -> Any:
        """A valid value as what JSON can say; `options` are those of pydantic's `dump_python`."""
        return self.adapter.dump_python(value, mode="json", by_alias=by_alias, **options)

    def serialize_json(self, value: Any, *, by_alias: bool = True, **options: Any) -> bytes:
        """A valid value as JSON; `options` are those of pydantic's `dump_json`."""
        return self.adapter.dump_json(value, by_alias=by_alias, **options)

    def aliases(self, *, is_header: bool = False) -> list[tuple[str, str]]:
        """The names it goes by, best first, each as validation takes it and as requests hold it."""
        name, wanted = self.name, self.field_info.validation_alias
        alias = wanted if wanted and isinstance(wanted, str) else self.alias
        spoken = name.replace("_", "-") if is_header else name
        pairs = [(alias, spoken if alias == name else alias)]
        if isinstance(self.field_info, Path) or isinstance(wanted, AliasPath):
            return pairs
        if isinstance(wanted, AliasChoices):
            choices = [choice for choice in wanted.choices if isinstance(choice, str)]
            if len(choices) < len(wanted.choices):
                return pairs
            pairs = [(choice, choice) for choice in choices]
        config = self.config or {}
        if config.get("validate_by_alias") is False:
            return [(name, spoken)]
        by_name = config.get("validate_by_name", config.get("populate_by_name", False))
        if by_name and name not in dict(pairs):
            pairs.append((name, spoken))
        return pairs


def missing(loc: Loc) -> dict[str, Any]:
    """The error where there is no value."""
    return {"type": "missing", "loc": loc, "msg": "Field required", "input": None}


def located(error: ValidationError, loc: Loc) -> Errors:
    """The errors, each with `loc` before the place inside the value."""
    return [{**each, "loc": loc + each["loc"]} for each in error.errors(include_url=False)]


@lru_cache
def model_fields(model: type[BaseModel], kind: Kind) -> list[ModelField]:
    """The fields of a model whose members are parameters of that kind."""
    fields: list[ModelField] = []
    for name, info in model.model_fields.items():
        # These have a configuration of their own.
        own = is_kind_of(info.annotation, (BaseModel, dict)) or is_dataclass(info.annotation)
        fields.append(ModelField(name, info, kind, None if own else model.model_config))
    return fields


class SecurityScopes:
    """The OAuth2 scopes that a dependency and all that depend on it need."""

    def __init__(self, scopes: list[str] | None = None) -> None:
        self.scopes = scopes or []
        self.scope_str = " ".join(self.scopes)
        """The same, separated by spaces."""


PLACES: Final[tuple[Kind, ...]] = ("path", "query", "header", "cookie")
"""Where parameters outside of the body stand, in the order of their errors."""


@dataclass(slots=True, eq=False)
class Dependant:
    """A callable and what its parameters were found to be; `special` are those of the exchange.

    `name` is the parameter that takes its value; None where nobody does.
    """

    call: Callable[..., Any]
    path: str = ""
    name: str | None = None
    use_cache: bool = True
    scope: Literal["function", "request"] | None = None
    own_oauth_scopes: list[str] = field(default_factory=list)
    parent_oauth_scopes: list[str] = field(default_factory=list)
    path_params: list[ModelField] = field(default_factory=list)
    query_params: list[ModelField] = field(default_factory=list)
    header_params: list[ModelField] = field(default_factory=list)
    cookie_params: list[ModelField] = field(default_factory=list)
    body_params: list[ModelField] = field(default_factory=list)
    dependencies: list["Dependant"] = field(default_factory=list)
    special: dict[str, Special] = field(default_factory=dict)

    def params(self, place: Kind) -> list[ModelField]:
        """The parameters that stand in that place."""
        found: list[ModelField] = getattr(self, f"{place}_params")
        return found

    @property
    def oauth_scopes(self) -> list[str]:
        """Its scopes after those of all that depend on it, each once."""
        own = [s for s in self.own_oauth_scopes if s not in self.parent_oauth_scopes]
        return [*self.parent_oauth_scopes, *dict.fromkeys(own)]

    @property
    def security_scheme(self) -> Any:
        """The scheme, where the callable is one (a SecurityBase)."""
        from asgi_rt.fastapi.security.base import SecurityBase  # which needs SecurityScopes

        call = innermost(self.call)
        return call if isinstance(call, SecurityBase) else None

    @property
    def uses_scopes(self) -> bool:
        """Whether its value may depend on the scopes."""
        return (
            bool(self.own_oauth_scopes)
            or "security_scopes" in self.special.values()
            or self.security_scheme is not None
            or any(each.uses_scopes for each in self.dependencies)
        )

    @property
    def lifetime(self) -> Literal["function", "request"] | None:
        """When what follows its `yield` runs."""
        return self.scope or ("request" if is_generator(self.call) else None)

    @property
    def cache_key(self) -> tuple[Any, ...]:
        """Equal for those that may share one value in a request."""
        scopes = tuple(sorted(set(self.oauth_scopes))) if self.uses_scopes else ()
        return self.call, scopes, self.lifetime or ""
