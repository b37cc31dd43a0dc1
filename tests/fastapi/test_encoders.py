"""What is JSON, and the JSON of it: to the letter what FastAPI writes."""

import dataclasses
import datetime
import ipaddress
import json
import math
import re
import uuid
from collections import OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder as real_encoder
from pydantic import AnyUrl, BaseModel, Field, SecretBytes, SecretStr

from asgi_rt.fastapi.encoders import encode_item, encode_json, jsonable_encoder


class Kind(str, Enum):  # noqa: UP042 - as programs have it
    A = "a"


class Level(IntEnum):
    LOW = 1


class Odd(Enum):
    PAIR = (1, 2)


class Item(BaseModel):
    name: str = "n"
    price: Decimal | None = None
    when: datetime.datetime | None = None
    alias: int = Field(default=1, alias="aliasOf")


@dataclasses.dataclass
class Point:
    x: int = 1
    _hidden: int = 2
    _sa_state: int = 3
    item: Any = None


class Thing:
    def __init__(self) -> None:
        self.a = 1
        self._sa_instance_state = object()
        self.inner = [Level.LOW]


class Pairs:
    def __iter__(self):
        return iter([("k", 1)])


Pair = namedtuple("Pair", "x y")  # noqa: PYI024 - the untyped kind
UTC = datetime.UTC
VALUES = [
    None,
    True,
    1,
    -1.5,
    "text",
    "a b\n\t\x7fäß€\U0001f600",
    "\u2028\u2029",
    "",
    [],
    {},
    (),
    [1, [2, [3]]],
    (1, 2),
    Pair(1, 2),
    {"b": 1, "a": None},
    {1: 2, None: 3, False: 4, 1.5: 5},
    {Kind.A: 1},
    {Level.LOW: 1},
    {uuid.UUID(int=1): 1},
    {datetime.date(2020, 1, 2): 1},
    {"_sa_x": 1, "x": "_sa"},
    {"x": {"_sa_y": 1}},
    '"_sa',
    OrderedDict(b=1, a=2),
    defaultdict(list, a=[1]),
    MappingProxyType({"a": 1}),
    {
        1,
    },
    frozenset({"a"}),
    deque([1, 2]),
    Kind.A,
    Level.LOW,
    [Kind.A, {"k": Kind.A}],
    2**63,
    2**70,
    -(2**65),
    10**30,
    Decimal("1"),
    Decimal("1.0"),
    Decimal("1.10"),
    Decimal("1E+3"),
    Path("/a/b"),
    PurePosixPath("c"),
    uuid.UUID(int=5),
    b"bytes",
    datetime.datetime(2020, 1, 2, 3, 4, 5),
    datetime.datetime(2020, 1, 2, 3, 4, 5, 6, UTC),
    datetime.date(1, 2, 3),
    datetime.time(1, 2, 3, 4),
    datetime.time(1, 2, tzinfo=UTC),
    datetime.datetime(
        2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))
    ),
    datetime.timedelta(days=1, microseconds=5),
    ipaddress.ip_address("127.0.0.1"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_address("::1"),
    ipaddress.ip_interface("10.0.0.1/8"),
    re.compile("a+"),
    SecretStr("s"),
    SecretBytes(b"s"),
    AnyUrl("http://a/b?c"),
    Item(),
    [Item(price=Decimal("1.5"))],
    Item(when=datetime.datetime(2020, 1, 1, tzinfo=UTC)),
    Point(),
    [Point(item=Item())],
    Thing(),
    {"t": Thing()},
    Pairs(),
    {
        "a": Point(),
        "b": {
            1,
        },
    },
    0.1,
    1e15,
    123456789.123,
    5e-5 if repr(5e-5) == "0.00005" else 0.5,
    [None] * 3,
    {"null": "null"},
    "null",
]
REFUSED = [
    object(),
    {"a": object()},
    "\ud800",
    b"\xff",
    {(1, 2): 3},
    Odd,
    {"a": Odd.PAIR, "b": {1: object()}},
    3 + 4j,
]


def written(encoder: Any, value: Any, **options: Any) -> Any:
    try:
        return json.dumps(encoder(value), **options).encode()
    except Exception as error:
        return type(error)


def said(encode: Any, value: Any) -> Any:
    try:
        return encode(value)
    except Exception as error:
        return type(error)


COMPACT = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}


@pytest.mark.parametrize("value", VALUES + REFUSED, ids=repr)
def test_the_json_of_a_response(value):
    assert said(encode_json, value) == written(real_encoder, value, **COMPACT)


@pytest.mark.parametrize("value", VALUES + REFUSED, ids=repr)
def test_the_json_of_an_item(value):
    assert said(encode_item, value) == written(real_encoder, value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_json_holds(value):
    assert jsonable_encoder(value) == real_encoder(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "within", [lambda n: n, lambda n: {"a": [n, None]}, lambda n: Point(item=n), lambda n: {1: n}]
)
def test_a_number_that_is_not_finite(number, within):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        encode_json(within(number))
    assert b"null" in encode_item(within(number))


def test_a_generator_is_read_once():
    assert encode_json({"a": (n for n in (1, 2)), 3: None}) == b'{"a":[1,2],"3":null}'
    assert encode_item([n] for n in (1, 2)) == b"[[1], [2]]"


OPTIONS: list[dict[str, Any]] = [
    {"include": {"name"}},
    {"include": ["name", "price"]},
    {"exclude": {"price"}},
    {"exclude": ("name",)},
    {"by_alias": False},
    {"exclude_unset": True},
    {"exclude_defaults": True},
    {"exclude_none": True},
    {"sqlalchemy_safe": False},
    {"custom_encoder": {str: str.upper}},
    {"include": []},
    {"custom_encoder": {int: lambda n: n + 1, Item: lambda item: "item"}},
    {"custom_encoder": {BaseModel: lambda item: "model"}},
    {"custom_encoder": {datetime.datetime: lambda when: when.year}},
    {"include": {"name": True}},
    {"exclude_none": True, "exclude": {"name"}},
]
OPTIONED = [
    Item(aliasOf=3, name="x"),
    {"name": "n", "price": None, "_sa_a": 1},
    [{"name": 1, "price": 2}, Item()],
    {"deep": {"name": None, "when": datetime.datetime(2020, 1, 1)}},
    dataclasses.make_dataclass("Made", ["name", "price"])("a", None),
    Level.LOW,
    {"list": (Item(aliasOf=1), {"name": 3})},
    MappingProxyType({"name": 1, "price": 2}),
]


@pytest.mark.parametrize("value", OPTIONED, ids=repr)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options, value):
    assert jsonable_encoder(value, **options) == real_encoder(value, **options)


def test_what_cannot_be_taken_apart_says_what_was_tried():
    with pytest.raises(ValueError, match="TypeError") as failure:
        jsonable_encoder(object())
    assert [type(error) for error in failure.value.args[0]] == [TypeError, TypeError]


@pytest.mark.parametrize("encode", [encode_json, encode_item])
def test_what_holds_itself_ends(encode):
    value: list[Any] = [None]
    value.append(value)
    with pytest.raises(RecursionError):
        encode(value)
