"""Routers, what is included of them and how, and apps that are mounted."""

from typing import Annotated

import pytest
from pydantic import BaseModel

from tests.fastapi.asked import ask, get, post, script, talk
from tests.fastapi.differential import ADAPTER, REAL, compare, differential


class Item(BaseModel):
    a: int = 1
    b: str | None = None


@differential(
    get("/users"),
    get("/users/"),
    get("/users/5"),
    get("/users/x"),
    get("/v1/items"),
    get("/v1/items/3"),
    get("/v1/deep/deeper/leaf"),
    get("/deeper/leaf"),
    get("/first"),
    get("/late"),
    get("/twice/x"),
    get("/again/x"),
    get("/tenants/7/items"),
    get("/tenants/x/items"),
    post("/users"),
    get("/root-of-router"),
    get("/v1/exclude"),
    get("/v1/overlap"),
    get("/overlap"),
    ask("DELETE", "/v1/items"),
    get("/after-include"),
    get("/no-prefix"),
    get("/v1/items/"),
    get("/nothing"),
)
def test_routers(api):
    app = api.FastAPI()
    users = api.APIRouter(prefix="/users", tags=["users"])
    items = api.APIRouter()
    deep = api.APIRouter(prefix="/deep")
    deeper = api.APIRouter(prefix="/deeper")
    twice = api.APIRouter()
    tenants = api.APIRouter(prefix="/tenants/{tenant}")

    @users.get("")
    async def all_users():
        return "all"

    @users.get("/{number}")
    async def user(number: int):
        return number

    @items.get("/items")
    async def all_items():
        return "items"

    @items.get("/items/{number}")
    async def item(number: int):
        return number

    @items.get("/overlap")
    async def overlap():
        return "of the router"

    @deeper.get("/leaf")
    async def leaf():
        return "leaf"

    @twice.get("/x")
    async def x(request: api.Request):
        return request.url.path

    @tenants.get("/items")
    async def of_tenant(tenant: int):
        return tenant

    @app.get("/first")
    async def first():
        return "first"

    deep.include_router(deeper)
    items.include_router(deep)
    app.include_router(users)
    app.include_router(items, prefix="/v1")
    app.include_router(twice, prefix="/twice")
    app.include_router(twice, prefix="/again")
    app.include_router(tenants)
    app.include_router(items)

    @app.get("/overlap")
    async def never():
        return "never"

    @app.get("/late")
    async def late():
        return "late"

    @items.get("/after-include")
    async def after_include():
        return "a router that grows"

    bare = api.APIRouter()

    @bare.get("/no-prefix")
    async def no_prefix():
        return 1

    app.include_router(bare)
    return app


@differential(
    script(get("/v1/a"), get("/log")),
    script(get("/v1/b"), get("/log")),
    script(get("/v1/nested/c"), get("/log")),
    script(get("/plain"), get("/log")),
    script(get("/v1/a?fail=1"), get("/log")),
    script(talk("/v1/ws"), get("/log")),
    script(get("/v1/missing"), get("/log")),
)
def test_dependencies_of_routers(api):
    log = []

    def noted(name):
        async def dep():
            log.append(name)

        return api.Depends(dep)

    async def refusing(fail: bool = False):
        log.append("refusing")
        if fail:
            raise api.HTTPException(403, "no")

    app = api.FastAPI(dependencies=[noted("app")])
    router = api.APIRouter(dependencies=[noted("router"), api.Depends(refusing)])
    nested = api.APIRouter(prefix="/nested", dependencies=[noted("nested")])

    @router.get("/a", dependencies=[noted("route")])
    async def a(own: Annotated[None, noted("own")]):
        log.append("a")

    @router.get("/b")
    def b():
        log.append("b")

    @nested.get("/c", dependencies=[noted("route c")])
    async def c():
        log.append("c")

    @router.websocket("/ws", dependencies=[noted("websocket")])
    async def websocket(websocket: api.WebSocket):
        log.append("ws")
        await websocket.accept()
        await websocket.close(3000)

    @app.get("/plain")
    async def plain():
        log.append("plain")

    @app.get("/log")
    async def get_log():
        return log

    router.include_router(nested, dependencies=[noted("include nested")])
    app.include_router(router, prefix="/v1", dependencies=[noted("include")])
    return app


@differential(get("/plain"), get("/html"), get("/own"), get("/app"), get("/inner"))
def test_default_classes_of_responses(api):
    class Tagged(api.responses.JSONResponse):
        def render(self, content):
            return b"<" + type(self).__name__.encode() + b">" + super().render(content)

    class AppTagged(Tagged):
        pass

    class IncludeTagged(Tagged):
        pass

    class RouteTagged(Tagged):
        pass

    app = api.FastAPI(default_response_class=AppTagged)
    router = api.APIRouter()
    html = api.APIRouter(default_response_class=api.responses.HTMLResponse)

    @router.get("/plain")
    async def plain():
        return {"a": 1}

    @router.get("/own", response_class=RouteTagged)
    async def own():
        return {"a": 1}

    @html.get("/html")
    async def of_html():
        return "<p>"

    @html.get("/inner", response_class=api.responses.PlainTextResponse)
    async def inner():
        return "text"

    @app.get("/app")
    async def of_app() -> Item:
        return Item()

    router.include_router(html)
    app.include_router(router, default_response_class=IncludeTagged)
    return app


@differential(
    get("/sub/"),
    get("/sub"),
    get("/sub/a"),
    get("/sub/a/"),
    get("/sub/missing"),
    get("/sub/error"),
    get("/sub/http"),
    get("/sub/url"),
    get("/sub/url", root_path="/proxy"),
    get("/sub/invalid?n=x"),
    post("/sub/a"),
    get("/sub/deep/x"),
    get("/other/any/path?q=1"),
    get("/other"),
    get("/param/5/show"),
    get("/subs"),
    get("/before/mine"),
    get("/before/theirs"),
    get("/router/here"),
    get("/router/"),
    get("/sub/state"),
    script(talk("/sub/ws"), label="a WebSocket below"),
    script(get("/state"), get("/sub/state"), lifespan=True, label="a lifespan above"),
    get("/sub/openapi-less"),
    get("/sub/handled"),
    get("/root/x"),
    get("/sub//a"),
    get("/sub/a%2Fb"),
)
def test_mounts(api):
    app = api.FastAPI(openapi_url=None)
    sub = api.FastAPI(openapi_url=None)
    deep = api.FastAPI(openapi_url=None)
    app.state.name = "above"
    sub.state.name = "below"

    class Told(Exception):
        pass

    @app.exception_handler(Told)
    async def above(request, error):
        return api.responses.PlainTextResponse("handled above")

    @sub.exception_handler(Told)
    async def below(request, error):
        return api.responses.PlainTextResponse("handled below")

    @sub.get("/")
    async def root():
        return "root of sub"

    @sub.get("/a")
    async def a(request: api.Request):
        return [
            request.scope["root_path"],
            request.scope["path"],
            request.url.path,
            str(request.base_url),
        ]

    @sub.get("/error")
    async def error():
        raise KeyError("x")

    @sub.get("/handled")
    async def handled():
        raise Told

    @sub.get("/http")
    async def http():
        raise api.HTTPException(418, "tea")

    @sub.get("/invalid")
    async def invalid(n: int):
        return n

    @sub.get("/url")
    async def url(request: api.Request):
        return [str(request.url), str(request.url_for("a"))]

    @sub.get("/state")
    async def state(request: api.Request):
        return request.app.state.name

    @sub.websocket("/ws")
    async def ws(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.send_json([websocket.scope["root_path"], websocket.url.path])
        await websocket.close()

    @deep.get("/{name}")
    async def named(name: str, request: api.Request):
        return [name, request.scope["root_path"], request.url.path]

    async def other(scope, receive, send):
        response = api.responses.JSONResponse(
            [scope["path"], scope.get("root_path"), scope["query_string"].decode()]
        )
        await response(scope, receive, send)

    @app.get("/state")
    async def app_state(request: api.Request):
        return request.app.state.name

    @app.get("/before/mine")
    async def mine():
        return "mine"

    @app.get("/subs")
    async def subs():
        return "not the mount"

    router = api.APIRouter()

    @router.get("/here")
    async def here():
        return "here"

    sub.mount("/deep", deep)
    app.mount("/sub", sub, name="sub")
    app.mount("/other", other)
    app.mount("/param/{number}", other)
    app.mount("/before", deep)
    app.mount("/router", router)
    app.mount("/root/", deep)
    return app


@differential(get("/anything"), get("/"), get("/a/b?q=1"), get("/first"))
def test_a_mount_of_everything(api):
    app = api.FastAPI(openapi_url=None)

    async def other(scope, receive, send):
        await api.responses.PlainTextResponse(scope["path"])(scope, receive, send)

    @app.get("/first")
    async def first():
        return 1

    app.mount("/", other)
    return app


@differential(
    get("/static/a.txt"),
    get("/static/missing.txt"),
    get("/static/"),
    get("/static"),
    get("/static/../secret"),
    get("/static/%2e%2e/secret"),
    get("/static/sub/"),
    get("/static/sub"),
    get("/static/sub/index.html"),
    ask("HEAD", "/static/a.txt"),
    post("/static/a.txt"),
    get("/html/sub/"),
    get("/html/sub"),
    get("/html/missing"),
    get("/static/a.txt", headers={"range": "bytes=1-2"}),
    get("/static/a.txt", headers={"range": "bytes=100-"}),
    get("/static/a.txt", headers={"if-none-match": "*"}),
    get("/static/a.txt", headers={"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    get("/url"),
)
def test_static_files(api):
    app = api.FastAPI()
    folder = FOLDER[0]
    app.mount("/static", api.staticfiles.StaticFiles(directory=folder), name="static")
    app.mount("/html", api.staticfiles.StaticFiles(directory=folder, html=True), name="html")

    @app.get("/url")
    async def url(request: api.Request):
        return str(request.url_for("static", path="/a.txt"))

    return app


FOLDER: list[str] = []


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    (folder / "a.txt").write_text("content of a")
    (folder / "404.html").write_text("none")
    (folder / "sub").mkdir()
    (folder / "sub" / "index.html").write_text("<p>index</p>")
    FOLDER[:] = [str(folder)]


WRONG = {
    "a prefix without a slash": lambda api: api.APIRouter(prefix="users"),
    "a prefix that ends with one": lambda api: api.APIRouter(prefix="/users/"),
    "an empty path and prefix": lambda api: api.FastAPI().include_router(empty(api)),
    "the same name twice": lambda api: api.FastAPI().get("/{a}/{a}")(lambda a: 1),
    "an unknown converter": lambda api: api.FastAPI().get("/{a:unknown}")(lambda a: 1),
    "a default of a path": lambda api: api.FastAPI().get("/{a}")(with_default(api)),
    "a body without content": lambda api: api.FastAPI().get(
        "/", status_code=204, response_model=Item
    )(lambda: 1),
    "no type of pydantic": lambda api: api.FastAPI().get("/", response_model=Unknown)(lambda: 1),
    "a query of mappings": lambda api: api.FastAPI().get("/")(mapping(api)),
    "a body that is a path": lambda api: api.FastAPI().get("/{a}")(body_of_path(api)),
    "a dependency and a parameter": lambda api: api.FastAPI().get("/")(both(api)),
    "a default within": lambda api: api.FastAPI().get("/")(default_within(api)),
}


class Unknown:
    pass


def empty(api):
    router = api.APIRouter()
    router.get("")(lambda: 1)
    return router


def with_default(api):
    def endpoint(a: Annotated[int, api.Path()] = 5):
        return a

    return endpoint


def mapping(api):
    def endpoint(a: Annotated[dict, api.Query()]):
        return a

    return endpoint


def body_of_path(api):
    def endpoint(a: Annotated[int, api.Query()]):
        return a

    return endpoint


def both(api):
    def endpoint(a: Annotated[int, api.Depends(with_default)] = api.Depends(empty)):
        return a

    return endpoint


def default_within(api):
    def endpoint(a: Annotated[int, api.Query(default=5)]):
        return a

    return endpoint


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_when_it_is_declared(name):
    raised = []
    for api in (REAL, ADAPTER):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever
            WRONG[name](api)
        raised.append(type(caught.value).__name__)
    assert raised[0] == raised[1]


@differential(get("/a"), get("/b"), get("/a?q=1"))
def test_decorators_return_the_function(api):
    app = api.FastAPI()

    @app.get("/a")
    @app.get("/b")
    async def endpoint(q: int = 0):
        return q

    @app.get("/direct")
    async def direct():
        return await endpoint(5)

    return app


def test_a_route_that_is_added_while_it_serves():
    def build(api):
        app = api.FastAPI()

        @app.get("/add")
        async def add():
            @app.get("/added")
            async def added():
                return "added"

        return app

    compare(build, script(get("/added"), get("/add"), get("/added")))


@differential(
    get("/ask/items/5"),
    get("/ask/items/x"),
    get("/ask/sub"),
    get("/ask/sub/a/b"),
    get("/ask/chat/1"),
    get("/ask/none"),
    get("/ask/"),
)
def test_what_each_route_says_that_it_takes(api):
    """Middleware asks, to call what it measures by the path of the route."""
    app, sub = api.FastAPI(openapi_url=None), api.FastAPI(openapi_url=None)

    @sub.get("/a/{b}")
    async def below(b: str):
        return b

    @app.get("/items/{number:int}")
    @app.post("/items/{text}")
    async def item():
        return "item"

    @app.websocket("/chat/{number}")
    async def chat(websocket: api.WebSocket):
        await websocket.close()

    @app.get("/ask/{path:path}")
    async def ask_all(request: api.Request, path: str):
        scope = {**request.scope, "path": f"/{path}", "path_params": {"old": 1}}
        found = []
        for scope["type"] in ("http", "websocket"):
            for route in request.app.routes:
                match, child = route.matches(scope)
                assert (match is api.routing.Match.NONE) is (not child)
                names = ("path_params", "root_path", "app_root_path")
                added = {name: child[name] for name in names if name in child}
                is_own = child.get("endpoint") in (None, item, chat, ask_all, sub)
                found.append([route.path, match.name, added, is_own])
        return [found, [len(route.routes) for route in app.routes if route.path == "/sub"]]

    app.mount("/sub", sub)
    return app
