"""The AsyncAPI document of an app: its channels, who sends and who receives, and what."""

import enum
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import anyio
import pytest
from jsonschema import SchemaError, ValidationError
from pydantic import BaseModel, Field, computed_field

from asgi_rt.fastapi import APIRouter, Cookie, Depends, FastAPI, Header, Path, Query, WebSocket
from asgi_rt.fastapi.asyncapi import get_asyncapi, messages
from asgi_rt.fastapi.sse import EventSourceResponse, ServerSentEvent
from tests.fastapi.asked import get, script
from tests.fastapi.asyncapi_rules import check_asyncapi
from tests.fastapi.driver import run


class Say(BaseModel):
    type: Literal["say"]
    text: str


class Leave(BaseModel):
    type: Literal["leave"]


class Said(BaseModel):
    text: str

    @computed_field
    @property
    def length(self) -> int:
        return len(self.text)


class Price(BaseModel):
    symbol: str
    price: float


class Room(enum.StrEnum):
    big = "big"
    small = "small"


def document(app: FastAPI | None = None, **more: Any) -> dict[str, Any]:
    """The document, checked."""
    routes = [] if app is None else app.routes
    made = get_asyncapi(**{"title": "Chat", "version": "1.2", "routes": routes, **more})
    check_asyncapi(made)
    return made


def only(found: dict[str, Any]) -> Any:
    [value] = found.values()
    return value


def test_an_app_without_streams_has_no_channels():
    app = FastAPI()

    @app.get("/items")
    def items() -> list[int]: ...

    made = document(app, description="Talks")
    assert made == {
        "asyncapi": "3.0.0",
        "info": {"title": "Chat", "version": "1.2", "description": "Talks"},
        "defaultContentType": "application/json",
        "channels": {},
        "operations": {},
        "components": {"schemas": {}},
    }


def talking() -> FastAPI:
    app = FastAPI()

    @app.websocket("/rooms/{room}")
    @messages(receives=Say | Leave, sends=Said)
    async def talk(websocket: WebSocket, room: str) -> None:
        """Everybody hears it."""

    return app


def test_a_websocket_is_a_channel_at_its_path():
    made = document(talking())
    [(key, channel)] = made["channels"].items()
    assert key == "talk_rooms__room_"
    assert channel["address"] == "/rooms/{room}"
    assert channel["parameters"] == {"room": {}}
    assert channel["bindings"] == {"ws": {"method": "GET", "bindingVersion": "0.1.0"}}


def test_what_a_websocket_receives_and_sends_is_said_from_the_apps_point_of_view():
    operations = document(talking())["operations"]
    there = "#/channels/talk_rooms__room_"
    received, sent = operations["receive_talk_rooms__room_"], operations["send_talk_rooms__room_"]
    assert received["action"] == "receive"
    assert received["channel"] == {"$ref": there}
    assert received["messages"] == [
        {"$ref": f"{there}/messages/Say"},
        {"$ref": f"{there}/messages/Leave"},
    ]
    assert sent["action"] == "send"
    assert sent["messages"] == [{"$ref": f"{there}/messages/Said"}]


def test_a_message_is_described_as_it_is_on_the_wire():
    made = document(talking())
    assert only(made["channels"])["messages"]["Said"] == {
        "name": "Said",
        "payload": {"$ref": "#/components/schemas/Said"},
    }
    assert set(made["components"]["schemas"]["Said"]["properties"]) == {"text", "length"}


def test_what_is_not_declared_is_not_described():
    app = FastAPI()

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None: ...

    made = document(app)
    assert "messages" not in only(made["channels"])
    assert {each["action"] for each in made["operations"].values()} == {"receive", "send"}
    assert not any("messages" in each for each in made["operations"].values())


def test_a_websocket_that_only_sends_has_no_operation_that_receives():
    app = FastAPI()

    @app.websocket("/ws")
    @messages(sends=Said)
    async def talk(websocket: WebSocket) -> None: ...

    assert only(document(app)["operations"])["action"] == "send"


def test_messages_may_be_named():
    app = FastAPI()

    @app.websocket("/ws")
    @messages(receives={"hello": str, "raw": bytes, "numbers": list[int]})
    async def talk(websocket: WebSocket) -> None: ...

    found = only(document(app)["channels"])["messages"]
    assert found["hello"]["contentType"] == "text/plain"
    assert found["raw"]["contentType"] == "application/octet-stream"
    assert found["numbers"]["payload"]["items"] == {"type": "integer"}
    assert "contentType" not in found["numbers"]


def test_a_discriminated_union_is_a_message_for_each_of_its_members():
    app = FastAPI()

    @app.websocket("/ws")
    @messages(receives=Annotated[Say | Leave, Field(discriminator="type")])
    async def talk(websocket: WebSocket) -> None: ...

    assert set(only(document(app)["channels"])["messages"]) == {"Say", "Leave"}


def test_one_type_both_ways_is_one_message_where_it_is_the_same_both_ways():
    app = FastAPI()

    @app.websocket("/ws")
    @messages(receives=Price | Said, sends=Price | Said)
    async def talk(websocket: WebSocket) -> None: ...

    made = document(app)
    channel = only(made["channels"])
    assert set(channel["messages"]) == {"Price", "Said", "Said_send"}
    assert channel["messages"]["Said_send"]["name"] == "Said"
    assert {"Said-Input", "Said-Output"} < set(made["components"]["schemas"])


def test_the_parameters_of_a_handshake_are_bindings():
    app = FastAPI()

    def token(x_token: Annotated[str, Header()], sid: Annotated[str, Cookie()] = "") -> str: ...

    @app.websocket("/ws/{room}")
    async def talk(
        websocket: WebSocket,
        room: Annotated[Room, Path(description="Which room")],
        token: Annotated[str, Depends(token)],
        after: int,
        limit: Annotated[int, Query(le=10)] = 5,
    ) -> None: ...

    channel = only(document(app)["channels"])
    assert channel["parameters"] == {
        "room": {"description": "Which room", "enum": ["big", "small"]}
    }
    binding = channel["bindings"]["ws"]
    assert binding["query"]["required"] == ["after"]
    assert binding["query"]["properties"]["limit"]["maximum"] == 10
    assert set(binding["headers"]["properties"]) == {"x-token"}


def streaming() -> FastAPI:
    app = FastAPI()

    @app.get("/prices/{symbol}", response_class=EventSourceResponse, tags=["prices"])
    async def prices(symbol: str, after: int = 0) -> AsyncIterator[Price]:
        """As they change."""
        yield Price(symbol=symbol, price=1)

    return app


def test_a_stream_of_events_is_a_channel_that_the_app_sends_to():
    made = document(streaming())
    [(key, operation)] = made["operations"].items()
    assert key == "send_prices_prices__symbol__get"
    assert operation["action"] == "send"
    assert operation["tags"] == [{"name": "prices"}]
    assert operation["bindings"]["http"]["method"] == "GET"
    assert set(operation["bindings"]["http"]["query"]["properties"]) == {"after"}
    channel = only(made["channels"])
    assert channel["address"] == "/prices/{symbol}"
    assert channel["description"] == "As they change."


def test_the_payload_of_an_event_is_its_data_and_the_rest_are_headers():
    message = only(document(streaming())["channels"])["messages"]["Price"]
    assert message["payload"] == {"$ref": "#/components/schemas/Price"}
    assert set(message["headers"]["properties"]) == {"event", "id", "retry"}


def test_events_without_a_type_have_no_payload_that_is_known():
    app = FastAPI()

    @app.post("/events", response_class=EventSourceResponse)
    async def events() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(data=1)

    made = document(app)
    assert "payload" not in only(made["channels"])["messages"]["message"]
    assert only(made["operations"])["bindings"]["http"]["method"] == "POST"


def test_json_lines_are_a_stream_as_well():
    app = FastAPI()

    @app.get("/lines")
    def lines() -> Iterator[Price]:
        yield Price(symbol="a", price=1)

    message = only(document(app)["channels"])["messages"]["Price"]
    assert message == {"name": "Price", "payload": {"$ref": "#/components/schemas/Price"}}


def test_what_is_not_in_the_schema_is_not_here():
    app = FastAPI()

    @app.get("/lines", include_in_schema=False)
    def lines() -> Iterator[Price]:
        yield Price(symbol="a", price=1)

    assert document(app)["channels"] == {}


def test_routes_of_routers_have_their_prefix():
    app, router = FastAPI(), APIRouter(prefix="/inner")

    @router.websocket("/{room}")
    async def talk(websocket: WebSocket, room: str) -> None: ...

    @router.get("/lines")
    def lines() -> Iterator[Price]:
        yield Price(symbol="a", price=1)

    app.include_router(router, prefix="/{section}")
    channels = document(app)["channels"].values()
    assert {each["address"] for each in channels} == {
        "/{section}/inner/{room}",
        "/{section}/inner/lines",
    }


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("prices", "prices"),
        ("prices.*", "prices.{token2}"),
        ("*.eur.*.>", "{token1}.eur.{token3}.{rest}"),
        (">", "{rest}"),
    ],
)
def test_a_topic_is_a_channel_that_the_app_publishes_to(pattern, address):
    made = document(hubs={pattern: Price})
    channel = only(made["channels"])
    assert channel["address"] == address
    assert channel["messages"]["Price"]["payload"] == {"$ref": "#/components/schemas/Price"}
    assert only(made["operations"])["action"] == "send"


def test_topics_may_carry_texts_and_bytes():
    made = document(hubs={"news": str, "frames": bytes})
    types = [only(each["messages"])["contentType"] for each in made["channels"].values()]
    assert types == ["text/plain", "application/octet-stream"]


def test_what_is_no_pattern_is_refused():
    with pytest.raises(ValueError, match="no topic and no pattern"):
        document(hubs={"prices.>.x": Price})


def test_a_server_of_openapi_is_one_for_each_protocol():
    servers = [{"url": "https://a.example/v1", "description": "live"}, {"url": "/v2"}]
    made = document(talking(), servers=servers)
    assert made["servers"] == {
        "https1": {
            "host": "a.example",
            "pathname": "/v1",
            "protocol": "https",
            "description": "live",
        },
        "wss1": {
            "host": "a.example",
            "pathname": "/v1",
            "protocol": "wss",
            "description": "live",
        },
    }
    assert only(made["channels"])["servers"] == [{"$ref": "#/servers/wss1"}]
    assert only(document(streaming(), servers=servers)["channels"])["servers"] == [
        {"$ref": "#/servers/https1"}
    ]


def test_the_document_of_an_app_is_at_its_url():
    app = FastAPI(title="Prices", version="3", topics={"prices.*": Price})
    [answer] = anyio.run(run, app, script(get("/asyncapi.json")))
    found = json.loads(answer["body"])
    check_asyncapi(found)
    assert found["info"] == {"title": "Prices", "version": "3"}
    assert only(found["channels"])["address"] == "prices.{token2}"


def channel(**changed: Any) -> dict[str, Any]:
    whole = {"address": "/{x}", "parameters": {"x": {}}, "messages": {"M": {"payload": {}}}}
    return {"channels": {"c": {**whole, **changed}}}


def operation(**changed: Any) -> dict[str, Any]:
    whole = {"action": "send", "channel": {"$ref": "#/channels/c"}, **changed}
    return {**channel(), "operations": {"o": whole}}


@pytest.mark.parametrize(
    "changed",
    [
        {"asyncapi": "2.6.0"},
        {"more": 1},
        {"info": {"title": "x"}},
        {"servers": {"s": {"host": "a"}}},
        channel(parameters={}),
        channel(address="/"),
        channel(bindings={"ws": {"bindingVersion": "0.2.0"}}),
        channel(servers=[{"$ref": "#/servers/none"}]),
        channel(messages={"M": {"payload": {"type": "nothing"}}}),
        channel(messages={"M": {"payload": {"$ref": "#/components/schemas/None"}}}),
        channel(messages={"no name": {}}),
        operation(action="publish"),
        operation(channel={"$ref": "#/channels/d"}),
        operation(messages=[{"$ref": "#/channels/c/messages/N"}]),
        operation(messages=[{"payload": {}}]),
    ],
)
def test_a_document_that_is_not_allowed_is_found_out(changed):
    good = {"asyncapi": "3.0.0", "info": {"title": "x", "version": "1"}, "operations": {}}
    check_asyncapi({**good, **operation(messages=[{"$ref": "#/channels/c/messages/M"}])})
    with pytest.raises((ValidationError, SchemaError, AssertionError, KeyError)):
        check_asyncapi({**good, "channels": {}, **changed})


def test_any_names_and_types_do():
    app = FastAPI(generate_unique_id_function=lambda route: f"/{route.name}~ä")

    @app.get("/lines")
    def lines() -> Iterator[dict[str, Price]]:
        yield {}

    @app.websocket("/größe.x")
    @messages(
        receives={"a b/~": Annotated[int, Field(gt=0)]},
        sends=Annotated[str, Field(json_schema_extra={"x": 1})] | list[int] | None,
    )
    async def talk(websocket: WebSocket) -> None: ...

    assert {each["address"] for each in document(app)["channels"].values()} == {
        "/lines",
        "/größe.x",
    }
