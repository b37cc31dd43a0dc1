"""Query parameters: kinds, lists, defaults, constraints, aliases and models."""

# ruff: noqa: B008 - calls as defaults are what FastAPI programs have

import datetime
import ipaddress
import uuid
from collections import deque
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    field_validator,
)
from pydantic import HttpUrl as Url

from tests.fastapi.asked import get, post
from tests.fastapi.differential import compare, differential


class Colour(str, Enum):  # noqa: UP042 - as programs have it
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Plain(Enum):
    ONE = 1
    TWO = "two"


def doubled(value: int) -> int:
    if value == 13:
        raise ValueError("an unlucky number")
    assert value != 14, "nor this one"
    return value * 2


KINDS: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "bytes": bytes,
    "decimal": Decimal,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "delta": datetime.timedelta,
    "uuid": uuid.UUID,
    "colour": Colour,
    "size": Size,
    "plain": Plain,
    "literal": Literal["a", "b", 3],
    "optional": int | None,
    "union": int | bool | str,
    "ip": ipaddress.IPv4Address,
    "url": Url,
    "any": Any,
    "doubled": Annotated[int, AfterValidator(doubled)],
    "stripped": Annotated[str, BeforeValidator(lambda value: value.strip())],
    "json": Json[list[int]],
    "ints": list[int],
    "strs": list[str],
    "set": set[int],
    "frozen": frozenset[str],
    "tuple": tuple[int, ...],
    "pair": tuple[int, str],
    "deque": deque[int],
    "optional_list": list[int] | None,
    "colours": list[Colour],
    "nested_union": list[int | Literal["x"]],
}

VALUES = {
    "int": ["5", "-5", "05", "5.0", "5.1", "", "x", "1_0", " 5 ", "%2B5", "9" * 25],
    "float": ["1", "1.5", "1e400", "inf", "nan", "x", ""],
    "str": ["a", "", "%20", "a+b", "%C3%A4", "%FF", "%00"],
    "bool": [
        "1",
        "0",
        "true",
        "TRUE",
        "tRuE",
        "on",
        "off",
        "yes",
        "No",
        "t",
        "f",
        "y",
        "n",
        "2",
        "",
    ],
    "bytes": ["abc", "%C3%A4"],
    "decimal": ["1.10", "x", "1e5", "NaN"],
    "date": ["2020-02-29", "2020-02-30", "0", "1e20", "2020-02-29T00:00:00", "2020-02-29T01:00:00"],
    "datetime": [
        "2020-02-29T12:00:00Z",
        "2020-02-29T12:00:00%2B02:00",
        "1582977600",
        "x",
        "2020-02-29",
    ],
    "time": ["12:00", "25:00", "12:00:00Z"],
    "delta": ["PT5M", "60", "1 day", "x"],
    "uuid": ["00000000-0000-0000-0000-000000000005", "x"],
    "colour": ["red", "RED", "green"],
    "size": ["1", "2", "3", "x"],
    "plain": ["1", "two", "three"],
    "literal": ["a", "c", "3"],
    "optional": ["5", "", "null", "None", "x"],
    "union": ["5", "true", "x"],
    "ip": ["127.0.0.1", "1.2.3"],
    "url": ["https://a.test/b%3Fc", "x"],
    "any": ["5", "x"],
    "doubled": ["5", "13", "14", "x"],
    "stripped": ["%20a%20"],
    "json": ["[1,2]", "[1,", '["x"]', "5"],
    "ints": ["5", "5&value=6", "5&value=x&value=y", "", "5,6"],
    "strs": ["a&value=b&value=a", "", "a&value="],
    "set": ["1&value=1&value=2", "x"],
    "frozen": ["a&value=a"],
    "tuple": ["1&value=2", "x&value=2"],
    "pair": ["1&value=b", "1", "1&value=b&value=c"],
    "deque": ["1&value=2"],
    "optional_list": ["1&value=2", ""],
    "colours": ["red&value=blue", "red&value=x"],
    "nested_union": ["1&value=x", "y"],
}

CASES = [(kind, f"?value={value}") for kind, values in VALUES.items() for value in values]
CASES += [(kind, "") for kind in KINDS]


def shown(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return [type(value).__name__, sorted(map(repr, value))]
    return [type(value).__name__, repr(value)]


@pytest.mark.parametrize(("kind", "query"), CASES, ids=[f"{k} {q}" for k, q in CASES])
@pytest.mark.parametrize("style", ["annotated", "default"])
def test_kinds(kind, query, style):
    annotation = KINDS[kind]

    def build(api):
        app = api.FastAPI()
        if style == "annotated":

            @app.get("/")
            async def endpoint(value: Annotated[annotation, api.Query()]):
                return shown(value)
        else:

            @app.get("/")
            async def endpoint(value: annotation = api.Query(None)):
                return shown(value)

        return app

    compare(build, get("/" + query))


@differential(
    get("/"),
    get("/?a=1"),
    get("/?a="),
    get("/?b="),
    get("/?c=x"),
    get("/?d=1&d=2"),
    get("/?e=5"),
    get("/?f=no"),
    get("/?g=1"),
    get("/?A=1"),
    get("/?a=1&a=2"),
    get("/?a&b"),
    get("/?=1"),
    get("/?&&a=3"),
    get("/?a=1;b=2"),
    get("/?unknown=1"),
    get("/?a=%"),
    get("/?a=%zz"),
    get("/?a=1#f"),
    get("/?h=2020-01-01"),
    get("/?i="),
    get("/?i=x"),
)
def test_defaults(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(
        a: int = 7,
        b: str = "none",
        c: str | None = None,
        d: Annotated[list[int], api.Query()] = [9],  # noqa: B006 - as programs have it
        e: Annotated[float, api.Query()] = 2,
        f: bool = True,
        g: int = api.Query(default=3),
        h: datetime.date = datetime.date(2000, 1, 2),
        i: str = api.Query(default_factory=lambda: "made"),
    ):
        return [a, b, c, d, e, f, g, h, i]

    return app


@differential(
    get("/"),
    get("/?a=1"),
    get("/?made=2"),
    get("/?made="),
    get("/?checked=5"),
    get("/?checked=50"),
)
def test_default_factories_and_defaults_that_are_validated(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(
        made: list[int] = api.Query(default_factory=lambda: [1, 2]),
        checked: Annotated[int, api.Query(le=10, validate_default=True)] = 5,
        unchecked: Annotated[int, api.Query(le=10)] = 50,
    ):
        return [made, checked, unchecked]

    return app


@differential(
    get("/?gt=5&ge=5&lt=5&le=5&multiple=5"),
    get("/?gt=6&ge=4&lt=4&le=6&multiple=6"),
    get("/"),
    get("/?length=a"),
    get("/?length=abcdef"),
    get("/?length=abc"),
    get("/?pattern=ab"),
    get("/?pattern=AB"),
    get("/?items=1"),
    get("/?items=1&items=2"),
    get("/?items=1&items=2&items=3&items=4"),
    get("/?decimal=1.234"),
    get("/?decimal=123456.7"),
    get("/?finite=inf"),
    get("/?strict=5"),
    get("/?inner=1&inner=20"),
    get("/?field=1"),
    get("/?field=11"),
)
def test_constraints(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(
        gt: Annotated[int, api.Query(gt=5)] = 0,
        ge: Annotated[int, api.Query(ge=5)] = 0,
        lt: Annotated[int, api.Query(lt=5)] = 0,
        le: Annotated[int, api.Query(le=5)] = 0,
        multiple: Annotated[int, api.Query(multiple_of=5)] = 0,
        length: Annotated[str, api.Query(min_length=2, max_length=5)] = "",
        pattern: str = api.Query("", pattern="^[a-z]*$"),
        items: Annotated[list[int], api.Query(min_length=2, max_length=3)] = [],  # noqa: B006 - as programs have it
        decimal: Annotated[Decimal, api.Query(max_digits=5, decimal_places=2)] = Decimal(0),
        finite: Annotated[float, api.Query(allow_inf_nan=False)] = 0,
        strict: Annotated[int, api.Query(strict=True)] = 0,
        inner: Annotated[list[Annotated[int, Field(le=10)]], api.Query()] = [],  # noqa: B006 - as programs have it
        field: Annotated[int, Field(le=10), api.Query()] = 0,
    ):
        return [
            gt,
            ge,
            lt,
            le,
            multiple,
            length,
            pattern,
            items,
            decimal,
            finite,
            strict,
            inner,
            field,
        ]

    return app


@differential(
    get("/?item-query=1&other=2&choice=3"),
    get("/"),
    get("/?aliased=1"),
    get("/?item-query=x"),
    get("/?second=9&item-query=1&other=1"),
    get("/?first=9&item-query=1&other=1"),
    get("/?first=x&item-query=1&other=1"),
    get("/?deprecated_one=1&item-query=2&other=1"),
)
def test_aliases(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(
        aliased: Annotated[int, api.Query(alias="item-query")],
        validated: Annotated[int, api.Query(validation_alias="other")],
        choices: Annotated[int, api.Query(validation_alias=AliasChoices("first", "second"))] = 0,
        hidden: Annotated[int, api.Query(include_in_schema=False, alias="deprecated_one")] = 0,
        serialized: Annotated[int, api.Query(serialization_alias="out")] = 0,
    ):
        return [aliased, validated, choices, hidden, serialized]

    return app


class Page(BaseModel):
    limit: int = Field(100, gt=0, le=100)
    offset: int = Field(0, ge=0)
    order_by: Literal["created", "updated"] = "created"
    tags: list[str] = []


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int
    b: list[int] = Field(default=[], alias="bee")
    name: str | None = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)
    a: int = Field(alias="alpha")

    @field_validator("a")
    @classmethod
    def _not_seven(cls, value):
        if value == 7:
            raise ValueError("seven is taken")
        return value


@differential(
    get("/page"),
    get("/page?limit=5&offset=2&order_by=updated&tags=a&tags=b"),
    get("/page?limit=0"),
    get("/page?limit=x&order_by=z&unknown=1"),
    get("/page?limit="),
    get("/strict?a=1&bee=1&bee=2"),
    get("/strict"),
    get("/strict?a=1&more=2"),
    get("/strict?a=1&more=2&more=3"),
    get("/strict?a=x&b=1"),
    get("/open?alpha=1&more=2&list=1&list=2"),
    get("/open?a=1"),
    get("/open?alpha=7"),
    get("/open"),
    get("/optional"),
    get("/optional?limit=5"),
    get("/optional?limit=x"),
    get("/both?limit=5&x=1"),
    get("/both?limit=5"),
    get("/default"),
    get("/default?offset=3"),
)
def test_models(api):
    app = api.FastAPI()

    @app.get("/page")
    async def page(page: Annotated[Page, api.Query()]):
        return page

    @app.get("/strict")
    async def strict(strict: Annotated[Strict, api.Query()]):
        return [strict, sorted(strict.model_fields_set)]

    @app.get("/open")
    async def opened(one: Open = api.Query()):
        return [one, one.model_extra]

    @app.get("/optional")
    async def optional(page: Annotated[Page | None, api.Query()] = None):
        return page

    @app.get("/both")
    async def both(page: Annotated[Page, api.Query()], x: int):
        return [page, x]

    @app.get("/default")
    async def default(page: Annotated[Page, api.Query()] = Page(offset=9)):
        return page

    return app


@differential(
    post("/?a=1&b=2", json={"c": 3}),
    post("/", json=None),
    post("/?a=x", json={"c": "y"}),
    post("/?a=1&b=2"),
    post("/?b=1", json={"c": 1, "d": 2}),
)
def test_beside_a_body(api):
    class Body(BaseModel):
        c: int

    app = api.FastAPI()

    @app.post("/")
    async def endpoint(a: int, body: Body, b: int = 5):
        return [a, b, body]

    return app


@differential(get("/?a=1&b=2&*=3"), get("/?a=1"), get("/"))
def test_bare_parameters(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(a, *, b=None, c="c"):
        return [a, b, c]

    return app


@differential(get("/?when=2020-01-01&many=1&many=2"), get("/?when=x"))
def test_annotations_that_are_strings(api):
    app = api.FastAPI()

    async def endpoint(when: "datetime.date", many: "list[int]" = api.Query([])):
        return [when, many]

    app.get("/")(endpoint)
    return app
