"""Apps whose OpenAPI documents are compared: each is a source for either side."""

import datetime
import decimal
import enum
import functools
import ipaddress
import pathlib
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, Required, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    RootModel,
    SecretStr,
    WithJsonSchema,
    computed_field,
    field_serializer,
)
from typing_extensions import TypedDict

__all__ = ["APPS", "LoginForm", "Problem"]

T = TypeVar("T")
APPS: dict[str, Callable[[Any], Any]] = {}


def app(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    APPS[build.__name__] = build
    return build


class Color(enum.Enum):
    """Which color."""

    red = "red"
    blue = "blue"


class Tag(enum.StrEnum):
    items = "items"
    users = "users"


class Part(BaseModel):
    name: str
    weight: decimal.Decimal = decimal.Decimal("1.5")


class Item(BaseModel):
    """Something that is sold.

    In parts.\f
    This is not shown.
    """

    name: str = Field(min_length=2, examples=["Hammer"], description="What it is called")
    price: float = Field(gt=0, title="The price")
    tax: float | None = None
    color: Color = Color.red
    parts: list[Part] = []
    made: datetime.datetime | None = None


class Stored(Item):
    id: uuid.UUID
    secret: SecretStr = Field(exclude=True, default=SecretStr(""))

    @computed_field
    @property
    def total(self) -> float:
        """With the tax."""
        return self.price + (self.tax or 0)


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None = None


class Converted(BaseModel):
    """Read as a text, written as a number."""

    size: int | str
    inner: Part | None = None

    @field_serializer("size")
    def as_number(self, size: int | str) -> int:
        return int(size)


class Problem(BaseModel):
    code: int
    detail: str


@dataclass
class Point:
    x: int
    y: int = 0


class Paging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, gt=0, le=100)
    page_offset: int = Field(0, ge=0)
    order_by: Literal["created", "updated"] = "created"
    tags: list[str] = []
    renamed: str = Field("x", alias="otherName", description="Goes by another name")


class Traces(BaseModel):
    trace_id: str
    if_modified: str | None = None
    x_tag: list[str] = []


class LoginForm(BaseModel):
    username: str
    password: str
    remember_me: bool = False


@app
def nothing(api: Any) -> Any:
    return api.FastAPI()


@app
def everything_about_the_app(api: Any) -> Any:
    return api.FastAPI(
        title="Shop",
        version="2.5",
        summary="Sells",
        description="Sells *things*.",
        terms_of_service="http://example.com/terms",
        contact={"name": "Ann", "url": "http://example.com", "email": "ann@example.com"},
        license_info={"name": "MIT", "url": "https://example.com/mit", "x-more": None},
        openapi_tags=[
            {"name": "items", "description": "All of them"},
            {"name": "users", "externalDocs": {"description": "more", "url": "https://e.org"}},
        ],
        servers=[{"url": "https://api.example.com/v1", "description": "live"}, {"url": "/v2"}],
        openapi_external_docs={"description": "docs", "url": "https://docs.example.com"},
    )


@app
def license_by_identifier(api: Any) -> Any:
    return api.FastAPI(license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"})


@app
def path_parameters(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/items/{item_id}")
    def read_item(item_id: int) -> None:
        """Read one.

        Just one.\f Not this.
        """

    @made.get("/files/{file_path:path}")
    def read_file(file_path: str) -> None: ...

    @made.get("/colors/{color}/{size}")
    def read_color(
        color: Color, size: Annotated[int, api.Path(title="Its size", ge=1, le=10)]
    ) -> None: ...

    @made.get("/typed/{when}/{key}/{price}")
    def read_typed(when: datetime.date, key: uuid.UUID, price: decimal.Decimal) -> None: ...

    @made.get("/converted/{number:int}")
    def read_converted(number: int) -> None: ...

    return made


@app
def query_parameters(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/items")
    def list_items(
        needed: str,
        skip: int = 0,
        limit: int | None = None,
        tags: Annotated[list[str], api.Query()] = [],  # noqa: B006
        q: Annotated[
            str | None,
            api.Query(
                alias="item-query",
                title="Query string",
                description="What to look for",
                min_length=3,
                max_length=50,
                pattern="^fixed",
                deprecated=True,
            ),
        ] = None,
        hidden: Annotated[str | None, api.Query(include_in_schema=False)] = None,
        kind: Literal["a", "b"] = "a",
        active: bool = True,
        price: Annotated[float, api.Query(gt=0, lt=10.5)] = 1.5,
        numbers: Annotated[set[int], api.Query(max_length=3)] = set(),  # noqa: B006
        made: Annotated[datetime.timedelta | None, api.Query()] = None,
        data: Annotated[Json[list[int]] | None, api.Query()] = None,
    ) -> None: ...

    return made


@app
def examples_of_parameters(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/items/{item_id}")
    def read(
        item_id: Annotated[int, api.Path(examples=[1, 2])],
        q: Annotated[
            str,
            api.Query(
                openapi_examples={
                    "plain": {"summary": "A word", "value": "word"},
                    "none": {"value": None, "description": "Nothing"},
                }
            ),
        ],
        h: Annotated[str, api.Header(examples=["x"], json_schema_extra={"x-more": {"a": None}})],
        old: Annotated[str, api.Query(example="single")] = "y",
    ) -> None: ...

    return made


@app
def headers_and_cookies(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/")
    def read(
        user_agent: Annotated[str | None, api.Header()] = None,
        strange_header: Annotated[str, api.Header(convert_underscores=False)] = "",
        x_token: Annotated[list[str] | None, api.Header(description="Tokens")] = None,
        named: Annotated[int, api.Header(alias="X-Number")] = 1,
        ads_id: Annotated[str | None, api.Cookie()] = None,
        session: Annotated[str, api.Cookie(alias="sid", max_length=32)] = "",
    ) -> None: ...

    return made


@app
def models_of_parameters(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/query")
    def query(paging: Annotated[Paging, api.Query()]) -> None: ...

    @made.get("/headers")
    def headers(traces: Annotated[Traces, api.Header()]) -> None: ...

    @made.get("/raw-headers")
    def raw(traces: Annotated[Traces, api.Header(convert_underscores=False)]) -> None: ...

    @made.get("/cookies")
    def cookies(paging: Annotated[Paging, api.Cookie()]) -> None: ...

    @made.get("/optional")
    def optional(traces: Annotated[Traces | None, api.Query()] = None) -> None: ...

    return made


@app
def one_body(api: Any) -> Any:
    made = api.FastAPI()

    @made.post("/items")
    def create(item: Item) -> Item:
        return item

    @made.put("/maybe")
    def maybe(item: Item | None = None) -> None: ...

    @made.patch("/embedded")
    def embedded(item: Annotated[Part, api.Body(embed=True)]) -> None: ...

    @made.post("/described")
    def described(
        item: Annotated[Part, api.Body(title="A part", description="Of something")],
    ) -> None: ...

    @made.post("/list")
    def several(items: list[Part]) -> list[Part]:
        return items

    @made.post("/dict")
    def numbers(weights: dict[int, float]) -> dict[str, Part]: ...

    @made.post("/tree")
    def tree(tree: Tree) -> Tree:
        return tree

    @made.delete("/scalar")
    def scalar(count: Annotated[int, api.Body(ge=0)]) -> None: ...

    return made


@app
def bodies_of_several(api: Any) -> Any:
    made = api.FastAPI()

    @made.put("/items/{item_id}")
    def update(
        item_id: int,
        item: Item,
        part: Part,
        importance: Annotated[int, api.Body(gt=0)],
        note: Annotated[str | None, api.Body()] = None,
    ) -> None: ...

    @made.put("/optional")
    def all_optional(
        part: Part | None = None, note: Annotated[str, api.Body(alias="theNote")] = ""
    ) -> None: ...

    def dependency(inner: Part) -> Part:
        return inner

    @made.post("/through")
    def through(outer: Item, inner: Annotated[Part, api.Depends(dependency)]) -> None: ...

    return made


@app
def examples_of_bodies(api: Any) -> Any:
    made = api.FastAPI()

    @made.post("/listed")
    def listed(
        part: Annotated[Part, api.Body(examples=[{"name": "Foo", "weight": "3"}])],
    ) -> None: ...

    @made.post("/named")
    def named(
        part: Annotated[
            Part,
            api.Body(openapi_examples={"normal": {"summary": "N", "value": {"name": None}}}),
        ],
    ) -> None: ...

    return made


@app
def media_types_of_bodies(api: Any) -> Any:
    made = api.FastAPI()

    @made.post("/vendor")
    def vendor(part: Annotated[Part, api.Body(media_type="application/vnd.api+json")]) -> None: ...

    @made.post("/plain")
    def plain(text: Annotated[str, api.Body(media_type="text/plain")]) -> None: ...

    @made.post("/mixed")
    def mixed(
        a: Annotated[int, api.Body(media_type="application/x-a")],
        b: Annotated[int, api.Body(media_type="application/x-b")],
    ) -> None: ...

    return made


@app
def forms(api: Any) -> Any:
    made = api.FastAPI()

    @made.post("/login")
    def login(
        username: Annotated[str, api.Form()],
        password: Annotated[str, api.Form(min_length=8)],
        scopes: Annotated[list[str], api.Form()] = [],  # noqa: B006
    ) -> None: ...

    @made.post("/model")
    def model(form: Annotated[LoginForm, api.Form()]) -> None: ...

    @made.post("/one")
    def one(only: Annotated[int, api.Form(description="The only one")]) -> None: ...

    @made.post("/multipart")
    def multipart(a: Annotated[str, api.Form(media_type="multipart/form-data")]) -> None: ...

    return made


@app
def files(api: Any) -> Any:
    made = api.FastAPI()

    @made.post("/bytes")
    def of_bytes(file: Annotated[bytes, api.File()]) -> None: ...

    @made.post("/upload")
    def upload(file: api.UploadFile) -> None: ...

    @made.post("/optional")
    def optional(file: api.UploadFile | None = None) -> None: ...

    @made.post("/many")
    def many(
        files: list[api.UploadFile],
        contents: Annotated[list[bytes], api.File(description="As bytes")],
        token: Annotated[str, api.Form()],
    ) -> None: ...

    return made


@app
def models_of_responses(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/annotated")
    def annotated() -> list[Item]: ...

    @made.get("/declared", response_model=Item)
    def declared() -> Any: ...

    @made.get("/none", response_model=None)
    def none() -> Item: ...

    @made.get("/union")
    def union() -> Item | Part | None: ...

    @made.get("/discriminated")
    def discriminated() -> Annotated[Cat | Dog, Field(discriminator="kind")]: ...

    @made.get("/generic")
    def generic() -> Page[Part]: ...

    @made.get("/computed")
    def computed() -> Stored: ...

    @made.get("/dataclass")
    def of_dataclass() -> Point: ...

    @made.get("/scalars")
    def scalars() -> dict[str, tuple[int, str] | bytes]: ...

    @made.get("/any")
    def anything() -> Any: ...

    @made.get("/response")
    def response() -> api.Response: ...

    @made.get("/url")
    def url() -> HttpUrl: ...

    return made


def _both_ways(made: Any) -> Any:
    @made.post("/stored")
    def store(item: Stored) -> Stored:
        return item

    @made.post("/converted")
    def convert(item: Converted) -> Converted:
        return item

    @made.post("/items")
    def item(item: Item) -> Page[Item]: ...

    @made.post("/color")
    def color(color: Color) -> list[Color]: ...

    @made.post("/point")
    def point(point: Point) -> Point: ...

    return made


@app
def read_and_written(api: Any) -> Any:
    return _both_ways(api.FastAPI())


@app
def read_and_written_alike(api: Any) -> Any:
    return _both_ways(api.FastAPI(separate_input_output_schemas=False))


@app
def names_that_collide(api: Any) -> Any:
    made = api.FastAPI()

    def other() -> type[BaseModel]:
        class Part(BaseModel):
            other: Color

        return Part

    Other = other()

    @made.post("/one")
    def one(part: Part) -> None: ...

    @made.post("/other")
    def another(part: Other) -> Other: ...  # type: ignore[valid-type]

    return made


@app
def statuses_and_responses(api: Any) -> Any:
    made = api.FastAPI(responses={500: {"description": "Broken", "model": Problem}})

    @made.post("/created", status_code=201, response_description="It is there")
    def created() -> Item: ...

    @made.delete("/gone", status_code=204)
    def gone() -> None: ...

    @made.get(
        "/many",
        responses={
            200: {"content": {"image/png": {}}, "description": "Either"},
            404: {"model": Problem},
            "4XX": {"model": Problem, "description": "Any of them"},
            "default": {"description": "Whatever"},
            418: {"description": "", "headers": {"X-Tea": {"schema": {"type": "string"}}}},
            299: {"content": {"application/json": {"example": {"id": "bar", "none": None}}}},
        },
    )
    def many(q: int = 0) -> Item: ...

    @made.get("/own-422/{x}", responses={422: {"model": Problem}})
    def own(x: int) -> None: ...

    return made


@app
def classes_of_responses(api: Any) -> Any:
    responses = api.responses
    made = api.FastAPI()

    @made.get("/html", response_class=responses.HTMLResponse)
    def html() -> Any: ...

    @made.get("/text", response_class=responses.PlainTextResponse, responses={404: {"model": Part}})
    def text() -> str: ...

    @made.get("/redirect", response_class=responses.RedirectResponse)
    def redirect() -> Any: ...

    @made.get("/moved", response_class=responses.RedirectResponse, status_code=302)
    def moved() -> Any: ...

    @made.get("/file", response_class=responses.FileResponse)
    def file() -> Any: ...

    @made.get("/stream", response_class=responses.StreamingResponse)
    def stream() -> Any: ...

    class Custom(responses.JSONResponse):
        media_type = "application/vnd.custom+json"

    @made.get("/custom", response_class=Custom)
    def custom() -> Part: ...

    @made.get("/bare", response_class=responses.Response)
    def bare() -> Any: ...

    return made


@app
def default_class_of_responses(api: Any) -> Any:
    made = api.FastAPI(default_response_class=api.responses.HTMLResponse)
    router = api.APIRouter(default_response_class=api.responses.PlainTextResponse)

    @made.get("/html")
    def html() -> Any: ...

    @router.get("/text")
    def text() -> Any: ...

    @router.get("/json", response_class=api.responses.JSONResponse)
    def json() -> Any: ...

    made.include_router(router, prefix="/router")
    return made


@app
def words_about_operations(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/a", tags=["items", Tag.users], summary="Does it", description="*How* it does it")
    def a() -> None:
        """Not shown."""

    @made.get("/b", deprecated=True, operation_id="theB")
    def some_long_name() -> None: ...

    @made.get("/c", include_in_schema=False)
    def c(part: Part) -> Item: ...

    @made.get("/d", name="other name")
    def d() -> None: ...

    @made.options("/e")
    @made.head("/e")
    @made.trace("/e")
    def e(part: Part) -> None: ...

    @made.api_route("/f", methods=["PUT", "POST"], operation_id="f-id", include_in_schema=False)
    def f() -> None: ...

    return made


@app
def own_operation_ids(api: Any) -> Any:
    made = api.FastAPI(generate_unique_id_function=lambda route: f"app-{route.name}")
    router = api.APIRouter(generate_unique_id_function=lambda route: f"router-{route.name}")

    @made.post("/a")
    def a(x: Part, y: Part) -> Part: ...

    @router.post("/b")
    def b(x: Annotated[Part, api.Body(embed=True)]) -> Part: ...

    @router.post("/c", generate_unique_id_function=lambda route: f"own-{route.path_format}")
    def c() -> None: ...

    made.include_router(router)
    return made


@app
def routers(api: Any) -> Any:
    made = api.FastAPI(dependencies=[api.Depends(_token(api))])
    inner = api.APIRouter(prefix="/inner", tags=["inner"], deprecated=True)
    outer = api.APIRouter(tags=["outer"], responses={403: {"description": "No"}})
    hidden = api.APIRouter(include_in_schema=False)

    @inner.get("/{item_id}", tags=["own"], responses={404: {"description": "Not here"}})
    def read(item_id: int, section: str) -> None: ...

    @outer.get("/plain")
    def plain() -> None: ...

    @hidden.get("/hidden")
    def not_shown() -> None: ...

    outer.include_router(inner, prefix="/{section}", responses={410: {"description": "Gone"}})
    made.include_router(outer, prefix="/api", tags=["api"])
    made.include_router(outer, prefix="/again", include_in_schema=False)
    made.include_router(hidden)
    return made


def _token(api: Any) -> Callable[..., Any]:
    def token(x_token: Annotated[str, api.Header()]) -> str:
        return x_token

    return token


@app
def parameters_of_dependencies(api: Any) -> Any:
    made = api.FastAPI()

    def paging(skip: int = 0, limit: Annotated[int, api.Query(le=100)] = 10) -> int:
        return skip + limit

    def session(sid: Annotated[str, api.Cookie()], skip: Annotated[int, api.Query()]) -> str:
        return sid

    class Common:
        def __init__(self, q: str | None = None, page: int = api.Depends(paging)) -> None: ...

    @made.get("/{item_id}")
    def read(
        item_id: int,
        common: Annotated[Common, api.Depends()],
        sid: Annotated[str, api.Depends(session)],
        page: Annotated[int, api.Depends(paging)],
    ) -> None: ...

    return made


@app
def security_schemes(api: Any) -> Any:
    made = api.FastAPI()
    security = api.security
    schemes = {
        "basic": security.HTTPBasic(realm="here"),
        "bearer": security.HTTPBearer(bearerFormat="JWT", description="A token"),
        "digest": security.HTTPDigest(scheme_name="digested"),
        "header": security.APIKeyHeader(name="X-Key"),
        "query": security.APIKeyQuery(name="key", auto_error=False),
        "cookie": security.APIKeyCookie(name="key", scheme_name="a-cookie"),
        "openid": security.OpenIdConnect(openIdConnectUrl="/openid"),
        "code": security.OAuth2AuthorizationCodeBearer(
            authorizationUrl="/authorize", tokenUrl="/token", scopes={"a": "All"}
        ),
        "flows": security.OAuth2(
            flows={"implicit": {"authorizationUrl": "/x", "scopes": {"read": "Reads"}}}
        ),
    }
    for name, scheme in schemes.items():

        @made.get(f"/{name}", operation_id=name)
        def read(found: Annotated[Any, api.Security(scheme)]) -> None: ...

    @made.get("/both", dependencies=[api.Depends(schemes["basic"]), api.Depends(schemes["query"])])
    def both() -> None: ...

    return made


@app
def scopes(api: Any) -> Any:
    oauth = api.security.OAuth2PasswordBearer(
        tokenUrl="token", scopes={"me": "Read me", "items": "Read items"}
    )
    made = api.FastAPI()
    router = api.APIRouter(dependencies=[api.Security(oauth, scopes=["router"])])

    def user(
        needed: api.security.SecurityScopes, token: Annotated[str, api.Depends(oauth)]
    ) -> Any: ...

    def active(found: Annotated[Any, api.Security(user, scopes=["me"])]) -> Any: ...

    @made.post("/token")
    def login(
        form: Annotated[api.security.OAuth2PasswordRequestForm, api.Depends()],
    ) -> dict[str, str]: ...

    @made.get("/me")
    def me(found: Annotated[Any, api.Depends(active)]) -> None: ...

    @router.get("/items")
    def items(found: Annotated[Any, api.Security(active, scopes=["items", "me"])]) -> None: ...

    @made.get("/status")
    def status(found: Annotated[Any, api.Depends(user)]) -> None: ...

    made.include_router(router)
    return made


@app
def callbacks(api: Any) -> Any:
    made = api.FastAPI()
    calls = api.APIRouter()

    @calls.post("{$callback_url}/invoices/{$request.body.id}", response_model=Problem)
    def invoice_notification(body: Part) -> None:
        """Called when it is paid."""

    @made.post("/invoices", callbacks=calls.routes)
    def create_invoice(invoice: Item, callback_url: HttpUrl | None = None) -> None: ...

    return made


@app
def webhooks(api: Any) -> Any:
    made = api.FastAPI()

    @made.webhooks.post("new-subscription")
    def new_subscription(body: Stored) -> None:
        """When somebody subscribes."""

    @made.webhooks.get("hidden", include_in_schema=False)
    def hidden() -> None: ...

    @made.get("/users")
    def users() -> list[str]: ...

    return made


@app
def extra_words(api: Any) -> Any:
    made = api.FastAPI()

    @made.post(
        "/raw",
        openapi_extra={
            "requestBody": {
                "content": {"application/x-yaml": {"schema": Part.model_json_schema()}},
                "required": True,
            },
            "tags": ["more"],
            "x-aperture-labs-portal": "blue",
            "responses": {"422": {"description": "Another"}},
        },
        tags=["one"],
    )
    def raw(q: int = 1) -> None: ...

    @made.post("/untouched")
    def untouched(q: int = 1) -> None: ...

    return made


@app
def event_streams(api: Any) -> Any:
    made = api.FastAPI()
    sse = api.sse

    @made.get("/items", response_class=sse.EventSourceResponse)
    async def items() -> AsyncIterator[Item]:
        yield Item(name="ab", price=1)

    @made.post("/sync", response_class=sse.EventSourceResponse)
    def sync_items(part: Part) -> Iterator[Part]:
        yield part

    @made.get("/untyped", response_class=sse.EventSourceResponse)
    async def untyped() -> Any:
        yield {}

    @made.get("/events", response_class=sse.EventSourceResponse)
    async def events() -> AsyncIterator[sse.ServerSentEvent]:
        yield sse.ServerSentEvent(data=1)

    @made.get("/not-a-generator", response_class=sse.EventSourceResponse)
    async def whole() -> Any: ...

    return made


@app
def json_lines(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/items")
    async def items() -> AsyncIterator[Item]:
        yield Item(name="ab", price=1)

    @made.get("/numbers")
    def numbers() -> Iterator[int]:
        yield 1

    @made.get("/untyped", status_code=203)
    async def untyped() -> Any:
        yield {}

    return made


@app
def enums_and_literals(api: Any) -> Any:
    made = api.FastAPI()

    class Level(enum.IntEnum):
        low = 1
        high = 2

    @made.get("/{level}")
    def read(
        level: Level,
        color: Color | None = None,
        colors: Annotated[list[Color], api.Query()] = [Color.red],  # noqa: B006
        one: Literal[1] = 1,
        mixed: Literal[1, "a"] | None = None,
    ) -> dict[Color, Level]: ...

    return made


@app
def models_that_are_configured(api: Any) -> Any:
    made = api.FastAPI()

    class Camel(BaseModel):
        model_config = ConfigDict(
            title="Camelled",
            alias_generator=lambda name: name.title(),
            populate_by_name=True,
            json_schema_extra={"examples": [{"First": None}], "x-y": 1},
        )

        first: int
        second: str | None = Field(None, deprecated=True)
        third: int = Field(default_factory=int, validation_alias=AliasChoices("3rd", "THIRD"))
        raw: bytes = b""

    class Bytes(BaseModel):
        model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

        data: bytes

    class Read(BaseModel):
        model_config = ConfigDict(val_json_bytes="base64")

        data: bytes

    class Written(BaseModel):
        model_config = ConfigDict(ser_json_bytes="base64")

        data: bytes

    @made.post("/camel")
    def camel(body: Camel) -> Camel: ...

    @made.post("/camel-out", response_model_by_alias=False)
    def by_name(body: Annotated[Camel, api.Query()]) -> Camel: ...

    @made.post("/bytes")
    def data(body: Bytes) -> Bytes: ...

    @made.post("/bytes-read")
    def read(body: Read) -> Read: ...

    @made.post("/bytes-written")
    def written(body: Written) -> Written: ...

    return made


@app
def websockets_and_mounts(api: Any) -> Any:
    """Neither is in an OpenAPI document."""
    made = api.FastAPI()
    inner = api.FastAPI()

    @inner.get("/inner")
    def read() -> None: ...

    @made.websocket("/ws")
    async def talk(websocket: api.WebSocket, q: int) -> None: ...

    @made.get("/outer")
    def outer(request: api.Request, tasks: api.BackgroundTasks, r: api.Response) -> None: ...

    made.mount("/sub", inner)
    return made


@app
def classes_of_bodies_in_dependencies(api: Any) -> Any:
    made = api.FastAPI()

    async def opened(key: Annotated[str, api.Query(min_length=1)]) -> AsyncIterator[str]:
        yield key

    @made.post("/", dependencies=[api.Depends(opened)])
    async def create(body: Annotated[dict[str, Any], api.Body()]) -> Any: ...

    @made.get("/no-parameters", dependencies=[api.Depends(lambda: 1)])
    async def none() -> Any: ...

    return made


@app
def what_is_deprecated(api: Any) -> Any:
    made = api.FastAPI(deprecated=True)

    @made.post("/")
    def create(
        enum: Annotated[Color, api.Query(deprecated=True)],
        why: Annotated[Color | None, api.Header(deprecated="It is old")] = None,
        not_yet: Annotated[str, api.Cookie(deprecated=False)] = "",
        body: Annotated[Part | None, api.Body(deprecated=True)] = None,
    ) -> None: ...

    return made


@app
def forms_of_models_and_more(api: Any) -> Any:
    made = api.FastAPI()

    @made.post("/model-and-more")
    def more(form: Annotated[LoginForm, api.Form()], extra: Annotated[int, api.Form()]) -> None: ...

    @made.post("/values")
    def values(a: Annotated[int, api.Form()] = 1, b: Annotated[str | None, api.Form()] = None): ...

    @made.post("/upload")
    def upload(
        file: Annotated[api.UploadFile, api.File(description="As a file")],
        more: Annotated[list[api.UploadFile] | None, api.File()] = None,
    ) -> None: ...

    return made


@app
def defaults(api: Any) -> Any:
    made = api.FastAPI()

    @made.post("/")
    def create(
        part: Part = Part(name="given"),  # noqa: B008
        color: Color = Color.blue,
        when: datetime.date = datetime.date(2024, 1, 2),
        key: uuid.UUID = uuid.UUID(int=0),  # noqa: B008
        delta: datetime.timedelta = datetime.timedelta(minutes=3),
        made: Annotated[list[int], api.Query(default_factory=list)] = ...,  # type: ignore[assignment]
        price: decimal.Decimal = decimal.Decimal("1.10"),
    ) -> None: ...

    return made


@app
def other_types(api: Any) -> Any:
    made = api.FastAPI()

    class Named(NamedTuple):
        a: int
        b: str = "b"

    class Typed(TypedDict, total=False):
        x: Required[int]
        part: Part

    class Root(RootModel[list[Part]]):
        """A list."""

    @dataclass
    class Nested:
        part: Part
        points: list[Point]

    @made.post("/named")
    def named(body: Named) -> Named: ...

    @made.post("/typed")
    def typed(body: Typed) -> Typed: ...

    @made.post("/root")
    def root(body: Root) -> Root: ...

    @made.post("/nested")
    def nested(body: Nested) -> dict[str, Nested]: ...

    @made.post("/constrained")
    def constrained(
        body: Annotated[list[Annotated[int, Field(gt=1)]], Field(min_length=2), api.Body()],
    ) -> Annotated[str, Field(pattern="^a")]: ...

    @made.post("/addresses")
    def addresses(
        body: dict[str, ipaddress.IPv4Address | pathlib.Path | None],
        pattern: frozenset[re.Pattern[str]] = frozenset(),
    ) -> tuple[int, ...]: ...

    return made


@app
def aliases(api: Any) -> Any:
    made = api.FastAPI()

    class Choosing(BaseModel):
        model_config = ConfigDict(populate_by_name=True)

        first_name: str = Field(alias="firstName")
        second: int = Field(2, validation_alias="the_second")
        third: int = Field(3, validation_alias=AliasChoices("three", "III"))
        out: int = Field(4, serialization_alias="outward")

    @made.get("/query")
    def query(choosing: Annotated[Choosing, api.Query()]) -> Choosing: ...

    @made.get("/header")
    def header(choosing: Annotated[Choosing, api.Header()]) -> None: ...

    @made.post("/body")
    def body(choosing: Choosing) -> Choosing: ...

    @made.get("/single")
    def single(
        a: Annotated[int, api.Query(validation_alias="other_a")],
        b_c: Annotated[int, api.Header(alias="b_c")],
        c: Annotated[int, api.Query(serialization_alias="c_out")] = 1,
    ) -> None: ...

    return made


@app
def models_that_are_left_out(api: Any) -> Any:
    """A model that only an excluded field has is defined all the same."""
    made = api.FastAPI()

    class Hidden(BaseModel):
        color: Color

    class Whole(BaseModel):
        shown: int
        hidden: Hidden = Field(exclude=True)

    class Replaced(BaseModel):
        value: Annotated[list[Hidden], WithJsonSchema({"type": "string"})]

    @made.get("/whole")
    def whole() -> Whole: ...

    @made.get("/replaced")
    def replaced() -> Replaced: ...

    return made


@app
def odd_endpoints(api: Any) -> Any:
    made = api.FastAPI()

    class Called:
        """Its class says this."""

        def __call__(self, q: int) -> str: ...

    def partly(a: int, b: int) -> int: ...

    made.get("/instance", name="instance")(Called())
    made.get("/lambda")(lambda q: q)
    made.get("/partial", name="partial")(functools.partial(partly, b=2))
    made.add_api_route("/added", partly, methods=["POST"], tags=["a"])
    return made


@app
def a_model_called_as_the_one_of_errors(api: Any) -> Any:
    made = api.FastAPI()

    class HTTPValidationError(BaseModel):
        mine: int

    @made.post("/")
    def create(body: HTTPValidationError) -> None: ...

    return made


@app
def another_version(api: Any) -> Any:
    made = api.FastAPI(title="old")
    made.openapi_version = "3.1.1"
    return made


@app
def words_that_are_merged(api: Any) -> Any:
    made = api.FastAPI()

    @made.post(
        "/{x}",
        openapi_extra={
            "parameters": [{"name": "z", "in": "query", "schema": {"type": "string"}}],
            "responses": {"200": {"content": {"application/json": {"example": [None, 1]}}}},
            "security": [{"mine": []}],
        },
    )
    def create(x: int, item: Item) -> Item: ...

    @made.get("/")
    def other(q: int) -> Item: ...

    return made


@app
def parameters_that_are_hidden(api: Any) -> Any:
    made = api.FastAPI()

    @made.get("/one")
    def one(q: Annotated[int, api.Query(include_in_schema=False)]) -> None: ...

    @made.get("/model")
    def model(q: Annotated[Paging, api.Query(include_in_schema=False)]) -> None: ...

    return made


@app
def declarations_that_are_shared(api: Any) -> Any:
    made = api.FastAPI()
    shared = api.Query(description="Shared")

    @made.get("/default")
    def default(a: int = shared, b: str = shared) -> None: ...

    @made.get("/annotated")
    def annotated(a: Annotated[int, shared], b: Annotated[str, shared] = "") -> None: ...

    @made.get("/query")
    def query(traces: Annotated[Traces, api.Query()]) -> None: ...

    @made.get("/header")
    def header(traces: Annotated[Traces, api.Header()]) -> Traces: ...

    return made
