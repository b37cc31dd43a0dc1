"""The router: what may be registered, and what a request is led to."""

import pytest
from fakes import FakeServer, http_scope

from asgi_rt import App
from asgi_rt.errors import HTTPError, RouteError
from asgi_rt.http.response import Response
from asgi_rt.routing import Mount, Precedence, Route, Router


async def handler(request): ...


async def asgi_app(scope, receive, send): ...


def first(*, allow_hidden=False) -> Router:
    return Router(precedence=Precedence.FIRST, allow_hidden=allow_hidden)


def matched(router: Router, path: str, method: str = "GET") -> str:
    """The name of the route or mount that a request is led to, or the status of the error."""
    try:
        target = router.match(http_scope(path, method=method)).target
    except HTTPError as error:
        return str(error.status_code)
    return str(target.status_code) if isinstance(target, Response) else target.name


async def call(app: App, path: str, raw_path: bytes | None = None, **more) -> FakeServer:
    server = FakeServer(path=path, **more)
    server.scope |= {"path": path, "raw_path": raw_path}
    await app(server.scope, server.receive, server.send)
    return server


# Registration


@pytest.mark.parametrize("methods", [[], ["GE T"], [""], ["GET", "Ü"], "GET", ["G\n"]])
def test_methods_that_are_none_are_refused_by_route(methods):
    with pytest.raises(RouteError, match="/here"):
        Router().add_route("/here", handler, methods=methods)


def test_methods_are_taken_in_any_case_and_once():
    route = Router().add_route("/", handler, methods=["get", "GET", "m-search"])
    assert route.methods == ("GET", "M-SEARCH")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/a"),
        ("/{a}", "/{b}"),
        ("/{a}", "/{b:str}"),
        ("/x/{a:int}/y", "/x/{b:int}/y"),
        ("/v{a:int}.{b}", "/v{c:int}.{d}"),
        ("/{a:path}", "/{b:path}"),
        ("/{a:path}/x/{c}", "/{b:path}/x/{d}"),
    ],
)
@pytest.mark.parametrize("precedence", Precedence)
def test_a_duplicate_is_refused_naming_both(precedence, one, other):
    router = Router(precedence=precedence)
    router.add_route(one, handler, methods=["GET", "PUT"])
    with pytest.raises(RouteError) as caught:
        router.add_route(other, handler, methods=["POST", "PUT"])
    assert f"POST,PUT {other}" in str(caught.value)
    assert f"GET,PUT {one}" in str(caught.value)


def test_a_route_that_is_refused_changes_nothing():
    router = Router()
    router.add_route("/a", handler, name="one")
    with pytest.raises(RouteError):
        router.add_route("/a", handler, methods=["POST", "GET"], name="other")
    assert matched(router, "/a", "POST") == "405"
    assert [route.name for route in router.routes] == ["one"]


def test_a_duplicate_is_seen_across_include():
    router, other = Router(), Router()
    router.add_route("/api/{x}", handler)
    other.add_route("/{y}", handler)
    with pytest.raises(RouteError, match=r"GET /api/{y} is registered already, as GET /api/{x}"):
        router.include(other, "/api")


def test_patterns_that_differ_in_their_converters_are_no_duplicates():
    router = Router()
    for kind in ("int", "float", "uuid", "str", "path"):
        router.add_route(f"/{{x:{kind}}}", handler, name=kind)
    assert matched(router, "/5") == "int"
    assert matched(router, "/5.5") == "float"
    assert matched(router, "/6f9619ff-8b86-d011-b42d-00c04fc964ff") == "uuid"
    assert matched(router, "/five") == "str"
    assert matched(router, "/five/six") == "path"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/{x}", "/a"),
        ("/{x}", "/{y:int}"),
        ("/{x}", "/v{n}"),
        ("/{x:int}", "/5"),
        ("/v{x:int}", "/v5"),
        ("/{p:path}", "/"),
        ("/{p:path}", "/a/{x}/b"),
        ("/{p:path}", "/a/{q:path}"),
        ("/{p:path}/z", "/a/{x}/z"),
        ("/{p:path}/z", "/a/{q:path}/z"),
        ("/a/{x}/{y}", "/a/b/{z:int}"),
    ],
)
def test_first_refuses_a_hidden_route_unless_it_is_allowed(earlier, later):
    router = first()
    router.add_route(earlier, handler)
    with pytest.raises(RouteError, match="can never match") as caught:
        router.add_route(later, handler)
    assert f"GET {later}" in str(caught.value)
    assert f"GET {earlier}" in str(caught.value)
    router = first(allow_hidden=True)
    router.add_route(earlier, handler, name="earlier")
    router.add_route(later, handler, name="later")
    Router().add_route(later, handler)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/a", "/{x}"),
        ("/{x:int}", "/five"),
        ("/{x:int}", "/{y}"),
        ("/a/{p:path}", "/a"),
        ("/{x}", "/"),
        ("/{x}", "/{p:path}"),
        ("/{p:path}/z", "/z"),
        ("/{p:path}/z", "/a/{q:path}"),
        ("/v{x:int}", "/v{x}"),
    ],
)
def test_first_takes_what_is_not_wholly_hidden(earlier, later):
    router = first()
    router.add_route(earlier, handler)
    router.add_route(later, handler)


def test_hidden_is_a_matter_of_the_method():
    router = first()
    router.add_route("/{x}", handler, name="get")
    router.add_route("/a", handler, methods=["POST"], name="post")
    assert matched(router, "/a") == "get"
    assert matched(router, "/a", "POST") == "post"


def test_the_converter_path_cannot_be_replaced():
    class Other:
        def parse(self, text): ...

        def format(self, value):
            return ""

    with pytest.raises(RouteError, match="`path` cannot be replaced"):
        Router(converters={"path": Other()})


def test_stream_options_that_do_not_exist_are_refused_by_route():
    async def stream(request):
        yield b""

    with pytest.raises(RouteError, match=r"GET /s: .*head_weight"):
        Router().add_route("/s", stream, head_weight=1)


# Methods


@pytest.mark.parametrize("precedence", Precedence)
def test_get_answers_head(precedence):
    router = Router(precedence=precedence)
    router.add_route("/a", handler)
    router.add_route("/b/{x}", handler)
    assert matched(router, "/a", "HEAD") == matched(router, "/b/1", "HEAD") == "handler"


@pytest.mark.parametrize("path", ["/a", "/{x}"])
@pytest.mark.parametrize("order", [("GET", "HEAD"), ("HEAD", "GET")])
@pytest.mark.parametrize("precedence", Precedence)
def test_an_explicit_head_is_taken_in_either_order(precedence, order, path):
    router = Router(precedence=precedence)
    for method in order:
        router.add_route(path, handler, methods=[method], name=method)
    assert matched(router, "/a", "HEAD") == "HEAD"
    assert matched(router, "/a", "GET") == "GET"
    if path == "/a":
        assert {method: route.name for method, route in router.literals["/a"].items()} == {
            "GET": "GET",
            "HEAD": "HEAD",
        }
    with pytest.raises(RouteError):
        router.add_route(path, handler, methods=["HEAD"])


def test_a_method_that_no_route_has_is_405_with_all_that_some_have():
    router = Router()
    router.add_route("/a", handler, methods=["GET"])
    router.add_route("/{x}", handler, methods=["PUT", "OPTIONS"])
    router.add_route("/{x:path}", handler, methods=["DELETE"])
    with pytest.raises(HTTPError) as caught:
        router.match(http_scope("/a", method="POST"))
    assert caught.value.status_code == 405
    assert caught.value.headers == {"allow": "DELETE, GET, HEAD, OPTIONS, PUT"}


def test_options_are_answered_unless_a_route_does():
    router = Router()
    router.add_route("/a", handler)
    router.add_route("/b", handler, methods=["OPTIONS", "GET"])
    answer = router.match(http_scope("/a", method="OPTIONS")).target
    assert isinstance(answer, Response)
    assert answer.status_code == 204
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert matched(router, "/b", "OPTIONS") == "handler"
    assert matched(router, "/c", "OPTIONS") == "404"


def test_a_more_general_route_answers_the_methods_a_more_specific_one_lacks():
    router = Router()
    router.add_route("/items/new", handler, methods=["POST"], name="new")
    router.add_route("/items/{x}", handler, name="item")
    assert matched(router, "/items/new", "POST") == "new"
    assert matched(router, "/items/new", "GET") == "item"


async def test_head_of_a_more_general_route_gets_its_parameters():
    app = App()
    seen = []

    @app.get("/items/{x}")
    async def item(request):
        seen.append(dict(request.path_params))

    app.add_route("/items/new", handler, methods=["POST"])
    assert (await call(app, "/items/new", method="HEAD")).status == 204
    assert seen == [{"x": "new"}]


async def test_a_hidden_literal_route_leaves_the_other_its_parameters():
    router = first(allow_hidden=True)
    router.add_route("/items/{x}", handler, name="item")
    router.add_route("/items/new", handler, name="new")
    assert router.literals["/items/new"] == {}
    assert matched(router, "/items/new") == "item"


# Precedence, in words; the rest of it is in test_tree.py


def test_of_two_path_parameters_the_one_that_takes_less_comes_first():
    router = Router()
    router.add_route("/{p:path}", handler, name="all")
    router.add_route("/{p:path}/edit", handler, name="edit")
    assert matched(router, "/a/b/edit") == "edit"
    assert matched(router, "/a/b") == "all"


@pytest.mark.parametrize("turn", [1, -1])
def test_the_more_specific_mixed_segment_comes_first_in_any_order(turn):
    router = Router()
    for pattern in ["/v{n}", "/v{n:int}", "/v{n}.gz", "/v{n}.tar.gz"][::turn]:
        router.add_route(pattern, handler, name=pattern)
    assert matched(router, "/v1") == "/v{n:int}"
    assert matched(router, "/vx") == "/v{n}"
    assert matched(router, "/v1.gz") == "/v{n}.gz"
    assert matched(router, "/v1.tar.gz") == "/v{n}.tar.gz"


# Including


def test_include_keeps_names_methods_mounts_and_options():
    router, other = Router(), Router()

    async def stream(request):
        yield b""

    other.add_route("/", handler, name="home")
    other.add_route("/s/{x:int}", stream, methods=["PUT"], name="s", head_wait=None)
    other.mount("/m", asgi_app, name="m")
    other.mount("/", asgi_app, name="root")
    router.include(other, "/api/{v}")
    assert [str(each) for each in router] == [
        "GET /api/{v}/",
        "PUT /api/{v}/s/{x:int}",
        "mount /api/{v}/m",
        "mount /api/{v}",
    ]
    assert router.routes[1].options == {"head_wait": None}
    assert router.path_for("s", v="1", x=2) == "/api/1/s/2"


def test_include_keeps_the_order_of_routes_and_mounts():
    other = first()
    other.mount("/a", asgi_app, name="mount")
    other.add_route("/{x}/{y}", handler, name="route")
    router = first()
    router.include(other)
    assert matched(router, "/a/b") == matched(other, "/a/b") == "mount"


@pytest.mark.parametrize("prefix", ["api", "/api/", "/"])
def test_include_refuses_a_prefix_that_is_none(prefix):
    with pytest.raises(RouteError, match=f"'{prefix}' must begin with a slash and not end"):
        Router().include(Router(), prefix)


def test_a_router_can_include_itself_once():
    router = Router()
    router.add_route("/a", handler)
    router.include(router, "/b")
    assert [route.pattern.text for route in router.routes] == ["/a", "/b/a"]


class Slug:
    def parse(self, text):
        if text.startswith("-"):
            raise ValueError(text)
        return text.split("-")

    def format(self, value):
        return "-".join(value)


def test_include_brings_converters_along():
    router, other = Router(), Router(converters={"slug": Slug()})
    other.add_route("/{x:slug}", handler)
    router.include(other)
    found = router.match(http_scope("/a-b"))
    assert isinstance(found.target, Route)
    assert found.params == {"x": ["a", "b"]}
    assert matched(router, "/-a") == "404"
    assert router.path_for("handler", x=["c", "d"]) == "/c-d"


def test_include_refuses_two_converters_of_one_name():
    router, other = Router(converters={"slug": Slug()}), Router(converters={"slug": Slug()})
    with pytest.raises(RouteError, match="converter 'slug'"):
        router.include(other)


# WebSockets stand beside the methods of HTTP


def test_a_websocket_goes_to_the_mount_where_the_route_is_for_http():
    router = Router()
    router.mount("/", asgi_app, name="mount")
    router.add_route("/a", handler, name="route")
    scope = {"type": "websocket", "path": "/a", "root_path": "", "raw_path": b"/a"}
    assert isinstance(router.match(scope).target, Mount)
    assert matched(router, "/a") == "route"
