"""Pydantic models, adapters and functions as what a message must be."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypedDict

import pydantic
import pytest

from asgi_rt.errors import HTTPError, RouteError
from asgi_rt.websocket.dispatch import Dispatcher
from websocket.message_socket import MessageSocket, answers


def checking(model):
    """A dispatcher that tells what it got for "join" as a repr."""
    chat = Dispatcher()

    @chat.on("join", model)
    async def join(ws, message):
        return {"type": "joined", "got": repr(message)}

    return chat


class Join(pydantic.BaseModel):
    room: str
    seats: int = 1


async def test_a_pydantic_model_makes_the_message():
    (reply,) = await answers(checking(Join), {"type": "join", "room": "a", "seats": "2"})
    assert reply["got"] == "Join(room='a', seats=2)"


async def test_what_pydantic_finds_is_told_without_the_input():
    secret = "s3cret" * 1000
    (error,) = await answers(
        checking(Join), {"type": "join", "room": {"password": secret}, "seats": secret, "id": 1}
    )
    assert error == {
        "type": "error",
        "code": "invalid",
        "detail": 'the message "join" is not valid at room: Input should be a valid string',
        "errors": [
            {"loc": ["room"], "msg": "Input should be a valid string", "type": "string_type"},
            {
                "loc": ["seats"],
                "msg": "Input should be a valid integer, unable to parse string as an integer",
                "type": "int_parsing",
            },
        ],
        "id": 1,
    }


class Strict(pydantic.BaseModel):
    model_config = {"extra": "forbid"}
    room: str


async def test_a_model_that_forbids_more_is_not_shown_the_envelope():
    sent = await answers(
        checking(Strict),
        {"type": "join", "room": "a", "id": 1},
        {"type": "join", "room": "a", "colour": "red"},
    )
    assert sent[0]["got"] == "Strict(room='a')"
    assert [error["loc"] for error in sent[1]["errors"]] == [["colour"]]


class StrictWithEnvelope(pydantic.BaseModel):
    model_config = {"extra": "forbid", "populate_by_name": True}
    kind: Literal["join"] = pydantic.Field(alias="type")
    number: int = pydantic.Field(validation_alias=pydantic.AliasChoices("number", "id"))


async def test_a_model_that_has_the_envelope_as_fields_is_shown_it():
    (reply,) = await answers(checking(StrictWithEnvelope), {"type": "join", "id": 7})
    assert reply["got"] == "StrictWithEnvelope(kind='join', number=7)"


class Path(pydantic.BaseModel):
    model_config = {"extra": "forbid"}
    first: int = pydantic.Field(validation_alias=pydantic.AliasPath("id"))


async def test_an_alias_path_to_the_id_is_seen():
    (reply,) = await answers(checking(Path), {"type": "join", "id": 7})
    assert reply["got"] == "Path(first=7)"


async def test_a_type_adapter_sees_the_whole_message():
    class A(pydantic.BaseModel):
        type: Literal["join"]
        kind: Literal["a"]

    class B(pydantic.BaseModel):
        type: Literal["join"]
        kind: Literal["b"]

    union = Annotated[A | B, pydantic.Discriminator("kind")]
    reply, error = await answers(
        checking(pydantic.TypeAdapter(union)),
        {"type": "join", "kind": "b"},
        {"type": "join", "kind": "x" * 10_000},
    )
    assert reply["got"] == "B(type='join', kind='b')"
    assert error["errors"][0]["type"] == "union_tag_invalid"
    assert len(json.dumps(error)) < 1000


@pytest.mark.parametrize("count", [50, 80_000])
async def test_many_errors_make_no_long_frame(count):
    message = {"type": "join", "room": "a", **{f"{n}" + "k" * 100: n for n in range(count)}}
    (error,) = await answers(checking(Strict), message)
    assert error["code"] == "invalid"
    assert len(error["errors"]) <= 20
    assert len(json.dumps(error)) < 5000


async def test_a_function_makes_the_message():
    (reply,) = await answers(checking(lambda message: message["n"] + 1), {"type": "join", "n": 1})
    assert reply["got"] == "2"


@pytest.mark.parametrize("kind", [ValueError, TypeError])
async def test_a_functions_errors_are_shown_cut(kind):
    def check(message):
        raise kind("the room is full " * 100)

    (error,) = await answers(checking(check), {"type": "join", "id": 1})
    msg = ("the room is full " * 100)[:199] + "…"
    assert error == {
        "type": "error",
        "code": "invalid",
        "detail": f'the message "join" is not valid: {msg}',
        "errors": [{"loc": [], "msg": msg, "type": "wrong_value"}],
        "id": 1,
    }


async def test_a_function_that_calls_pydantic_tells_what_pydantic_found():
    check = partial(Join.model_validate, strict=True)
    (error,) = await answers(checking(check), {"type": "join", "room": "a", "seats": "2"})
    assert [each["loc"] for each in error["errors"]] == [["seats"]]
    assert "input" not in json.dumps(error["errors"][0].keys().__repr__())


async def test_other_errors_of_a_function_are_crashes():
    ws = MessageSocket({"type": "join"})
    with pytest.raises(KeyError):
        await checking(lambda message: message["room"]).serve(ws)
    assert ws.sent == []


async def test_an_http_error_of_a_function_is_answered():
    def check(message):
        raise HTTPError(403)

    (error,) = await answers(checking(check), {"type": "join"})
    assert (error["code"], error["detail"]) == (403, "Forbidden")


async def test_a_wrong_type_in_a_validator_of_pydantics_is_a_crash():
    class Broken(pydantic.BaseModel):
        room: str

        @pydantic.field_validator("room")
        @classmethod
        def check(cls, value: str) -> Any:
            return value + 1

    with pytest.raises(TypeError):
        await answers(checking(Broken), {"type": "join", "room": "a"})


class JoinDict(TypedDict):
    room: str


async def awaited(message):
    return message


@dataclass
class Plain:
    room: str


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (JoinDict, "the TypedDict JoinDict checks nothing when it is called"),
        (awaited, "a model that is awaited cannot be"),
        (lambda: None, "must take one argument, the message"),
        ("Join", "a model is a dataclass, a pydantic model or a function, not 'Join'"),
        (Plain("a"), "a model is a dataclass, a pydantic model or a function"),
    ],
    ids=["TypedDict", "async", "no argument", "str", "instance"],
)
def test_a_model_of_the_wrong_kind_is_refused_by_name(model, said):
    with pytest.raises(RouteError) as raised:
        checking(model)
    assert str(raised.value).startswith('the message "join": ')
    assert said in str(raised.value)


async def test_a_builtin_that_tells_no_signature_can_be_a_model():
    (reply,) = await answers(checking(dict), {"type": "join"})
    assert reply["got"] == "{'type': 'join'}"
