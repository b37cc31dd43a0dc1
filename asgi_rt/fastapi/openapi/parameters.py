"""What stands around a body: the parameters of a path, query, headers and cookies."""

from collections.abc import Iterator
from typing import Any

from asgi_rt.fastapi.dependencies.models import Dependant, ModelField, model_fields
from asgi_rt.fastapi.dependencies.signature import flat_dependant, parameter_model
from asgi_rt.fastapi.encoders import jsonable_encoder
from asgi_rt.fastapi.openapi.schemas import Schemas
from asgi_rt.fastapi.params import Undefined

__all__ = ["examples_of", "parameters_of"]


def parameters_of(dependant: Dependant, schemas: Schemas) -> list[dict[str, Any]]:
    """The Parameter Objects of an endpoint and all that it depends on, each name once."""
    written = [each for field in _fields(dependant) for each in _written(field, schemas)]
    found = {(each["in"], each["name"]): each for each in written}
    # Where several ask for the same, one that requires it is right for all.
    found |= {(each["in"], each["name"]): each for each in written if each["required"]}
    return list(found.values())


def examples_of(info: Any) -> dict[str, Any]:
    """What a declaration gives as examples: the named ones, or else the single one."""
    if info_examples := getattr(info, "openapi_examples", None):
        return {"examples": jsonable_encoder(info_examples)}
    example = getattr(info, "example", Undefined)
    return {} if example is Undefined else {"example": jsonable_encoder(example)}


def _fields(dependant: Dependant) -> Iterator[ModelField]:
    every = flat_dependant(dependant)
    for kind in ("path_params", "query_params", "header_params", "cookie_params"):
        for each in every:
            yield from getattr(each, kind)


def _written(field: ModelField, schemas: Schemas) -> Iterator[dict[str, Any]]:
    """A parameter; where it is a model, one for each of its members."""
    declared: Any = field.field_info
    if not getattr(declared, "include_in_schema", True):
        return
    model = parameter_model(field)
    is_optional = model not in (None, field.annotation) and not field.required
    for member in [field] if model is None else model_fields(model, field.kind):
        info: Any = member.field_info
        converts = getattr(
            info, "convert_underscores", getattr(declared, "convert_underscores", True)
        )
        alias, name = member.aliases(is_header=field.kind == "header" and converts)[0]
        parameter = {
            "name": name,
            "in": field.kind,
            "required": member.required and not is_optional,
            "schema": schemas.of(member, alias),
            **examples_of(info),
        }
        if info.description:
            parameter["description"] = info.description
        if info.deprecated:
            parameter["deprecated"] = True
        yield parameter
