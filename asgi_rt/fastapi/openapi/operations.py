"""What a document says of each route."""

import http.client
import inspect
import warnings
from copy import deepcopy
from typing import Any, Final, cast

from asgi_rt.fastapi.datastructures import DefaultPlaceholder
from asgi_rt.fastapi.dependencies.models import Dependant, ModelField
from asgi_rt.fastapi.dependencies.signature import flat_dependant, flat_params, form_model
from asgi_rt.fastapi.openapi.constants import EVENT_FIELDS, METHODS_WITH_BODY, REF_PREFIX
from asgi_rt.fastapi.openapi.parameters import examples_of, parameters_of
from asgi_rt.fastapi.openapi.schemas import Schemas
from asgi_rt.fastapi.responses import JSONResponse
from asgi_rt.fastapi.routing import APIRoute

__all__ = ["Operations", "merge"]

_CLASSES: Final = {
    "1XX": "Information",
    "2XX": "Success",
    "3XX": "Redirection",
    "4XX": "Client Error",
    "5XX": "Server Error",
    "DEFAULT": "Default Response",
}
_NO_BODY: Final = frozenset({204, 205, 304})
_INVALID: Final[dict[str, Any]] = {
    "description": "Validation Error",
    "content": {
        "application/json": {"schema": {"$ref": f"{REF_PREFIX}HTTPValidationError"}},
    },
}


class Operations:
    """Writes the operations of routes, and gathers what they share.

    `security_schemes` are those of the routes written so far; `refuses` is whether any of them
    answers 422 by itself.
    """

    def __init__(self, schemas: Schemas) -> None:
        self.security_schemes: dict[str, Any] = {}
        self.refuses = False
        self._schemas = schemas
        self._ids: set[str] = set()

    def path_item(self, route: APIRoute) -> dict[str, Any]:
        """The operations of a route by method; none where the schema is not to have it."""
        methods = (route.methods or ()) if route.include_in_schema else ()
        return {method.lower(): self._operation(route, method) for method in methods}

    def _operation(self, route: APIRoute, method: str) -> dict[str, Any]:
        operation: dict[str, Any] = {
            "tags": list(route.tags) or None,
            "summary": route.summary or route.name.replace("_", " ").title(),
            "description": route.description or None,
            "operationId": self._id(route),
            "deprecated": route.deprecated or None,
            "security": self._security(route.dependant) or None,
            "parameters": parameters_of(route.dependant, self._schemas) or None,
        }
        if route.body_field is not None and method in METHODS_WITH_BODY:
            operation["requestBody"] = self._body(route, route.body_field)
        if route.callbacks:
            operation["callbacks"] = {
                callback.name: {callback.path: self.path_item(callback)}
                for callback in route.callbacks
                if isinstance(callback, APIRoute)
            }
        operation["responses"] = self._responses(route)
        operation = {key: value for key, value in operation.items() if value is not None}
        merge(operation, route.openapi_extra or {})
        return operation

    def _id(self, route: APIRoute) -> str:
        operation_id = route.operation_id or route.unique_id
        if operation_id in self._ids:
            name = getattr(route.endpoint, "__name__", "<unnamed_endpoint>")
            file = getattr(route.endpoint, "__globals__", {}).get("__file__")
            place = f" at {file}" if file else ""
            warnings.warn(
                f"Duplicate Operation ID {operation_id} for function {name}{place}", stacklevel=2
            )
        self._ids.add(operation_id)
        return operation_id

    def _security(self, dependant: Dependant) -> list[dict[str, list[str]]]:
        required: dict[str, dict[str, None]] = {}
        for each in flat_dependant(dependant):
            if (scheme := each.security_scheme) is not None:
                self.security_schemes[scheme.scheme_name] = scheme.model
                scopes = required.setdefault(scheme.scheme_name, {})
                scopes.update(dict.fromkeys(each.oauth_scopes))
        return [{name: list(scopes)} for name, scopes in required.items()]

    def _body(self, route: APIRoute, field: ModelField) -> dict[str, Any]:
        info: Any = field.field_info
        schema = self._schemas.of(field)
        if route.embed:
            self._flatten(route, self._schemas.definitions[schema["$ref"].removeprefix(REF_PREFIX)])
        body = {"content": {info.media_type: {"schema": schema, **examples_of(info)}}}
        return {"required": True, **body} if field.required else body

    def _flatten(self, route: APIRoute, whole: dict[str, Any]) -> None:
        """A form holds the members of its models beside its other fields."""
        for each in flat_dependant(route.dependant):
            for field in each.body_params:
                if form_model(field) and field.required and field.name in whole["properties"]:
                    whole.setdefault("allOf", []).append(whole["properties"].pop(field.name))
                    whole["required"].remove(field.name)

    def _responses(self, route: APIRoute) -> dict[str, Any]:
        kind = _response_class(route)
        main: dict[str, Any] = {"description": route.response_description}
        if content := self._content(route, kind):
            main["content"] = content
        responses: dict[str, Any] = {_status(route, kind): main}
        for status, declared in (route.responses or {}).items():
            key = str(status).upper()
            response = responses.setdefault("default" if key == "DEFAULT" else key, {})
            told = {name: deepcopy(each) for name, each in declared.items() if name != "model"}
            if (field := route.response_fields.get(status)) is not None:
                media_type = kind.media_type or "application/json"
                media = told.setdefault("content", {}).setdefault(media_type, {})
                merge(media.setdefault("schema", {}), self._schemas.of(field))
            description = told.get("description") or response.get("description")
            merge(response, told)
            response["description"] = description or _phrase(key)
        takes = flat_params(route.dependant) or route.body_field is not None
        if takes and not responses.keys() & {"422", "4XX", "default"}:
            responses["422"] = deepcopy(_INVALID)
            self.refuses = True
        return responses

    def _content(self, route: APIRoute, kind: type[Any]) -> dict[str, Any] | None:
        """What the answer of a route holds, by media type."""
        status = route.status_code
        if status is not None and (status < 200 or status in _NO_BODY):
            return None
        item = (
            None if route.stream_item_field is None else self._schemas.of(route.stream_item_field)
        )
        if route.is_json_stream:
            return {"application/jsonl": {"itemSchema": item or {}}}
        if route.is_sse_stream:
            return {"text/event-stream": {"itemSchema": _event(item)}}
        if kind.media_type is None:
            return None
        schema: dict[str, Any] = {"type": "string"}
        if issubclass(kind, JSONResponse):
            field = route.response_field
            schema = {} if field is None else self._schemas.of(field)
        return {kind.media_type: {"schema": schema}}


def _response_class(route: APIRoute) -> Any:
    kind: Any = route.response_class
    return kind.value if isinstance(kind, DefaultPlaceholder) else kind


def _status(route: APIRoute, kind: Any) -> str:
    """The status of an answer that says nothing else: the route's, or its response class's."""
    if route.status_code is not None:
        return str(route.status_code)
    parameter = inspect.signature(kind.__init__).parameters.get("status_code")
    default = None if parameter is None else parameter.default
    return str(default if isinstance(default, int) else 200)


def _phrase(status: str) -> str:
    known = _CLASSES.get(status) or http.client.responses.get(int(status))
    return known or "Additional Response"


def _event(item: dict[str, Any] | None) -> dict[str, Any]:
    """A server-sent event whose data is an item as JSON, or any text (3.2.0, section 4.14.4)."""
    data: dict[str, Any] = {"type": "string"}
    schema = {"type": "object", "properties": {"data": data, **deepcopy(EVENT_FIELDS)}}
    if item is None:
        return schema
    data |= {"contentMediaType": "application/json", "contentSchema": item}
    return {**schema, "required": ["data"]}


def merge(target: dict[str, Any], source: dict[str, Any]) -> None:
    """Put what `source` holds into `target`: dicts key by key, lists one behind the other."""
    for key, value in source.items():
        there = target.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            merge(cast("dict[str, Any]", there), cast("dict[str, Any]", value))
        elif isinstance(there, list) and isinstance(value, list):
            target[key] = there + value
        else:
            target[key] = value
