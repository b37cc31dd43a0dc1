"""Paths as they come: slashes at the end, percent-encoding, `raw_path`."""

import json
from urllib.parse import unquote

import pytest
from fakes import FakeServer, http_scope

from asgi_rt import App
from asgi_rt.errors import HTTPError
from asgi_rt.http.response import Response
from asgi_rt.routing import Router


async def handler(request): ...


async def asgi_app(scope, receive, send): ...


async def call(app: App, path: str, raw_path: bytes | None = None, **more) -> FakeServer:
    server = FakeServer(path=path, **more)
    server.scope |= {"path": path, "raw_path": raw_path}
    await app(server.scope, server.receive, server.send)
    return server


# Paths that do not end as the route does


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/a/", "/a"),
        ("/b", "/b/"),
        ("/a/?x=1&y=%20", "/a?x=1&y=%20"),
        ("/of/x%2Fy/", "/of/x%2Fy"),
        ("/of/%C3%A9/", "/of/%C3%A9"),
        ("/of/a:b;c/", "/of/a:b;c"),
    ],
)
async def test_a_slash_too_many_or_too_few_is_redirected(path, location):
    app = App(redirect_slashes=True)
    app.add_route("/a", handler, methods=["GET", "POST"])
    app.add_route("/b/", handler, methods=["GET", "POST"])
    app.add_route("/of/{x}", handler, methods=["GET", "POST"])
    raw, _, query = path.partition("?")
    server = await call(app, unquote(raw), raw.encode(), query_string=query.encode(), method="POST")
    assert (server.status, server.headers["location"]) == (307, location)


def redirect(router: Router, path: str, method: str = "GET") -> str | None:
    """Where a request for a path is sent to, if it is."""
    scope = http_scope(method=method) | {"path": path, "raw_path": path.encode()}
    try:
        target = router.match(scope).target
    except HTTPError:
        return None
    return target.headers["location"] if isinstance(target, Response) else None


@pytest.mark.parametrize(
    "path", ["//evil.com/", "///evil.com/", "//evil.com", "/\\evil.com/", "/evil.com//", "*", ""]
)
def test_a_redirect_never_leaves_the_site(path):
    router = Router(redirect_slashes=True)
    router.add_route("/{p:path}/x", handler)
    router.add_route("//evil.com", handler, methods=["GET"], name="odd")
    router.add_route("/{a}/", handler)
    location = redirect(router, path)
    assert location is None or (location[0] == "/" and location[1] not in "/\\")


def test_no_redirect_without_the_option_nor_to_a_mount_nor_to_another_method():
    router = Router(redirect_slashes=True)
    router.add_route("/a", handler)
    router.mount("/m/x", asgi_app, name="m")
    assert redirect(router, "/a/") == "/a"
    assert redirect(router, "/a/", "POST") is None
    assert redirect(router, "/m/x/") is None
    assert redirect(router, "/m/") is None
    assert redirect(router, "/b/") is None
    router = Router()
    router.add_route("/a", handler)
    assert redirect(router, "/a/") is None


async def test_a_redirect_below_a_mount_keeps_the_prefix():
    app, inner = App(), App(redirect_slashes=True)
    inner.add_route("/a", handler)
    app.mount("/in/{x}", inner)
    server = await call(app, "/in/y z/a/", b"/in/y%20z/a/")
    assert (server.status, server.headers["location"]) == (307, "/in/y%20z/a")


# Percent-encoding


async def params_of(path: str, raw_path: bytes | None, pattern: str = "/{x}"):
    """What the handler is given; the status where none is called."""
    app = App()
    app.add_route("/a/b", handler, name="literal")

    @app.get(pattern)
    async def route(request):
        return dict(request.path_params)

    server = await call(app, path, raw_path)
    return json.loads(server.body) if server.status == 200 else server.status


@pytest.mark.parametrize(
    ("path", "raw_path", "expected"),
    [
        ("/a/b", b"/a%2Fb", {"x": "a/b"}),
        ("/a/b", b"/a%2fb", {"x": "a/b"}),
        ("/a/b", b"/a/b", 204),
        ("/a/b", None, 204),
        ("/Größe", b"/Gr%C3%B6%C3%9Fe", {"x": "Größe"}),
        ("/Größe", None, {"x": "Größe"}),
        ("/%", b"/%25", {"x": "%"}),
        ("/%2F", b"/%252F", {"x": "%2F"}),
        ("/%41", None, {"x": "%41"}),
        ("/a b?#", b"/a%20b%3F%23", {"x": "a b?#"}),
        ("/%zz", b"/%zz", {"x": "%zz"}),
        ("/\ufffd", b"/%FF", 400),
        ("/\ufffd", b"/%C0%AF", 400),
        ("/\ufffd/x", b"/%ED%A0%80/x", 400),
        ("//", b"//", 404),
        ("/a/", b"/a/", 404),
        ("//a", b"//a", 404),
        ("/", b"/", 404),
        ("/rewritten", b"/a%2Fb", {"x": "rewritten"}),
    ],
)
async def test_a_segment_is_decoded_after_it_was_split(path, raw_path, expected):
    assert await params_of(path, raw_path) == expected


@pytest.mark.parametrize(
    ("path", "raw_path", "expected"),
    [
        ("/f/a/b", b"/f/a%2Fb", "a/b"),
        ("/f/a/b/c", b"/f/a%2Fb/c", "a/b/c"),
        ("/f/", b"/f/", ""),
        ("/f//", b"/f//", "/"),
        ("/f//a//", b"/f//a//", "/a//"),
    ],
)
async def test_a_path_parameter_takes_slashes_of_both_kinds(path, raw_path, expected):
    assert await params_of(path, raw_path, "/f/{p:path}") == {"p": expected}


async def test_a_literal_pattern_is_written_decoded():
    app = App()
    app.add_route("/Größe und", handler)
    assert (await call(app, "/Größe und", b"/Gr%C3%B6%C3%9Fe%20und")).status == 204
    assert (await call(app, "/Größe und", None)).status == 204
