"""Paths: what they match, what their parameters become, and what is said of the others."""

import uuid
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal

from tests.fastapi.asked import ask, delete, get, post, put, script
from tests.fastapi.differential import differential


class Colour(str, Enum):  # noqa: UP042 - as programs have it
    RED = "red"
    BLUE = "blue"


@differential(
    get("/int/5"),
    get("/int/-7"),
    get("/int/x"),
    get("/int/5.0"),
    get("/int/5.5"),
    get("/int/%205"),
    get("/int/1_000"),
    get("/int/" + "9" * 30),
    get("/float/2"),
    get("/float/1e3"),
    get("/float/nan"),
    get("/float/x"),
    get("/bool/yes"),
    get("/bool/ON"),
    get("/bool/maybe"),
    get("/str/a%20b"),
    get("/str/%C3%A4%E2%82%AC"),
    get("/str/a+b"),
    get("/str/a%2Fb"),
    get("/str/"),
    get("/plain/5"),
    get("/colour/red"),
    get("/colour/green"),
    get("/literal/b"),
    get("/literal/c"),
    get("/uuid/" + str(uuid.UUID(int=5))),
    get("/uuid/5"),
    get("/decimal/1.50"),
    get("/decimal/x"),
    get("/date/2020-02-29"),
    get("/date/2021-02-29"),
    get("/union/5"),
    get("/union/x"),
)
def test_parameters_of_a_path(api):
    import datetime

    app = api.FastAPI()

    def show(value):
        return {"value": value, "type": type(value).__name__}

    @app.get("/int/{value}")
    async def an_int(value: int):
        return show(value)

    @app.get("/float/{value}")
    async def a_float(value: float):
        return {"value": repr(value)}

    @app.get("/bool/{value}")
    async def a_bool(value: bool):
        return show(value)

    @app.get("/str/{value}")
    async def a_str(value: str):
        return show(value)

    @app.get("/plain/{value}")
    async def plain(value):
        return show(value)

    @app.get("/colour/{value}")
    async def colour(value: Colour):
        return show(value)

    @app.get("/literal/{value}")
    async def literal(value: Literal["a", "b"]):
        return show(value)

    @app.get("/uuid/{value}")
    async def a_uuid(value: uuid.UUID):
        return show(value)

    @app.get("/decimal/{value}")
    async def a_decimal(value: Decimal):
        return show(value)

    @app.get("/date/{value}")
    async def a_date(value: datetime.date):
        return show(value)

    @app.get("/union/{value}")
    async def union(value: int | str):
        return show(value)

    return app


@differential(
    get("/ge/5"),
    get("/ge/4"),
    get("/lt/2.5"),
    get("/lt/3"),
    get("/len/ab"),
    get("/len/a"),
    get("/len/abcdef"),
    get("/pattern/ab1"),
    get("/pattern/1ab"),
    get("/multiple/9"),
    get("/multiple/10"),
    get("/alias/7"),
    get("/alias/x"),
    get("/two/1/2"),
    get("/two/x/y"),
    get("/default/3"),
)
def test_constraints_of_a_path(api):
    app = api.FastAPI()

    @app.get("/ge/{value}")
    async def ge(value: Annotated[int, api.Path(ge=5)]):
        return value

    @app.get("/lt/{value}")
    async def lt(value: float = api.Path(lt=3, gt=0)):
        return value

    @app.get("/len/{value}")
    async def length(value: Annotated[str, api.Path(min_length=2, max_length=5)]):
        return value

    @app.get("/pattern/{value}")
    async def pattern(value: Annotated[str, api.Path(pattern=r"^[a-z]+\d$")]):
        return value

    @app.get("/multiple/{value}")
    async def multiple(value: Annotated[int, api.Path(multiple_of=3)]):
        return value

    @app.get("/alias/{other}")
    async def alias(value: Annotated[int, api.Path(alias="other")]):
        return value

    @app.get("/two/{first}/{second}")
    async def two(second: int, first: int):
        return [first, second]

    @app.get("/default/{value}")
    async def default(value: int = api.Path(..., title="a title")):
        return value

    return app


@differential(
    get("/int/5"),
    get("/int/x"),
    get("/int/-5"),
    get("/float/1.5"),
    get("/float/5"),
    get("/float/x"),
    get("/path/a/b/c"),
    get("/path/"),
    get("/path"),
    get("/uuid/" + str(uuid.UUID(int=7))),
    get("/uuid/x"),
    get("/str/x"),
    get("/mixed/a/b/5"),
    get("/file/a.b/name.txt"),
    get("/file/.txt"),
    get("/untyped/5"),
    get("/mismatch/5"),
)
def test_converters(api):
    app = api.FastAPI()

    @app.get("/int/{value:int}")
    async def an_int(value: int):
        return value

    @app.get("/float/{value:float}")
    async def a_float(value: float):
        return value

    @app.get("/path/{value:path}")
    async def a_path(value: str):
        return value

    @app.get("/uuid/{value:uuid}")
    async def a_uuid(value: uuid.UUID):
        return value

    @app.get("/str/{value:str}")
    async def a_str(value: str):
        return value

    @app.get("/mixed/{first:path}/{second:int}")
    async def mixed(first: str, second: int):
        return [first, second]

    @app.get("/file/{folder}/{name}.txt")
    async def file(folder: str, name: str):
        return [folder, name]

    @app.get("/untyped/{value:int}")
    async def untyped(request: api.Request):
        return repr(request.path_params)

    @app.get("/mismatch/{value:int}")
    async def mismatch(value: str):
        return value

    return app


@differential(
    get("/users/me"),
    get("/users/5"),
    get("/users/me/"),
    get("/items/special"),
    get("/items/5"),
    get("/b/x"),
    get("/c"),
    get("/a%2Eb"),
    get("/a.b"),
    get("/axb"),
    get("/A.B"),
    get("//users/me"),
    get("/users//me"),
    get(""),
    get("/"),
    get("/nothing"),
    get("/ä"),
    get("/%C3%A4"),
    get("/same"),
    get("/sp%20ace"),
    get("/br{ace}"),
)
def test_the_first_that_matches(api):
    app = api.FastAPI()

    @app.get("/users/me")
    async def me():
        return "me"

    @app.get("/users/{name}")
    async def user(name: str):
        return name

    @app.get("/items/{number}")
    async def item(number: int):
        return number

    @app.get("/items/special")
    async def special():
        return "never"

    @app.get("/{first}/x")
    async def dynamic(first: str):
        return ["dynamic", first]

    @app.get("/b/{second}")
    async def second(second: str):
        return ["second", second]

    @app.get("/a.b")
    async def dotted():
        return "dotted"

    @app.get("/ä")
    async def umlaut():
        return "umlaut"

    @app.get("/same")
    async def same():
        return 1

    @app.get("/same")
    async def same_again():
        return 2

    @app.get("/sp ace")
    async def space():
        return "space"

    return app


@differential(
    get("/a"),
    post("/a"),
    put("/a"),
    delete("/a"),
    ask("HEAD", "/a"),
    ask("OPTIONS", "/a"),
    ask("PURGE", "/a"),
    get("/b"),
    post("/b"),
    ask("TRACE", "/c"),
    put("/many"),
    post("/many"),
    get("/many"),
    get("/only-post"),
    ask("HEAD", "/head"),
    get("/head"),
    get("/split"),
    put("/split"),
    ask("patch", "/a"),
    post("/a/"),
    get("/lower"),
    get("/plain-route"),
    ask("HEAD", "/plain-route"),
    post("/plain-route"),
)
def test_methods(api):
    app = api.FastAPI()

    @app.get("/a")
    async def get_a():
        return "got"

    @app.post("/a")
    async def post_a():
        return "posted"

    @app.put("/b")
    @app.patch("/b")
    async def both():
        return "both"

    @app.trace("/c")
    async def trace():
        return "traced"

    @app.api_route("/many", methods=["PUT", "POST"])
    async def many(request: api.Request):
        return request.method

    @app.post("/only-post")
    async def only_post():
        return 1

    @app.head("/head")
    async def head(response: api.Response):
        response.headers["x-seen"] = "yes"

    @app.get("/{name}")
    async def rest(name: str):
        return ["rest", name]

    @app.delete("/split")
    async def split():
        return "split"

    app.add_api_route("/lower", rest, methods=["get"])

    def plain(request):
        return api.responses.PlainTextResponse("plain " + request.method)

    app.add_route("/plain-route", plain)
    return app


@differential(
    get("/inserted"),
    get("/plain"),
    ask("HEAD", "/plain"),
    post("/plain"),
    get("/async/5"),
    post("/decorated"),
    get("/decorated"),
    get("/removed"),
)
def test_routes_that_are_put_in_by_hand(api):
    app = api.FastAPI()

    async def endpoint():
        return "api"

    def plain(request):
        return api.responses.PlainTextResponse("plain " + request.method)

    async def later(request):
        return api.responses.JSONResponse(request.path_params)

    @app.get("/removed")
    async def removed():
        return 1

    app.router.routes.pop()
    app.router.routes.append(api.routing.APIRoute("/inserted", endpoint, methods=["GET"]))
    app.add_route("/plain", plain)
    app.add_route("/async/{number:int}", later)
    app.add_route("/decorated", plain, methods=["POST"])
    return app


@differential(
    get("/plain/"),
    get("/slash"),
    get("/slash/"),
    get("/plain?a=1&b=%20"),
    get("/plain/?a=1"),
    post("/slash", json={"a": 1}),
    post("/plain/"),
    get("/items/5/"),
    get("/router"),
    get("/router/"),
    get("/slash", headers={"host": "other:8000"}),
    get("/slash", scheme="https"),
    get("/sp%20ace/"),
    get("/plain//"),
    get("/item/a%2Fb/"),
    get("/slash", root_path="/api"),
    get("/api/slash", root_path="/api"),
    ask("HEAD", "/slash"),
    delete("/slash"),
    get("/slash", headers={"host": ""}),
    get("/%C3%A4/"),
)
def test_redirected_slashes(api):
    app = api.FastAPI()
    router = api.APIRouter(prefix="/router")

    @app.get("/plain")
    async def plain():
        return 1

    @app.get("/slash/")
    @app.post("/slash/")
    async def slash():
        return 2

    @app.get("/items/{number}")
    async def item(number: int):
        return number

    @app.get("/sp ace")
    async def space():
        return 3

    @app.get("/ä")
    async def umlaut():
        return 3

    @router.get("/")
    async def inner():
        return 4

    app.include_router(router)
    return app


@differential(get("/plain/"), get("/plain"), get("/slash"), get("/slash/"))
def test_slashes_that_are_not_redirected(api):
    app = api.FastAPI(redirect_slashes=False)

    @app.get("/plain")
    async def plain():
        return 1

    @app.get("/slash/")
    async def slash():
        return 2

    return app


@differential(
    get("/openapi.json"),
    get("/docs"),
    get("/redoc"),
    get("/a"),
)
def test_no_documents(api):
    app = api.FastAPI(openapi_url=None)

    @app.get("/a")
    async def a():
        return 1

    return app


@differential(
    script(get("/url/5"), get("/url-for"), get("/mounted"), get("/missing")),
    get("/url-for", root_path="/api"),
    get("/url-for", headers={"host": "else:1"}, scheme="https"),
)
def test_urls_of_routes(api):
    app = api.FastAPI()
    inner = api.FastAPI()

    @inner.get("/leaf/{name}", name="leaf")
    async def leaf(name: str):
        return name

    @app.get("/url/{number}", name="numbered")
    async def numbered(number: int, request: api.Request):
        return [str(request.url), str(request.url_for("numbered", number=6))]

    @app.get("/url-for")
    async def url_for(request: api.Request):
        return [
            str(request.url_for("numbered", number=7)),
            str(app.url_path_for("numbered", number=8)),
            str(request.url_for("url_for")),
        ]

    @app.get("/mounted")
    async def mounted(request: api.Request):
        return str(request.url_for("inner:leaf", name="x"))

    @app.get("/missing")
    async def missing(request: api.Request):
        try:
            return str(request.url_for("nobody"))
        except Exception as error:
            return [type(error).__name__, str(error)]

    app.mount("/inner", inner, name="inner")
    return app
