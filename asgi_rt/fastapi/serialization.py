"""How what a handler returns becomes the body: through the response model where there is one."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pydantic_core import SchemaSerializer

from asgi_rt.fastapi.dependencies.models import ModelField, located
from asgi_rt.fastapi.encoders import encode_json, jsonable_encoder
from asgi_rt.fastapi.exceptions import ResponseValidationError

__all__ = ["Encode", "content_encoder", "json_encoder"]

Encode = Callable[[Any], Any]
"""Raises ResponseValidationError for what the response model does not allow."""


def _checker(field: ModelField) -> Encode:
    validate = field.validator

    def check(value: Any) -> Any:
        try:
            return validate(value, from_attributes=True)
        except ValidationError as error:
            raise ResponseValidationError(located(error, ("response",)), body=value) from None

    return check


def json_encoder(
    field: ModelField | None, options: dict[str, Any], plain: Encode = encode_json
) -> Encode:
    """What makes JSON of a value, by pydantic alone; by `plain` where there is no model."""
    if field is None:
        return plain
    check = _checker(field)
    # A frame of Python less than the adapter's own; another kind waits for a forward reference.
    serializer: Any = field.adapter.serializer
    dump = serializer.to_json if isinstance(serializer, SchemaSerializer) else field.serialize_json
    if options == {"by_alias": True}:
        return lambda value: dump(check(value), by_alias=True)
    return lambda value: dump(check(value), **options)


def content_encoder(field: ModelField | None, options: dict[str, Any]) -> Encode:
    """What makes the content that a response class gets: what JSON can say, or text as it is."""
    if field is None:
        return jsonable_encoder
    check = _checker(field)
    return lambda value: field.serialize(check(value), **options)
