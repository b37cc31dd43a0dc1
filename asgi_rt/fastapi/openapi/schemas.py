"""JSON schemas of all the fields of one document, which share their definitions."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from enum import Enum
from typing import Any, Literal, TypeAlias, TypeGuard, TypeVar, cast, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from asgi_rt.fastapi.dependencies.models import ModelField
from asgi_rt.fastapi.openapi.constants import REF_TEMPLATE

__all__ = ["Schemas"]

T = TypeVar("T")
_Mode: TypeAlias = Literal["validation", "serialization"]


class Schemas:
    """The schema of each of `fields`, and the `definitions` that they refer to.

    A model that is read otherwise than it is written has two definitions, unless `separate` is
    false: then only models with computed fields are described as they are written.
    """

    def __init__(self, fields: Iterable[ModelField], *, separate: bool = True) -> None:
        self._separate = separate
        # By what declares them: the fields of a parameter model may be made anew at any time.
        fields = list({id(field.field_info): field for field in fields}.values())
        inputs = [
            (id(field.field_info), self._mode(field), field.adapter.core_schema) for field in fields
        ]
        inputs += self._within(fields)
        generate = _Generate(ref_template=REF_TEMPLATE)
        made, definitions = generate.generate_definitions(cast("Any", inputs))
        self._schemas = cast("dict[tuple[int, _Mode], dict[str, Any]]", made)
        self.definitions = cast("dict[str, dict[str, Any]]", definitions)
        for definition in self.definitions.values():
            if "description" in definition:
                definition["description"] = definition["description"].split("\f")[0]

    def of(self, field: ModelField, alias: str | None = None) -> dict[str, Any]:
        """The schema of one field, which has its own title, or one made of `alias`."""
        schema = deepcopy(self._schemas[id(field.field_info), self._mode(field)])
        if field.field_info.deprecated:
            schema.setdefault("deprecated", True)
        if "$ref" not in schema:
            made_of = alias or field.alias
            schema["title"] = field.field_info.title or made_of.title().replace("_", " ")
        return schema

    def _mode(self, field: ModelField) -> _Mode:
        return self._mode_of(field.kind == "response", field.annotation, field.adapter)

    def _mode_of(self, is_written: bool, kind: Any, adapter: TypeAdapter[Any]) -> _Mode:
        as_written = is_written and (self._separate or _computes(kind, adapter))
        return "serialization" if as_written else "validation"

    def _within(self, fields: list[ModelField]) -> Iterator[tuple[int, _Mode, Any]]:
        """The models and enums in other types: they are defined, referred to or not."""
        fields_of = [field.annotation for field in fields]
        for is_written in (False, True):
            found: dict[type[Any], None] = {}
            for field in fields:
                if (field.kind == "response") is is_written:
                    _collect(field.annotation, found)
            for kind in found:
                if kind not in fields_of:
                    adapter = TypeAdapter(kind)
                    mode = self._mode_of(is_written, kind, adapter)
                    yield id(kind), mode, adapter.core_schema


class _Generate(GenerateJsonSchema):
    def bytes_schema(self, schema: core_schema.BytesSchema) -> dict[str, Any]:
        # `format`, which pydantic gives, was how OpenAPI 3.0 told of bytes.
        made = super().bytes_schema(schema)
        del made["format"]
        made["contentMediaType"] = "application/octet-stream"
        config, is_written = self._config, self.mode == "serialization"
        if (config.ser_json_bytes if is_written else config.val_json_bytes) == "base64":
            made["contentEncoding"] = "base64"
        return made


def _collect(annotation: Any, found: dict[type[Any], None]) -> None:
    if _is_kind(annotation, BaseModel):
        if annotation not in found:
            found[annotation] = None
            for info in annotation.model_fields.values():
                _collect(info.annotation, found)
    elif _is_kind(annotation, Enum):
        found[annotation] = None
    else:
        for part in get_args(annotation):
            _collect(part, found)


def _computes(kind: Any, adapter: TypeAdapter[Any]) -> bool:
    """Whether there are computed fields in a type."""
    models: dict[type[Any], None] = {}
    _collect(kind, models)
    within: Any = adapter.core_schema.get("schema") or {}
    return bool(within.get("computed_fields")) or any(
        _is_kind(model, BaseModel) and model.model_computed_fields for model in models
    )


def _is_kind(annotation: Any, kind: type[T]) -> TypeGuard[type[T]]:
    return isinstance(annotation, type) and issubclass(annotation, kind)
