"""The OpenAPI document of an app."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pydantic import AnyUrl

from asgi_rt.fastapi.dependencies.models import ModelField
from asgi_rt.fastapi.dependencies.signature import flat_params
from asgi_rt.fastapi.encoders import jsonable_encoder
from asgi_rt.fastapi.openapi.constants import REF_PREFIX
from asgi_rt.fastapi.openapi.operations import Operations
from asgi_rt.fastapi.openapi.schemas import Schemas
from asgi_rt.fastapi.routing import APIRoute

__all__ = ["get_openapi"]

# The body of a 422, which `RequestValidationError` is answered with.
_LOCATION: Final = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
_ERRORS: Final[dict[str, Any]] = {
    "ValidationError": {
        "title": "ValidationError",
        "type": "object",
        "properties": {
            "loc": {"title": "Location", "type": "array", "items": _LOCATION},
            "msg": {"title": "Message", "type": "string"},
            "type": {"title": "Error Type", "type": "string"},
            "input": {"title": "Input"},
            "ctx": {"title": "Context", "type": "object"},
        },
        "required": ["loc", "msg", "type"],
    },
    "HTTPValidationError": {
        "title": "HTTPValidationError",
        "type": "object",
        "properties": {
            "detail": {
                "title": "Detail",
                "type": "array",
                "items": {"$ref": f"{REF_PREFIX}ValidationError"},
            }
        },
    },
}


def get_openapi(
    *,
    title: str,
    version: str,
    openapi_version: str = "3.1.0",
    summary: str | None = None,
    description: str | None = None,
    routes: Sequence[Any],
    webhooks: Sequence[Any] | None = None,
    tags: list[dict[str, Any]] | None = None,
    servers: list[dict[str, Any]] | None = None,
    terms_of_service: str | None = None,
    contact: dict[str, Any] | None = None,
    license_info: dict[str, Any] | None = None,
    separate_input_output_schemas: bool = True,
    external_docs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The OpenAPI document of `routes` and `webhooks`, of those that are to be in it.

    Warns of operation ids that are not unique. Raises pydantic's errors for types that have no
    JSON schema.
    """
    every = [list(_of_api(routes)), list(_of_api(webhooks or ()))]
    fields = (field for found in every for route in found for field in _fields(route))
    schemas = Schemas(fields, separate=separate_input_output_schemas)
    operations = Operations(schemas)
    paths, hooks = [_paths(found, operations) for found in every]
    definitions = {**schemas.definitions, **(_ERRORS if operations.refuses else {})}
    components = {
        "schemas": dict(sorted(definitions.items())),
        "securitySchemes": operations.security_schemes,
    }
    document = {
        "openapi": openapi_version,
        "info": {
            "title": title,
            "summary": summary or None,
            "description": description or None,
            "termsOfService": terms_of_service or None,
            "contact": _with_url(contact),
            "license": _with_url(license_info),
            "version": version,
        },
        "servers": servers or None,
        "paths": paths,
        "webhooks": hooks or None,
        "components": {name: each for name, each in components.items() if each} or None,
        "tags": [_tag(each) for each in tags or ()] or None,
        "externalDocs": _with_url(external_docs),
    }
    written: dict[str, Any] = jsonable_encoder(document, by_alias=True, exclude_none=True)
    return written


def _of_api(routes: Iterable[Any]) -> Iterator[APIRoute]:
    return (each for each in routes if isinstance(each, APIRoute) and each.include_in_schema)


def _paths(routes: list[APIRoute], operations: Operations) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path_format, {}).update(operations.path_item(route))
    return paths


def _fields(route: APIRoute) -> Iterator[ModelField]:
    """All that the document describes of a route, callbacks included."""
    own = (route.body_field, route.response_field, route.stream_item_field)
    yield from (field for field in own if field is not None)
    yield from route.response_fields.values()
    yield from flat_params(route.dependant)
    for callback in _of_api(route.callbacks or ()):
        yield from _fields(callback)


def _with_url(described: dict[str, Any] | None) -> dict[str, Any] | None:
    if described and described.get("url"):
        return {**described, "url": AnyUrl(str(described["url"]))}  # written as pydantic does
    return described or None


def _tag(tag: dict[str, Any]) -> dict[str, Any]:
    return {**tag, "externalDocs": _with_url(tag.get("externalDocs"))}
