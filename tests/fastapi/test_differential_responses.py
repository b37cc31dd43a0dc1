"""Responses: models and what is left out, classes, statuses, headers, files and streams."""

# ruff: noqa: B008 - calls as defaults are what FastAPI programs have

import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import re
import uuid
from collections import deque
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)

from tests.fastapi.asked import ask, get, script
from tests.fastapi.differential import compare, differential


class Inner(BaseModel):
    a: int = 1
    b: str | None = None


class Model(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str = Field(alias="theName")
    price: float = 10.5
    tax: float | None = None
    inner: Inner = Inner()
    inners: list[Inner] = []


class Secret(BaseModel):
    name: str
    password: str


class Public(BaseModel):
    name: str


class Loaded:
    """As an object of a database is."""

    theName = "loaded"
    name = "loaded"
    price = 3.0
    tax = None
    inner = Inner(a=2)
    inners = ()


OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "include": {"response_model_include": {"name", "inner"}},
    "include a list": {"response_model_include": ["name"]},
    "include within": {"response_model_include": {"inner": {"a"}, "name": ...}},
    "exclude": {"response_model_exclude": {"name"}},
    "exclude within": {"response_model_exclude": {"inner": {"b"}, "inners": {"__all__": {"a"}}}},
    "both": {"response_model_include": {"name", "price"}, "response_model_exclude": {"price"}},
    "by name": {"response_model_by_alias": False},
    "unset": {"response_model_exclude_unset": True},
    "defaults": {"response_model_exclude_defaults": True},
    "none": {"response_model_exclude_none": True},
    "all": {
        "response_model_exclude_none": True,
        "response_model_exclude_unset": True,
        "response_model_exclude_defaults": True,
    },
}

RETURNED: dict[str, Any] = {
    "a model": Model(theName="a", tax=None, inners=[Inner(b="x")]),
    "a dictionary": {"theName": "a", "price": 1, "inner": {"a": 5}},
    "an object": Loaded(),
}


@pytest.mark.parametrize("returned", RETURNED)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("declared", ["response_model", "annotation", "class"])
def test_what_is_left_out(options, returned, declared):
    def build(api):
        app = api.FastAPI()
        rest = dict(OPTIONS[options])
        if declared != "annotation":
            rest["response_model"] = Model
        if declared == "class":
            rest["response_class"] = api.responses.JSONResponse

        async def endpoint():
            return RETURNED[returned]

        if declared == "annotation":
            endpoint.__annotations__["return"] = Model
        app.get("/", **rest)(endpoint)
        return app

    compare(build, get())


class Shape(enum.Enum):
    ROUND = "round"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5
    hidden: Any = None


class Pair(NamedTuple):
    left: int
    right: str


class Slotted:
    __slots__ = ("a",)

    def __init__(self):
        self.a = 1


class Mapped:
    def __init__(self):
        self.a = 1
        self._sa_state = "kept from"
        self.b = [Shape.ROUND]


class Serialized(BaseModel):
    when: datetime.datetime = datetime.datetime(2020, 1, 2, 3, 4, 5, 678)
    secret: SecretStr = SecretStr("x")
    data: bytes = b"abc"
    big: int = 2**70
    ratio: decimal.Decimal = decimal.Decimal("1.10")
    span: datetime.timedelta = datetime.timedelta(minutes=1)

    @field_serializer("ratio")
    def _ratio(self, value):
        return f"{value}!"

    @computed_field
    @property
    def double(self) -> int:
        return 2


def values() -> dict[str, Any]:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    return {
        "none": None,
        "true": True,
        "int": 5,
        "big int": 2**64 + 1,
        "negative": -(2**63),
        "float": 1.5,
        "whole float": 1.0,
        "tiny float": 0.1 + 0.2,
        "str": 'a\u20ac\U0001f600"\\/\n\x00\x7f\u2028',
        "lone surrogate": "\ud800",
        "empty": {},
        "list": [1, [2], {}],
        "tuple": (1, 2),
        "set": {1},
        "frozenset": frozenset({"a"}),
        "deque": deque([1, 2]),
        "generator": "generator",
        "bytes": b"abc",
        "bad bytes": b"\xff",
        "int keys": {
            1: 2,
            2.5: 3,
            None: 4,
        },
        "enum": Shape.ROUND,
        "enum keys": {Shape.ROUND: 1},
        "uuid": uuid.UUID(int=1),
        "uuid keys": {uuid.UUID(int=1): 1},
        "datetime": datetime.datetime(2020, 1, 2, 3, 4, 5),
        "aware": datetime.datetime(2020, 1, 2, 3, 4, 5, 6, zone),
        "utc": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        "date": datetime.date(2020, 1, 2),
        "time": datetime.time(1, 2, 3, 4),
        "delta": datetime.timedelta(days=1, seconds=2.5),
        "decimal": decimal.Decimal("1.10"),
        "whole decimal": decimal.Decimal("5"),
        "path": pathlib.PurePosixPath("/a/b"),
        "pattern": re.compile("a+"),
        "ip": ipaddress.ip_address("127.0.0.1"),
        "network": ipaddress.ip_network("10.0.0.0/8"),
        "dataclass": Point(1),
        "nested dataclass": {"p": [Point(1, hidden=Point(2))]},
        "named tuple": Pair(1, "a"),
        "object": Mapped(),
        "slotted": Slotted(),
        "model": Model(theName="a"),
        "models": [Inner(), {"i": Inner()}],
        "root": RootModel[list[int]]([1, 2]),
        "serialized": Serialized(),
        "secret": SecretStr("x"),
        "nan": float("nan"),
        "infinity": [float("inf")],
        "complex": 1j,
        "function": len,
        "sa keys": {"_sa_x": 1, "_s": 2},
        "exception": ValueError("x"),
        "str subclass": Text("x"),
        "int subclass": Number(5),
        "nested": {"a": {"b": [{"c": (Shape.ROUND, None)}]}},
        "same keys": {"1": 1, 1: 2},
        "long": ["x" * 1000] * 20,
        "bytearray": bytearray(b"x"),
        "range": range(3),
        "zone": zone,
    }


class Text(str):
    __slots__ = ()


class Number(int):
    pass


def made(kind: str) -> Any:
    if kind == "generator":
        return (each for each in [1, 2])
    return values()[kind]


@pytest.mark.parametrize("kind", values())
@pytest.mark.parametrize("sync", ["async", "sync"])
def test_values_without_a_model(kind, sync):
    def build(api):
        app = api.FastAPI()
        if sync == "sync":

            @app.get("/")
            def endpoint():
                return made(kind)
        else:

            @app.get("/")
            async def endpoint():
                return made(kind)

        return app

    compare(build, get())


@pytest.mark.parametrize("kind", values())
def test_values_under_a_model_of_anything(kind):
    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint() -> Any:
            return made(kind)

        return app

    compare(build, get())


@pytest.mark.parametrize("kind", values())
def test_the_encoder_itself(kind):
    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            try:
                return api.responses.PlainTextResponse(
                    repr(api.encoders.jsonable_encoder(made(kind))).encode("utf-8", "replace")
                )
            except Exception as error:
                return type(error).__name__

        return app

    compare(build, get())


ENCODER_OPTIONS: list[dict[str, Any]] = [
    {"include": {"theName"}},
    {"exclude": {"theName"}},
    {"include": ["name"]},
    {"by_alias": False},
    {"exclude_unset": True},
    {"exclude_defaults": True},
    {"exclude_none": True},
    {"custom_encoder": {Inner: lambda inner: "inner"}},
    {"custom_encoder": {int: str}},
    {"sqlalchemy_safe": False},
    {"exclude": {"inner"}, "exclude_none": True},
]


@pytest.mark.parametrize("index", range(len(ENCODER_OPTIONS)))
def test_options_of_the_encoder(index):
    options = ENCODER_OPTIONS[index]

    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            encode = api.encoders.jsonable_encoder
            given = [
                Model(theName="a", tax=None),
                {"inner": Inner(), "name": None, "_sa_x": 1},
                Point(1, hidden=Inner()),
                [Inner(b="x")],
                Mapped(),
                Inner(),
            ]
            return [encode(each, **options) for each in given]

        return app

    compare(build, get())


@differential(
    get("/filtered"),
    get("/annotated"),
    get("/list"),
    get("/dict"),
    get("/union"),
    get("/optional"),
    get("/scalar"),
    get("/wrong"),
    get("/wrong-list"),
    get("/none"),
    get("/invalid-annotation"),
    get("/explicit-none"),
    get("/coerced"),
    get("/subclass"),
    get("/sync"),
    get("/dataclass"),
    get("/root"),
    get("/typed-list"),
    get("/serialized"),
    get("/validated"),
    get("/any"),
    get("/returned"),
    get("/declared-response"),
    get("/datetime"),
    get("/bytes"),
)
def test_models_of_responses(api):
    app = api.FastAPI()
    secret = Secret(name="a", password="p")

    @app.get("/filtered", response_model=Public)
    async def filtered():
        return secret

    @app.get("/annotated")
    async def annotated() -> Public:
        return secret

    @app.get("/list")
    async def a_list() -> list[Public]:
        return [secret, {"name": "b", "password": "q"}]

    @app.get("/dict", response_model=dict[str, Public])
    async def a_dict():
        return {"a": secret}

    @app.get("/union")
    async def union() -> Public | Inner:
        return Inner(a=3)

    @app.get("/optional")
    async def optional() -> Public | None:
        return None

    @app.get("/scalar")
    async def scalar() -> int:
        return "5"

    @app.get("/wrong", response_model=Public)
    async def wrong():
        return {"nobody": 1}

    @app.get("/wrong-list", response_model=list[int])
    async def wrong_list():
        return [1, "x"]

    @app.get("/none")
    async def none() -> None:
        return None

    @app.get("/invalid-annotation", response_model=None)
    async def invalid() -> api.Response | dict:
        return {"a": 1}

    @app.get("/explicit-none", response_model=None)
    async def explicit_none() -> Public:
        return secret

    @app.get("/coerced", response_model=Inner)
    async def coerced():
        return {"a": "5", "b": "x", "c": 1}

    @app.get("/subclass", response_model=Public)
    async def subclass():
        class More(Public):
            more: int = 1

        return More(name="m")

    @app.get("/sync")
    def sync() -> Public:
        return secret

    @app.get("/dataclass", response_model=Point)
    async def a_dataclass():
        return Point(1, hidden="h")

    @app.get("/root")
    async def root() -> RootModel[list[int]]:
        return RootModel[list[int]]([1])

    @app.get("/typed-list", response_model=list[Inner], response_model_exclude_unset=True)
    async def typed_list():
        return [Inner(a=1), Inner()]

    @app.get("/serialized", response_model=Serialized)
    async def serialized():
        return Serialized()

    class Validated(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def _plus(cls, value):
            return value + 1

    @app.get("/validated")
    async def validated() -> Validated:
        return Validated(n=1)

    @app.get("/any")
    async def anything() -> Any:
        return {"a": Inner(), "b": {1}}

    @app.get("/returned")
    async def returned() -> Public:
        return api.responses.JSONResponse({"other": 1}, status_code=202)

    @app.get("/declared-response")
    async def declared() -> api.Response:
        return api.Response(content="x", media_type="text/x")

    @app.get("/datetime")
    async def a_datetime() -> datetime.datetime:
        return datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)

    @app.get("/bytes")
    async def a_bytes() -> bytes:
        return b"abc"

    return app


@differential(
    get("/created"),
    get("/enum"),
    get("/injected"),
    get("/injected-over"),
    get("/headers"),
    get("/cookies"),
    get("/gone"),
    get("/not-modified"),
    get("/gone-with-body"),
    get("/deps"),
    get("/returned-over"),
    get("/response-delete"),
    get("/redirect"),
    get("/redirect-class"),
    get("/empty"),
    get("/conflict"),
    get("/order"),
    get("/many-cookies"),
    get("/model-and-headers"),
    get("/informational"),
    get("/reset"),
    get("/no-content-model"),
)
def test_statuses_and_headers(api):
    import http

    app = api.FastAPI()

    @app.get("/created", status_code=201)
    async def created():
        return 1

    @app.get("/enum", status_code=http.HTTPStatus.ACCEPTED)
    async def enumerated():
        return 1

    @app.get("/injected")
    async def injected(response: api.Response):
        response.status_code = 202
        return 1

    @app.get("/injected-over", status_code=201)
    async def injected_over(response: api.Response):
        response.status_code = api.status.HTTP_418_IM_A_TEAPOT
        return 1

    @app.get("/headers")
    async def headers(response: api.Response):
        response.headers["X-One"] = "1"
        response.headers.append("X-Two", "a")
        response.headers.append("X-Two", "b")
        response.headers["Content-Type"] = "text/odd"
        return {"a": 1}

    @app.get("/cookies")
    async def cookies(response: api.Response):
        response.set_cookie(
            "a",
            "b c",
            max_age=10,
            path="/x",
            domain="d",
            secure=True,
            httponly=True,
            samesite="none",
        )
        return 1

    @app.get("/many-cookies")
    async def many_cookies(response: api.Response):
        response.set_cookie("a", '"q" ;,\u00e4')
        response.set_cookie("a", "2", samesite="strict", partitioned=False)
        response.set_cookie(
            "e", "3", expires=datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC), samesite=None
        )
        response.set_cookie("f", "")
        return 1

    @app.get("/gone", status_code=204)
    async def gone():
        return None

    @app.get("/not-modified", status_code=304)
    async def not_modified():
        return None

    @app.get("/gone-with-body", status_code=204)
    async def gone_with_body():
        return {"a": 1}

    @app.get("/reset")
    async def reset(response: api.Response):
        response.status_code = 204
        return {"a": 1}

    @app.get("/informational", status_code=205)
    async def informational():
        return {"a": 1}

    async def sets(response: api.Response):
        response.headers["x-dep"] = "dep"
        response.status_code = 203
        return response

    @app.get("/deps", dependencies=[api.Depends(sets)])
    async def deps(response: api.Response, same: Annotated[Any, api.Depends(sets)]):
        response.headers["x-endpoint"] = str(response is same)
        return 1

    @app.get("/returned-over", dependencies=[api.Depends(sets)])
    async def returned_over():
        return api.responses.PlainTextResponse("plain")

    @app.get("/response-delete")
    async def response_delete(response: api.Response):
        response.delete_cookie("a", path="/p")
        response.headers["x-a"] = "1"
        del response.headers["x-a"]
        return list(response.headers)

    @app.get("/redirect")
    async def redirect():
        return api.responses.RedirectResponse("/a b?c=d&e=\u00e4")

    @app.get("/redirect-class", response_class=api.responses.RedirectResponse)
    async def redirect_class():
        return "/there"

    @app.get("/empty")
    async def empty():
        return api.Response()

    @app.get("/conflict")
    async def conflict():
        return api.responses.JSONResponse(
            {"a": 1}, status_code=409, headers={"X-A": "b", "content-type": "application/odd"}
        )

    @app.get("/order")
    async def order(response: api.Response):
        response.headers["b"] = "1"
        response.headers["a"] = "1"
        return 1

    @app.get("/model-and-headers")
    async def model_and_headers(response: api.Response) -> Public:
        response.headers["x-a"] = "1"
        return Secret(name="a", password="b")

    @app.get("/no-content-model", status_code=204, response_model=None)
    async def no_content_model() -> Public:
        return Secret(name="a", password="b")

    return app


@differential(
    get("/json"),
    get("/html"),
    get("/plain"),
    get("/html-class"),
    get("/plain-class"),
    get("/bytes"),
    get("/none"),
    get("/str-type"),
    get("/charset"),
    get("/custom"),
    get("/custom-class"),
    get("/media"),
    get("/headers"),
    get("/nan"),
    get("/json-text"),
    get("/orjson"),
    get("/router-default"),
    get("/memoryview"),
    get("/late-cookie"),
    get("/body-changed"),
    get("/model-class"),
    get("/html-model"),
)
def test_classes_of_responses(api):
    responses = api.responses
    app = api.FastAPI()

    class Custom(responses.Response):
        media_type = "text/custom"

        def render(self, content):
            return f"<{content!r}>".encode()

    @app.get("/json")
    async def json():
        return responses.JSONResponse({"a": "\u00e4", "b": [1.5, None]})

    @app.get("/html")
    async def html():
        return responses.HTMLResponse("<p>\u00e4</p>", status_code=203)

    @app.get("/plain")
    async def plain():
        return responses.PlainTextResponse("text")

    @app.get("/html-class", response_class=responses.HTMLResponse)
    async def html_class():
        return "<p></p>"

    @app.get("/plain-class", response_class=responses.PlainTextResponse, status_code=201)
    async def plain_class(response: api.Response):
        response.headers["x-a"] = "1"
        return "text"

    @app.get("/bytes")
    async def a_bytes():
        return responses.Response(b"\x00\xff")

    @app.get("/none")
    async def none():
        return responses.Response(None, media_type="text/plain")

    @app.get("/str-type")
    async def str_type():
        return responses.Response("a", media_type="application/xml")

    @app.get("/charset")
    async def charset():
        return responses.Response("a", media_type="text/csv; charset=latin-1")

    @app.get("/custom")
    async def custom():
        return Custom({"a": 1})

    @app.get("/custom-class", response_class=Custom)
    async def custom_class():
        return {"a": Inner()}

    @app.get("/media")
    async def media():
        return responses.JSONResponse({}, media_type="application/problem+json")

    @app.get("/headers")
    async def headers():
        return responses.PlainTextResponse(
            "a", headers={"Content-Length": "1", "Content-Type": "x/y", "X-Z": "\xe4"}
        )

    @app.get("/nan")
    async def nan():
        return responses.JSONResponse(float("nan"))

    @app.get("/json-text")
    async def json_text():
        return responses.JSONResponse("\u2028\ud83d")

    @app.get("/orjson")
    async def orjson():
        return responses.ORJSONResponse({"a": 1, 2: [1.5, "\u00e4"]})

    router = api.APIRouter(default_response_class=responses.PlainTextResponse)

    @router.get("/router-default")
    async def router_default():
        return "by the router"

    @app.get("/memoryview")
    async def memory():
        return responses.Response(memoryview(b"abc"))

    @app.get("/late-cookie")
    async def late_cookie():
        response = responses.JSONResponse(1)
        response.set_cookie("a", "1")
        response.headers["x-late"] = response.headers["content-length"]
        return response

    @app.get("/body-changed")
    async def body_changed():
        response = responses.JSONResponse([1])
        return [
            response.body.decode(),
            response.status_code,
            response.media_type,
            response.charset,
            response.headers.items(),
        ]

    @app.get("/model-class", response_class=Custom, response_model=Public)
    async def model_class():
        return Secret(name="a", password="b")

    @app.get("/html-model", response_class=responses.HTMLResponse, response_model=Public)
    async def html_model():
        return "not one"

    app.include_router(router)
    return app


RANGES = [
    None,
    "bytes=0-3",
    "bytes=5-",
    "bytes=-4",
    "bytes=0-100",
    "bytes=0-0",
    "bytes= 0-3 ",
    "bytes=10-",
]


@pytest.mark.parametrize(
    ("method", "asked_range"),
    [("HEAD", None), ("POST", "bytes=0-3"), *(("GET", each) for each in RANGES)],
)
def test_files(asked_range, method, tmp_path):
    file = tmp_path / "a file.txt"
    file.write_bytes(b"0123456789")

    def build(api):
        app = api.FastAPI()

        @app.api_route("/", methods=["GET", "HEAD", "POST"])
        async def endpoint():
            return api.responses.FileResponse(file)

        return app

    headers = {} if asked_range is None else {"range": asked_range}
    compare(build, ask(method, headers=headers))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filename": "a.txt"},
        {"filename": "\u00e4 \u20ac.txt"},
        {"filename": "a.pdf", "content_disposition_type": "inline"},
        {"media_type": "x/y"},
        {"headers": {"x-a": "1", "etag": '"mine"'}},
        {"status_code": 404},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "more", [{}, {"range": "bytes=1-2"}, {"range": "bytes=1-2", "if-range": '"mine"'}], ids=str
)
def test_options_of_files(options, more, tmp_path):
    file = tmp_path / "data.json"
    file.write_bytes(b"{}" * 50_000)

    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            return api.responses.FileResponse(str(file), **options)

        return app

    compare(build, get(headers=more))


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_files_that_are_none(name, tmp_path):
    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            return api.responses.FileResponse(tmp_path / name)

        return app

    compare(build, get())


@differential(
    get("/async"),
    get("/sync"),
    get("/text"),
    get("/list"),
    get("/typed"),
    get("/failing-later"),
    get("/empty"),
    get("/class"),
    get("/injected"),
    ask("HEAD", "/async"),
)
def test_streams(api):
    app = api.FastAPI()
    streaming = api.responses.StreamingResponse

    async def chunks():
        yield b"one "
        yield b"two"

    def sync_chunks():
        yield b"a"
        yield "\u00e4"

    async def failing(after):
        for each in range(after):
            yield str(each)
        raise KeyError("x")

    @app.get("/async")
    @app.head("/async")
    async def an_async():
        return streaming(chunks())

    @app.get("/sync")
    def sync():
        return streaming(
            sync_chunks(), media_type="text/plain", status_code=202, headers={"x-a": "b"}
        )

    @app.get("/text")
    async def text():
        return streaming(iter(["a", "b"]), media_type="text/html")

    @app.get("/list")
    async def a_list():
        return streaming([b"x", b"y"], media_type="application/x")

    @app.get("/typed")
    async def typed() -> streaming:
        return streaming(chunks(), media_type="text/event-stream")

    @app.get("/failing-later")
    async def failing_later():
        return streaming(failing(2))

    @app.get("/empty")
    async def empty():
        return streaming(iter(()))

    @app.get("/class", response_class=streaming)
    async def by_class():
        return "abc"

    @app.get("/injected")
    async def injected(response: api.Response):
        response.headers["x-lost"] = "1"
        return streaming(chunks())

    return app


@differential(
    script(get("/one"), get("/log")),
    script(get("/two"), get("/log")),
    script(get("/returned"), get("/log")),
    script(get("/own"), get("/log")),
    script(get("/sync"), get("/log")),
    script(get("/wrong"), get("/log")),
    script(get("/dep"), get("/log")),
    script(get("/nested"), get("/log")),
)
def test_background_tasks(api):
    app = api.FastAPI()
    log = []

    async def task(name, *, extra=""):
        log.append(name + extra)

    def sync_task(name):
        log.append(f"sync {name}")

    @app.get("/one")
    async def one(tasks: api.BackgroundTasks):
        tasks.add_task(task, "one", extra="!")
        tasks.add_task(sync_task, "one")
        log.append("returned")
        return 1

    def dep(tasks: api.BackgroundTasks):
        tasks.add_task(task, "of dep")
        return tasks

    @app.get("/two")
    async def two(tasks: api.BackgroundTasks, same: Any = api.Depends(dep)):
        tasks.add_task(task, str(tasks is same))
        return 1

    @app.get("/returned")
    async def returned(tasks: api.BackgroundTasks):
        tasks.add_task(task, "returned")
        return api.responses.PlainTextResponse("x")

    @app.get("/own")
    async def own(tasks: api.BackgroundTasks):
        tasks.add_task(task, "lost")
        own = api.background.BackgroundTasks()
        own.add_task(task, "own")
        return api.responses.PlainTextResponse("x", background=own)

    @app.get("/sync")
    def sync(tasks: api.BackgroundTasks) -> int:
        tasks.add_task(sync_task, "x")
        return 1

    @app.get("/wrong")
    async def wrong(tasks: api.BackgroundTasks, needed: int):
        tasks.add_task(task, "never")

    @app.get("/dep", dependencies=[api.Depends(dep)])
    async def only_dep():
        return 1

    async def closing():
        log.append("open")
        yield
        log.append("close")

    @app.get("/nested")
    async def nested(tasks: api.BackgroundTasks, _: Annotated[None, api.Depends(closing)]):
        tasks.add_task(task, "before the close")
        return 1

    @app.get("/log")
    async def get_log():
        return log

    return app
