"""AsyncAPI 3.0.0 documents: what an app streams, its WebSockets and its topics."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin
from urllib.parse import urlsplit

from asgi_rt.fastapi.dependencies.models import ModelField
from asgi_rt.fastapi.dependencies.signature import flat_params
from asgi_rt.fastapi.encoders import jsonable_encoder
from asgi_rt.fastapi.openapi.constants import EVENT_FIELDS, REF_PREFIX
from asgi_rt.fastapi.openapi.parameters import parameters_of
from asgi_rt.fastapi.openapi.schemas import Schemas
from asgi_rt.fastapi.routing import APIRoute, APIWebSocketRoute
from asgi_rt.hub.topics import check_pattern

__all__ = ["get_asyncapi", "messages"]

EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])
_DECLARED: Final = "__asyncapi_messages__"
_SPOKEN: Final = {"http": ("http", "ws"), "https": ("https", "wss")}
_MEDIA_TYPES: Final[dict[Any, str]] = {str: "text/plain", bytes: "application/octet-stream"}


def messages(*, receives: Any = None, sends: Any = None) -> Callable[[EndpointT], EndpointT]:
    """Say what a WebSocket endpoint receives and sends, for the AsyncAPI document alone.

    Each is a type, a union of types, or a mapping of names to types. Nothing is checked by it.

        @app.websocket("/rooms/{room}")
        @messages(receives=Say | Leave, sends=Said)
        async def talk(websocket: WebSocket, room: str) -> None: ...
    """

    def declare(endpoint: EndpointT) -> EndpointT:
        setattr(endpoint, _DECLARED, {"receive": receives, "send": sends})
        return endpoint

    return declare


def get_asyncapi(
    *,
    title: str,
    version: str,
    description: str | None = None,
    routes: Iterable[Any],
    hubs: Mapping[str, Any] | None = None,
    servers: Iterable[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The document of an app, in which "send" is what the app sends.

    There is a channel for each WebSocket route, for each route that streams (server-sent events,
    JSON Lines), and for each of `hubs`: what the app publishes, a type by topic or pattern.
    `servers` are OpenAPI's; those without a host are left out. What a request for a stream holds
    besides its path and query, the OpenAPI document says.

    Raises ValueError for what is no topic and no pattern.
    """
    channels = [*_of_routes(routes), *_of_topics(hubs or {})]
    schemas = Schemas(field for channel in channels for field in channel.fields())
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": description or None},
        "defaultContentType": "application/json",
        "servers": _servers(servers or ()) or None,
        "channels": {},
        "operations": {},
        "components": {"schemas": dict(sorted(schemas.definitions.items()))},
    }
    for channel in channels:
        channel.write(document, schemas)
    written: dict[str, Any] = jsonable_encoder(document, exclude_none=True)
    return written


@dataclass(slots=True)
class _Channel:
    """One channel: `messages` are the fields of what is received and sent, by name.

    A field is None where a message may be anything.
    """

    key: str
    address: str
    messages: dict[str, dict[str, ModelField | None]]
    protocol: Literal["ws", "http"] | None = None
    route: Any = None

    def fields(self) -> Iterator[ModelField]:
        if self.route is not None:
            yield from flat_params(self.route.dependant)
        for named in self.messages.values():
            yield from (field for field in named.values() if field is not None)

    def write(self, document: dict[str, Any], schemas: Schemas) -> None:
        """Put the channel and its operations into a document."""
        declared = [] if self.route is None else parameters_of(self.route.dependant, schemas)
        path = {each["name"]: each for each in declared if each["in"] == "path"}
        names = re.findall(r"{(.*?)}", self.address)
        query, headers = _object(declared, "query"), _object(declared, "header")
        handshake = {"method": "GET", "query": query, "headers": headers, "bindingVersion": "0.1.0"}
        reached = [name for name in document["servers"] or () if self._is_on(name)]
        channel: dict[str, Any] = {
            "address": self.address,
            "description": _description(self.route),
            "servers": [{"$ref": f"#/servers/{name}"} for name in reached] or None,
            "parameters": {name: _parameter(path.get(name), schemas) for name in names} or None,
            "bindings": {"ws": handshake} if self.protocol == "ws" else None,
        }
        written: dict[str, Any] = {}
        there = f"#/channels/{self.key}"
        for action, named in self.messages.items():
            keys = [self._message(action, name, named[name], written, schemas) for name in named]
            document["operations"][f"{action}_{self.key}"] = {
                "action": action,
                "channel": {"$ref": there},
                "summary": getattr(self.route, "summary", None),
                "tags": [{"name": tag} for tag in getattr(self.route, "tags", ())] or None,
                "messages": [{"$ref": f"{there}/messages/{key}"} for key in keys] or None,
                "bindings": self._request(query),
            }
        document["channels"][self.key] = {**channel, "messages": written or None}

    def _is_on(self, server: str) -> bool:
        return self.protocol is not None and server.startswith(self.protocol)

    def _message(
        self,
        action: str,
        name: str,
        field: ModelField | None,
        written: dict[str, Any],
        schemas: Schemas,
    ) -> str:
        """The key of a message that is now there: one for both ways, if it is the same."""
        kind = None if field is None or self.protocol == "http" else field.annotation
        is_event = getattr(self.route, "is_sse_stream", False)
        message = {
            "name": name,
            "contentType": _MEDIA_TYPES.get(kind) if isinstance(kind, type) else None,
            "headers": {"type": "object", "properties": EVENT_FIELDS} if is_event else None,
            "payload": None if field is None else schemas.of(field),
        }
        key = name if written.get(name, message) == message else f"{name}_{action}"
        written[key] = message
        return key

    def _request(self, query: dict[str, Any] | None) -> dict[str, Any] | None:
        if self.protocol != "http":
            return None
        method = min(self.route.methods)
        return {"http": {"method": method, "query": query, "bindingVersion": "0.3.0"}}


def _of_routes(routes: Iterable[Any]) -> Iterator[_Channel]:
    for route in routes:
        if isinstance(route, APIWebSocketRoute):
            said: Any = getattr(route.endpoint, _DECLARED, None)
            named = {
                action: _named({} if said is None else said[action], action)
                for action in ("receive", "send")
                if said is None or said[action] is not None
            }
            key = _plain(f"{route.name}{route.path_format}")
            yield _Channel(key, route.path_format, named, "ws", route)
        elif isinstance(route, APIRoute) and (route.is_sse_stream or route.is_json_stream):
            item = route.stream_item_field
            sent = {"message" if item is None else _name(item.annotation): item}
            if route.include_in_schema:
                key = _plain(route.unique_id)
                yield _Channel(key, route.path_format, {"send": sent}, "http", route)


def _of_topics(topics: Mapping[str, Any]) -> Iterator[_Channel]:
    for pattern, kind in topics.items():
        check_pattern(pattern)
        address = ".".join(
            f"{{token{number}}}" if token == "*" else "{rest}" if token == ">" else token
            for number, token in enumerate(pattern.split("."), start=1)
        )
        yield _Channel(f"topic.{_plain(address)}", address, {"send": _named(kind, "send")})


def _named(kind: Any, action: str) -> dict[str, ModelField | None]:
    """The messages that a type, a union of types or a mapping stands for."""
    if isinstance(kind, Mapping):
        kinds = cast("Mapping[str, Any]", kind)
    else:
        bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        is_union = get_origin(bare) in (Union, UnionType)
        kinds = {_name(each): each for each in (get_args(bare) if is_union else (kind,))}
    place: Literal["response", "body"] = "response" if action == "send" else "body"
    return {_plain(name): ModelField.make(kinds[name], None, name, place) for name in kinds}


def _name(kind: Any) -> str:
    return _plain(getattr(kind, "__name__", "message"))


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]", "_", text, flags=re.ASCII)


def _description(route: Any) -> str | None:
    if route is None:
        return None
    told = getattr(route, "description", "") or inspect.getdoc(route.endpoint) or ""
    return told.split("\f")[0] or None


def _parameter(declared: dict[str, Any] | None, schemas: Schemas) -> dict[str, Any]:
    """A part of an address, of which AsyncAPI tells no more than which texts it may be."""
    if declared is None:
        return {}
    schema: dict[str, Any] = declared["schema"]
    schema = schemas.definitions.get(schema.get("$ref", "").removeprefix(REF_PREFIX), schema)
    texts = [text for text in schema.get("enum", ()) if isinstance(text, str)]
    return {"description": declared.get("description"), "enum": texts or None}


def _object(parameters: list[dict[str, Any]], place: str) -> dict[str, Any] | None:
    """The parameters of one place as the schema of an object."""
    found = [each for each in parameters if each["in"] == place]
    required = [each["name"] for each in found if each["required"]]
    properties = {each["name"]: each["schema"] for each in found}
    return {"type": "object", "properties": properties, "required": required} if found else None


def _servers(servers: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """A server of OpenAPI once for each protocol that it speaks."""
    found: dict[str, dict[str, Any]] = {}
    for number, server in enumerate(servers, start=1):
        url = urlsplit(str(server["url"]))
        place = {"host": url.netloc, "pathname": url.path or None}
        told = {name: server.get(name) for name in ("description", "variables")}
        for protocol in _SPOKEN.get(url.scheme, ()):
            found[f"{protocol}{number}"] = {**place, "protocol": protocol, **told}
    return found
