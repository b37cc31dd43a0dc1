"""Dataclasses as what a message must be."""

import json
from dataclasses import InitVar, dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, Optional, Union

import pydantic.dataclasses
import pytest

from asgi_rt.errors import RouteError
from asgi_rt.websocket.dispatch import Dispatcher
from websocket.message_socket import answers


async def outcome(model, /, **message):
    """What the handler got, or the frame that was sent instead."""
    got = []
    chat = Dispatcher()

    @chat.on("join", model)
    async def join(ws, message):
        got.append(message)

    sent = await answers(chat, {"type": "join", **message})
    return (*got, *sent)[0]


def problems(frame):
    assert frame["code"] == "invalid", frame
    return [(".".join(map(str, each["loc"])), each["msg"]) for each in frame["errors"]]


async def wrong(model, /, **message):
    return problems(await outcome(model, **message))


@dataclass(frozen=True, slots=True)
class Join:
    room: str
    seats: int = 1
    tags: list[Any] = field(default_factory=list)


async def test_a_message_becomes_the_dataclass():
    assert await outcome(Join, room="a", seats=2) == Join("a", 2)
    assert await outcome(Join, room="a", tags=[1, "x"], id=1) == Join("a", tags=[1, "x"])


async def test_everything_that_is_wrong_is_told():
    frame = await outcome(Join, seats="2", colour="red", id=9)
    assert frame == {
        "type": "error",
        "code": "invalid",
        "detail": 'the message "join" is not valid at room: is missing',
        "errors": [
            {"loc": ["room"], "msg": "is missing", "type": "missing"},
            {"loc": ["colour"], "msg": "is not expected", "type": "unexpected"},
            {"loc": ["seats"], "msg": "must be an integer", "type": "wrong_type"},
        ],
        "id": 9,
    }


class Colour(Enum):
    RED = "red"
    GREEN = "green"
    CRIMSON = "red"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(StrEnum):
    ON = "on"


@dataclass
class Place:
    street: str
    number: int = 1


JSON_VALUES = {
    "a string": "x",
    "an integer": 1,
    "a number": 1.5,
    "true or false": True,
    "null": None,
    "a list": [[1]],
    "an object": {"a": 1},
}


@pytest.mark.parametrize(
    ("hint", "expected", "taken"),
    [
        (str, "a string", {"a string"}),
        (int, "an integer", {"an integer"}),
        (float, "a number", {"a number", "an integer"}),
        (bool, "true or false", {"true or false"}),
        (None, "null", {"null"}),
        (list, "a list", {"a list"}),
        (list[Any], "a list", {"a list"}),
        (dict, "an object", {"an object"}),
        (dict[str, Any], "an object", {"an object"}),
        (dict[str, object], "an object", {"an object"}),
        (str | None, "a string or null", {"a string", "null"}),
        (Optional[str], "a string or null", {"a string", "null"}),  # noqa: UP045 - the old spelling
        (Union[int, list], "an integer or a list", {"an integer", "a list"}),  # noqa: UP007 - likewise
        (
            bool | int | str,
            "true or false, an integer or a string",
            {"true or false", "an integer", "a string"},
        ),
        (Any, "", set(JSON_VALUES)),
        (object, "", set(JSON_VALUES)),
    ],
    ids=str,
)
async def test_a_simple_type_takes_its_values_and_no_others(hint, expected, taken):
    model = dataclass(type("Model", (), {"__annotations__": {"value": hint}}))
    for kind, value in JSON_VALUES.items():
        got = await outcome(model, value=value)
        if kind in taken:
            assert got.value == value
        else:
            assert problems(got) == [("value", f"must be {expected}")]


def one_field(hint):
    return dataclass(type("Model", (), {"__annotations__": {"value": hint}}))


async def test_an_integer_becomes_a_float_unless_it_may_be_one():
    made = (await outcome(one_field(float), value=1)).value
    assert (made, type(made)) == (1.0, float)
    made = (await outcome(one_field(float | int), value=1)).value
    assert (made, type(made)) == (1, int)
    made = (await outcome(one_field(float | None), value=1)).value
    assert (made, type(made)) == (1.0, float)


@pytest.mark.parametrize(
    ("hint", "values", "expected"),
    [
        (Colour, {"red": Colour.RED, "green": Colour.GREEN}, '"red" or "green"'),
        (Level, {1: Level.LOW, 2: Level.HIGH}, "1 or 2"),
        (Mode, {"on": Mode.ON}, '"on"'),
        (Literal["a", 1] | None, {"a": "a", 1: 1, None: None}, '"a" or 1 or null'),
        (Literal[True], {True: True}, "true"),
        (Literal["a"] | Mode, {"a": "a", "on": Mode.ON}, '"a" or "on"'),
        (Colour | Literal[3], {"red": Colour.RED, 3: 3}, '"red" or "green" or 3'),
    ],
    ids=str,
)
async def test_enums_and_literals_take_their_values_and_no_others(hint, values, expected):
    model = one_field(hint)
    for value, meaning in values.items():
        got = (await outcome(model, value=value)).value
        assert (got, type(got)) == (meaning, type(meaning))
    for other in ["blue", 7, 2.5, False, [], {}]:
        assert await wrong(model, value=other) == [("value", f"must be {expected}")]


async def test_true_is_not_the_literal_one():
    assert await wrong(one_field(Literal[1]), value=True) == [("value", "must be 1")]
    assert await wrong(one_field(Literal[True]), value=1) == [("value", "must be true")]
    assert await wrong(one_field(Level), value=1.0) == [("value", "must be 1 or 2")]


@dataclass
class Move:
    to: Place
    via: Place | None = None


async def test_a_nested_dataclass_is_checked_and_its_errors_say_where():
    assert await outcome(Move, to={"street": "a"}) == Move(Place("a"))
    assert await wrong(Move, to={"id": 1, "number": "x"}, via={"street": None}) == [
        ("to.street", "is missing"),
        ("to.id", "is not expected"),
        ("to.number", "must be an integer"),
        ("via.street", "must be a string"),
    ]
    assert await wrong(Move, to="a") == [("to", "must be an object (Place)")]


@dataclass
class Point:
    x: int


async def test_of_two_dataclasses_the_first_that_fits_is_taken():
    model = one_field(Place | Point)
    assert (await outcome(model, value={"x": 1})).value == Point(1)
    assert (await outcome(model, value={"street": "a"})).value == Place("a")
    assert await wrong(model, value={"y": 1}) == [
        ("value", "must be an object (Place) or an object (Point)")
    ]


@dataclass
class Loud:
    text: str

    def __post_init__(self):
        if self.text.isupper():
            raise ValueError("do not shout")


@dataclass
class Said:
    by: Loud


async def test_what_a_post_init_refuses_is_invalid():
    assert await wrong(Loud, text="HEY") == [("", "do not shout")]
    assert await wrong(one_field(Loud | None), value={"text": "A"}) == [("value", "do not shout")]
    assert await wrong(Said, by={"text": "HEY"}) == [("by", "do not shout")]


@dataclass
class Whole:
    type: str
    id: int | None = None


async def test_type_and_id_are_fields_where_the_dataclass_has_them():
    assert await outcome(Whole, id=3) == Whole("join", 3)
    assert await wrong(Whole, id="x") == [("id", "must be an integer or null")]


@dataclass
class Counted:
    room: str
    length: int = field(init=False)

    def __post_init__(self):
        self.length = len(self.room)


async def test_a_field_that_is_not_for_the_constructor_is_not_for_the_client():
    assert (await outcome(Counted, room="abc")).length == 3
    assert await wrong(Counted, room="abc", length=9) == [("length", "is not expected")]


async def test_annotations_may_be_strings():
    @dataclass
    class Quoted:
        room: "str | None"
        place: "Place"

    assert await outcome(Quoted, room=None, place={"street": "a"}) == Quoted(None, Place("a"))


@pydantic.dataclasses.dataclass
class Seats:
    count: int = pydantic.Field(gt=0)


async def test_a_dataclass_of_pydantics_checks_further():
    assert await wrong(Seats, count="1") == [("count", "must be an integer")]
    assert await wrong(Seats, count=0) == [("count", "Input should be greater than 0")]


async def test_unexpected_keys_are_told_cut_and_few():
    frame = await outcome(Join, room="a", **{f"{n}" + "x" * 1000: n for n in range(1000)})
    assert len(frame["errors"]) == 20
    assert max(len(each["loc"][0]) for each in frame["errors"]) == 64
    assert len(json.dumps(frame)) < 5000


@dataclass
class Node:
    inner: "Node | None" = None


@dataclass
class Holder:
    node: Node


@dataclass
class Secretive:
    room: str
    secret: InitVar[int]


@dataclass
class Unknown:
    room: "Nowhere"  # noqa: F821 - that is the point


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (one_field(list[int]), "Model.value is list[int], which is more than is checked here"),
        (one_field(dict[str, int]), "dict[str, int], which is more"),
        (one_field(tuple), "Model.value is tuple, which is more"),
        (one_field(str | list[str]), "list[str], which is more"),
        (one_field(bytes), "bytes, which is more"),
        (one_field(Annotated[int, "positive"]), "Annotated[int, 'positive'], which is more"),
        (one_field(Literal[b"a"]), "Model.value has a value that is no string, number"),
        (one_field(Enum("Odd", {"A": object()})), "has a value that is no string, number"),
        (Node, "Node holds itself"),
        (Holder, "Node holds itself"),
        (Secretive, "Secretive is not made of its fields alone"),
        (Unknown, "Unknown has an annotation unknown here: name 'Nowhere' is not defined"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_dataclass_that_says_more_than_is_checked_is_refused(model, said):
    with pytest.raises(RouteError) as raised:
        Dispatcher().on("join", model)(lambda ws, message: None)
    text = str(raised.value)
    assert text.startswith('the message "join": ')
    assert said in text
    assert text.endswith("give a pydantic model, or a function that checks")
