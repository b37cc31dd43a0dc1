"""Bodies: what the whole of it is, how it is read, and what of JSON a callable takes."""

import email.message
import json
from functools import lru_cache
from typing import Any, Final, cast

from pydantic import Field, create_model
from pydantic_core import from_json

from asgi_rt.errors import AsgiRtError, HTTPError
from asgi_rt.fastapi import params
from asgi_rt.fastapi.dependencies.models import Dependant, Errors, Kind, ModelField, missing
from asgi_rt.fastapi.dependencies.signature import form_model
from asgi_rt.fastapi.dependencies.values import Target
from asgi_rt.fastapi.exceptions import HTTPException, StarletteHTTPException
from asgi_rt.fastapi.params import Undefined
from asgi_rt.http.request import Request

__all__ = ["JsonBody", "body_field", "read_form", "read_json"]

_OUTER: Final = ("alias", "alias_priority", "validation_alias", "serialization_alias", "deprecated")


def _flat(dependant: Dependant) -> list[ModelField]:
    below = [field for each in dependant.dependencies for field in _flat(each)]
    return [*dependant.body_params, *below]


def _embeds(fields: list[ModelField]) -> bool:
    """Whether the body is an object, or a form, that holds each of them under its name."""
    if len({field.name for field in fields}) != 1:
        return bool(fields)
    first = fields[0]
    if form_model(first) is not None:
        others = [each for each in fields if each.annotation is not first.annotation]
        return bool(others) or any(form_model(each) is None for each in fields)
    return bool(getattr(first.field_info, "embed", None)) or first.kind in ("form", "file")


def body_field(dependant: Dependant, name: str) -> tuple[ModelField | None, bool]:
    """The body as one field, and whether the parameters are members of it. `name` names its model.

    None where nothing reads a body.
    """
    fields = _flat(dependant)
    if not _embeds(fields):
        return (fields[0] if fields else None), False
    members: dict[str, Any] = {}
    for each in fields:
        given = {key: getattr(each.field_info, key) for key in _OUTER}
        outer = Field(**{key: value for key, value in given.items() if value is not None})
        members[each.name] = (each.typed, outer)
    model = create_model(f"Body_{name}", **members)
    kinds = {field.kind for field in fields}
    kind: Kind = "file" if "file" in kinds else "form" if "form" in kinds else "body"
    declare = {"file": params.File, "form": params.Form, "body": params.Body}[kind]
    types = {each.field_info.media_type for each in fields if isinstance(each.field_info, declare)}
    media_type = types.pop() if len(types) == 1 and kind != "file" else None
    if kind == "form" and "multipart/form-data" in types:
        media_type = "multipart/form-data"
    default = Undefined if any(field.required for field in fields) else None
    info = declare(default, media_type=media_type, annotation=model, alias="body")
    return ModelField.make(model, info, "body", kind), True


@lru_cache(256)
def _says_json(content_type: bytes) -> bool:
    message = email.message.Message()
    message["content-type"] = content_type.decode("latin-1")
    subtype = message.get_content_subtype()
    is_json = subtype == "json" or subtype.endswith("+json")
    return is_json and message.get_content_maintype() == "application"


async def read_json(request: Request, errors: Errors, *, is_strict: bool) -> Any:
    """The body: parsed if it is said to be JSON, else its bytes; `Undefined` if it is empty.

    What is no JSON goes to `errors`. Without `is_strict` a body of no type is taken for JSON.
    Raises HTTPException 400 for what cannot be read at all, and what `Request.body` raises.
    """
    data = await request.body()
    if not data:
        return Undefined
    declared = b""
    for name, value in request.scope["headers"]:  # a fifth of what the mapping takes
        if name == b"content-type":
            declared = value
            break
    if not (_says_json(declared) if declared else not is_strict):
        return data
    try:
        return from_json(data)  # not orjson, which makes floats of integers beyond 64 bits
    except ValueError:
        return _load(data, errors)


def _load(data: bytes, errors: Errors) -> Any:
    # The standard library takes more, such as lone surrogates and UTF-16, and clients know what it
    # says of the rest.
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        found = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error"}
        errors.append({**found, "input": dict[str, Any](), "ctx": {"error": error.msg}})
        return error.doc
    except (ValueError, RecursionError) as error:
        raise _unreadable() from error


def _unreadable() -> HTTPException:
    return HTTPException(400, "There was an error parsing the body")


async def read_form(request: Request) -> Any:
    """The form. Raises HTTPException 400 where it is malformed, and what `Request.form` raises."""
    try:
        return await request.form()
    except (StarletteHTTPException, AsgiRtError) as error:
        if isinstance(error, HTTPError) and error.status_code == 400:
            raise _unreadable() from error
        raise
    except Exception as error:
        raise _unreadable() from error


class JsonBody:
    """What one callable takes of a body that was parsed as JSON, or not at all."""

    def __init__(self, fields: list[ModelField], *, embed: bool) -> None:
        is_whole = len(fields) == 1 and not embed and not _embeds(fields)
        self._whole = Target(fields[0]) if is_whole else None
        self._members = [
            (Target(field), [alias for alias, _ in field.aliases()]) for field in fields
        ]

    def read(self, body: Any, values: dict[str, Any], errors: Errors) -> None:
        """Take it, validated; in the order of the declaration."""
        if self._whole is not None:
            self._whole.put(body, ("body",), values, errors)
            return
        is_absent = body is Undefined or isinstance(body, bytes)
        members: dict[str, Any] = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        for target, aliases in self._members:
            alias = next((each for each in aliases if each in members), aliases[0])
            if is_absent or isinstance(body, dict):
                target.put(members.get(alias, Undefined), ("body", alias), values, errors)
            else:  # not even the defaults of its members hold
                errors.append(missing(("body", alias)))
