"""What the AsyncAPI 3.0.0 specification requires of a document, of the objects that are used here.

Structure as a JSON schema that allows no other fields; what a schema cannot say as a function: that
references lead somewhere, that a channel has exactly the parameters of its address, and that an
operation's messages are its channel's.
"""

import re
from typing import Any

from jsonschema import Draft202012Validator

__all__ = ["check_asyncapi"]

TEXT = {"type": "string"}
ANY_OBJECT = {"type": "object"}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }


def _map(of: dict[str, Any]) -> dict[str, Any]:
    # The names of channels, operations, messages and servers (sections Channels, Operations, ...).
    return {
        "type": "object",
        "propertyNames": {"pattern": r"^[A-Za-z0-9_\-.]+$"},
        "additionalProperties": of,
    }


def _ref(pattern: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"$ref": {"type": "string", "pattern": pattern}},
        "required": ["$ref"],
        "additionalProperties": False,
    }


SCHEMA = {"type": ["object", "boolean"]}
FIELDS = {
    "type": "object",
    "required": ["type", "properties"],
    "properties": {"type": {"const": "object"}},
}
TAGS = {"type": "array", "items": _object("name", name=TEXT, description=TEXT)}
WS = _object(
    method={"enum": ["GET", "POST"]},
    query=FIELDS,
    headers=FIELDS,
    bindingVersion={"const": "0.1.0"},
)
HTTP = _object(
    method={"enum": ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]},
    query=FIELDS,
    bindingVersion={"const": "0.3.0"},
)
MESSAGE = _object(
    name=TEXT,
    title=TEXT,
    summary=TEXT,
    description=TEXT,
    contentType={"type": "string", "pattern": "^[a-z]+/[a-z0-9.+-]+$"},
    headers=FIELDS,
    payload=SCHEMA,
    tags=TAGS,
)
PARAMETER = _object(
    description=TEXT,
    enum={"type": "array", "items": TEXT, "minItems": 1},
    default=TEXT,
    examples={"type": "array", "items": TEXT},
    location={"type": "string", "pattern": r"^\$message\."},
)
CHANNEL = _object(
    address={"type": ["string", "null"], "pattern": "^[^?#]*$"},
    messages=_map(MESSAGE),
    title=TEXT,
    summary=TEXT,
    description=TEXT,
    servers={"type": "array", "items": _ref("^#/servers/[^/]+$"), "uniqueItems": True},
    parameters=_map(PARAMETER),
    tags=TAGS,
    bindings=_object(ws=WS),
)
OPERATION = _object(
    "action channel",
    action={"enum": ["send", "receive"]},
    channel=_ref("^#/channels/[^/]+$"),
    title=TEXT,
    summary=TEXT,
    description=TEXT,
    tags=TAGS,
    bindings=_object(http=HTTP),
    messages={
        "type": "array",
        "items": _ref("^#/channels/[^/]+/messages/[^/]+$"),
        "uniqueItems": True,
    },
)
SERVER = _object(
    "host protocol",
    host={"type": "string", "pattern": "^[^/]+$"},
    protocol={"enum": ["http", "https", "ws", "wss"]},
    pathname={"type": "string", "pattern": "^/"},
    title=TEXT,
    summary=TEXT,
    description=TEXT,
    variables=_map(
        _object(
            enum={"type": "array", "items": TEXT},
            default=TEXT,
            description=TEXT,
            examples={"type": "array", "items": TEXT},
        )
    ),
)
DOCUMENT = _object(
    "asyncapi info",
    asyncapi={"const": "3.0.0"},
    info=_object("title version", title=TEXT, version=TEXT, description=TEXT),
    defaultContentType={"const": "application/json"},
    servers=_map(SERVER),
    channels=_map(CHANNEL),
    operations=_map(OPERATION),
    components=_object(schemas=_map(SCHEMA)),
)


def check_asyncapi(document: dict[str, Any]) -> None:
    """Raise for what the specification does not allow."""
    Draft202012Validator.check_schema(DOCUMENT)
    Draft202012Validator(DOCUMENT).validate(document)
    for reference in _references(document):
        _resolve(document, reference)
    for channel in document["channels"].values():
        _check_channel(channel)
    for operation in document["operations"].values():
        there = operation["channel"]["$ref"]
        for message in operation.get("messages", ()):
            assert message["$ref"].startswith(f"{there}/messages/")
    for schema in document.get("components", {}).get("schemas", {}).values():
        Draft202012Validator.check_schema(schema)


def _check_channel(channel: dict[str, Any]) -> None:
    expressions = re.findall(r"{(.*?)}", channel["address"])
    assert len(set(expressions)) == len(expressions)
    assert set(channel.get("parameters", {})) == set(expressions)
    for message in channel.get("messages", {}).values():
        Draft202012Validator.check_schema(message.get("payload", True))
        Draft202012Validator.check_schema(message.get("headers", True))


def _references(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/"), reference
    for part in reference[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document
