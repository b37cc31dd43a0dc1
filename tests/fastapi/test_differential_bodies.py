"""JSON bodies: how they are read, what they become, and what is said of the wrong ones."""

# ruff: noqa: B008 - calls as defaults are what FastAPI programs have

import dataclasses
import datetime
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    SecretStr,
    Tag,
    computed_field,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from tests.fastapi.asked import delete, get, patch, post, put
from tests.fastapi.differential import compare, differential

T = TypeVar("T")


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []
    description: str | None = Field(None, max_length=10)


class Order(BaseModel):
    number: int = Field(gt=0)
    items: list[Item]
    by_name: dict[str, Item] = {}
    made: datetime.datetime | None = None


ITEM = {"name": "a", "price": 1.5}


@differential(
    post("/item", json=ITEM),
    post("/item", json={**ITEM, "price": "2"}),
    post("/item", json={}),
    post("/item", json={"name": 5, "price": "x", "tags": "no"}),
    post("/item", json={**ITEM, "more": 1}),
    post("/item", json={**ITEM, "description": "long" * 5}),
    post("/item", json=[ITEM]),
    post("/item", json="text"),
    post("/item", json=5),
    post("/item", content="null", content_type="application/json"),
    post("/item"),
    put("/item", json=ITEM),
    post("/order", json={"number": 1, "items": [ITEM, ITEM]}),
    post("/order", json={"number": 0, "items": [ITEM, {"name": "b"}, 5], "by_name": {"x": {}}}),
    post(
        "/order",
        json={"number": 1, "items": [], "by_name": {"x": ITEM}, "made": "2020-01-01T00:00:00Z"},
    ),
    post("/order", json={"number": 1, "items": {}, "made": "never"}),
    delete("/item", json=ITEM),
    patch("/item", json=ITEM),
    get("/item"),
    get("/with-body", json=ITEM),
    post("/optional"),
    post("/optional", json=ITEM),
    post("/optional", json={"name": "a"}),
    post("/optional", content="null", content_type="application/json"),
    post("/default"),
    post("/default", json={**ITEM, "price": "x"}),
)
def test_models(api):
    app = api.FastAPI()

    @app.post("/item")
    @app.put("/item")
    @app.patch("/item")
    @app.delete("/item")
    async def item(item: Item):
        return [item, sorted(item.model_fields_set)]

    @app.get("/with-body")
    async def with_body(item: Item):
        return item

    @app.post("/order")
    async def order(order: Order):
        return order

    @app.post("/optional")
    async def optional(item: Item | None = None):
        return item

    @app.post("/default")
    async def default(item: Item = Item(name="made", price=0)):
        return item

    return app


BROKEN = [
    b"{",
    b"}",
    b"[1,]",
    b'{"a":}',
    b'{"a" 1}',
    b"{'a': 1}",
    b'{"a": 1,}',
    b"nul",
    b"tru",
    b'"open',
    b"[1 2]",
    b'{"a": 01}',
    b'{"a": .5}',
    b'{"a": "\\x"}',
    b'{"a": "\n"}',
    b"\xff",
    b'{"name": "\xff"}',
    b"1 2",
    b"",
    b" ",
    b"\xef\xbb\xbf{}",
    b'{"a": NaN}',
    b'{"name": "a", "price": Infinity}',
    b'{"name": "a", "price": 1e999}',
    b'{"name": "a", "name": "b", "price": 1}',
    b'{"name": "\\ud800", "price": 1}',
    b'{"price": 1, "name": "\\u00e4"}',
    b'{"name": "a", "price": 12345678901234567890123456789}',
    b'{"name": "a", "price": -0}',
    b"[" * 5,
    '{"name": "ä", "price": 1}'.encode("utf-16"),
    b"// c\n{}",
    b'\n\n{"a"\n:\n',
    b'{"a": 1}garbage',
    b"{}\x00",
]


@pytest.mark.parametrize("content", BROKEN, ids=[repr(each)[:50] for each in BROKEN])
def test_broken_json(content):
    def build(api):
        app = api.FastAPI()

        @app.post("/")
        async def endpoint(item: Item):
            return item

        @app.exception_handler(api.exceptions.RequestValidationError)
        async def handler(request, error):
            detail = api.encoders.jsonable_encoder(error.errors())
            return api.responses.JSONResponse(
                {"detail": detail, "body": repr(error.body)}, status_code=422
            )

        return app

    compare(build, post(content=content, content_type="application/json"))


TYPES = [
    None,
    "application/json",
    "APPLICATION/JSON",
    "application/json; charset=utf-8",
    "application/json;charset=latin-1",
    "application/vnd.api+json",
    "application/problem+JSON",
    "application/geo+json-seq",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "multipart/form-data; boundary=x",
    "json",
    "application/",
    "application/jsonx",
    "",
    ";",
    "application/json, text/plain",
    " application/json ",
]


@pytest.mark.parametrize("strict", [True, False, None])
@pytest.mark.parametrize("content_type", TYPES, ids=repr)
def test_content_types(content_type, strict):
    options = {} if strict is None else {"strict_content_type": strict}

    def build(api):
        app = api.FastAPI(**options)

        @app.post("/")
        async def endpoint(item: Item):
            return item

        return app

    compare(build, post(content='{"name":"a","price":1}', content_type=content_type))


@differential(
    post("/one", json={"item": ITEM}),
    post("/one", json=ITEM),
    post("/one"),
    post("/one", json=[1]),
    post("/one", json={"item": 5}),
    post("/two", json={"item": ITEM, "other": ITEM, "count": 5}),
    post("/two", json={"item": ITEM}),
    post("/two", json=[]),
    post("/two", json="x"),
    post("/two", json={}),
    post("/two"),
    post("/two", content="null", content_type="application/json"),
    post("/two", content="x"),
    post("/scalar", json=5),
    post("/scalar", json="x"),
    post("/scalar"),
    post("/scalar", json=None),
    post("/scalars", json={"a": 1, "b": "x"}),
    post("/scalars", json={"a": "x"}),
    post("/scalars", json={"a": 5, "bee": "y"}),
    post("/embedded", json={"value": 5}),
    post("/embedded", json=5),
    post("/aliased", json={"other": 5}),
    post("/aliased", json={"value": 5}),
    post("/list", json=[1, "2"]),
    post("/list", json=[1, "x", None]),
    post("/list", json={"a": 1}),
    post("/list"),
    post("/dict", json={"1": 1.5}),
    post("/dict", json={"x": "y"}),
    post("/any", json={"a": [None]}),
    post("/any"),
    post("/any", content="raw text"),
    post("/any", content="raw", content_type="text/plain"),
    post("/bytes", content=b"\x00\xff"),
    post("/bytes", json="abc"),
    post("/optional-scalars", json={}),
    post("/optional-scalars"),
    post("/optional-scalars", json={"b": 5}),
    post("/text", json="abc"),
    post("/text", content="abc", content_type="text/plain"),
    post("/constrained", json=11),
    post("/constrained", json=10),
)
def test_kinds_of_body_parameters(api):
    app = api.FastAPI()

    @app.post("/one")
    async def one(item: Annotated[Item, api.Body(embed=True)]):
        return item

    @app.post("/two")
    async def two(item: Item, other: Item, count: Annotated[int, api.Body()] = 0):
        return [item, other, count]

    @app.post("/scalar")
    async def scalar(value: Annotated[int, api.Body()]):
        return value

    @app.post("/scalars")
    async def scalars(a: int = api.Body(), b: str = api.Body("none", alias="bee", max_length=3)):
        return [a, b]

    @app.post("/embedded")
    async def embedded(value: int = api.Body(embed=True)):
        return value

    @app.post("/aliased")
    async def aliased(value: int = api.Body(embed=True, alias="other")):
        return value

    @app.post("/list")
    async def a_list(values: list[int]):
        return values

    @app.post("/dict")
    async def a_dict(values: dict[int, float]):
        return values

    @app.post("/any")
    async def anything(value: Any = api.Body(None)):
        return repr(value)

    @app.post("/bytes")
    async def raw(value: bytes = api.Body(media_type="application/octet-stream")):
        return repr(value)

    @app.post("/optional-scalars")
    async def optional(a: int = api.Body(1), b: int | None = api.Body(None)):
        return [a, b]

    @app.post("/text")
    async def text(value: Annotated[str, api.Body(media_type="text/plain")]):
        return value

    @app.post("/constrained")
    async def constrained(value: Annotated[int, api.Body(le=10)]):
        return value

    return app


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    breed: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


def _which(value: Any) -> str | None:
    found = value.get("form") if isinstance(value, dict) else getattr(value, "form", None)
    return found if found in ("a", "b") else None


class FormA(BaseModel):
    form: str
    x: int


class FormB(BaseModel):
    form: str
    y: int


Tagged = Annotated[Annotated[FormA, Tag("a")] | Annotated[FormB, Tag("b")], Discriminator(_which)]


@differential(
    post("/union", json=ITEM),
    post("/union", json={"kind": "cat"}),
    post("/union", json={"x": 1}),
    post("/union", json=5),
    post("/pet", json={"kind": "cat", "lives": 7}),
    post("/pet", json={"kind": "dog"}),
    post("/pet", json={"kind": "bird"}),
    post("/pet", json={}),
    post("/pet", json=[]),
    post("/pets", json=[{"kind": "cat"}, {"kind": "dog", "breed": 5}, {}]),
    post("/tagged", json={"form": "b", "y": 1}),
    post("/tagged", json={"form": "c"}),
    post("/tagged", json={"form": "a"}),
    post("/scalar-union", json=5),
    post("/scalar-union", json="x"),
    post("/scalar-union", json=[1]),
    post("/model-or-list", json=ITEM),
    post("/model-or-list", json=[ITEM]),
    post("/model-or-list", json=[{}]),
)
def test_unions(api):
    app = api.FastAPI()

    @app.post("/union")
    async def union(value: Item | Cat | Dog):
        return [type(value).__name__, value]

    @app.post("/pet")
    async def pet(pet: Pet):
        return [type(pet).__name__, pet]

    @app.post("/pets")
    async def pets(pets: list[Pet]):
        return pets

    @app.post("/tagged")
    async def tagged(value: Tagged = api.Body()):
        return value

    @app.post("/scalar-union")
    async def scalar_union(value: int | str | None = api.Body()):
        return value

    @app.post("/model-or-list")
    async def model_or_list(value: Item | list[Item]):
        return value

    return app


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    tags: list[str] = dataclasses.field(default_factory=list)


class Typed(TypedDict, total=False):
    a: int
    b: str


class Named(NamedTuple):
    a: int
    b: str = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Numbers(RootModel[list[int]]):
    pass


class Box(BaseModel, Generic[T]):
    content: T


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


@differential(
    post("/point", json={"x": 1}),
    post("/point", json={"y": "z"}),
    post("/point", json=[1]),
    post("/typed", json={"a": "1", "c": 2}),
    post("/typed", json={"a": "x"}),
    post("/named", json=[1, "x"]),
    post("/named", json={"a": 1}),
    post("/named", json=[]),
    post("/level", json=2),
    post("/level", json=3),
    post("/numbers", json=[1, "2"]),
    post("/numbers", json=[1, "x"]),
    post("/box", json={"content": 5}),
    post("/box", json={"content": "x"}),
    post("/tree", json={"value": 1, "children": [{"value": 2}]}),
    post("/tree", json={"value": 1, "children": [{"value": 2, "children": [{}]}]}),
    post("/points", json=[{"x": 1}, {"x": "y"}]),
    post("/tuple", json=[1, "a"]),
    post("/tuple", json=[1, 2, 3]),
    post("/set", json=[1, 1, 2]),
    post("/frozen", json={"x": 1}),
)
def test_other_types(api):
    app = api.FastAPI()

    @app.post("/point")
    async def point(point: Point):
        return point

    @app.post("/points")
    async def points(points: list[Point]):
        return points

    @app.post("/typed")
    async def typed(value: Typed):
        return value

    @app.post("/named")
    async def named(value: Named):
        return repr(value)

    @app.post("/level")
    async def level(value: Level = api.Body()):
        return repr(value)

    @app.post("/numbers")
    async def numbers(value: Numbers):
        return value

    @app.post("/box")
    async def box(value: Box[int]):
        return value

    @app.post("/tree")
    async def tree(value: Tree):
        return value

    @app.post("/tuple")
    async def a_tuple(value: tuple[int, str]):
        return value

    @app.post("/set")
    async def a_set(value: set[int]):
        return value

    @app.post("/frozen")
    async def frozen(value: dict[str, Any]):
        return value

    return app


class Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: str = Field(alias="theName", min_length=1)
    age: int = Field(5, ge=0, lt=150)
    code: str = Field("ab", pattern="^[a-z]{2}$")
    secret: SecretStr = SecretStr("none")
    amount: Decimal = Field(Decimal("1.0"), max_digits=4, decimal_places=1)
    key: uuid.UUID | None = None
    span: datetime.timedelta = datetime.timedelta(0)

    @field_validator("name")
    @classmethod
    def _known(cls, value):
        if value == "wrong":
            raise ValueError("the name is wrong")
        assert value != "worse", "the name is worse"
        return value.title()

    @model_validator(mode="after")
    def _consistent(self):
        if self.age == 99 and self.code != "zz":
            raise ValueError("99 needs zz")
        return self

    @computed_field
    @property
    def shout(self) -> str:
        return self.name.upper()


CHECKED = [
    {"theName": "ann"},
    {"theName": "  ann "},
    {"theName": " "},
    {"theName": "wrong"},
    {"theName": "worse"},
    {"theName": "a", "age": 99},
    {"theName": "a", "age": -1},
    {"theName": "a", "age": 150},
    {"theName": "a", "age": 1.5},
    {"theName": "a", "age": True},
    {"theName": "a", "age": "5"},
    {"theName": "a", "code": "ABC"},
    {"name": "a"},
    {"theName": "a", "secret": "s"},
    {"theName": "a", "amount": 1.25},
    {"theName": "a", "amount": "12345"},
    {"theName": "a", "key": "x"},
    {"theName": "a", "span": "PT1M"},
    {"theName": "a", "span": 90},
    {"theName": None},
    {"theName": "a", "x": 1, "y": {"z": []}},
    {"theName": ["a"]},
    {"theName": "a", "age": None},
    {"theName": {"a": 1}},
    {"theName": "a", "age": 10**30},
    {"theName": "a" * 100, "age": "x" * 200},
    {"theName": "\U0001f600"},
]


@pytest.mark.parametrize("value", CHECKED, ids=[str(each)[:50] for each in CHECKED])
def test_what_models_check(value):
    def build(api):
        app = api.FastAPI()

        @app.post("/")
        async def endpoint(value: Checked):
            return value

        return app

    compare(build, post(json=value))


@differential(post(json={"a": 1, "b": 2}), post(json={"a": "x"}), post(json={}), post())
def test_bodies_of_dependencies(api):
    class A(BaseModel):
        a: int

    class B(BaseModel):
        b: int

    app = api.FastAPI()

    def first(a: A):
        return a

    async def second(a: A, b: B):
        return [a, b]

    @app.post("/")
    async def endpoint(
        a: A,
        one: Annotated[A, api.Depends(first)],
        two: Annotated[list, api.Depends(second)],
    ):
        return [a, one, two]

    return app


@differential(post(json={"a": 1}), post(json={"a": "x"}), post(json={"a": {"a": 1}}), post())
def test_one_body_that_a_dependency_shares(api):
    class A(BaseModel):
        a: int

    app = api.FastAPI()

    def shared(a: A):
        return a.a

    @app.post("/")
    async def endpoint(a: A, one: int = api.Depends(shared)):
        return [a, one]

    return app


@differential(
    post(chunks=[b'{"name":', b'"a",', b"", b'"price":1}'], content_type="application/json"),
    post(chunks=[b"", b""], content_type="application/json"),
    post(chunks=[b'{"name":', b'"a"'], content_type="application/json"),
)
def test_bodies_in_pieces(api):
    app = api.FastAPI()

    @app.post("/")
    async def endpoint(item: Item, request: api.Request):
        return [item, (await request.body()).decode(), await request.json()]

    return app


@differential(
    post(json=ITEM), post(json={}), post(content="x", content_type="application/json"), post()
)
def test_a_handler_of_wrong_bodies(api):
    app = api.FastAPI()

    @app.exception_handler(api.exceptions.RequestValidationError)
    async def handler(request: api.Request, error):
        content = {
            "errors": api.encoders.jsonable_encoder(error.errors()),
            "body": error.body,
            "url": str(request.url),
            "type": type(error).__name__,
        }
        return api.responses.JSONResponse(content, status_code=400)

    @app.post("/")
    async def endpoint(item: Item, page: int = 0):
        return item

    return app
