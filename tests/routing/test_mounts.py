"""Mounts: which paths are theirs, and the scope that the app below sees."""

from urllib.parse import unquote

import pytest
from fakes import FakeServer, http_scope

from asgi_rt import App
from asgi_rt.errors import HTTPError, RouteError
from asgi_rt.http.response import TextResponse
from asgi_rt.routing import Precedence, Router
from asgi_rt.routing.router import mounted_scope, path_segments


async def handler(request): ...


async def asgi_app(scope, receive, send): ...


def matched(router: Router, path: str, method: str = "GET") -> str:
    try:
        return router.match(http_scope(path, method=method)).target.name  # type: ignore[union-attr]
    except HTTPError as error:
        return str(error.status_code)


def scope_of(raw: str, root_path: str = "", *, with_raw: bool = True):
    return http_scope() | {
        "path": unquote(raw),
        "raw_path": raw.encode() if with_raw else None,
        "root_path": root_path,
    }


# Which paths


@pytest.mark.parametrize("precedence", Precedence)
@pytest.mark.parametrize("prefix", ["/static", "/static/"])
def test_a_mount_has_its_prefix_and_what_is_below(precedence, prefix):
    router = Router(precedence=precedence)
    router.mount(prefix, asgi_app, name="static")
    for path in ("/static", "/static/", "/static/a/b", "/static//"):
        assert matched(router, path) == "static"
        assert matched(router, path, "DELETE") == "static"
    for path in ("/", "/static2", "/statica/b", "/a/static"):
        assert matched(router, path) == "404"


@pytest.mark.parametrize("path", ["", "/"])
@pytest.mark.parametrize("precedence", Precedence)
def test_a_mount_at_the_root_has_every_path(precedence, path):
    router = Router(precedence=precedence)
    router.mount(path, asgi_app, name="root")
    assert [matched(router, at) for at in ("/", "/a", "/a/b/")] == ["root"] * 3


@pytest.mark.parametrize("turn", [1, -1])
def test_the_longest_prefix_wins(turn):
    router = Router()
    for prefix in ["/", "/a", "/a/b", "/a/b/c"][::turn]:
        router.mount(prefix, asgi_app, name=prefix)
    assert matched(router, "/x") == "/"
    assert matched(router, "/a/x") == "/a"
    assert matched(router, "/a/b") == "/a/b"
    assert matched(router, "/a/b/c/d") == "/a/b/c"


def test_a_mount_is_more_specific_than_a_parameter_in_the_place_of_its_prefix():
    router = Router()
    router.add_route("/{p:path}", handler, name="page")
    router.add_route("/{a}/{b}", handler, name="pair")
    router.add_route("/{a}", handler, name="one")
    router.mount("/static", asgi_app, name="static")
    router.mount("/{n:int}", asgi_app, name="number")
    assert matched(router, "/static") == "static"
    assert matched(router, "/static/x") == "static"
    assert matched(router, "/static/x/y") == "static"
    assert matched(router, "/5") == matched(router, "/5/x") == "number"
    assert matched(router, "/x") == "one"
    assert matched(router, "/x/y") == "pair"
    assert matched(router, "/x/y/z") == "page"


async def test_the_app_takes_the_mount_where_it_is_the_more_specific():
    app = App()

    async def below(scope, receive, send):
        await TextResponse("below")(scope, receive, send)

    @app.get("/{a}")
    async def one(request):
        return "one"

    app.mount("/static", below)
    app.mount("/{n:int}", below)
    for path, body in [("/static", b"below"), ("/5", b"below"), ("/x", b"one")]:
        server = FakeServer(path=path)
        await app(server.scope, server.receive, server.send)
        assert server.body == body


@pytest.mark.parametrize("turn", [1, -1])
def test_a_route_below_the_prefix_comes_before_the_mount(turn):
    router = Router()
    registrations = [
        lambda: router.mount("/", asgi_app, name="mount"),
        lambda: router.add_route("/a/{x}", handler, name="route"),
    ]
    for register in registrations[::turn]:
        register()
    assert matched(router, "/a/b") == "route"
    assert matched(router, "/a/b", "POST") == "405"
    assert matched(router, "/a") == "mount"


def test_first_takes_what_was_registered_first():
    router = Router(precedence=Precedence.FIRST)
    router.add_route("/a/b", handler, name="before")
    router.mount("/a", asgi_app, name="mount")
    router.add_route("/{x}/{y}", handler, name="after")
    assert matched(router, "/a/b") == "before"
    assert matched(router, "/a/b", "POST") == "mount"
    assert matched(router, "/a/c") == "mount"
    assert matched(router, "/b/c") == "after"


@pytest.mark.parametrize(
    "register",
    [
        lambda router: router.add_route("/a/b", handler),
        lambda router: router.add_route("/a", handler),
        lambda router: router.mount("/a/b", asgi_app),
        lambda router: router.mount("/a", asgi_app),
    ],
)
def test_first_refuses_what_an_earlier_mount_hides(register):
    router = Router(precedence=Precedence.FIRST)
    router.mount("/a", asgi_app)
    with pytest.raises(RouteError, match=r"/a.* can never match: mount /a is registered before"):
        register(router)
    router = Router(precedence=Precedence.FIRST, allow_hidden=True)
    router.mount("/a", asgi_app, name="mount")
    register(router)
    assert matched(router, "/a/b") == "mount"


@pytest.mark.parametrize("allow_hidden", [False, True])
def test_a_prefix_is_taken_once(allow_hidden):
    router = Router(allow_hidden=allow_hidden)
    router.mount("/a/{x}", asgi_app)
    with pytest.raises(RouteError, match=r"mount /a/{y} can never match: mount /a/{x}"):
        router.mount("/a/{y}/", asgi_app)


@pytest.mark.parametrize("path", ["a", "/a?", "/{x", "/{x}/{x}", "/{p:path}", "/{p:path}/a"])
def test_a_prefix_that_cannot_be_is_refused_by_name(path):
    with pytest.raises(RouteError) as caught:
        Router().mount(path, asgi_app)
    assert path in str(caught.value)


# The scope below


def below(scope, *prefixes: str):
    """The scope below mounts at these prefixes, one in the other."""
    for prefix in prefixes:
        router = Router()
        router.mount(prefix, asgi_app)
        found = router.match(scope)
        scope = mounted_scope(scope, found.depth, found.params)
    return scope


def test_root_path_grows_and_path_stays():
    scope = below(scope_of("/a/b/c"), "/a")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/a", "/a/b/c", b"/a/b/c")
    assert path_segments(scope) == ["b", "c"]


def test_the_scope_above_is_left_as_it_was():
    above = scope_of("/a/b/c", "")
    copied = dict(above)
    below(above, "/a")
    assert above == copied


def test_nested_mounts_with_parameters_in_their_prefixes():
    scope = below(scope_of("/of/ann/v2/x/y"), "/of/{who}", "/v{n:int}", "/", "/x")
    assert scope["root_path"] == "/of/ann/v2/x"
    assert scope["path"] == "/of/ann/v2/x/y"
    assert scope["path_params"] == {"who": "ann", "n": 2}
    assert path_segments(scope) == ["y"]


@pytest.mark.parametrize(("path", "left"), [("/a", [""]), ("/a/", [""]), ("/a//", ["", ""])])
def test_the_prefix_itself_is_the_path_slash_below(path, left):
    scope = below(scope_of(path), "/a")
    assert scope["root_path"] == "/a"
    assert scope["path"] == path
    assert path_segments(scope) == left
    inner = Router()
    inner.add_route("/", handler)
    if left == [""]:
        assert inner.match(scope).target is inner.routes[0]


def test_an_encoded_slash_in_the_prefix_is_one_segment():
    scope = below(scope_of("/of/a%2Fb/c%2Fd/e"), "/of/{who}")
    assert scope["root_path"] == "/of/a/b"
    assert scope["path_params"] == {"who": "a/b"}
    assert path_segments(scope) == ["c/d", "e"]
    assert path_segments(below(scope, "/{x}")) == ["e"]


def test_a_prefix_in_utf_8():
    scope = below(scope_of("/Gr%C3%B6%C3%9Fe/x"), "/Größe")
    assert scope["root_path"] == "/Größe"
    assert path_segments(scope) == ["x"]


# What servers make of a root_path


@pytest.mark.parametrize("with_raw", [True, False])
@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/api/a/x", "/api"),
        ("/api/a/x", "/api/"),
        ("/api//a/x", "/api/"),
        ("/a/x", ""),
        ("/a/x", "/"),
        ("//a/x", "/"),
        ("/a/x", "/api"),  # the server leaves it out of the path
        ("/apis", "/api"),
    ],
)
def test_a_root_path_is_taken_off_the_path_if_it_is_there(path, root_path, with_raw):
    scope = scope_of(path, root_path, with_raw=with_raw)
    expected = ["apis"] if path == "/apis" else ["a", "x"]
    assert path_segments(scope) == expected
    scope = below(scope, "/" + expected[0])
    assert path_segments(scope) == expected[1:] or [""]
    assert scope["path"].startswith(scope["root_path"])
    assert scope["root_path"].endswith("/" + expected[0])
    if with_raw:
        assert unquote(scope["raw_path"]) == scope["path"]


def test_escapes_below_a_root_path_of_either_kind():
    for path in ("/r%20t/a%2Fb/x", "/a%2Fb/x"):
        scope = scope_of(path, "/r t")
        assert path_segments(scope) == ["a/b", "x"]
        inner = below(scope, "/{x}")
        assert inner["root_path"] == "/r t/a/b"
        assert inner["path"] == "/r t/a/b/x"
        assert inner["raw_path"] == b"/r%20t/a%2Fb/x"
        assert path_segments(inner) == ["x"]


def test_a_mount_that_takes_the_prefix_off_the_path_alone_is_understood():
    scope = http_scope() | {"path": "/a b/c", "raw_path": b"/m/a%20b/c", "root_path": "/m"}
    assert path_segments(scope) == ["a b", "c"]
    scope = below(scope, "/a b")
    assert (scope["root_path"], scope["path"]) == ("/m/a b", "/m/a b/c")
    assert scope["raw_path"] == b"/m/a%20b/c"


def test_the_asterisk_of_options_is_no_path():
    router = Router()
    router.add_route("/", handler)
    router.add_route("/{x}", handler)
    assert matched(router, "*", "OPTIONS") == "404"
