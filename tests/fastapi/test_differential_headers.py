"""Headers and cookies as parameters."""

import datetime
from typing import Annotated

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from tests.fastapi.asked import get
from tests.fastapi.differential import compare, differential

WANTED = {"x-token": "abc", "x-number": "5", "user-agent": "tests"}


@differential(
    get("/", headers=WANTED),
    get("/"),
    get("/", headers={**WANTED, "x-number": "five"}),
    get("/", headers={**WANTED, "X-Raw_Name": "raw"}),
    get("/", headers={**WANTED, "x-raw-name": "no"}),
    get("/", headers={**WANTED, "aliased": "1"}),
    get("/", headers={**WANTED, "x_token": "other"}),
    get("/", headers={"x_token": "abc", "x-number": "5"}),
    get("/", headers={**WANTED, "x-empty": ""}),
    get("/", headers={**WANTED, "x-flag": "on"}),
    get("/", headers={**WANTED, "x-flag": "maybe"}),
    get("/", headers={**WANTED, "x-when": "2020-01-01"}),
    get("/", headers={**WANTED, "x-limited": "abcd"}),
    get("/", headers={**WANTED, "x-latin": "\xe4"}),
    get("/", headers={**WANTED, "x-empty": " spaced "}),
    get("/", headers={**WANTED, "choice-two": "2"}),
    get("/", headers={**WANTED, "choice_two": "2"}),
)
def test_headers(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(
        x_token: Annotated[str, api.Header()],
        x_number: Annotated[int, api.Header()],
        user_agent: Annotated[str | None, api.Header()] = None,
        x_raw_name: Annotated[str | None, api.Header(convert_underscores=False)] = None,
        named: Annotated[int, api.Header(alias="aliased")] = 0,
        x_empty: str | None = api.Header(default="default"),
        x_flag: Annotated[bool, api.Header()] = False,
        x_when: Annotated[datetime.date | None, api.Header()] = None,
        x_limited: Annotated[str, api.Header(max_length=3)] = "",
        x_latin: Annotated[str, api.Header()] = "",
        choice: Annotated[
            int, api.Header(validation_alias=AliasChoices("choice-one", "choice-two"))
        ] = 0,
    ):
        return [
            x_token,
            x_number,
            user_agent,
            x_raw_name,
            named,
            x_empty,
            x_flag,
            x_when,
            x_limited,
            x_latin,
            choice,
        ]

    return app


@differential(
    get("/"),
    get("/", headers=[("x-many", "1")]),
    get("/", headers=[("x-many", "1"), ("x-many", "2")]),
    get("/", headers=[("x-many", "1,2")]),
    get("/", headers=[("x-many", "a"), ("x-many", "b")]),
    get("/", headers=[("x-single", "first"), ("x-single", "second")]),
    get("/", headers=[("x-set", "1"), ("X-Set", "1")]),
)
def test_headers_that_come_twice(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(
        x_many: Annotated[list[int] | None, api.Header()] = None,
        x_single: Annotated[str | None, api.Header()] = None,
        x_set: Annotated[set[int], api.Header()] = set(),  # noqa: B006 - as programs have it
    ):
        return [x_many, x_single, x_set]

    return app


class Common(BaseModel):
    host: str
    save_data: bool
    if_modified_since: str | None = None
    x_tag: list[str] = []


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x_one: int
    host: str


class Named(BaseModel):
    model_config = ConfigDict(extra="allow")
    value: int = Field(alias="x-value")
    other_name: str = "none"


@differential(
    get("/common", headers={"save-data": "true"}),
    get("/common"),
    get("/common", headers={"save_data": "true"}),
    get("/common", headers={"save-data": "x"}),
    get("/common", headers=[("save-data", "1"), ("x-tag", "a"), ("x-tag", "b"), ("x-more", "c")]),
    get("/closed", headers={"x-one": "1"}),
    get("/closed", headers={"x-one": "1", "x-two": "2"}),
    get("/closed", headers={"x-one": "x", "x-two": "2"}),
    get("/closed"),
    get("/named", headers={"x-value": "1", "other-name": "z", "x-more": "2"}),
    get("/named", headers=[("x-value", "1"), ("x-more", "2"), ("x-more", "3")]),
    get("/named"),
    get("/raw", headers={"save_data": "true"}),
    get("/raw", headers={"save-data": "true"}),
    get("/raw"),
    get("/optional"),
    get("/optional", headers={"x-value": "1"}),
    get("/optional", headers={"x-value": "y"}),
)
def test_models_of_headers(api):
    app = api.FastAPI()

    @app.get("/common")
    async def common(headers: Annotated[Common, api.Header()]):
        return headers

    @app.get("/closed")
    async def closed(headers: Annotated[Closed, api.Header()]):
        return headers

    @app.get("/named")
    async def named(headers: Annotated[Named, api.Header()]):
        return [headers.value, headers.other_name, headers.model_extra]

    @app.get("/raw")
    async def raw(headers: Annotated[Common, api.Header(convert_underscores=False)]):
        return headers

    @app.get("/optional")
    async def optional(headers: Annotated[Named | None, api.Header()] = None):
        return headers and headers.value

    return app


COOKIES = [
    "",
    "a=1",
    "a=1; b=2",
    "a=1;b=2",
    "a=x",
    "a=1; a=2",
    " a = 1 ",
    "a",
    "=1",
    "==",
    "= ; =",
    "a=",
    'a="1"',
    'b="x\\"y"',
    "b=a=b",
    "b=%C3%A4",
    "b=\xe4",
    'b="\\101\\342"',
    "a=1; Path=/; b=2",
    "name-x=5",
    "a=1,b=2",
    ";;a=3;;",
    "c=1",
    "b=a b",
    "b=; a=1",
    "$a=1",
]


@pytest.mark.parametrize("cookie", COOKIES)
def test_cookies(cookie):
    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint(
            request: api.Request,
            a: Annotated[int, api.Cookie()] = 0,
            b: Annotated[str | None, api.Cookie()] = None,
            name: str = api.Cookie("none", alias="name-x"),
            needed: Annotated[str, api.Cookie()] = "",
        ):
            return [a, b, name, needed, request.cookies]

        return app

    compare(build, get("/", cookies=cookie))


@differential(
    get("/"),
    get("/", cookies="needed=1"),
    get("/", headers=[("cookie", "a=1"), ("cookie", "needed=2; b=3")]),
)
def test_a_cookie_that_must_be_there(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(request: api.Request, needed: Annotated[str, api.Cookie(min_length=1)]):
        return [needed, request.cookies]

    return app


class Cookies(BaseModel):
    model_config = ConfigDict(extra="forbid")
    session: str
    visits: int = Field(0, alias="n")


@differential(
    get("/", cookies="session=a"),
    get("/", cookies="session=a; n=5"),
    get("/", cookies="session=a; n=x"),
    get("/"),
    get("/", cookies="session=a; other=1"),
    get("/", cookies="visits=1"),
    get("/many", cookies="a=1"),
    get("/many"),
)
def test_models_of_cookies(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(cookies: Annotated[Cookies, api.Cookie()]):
        return cookies

    @app.get("/many")
    async def many(a: Annotated[list[str] | None, api.Cookie()] = None):
        return a

    return app
