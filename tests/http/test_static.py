"""A directory as an app: what is served, and above all what is not."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi_rt.http import static
from asgi_rt.http.static import StaticFiles
from asgi_rt.testing import AsyncTestClient

SECRET = b"outside"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory to serve, beside files that must not be."""
    site = tmp_path / "site"
    for directory in ("docs", "bare", ".well-known", ".git", "index-is-dir/index.html"):
        (site / directory).mkdir(parents=True)
    (site / "app.js").write_bytes(b"js")
    (site / "index.html").write_bytes(b"home")
    (site / "docs/index.html").write_bytes(b"docs")
    (site / "docs/naïve file.txt").write_bytes(b"text")
    (site / ".well-known/security.txt").write_bytes(b"contact")
    (site / ".git/config").write_bytes(SECRET)
    (site / ".env").write_bytes(SECRET)
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "site-2").mkdir()
    (tmp_path / "site-2/secret").write_bytes(SECRET)
    return site


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


async def never() -> Any:
    await anyio.sleep_forever()


async def ask(app: StaticFiles, path: str, *, method: str = "GET", **scope: Any) -> Answer:
    """The app's answer to a path as a server decoded it, whatever a client would make of it."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], **scope}
    await app(scope, never, send)
    assert not sent[-1].get("more_body")
    headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(part["body"] for part in sent[1:]))


async def ask_raw(app: StaticFiles, target: str) -> Answer:
    """The same for a path as it is on the wire, decoded as uvicorn does it."""
    return await ask(app, unquote(target), raw_path=target.encode("ascii"))


# What is served


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/app.js", b"js"),
        ("/", b"home"),
        ("/docs/", b"docs"),
        ("/docs/index.html", b"docs"),
        ("/docs/naïve file.txt", b"text"),
        ("/.well-known/security.txt", b"contact"),
    ],
)
async def test_static_serves_what_is_there(site, path, body):
    answer = await ask(StaticFiles(site), path)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    ("root_path", "path"),
    [
        ("/static", "/static/app.js"),
        ("/static/", "/static/app.js"),
        ("/a b/static", "/a b/static/app.js"),
        ("/other", "/app.js"),
        ("/app", "/app.js"),
    ],
)
async def test_static_takes_the_path_below_its_mount(site, root_path, path):
    assert (await ask(StaticFiles(site), path, root_path=root_path)).body == b"js"


async def test_static_takes_an_encoded_path(site):
    assert (await ask_raw(StaticFiles(site), "/docs/na%C3%AFve%20file.txt")).body == b"text"


async def test_static_sends_the_headers_it_was_given(site):
    app = StaticFiles(site, headers={"cache-control": "max-age=60"})
    answer = await ask(app, "/app.js")
    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "cache-control" not in (await ask(app, "/none")).headers


async def test_static_answers_head_without_a_body(site):
    answer = await ask(StaticFiles(site), "/app.js", method="HEAD")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "2", b"")


async def test_static_answers_conditions_and_ranges(site):
    etag = (await ask(StaticFiles(site), "/app.js")).headers["etag"]
    known = [(b"if-none-match", etag.encode())]
    assert (await ask(StaticFiles(site), "/app.js", headers=known)).status == 304
    span = [(b"range", b"bytes=1-")]
    assert (await ask(StaticFiles(site), "/app.js", headers=span)).body == b"s"


async def test_static_behind_the_test_client(site):
    async with AsyncTestClient(StaticFiles(site)) as client:
        redirect = await client.get("/docs?a=1")
        url = redirect.url.join(redirect.headers["location"])
        assert url.raw_path == b"/docs/?a=1"
        assert (await client.get(url)).content == b"docs"


# What is not


@pytest.mark.parametrize(
    "path",
    [
        "/none",
        "/app.js/",
        "/app.js/more",
        "/bare/",
        "/index-is-dir/",
        "/docs//index.html",
        "//app.js",
        "//",
        "///",
        "/docs//",
        "/./app.js",
        "/docs/.",
        "/docs/./",
        "/docs/../app.js",
        "/../secret",
        "/../site-2/secret",
        "/docs/../../secret",
        "/..",
        "/../",
        "/..\\secret",
        "/docs\\index.html",
        "/C:/windows",
        "/c:secret",
        "/app.js\0",
        "/app.js\0.png",
        "/\0",
        "/.env",
        "/.git/config",
        "/docs/.well-known-not",
        "/" + "a" * 300,
        "/" + "a/" * 3000 + "a",
        "/\ud800",
        "/a\udcff",
        "/%2e%2e/secret",
    ],
)
async def test_static_answers_404_to(site, path):
    answer = await ask(StaticFiles(site), path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["status"] == 404


async def test_static_does_not_serve_absolute_paths(site, tmp_path):
    assert (await ask(StaticFiles(site), f"{tmp_path}/secret")).status == 404
    assert (await ask(StaticFiles(site), f"/{tmp_path}/secret")).status == 404


@pytest.mark.parametrize(
    "target",
    [
        "/%2e%2e/secret",
        "/docs/%2E%2E/%2e%2e/secret",
        "/..%2fsecret",
        "/docs%2findex.html",
        "/docs%2Findex.html",
        "/docs/%2e%2e%2f%2e%2e%2fsecret",
        "/%2fetc/passwd",
        "/..%5csecret",
        "/app.js%00",
        "/%252e%252e/secret",
    ],
)
async def test_static_answers_404_to_encoded(site, target):
    assert (await ask_raw(StaticFiles(site), target)).status == 404


async def test_static_serves_hidden_files_where_asked_to(site):
    app = StaticFiles(site, serve_hidden=True)
    assert (await ask(app, "/.env")).status == 200
    assert (await ask(app, "/docs/../.env")).status == 404
    assert (await ask(app, "/.")).status == 404


names = st.sampled_from(["..", ".", "", "site", "site-2", "secret", "docs", "%2e%2e", "..\\", "\0"])
texts = st.one_of(st.lists(names).map("/".join), st.text())


@given(texts)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_static_never_serves_what_lies_outside(site, path):
    answer = anyio.run(ask, StaticFiles(site, serve_hidden=False), f"/{path}")
    assert answer.status in (200, 307, 404)
    assert answer.body != SECRET


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_static_answers_405_to_other_methods(site, method):
    answer = await ask(StaticFiles(site), "/app.js", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
async def test_static_answers_404_to_a_fifo(site):
    os.mkfifo(site / "fifo")
    assert (await ask(StaticFiles(site), "/fifo")).status == 404


async def test_static_answers_404_to_what_may_not_be_read(site, monkeypatch):
    def refused(path: str) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(StaticFiles, "_open_inside", lambda _, path: refused(path))
    assert (await ask(StaticFiles(site), "/app.js")).status == 404


async def test_static_does_not_take_a_failing_disk_for_a_missing_file(site, monkeypatch):
    def failing(path: str) -> int:
        raise OSError(errno.EMFILE, "Too many open files", path)

    monkeypatch.setattr(StaticFiles, "_open_inside", lambda _, path: failing(path))
    with pytest.raises(OSError, match="Too many open files"):
        await ask(StaticFiles(site), "/app.js")


# Directories


@pytest.mark.parametrize(
    ("path", "scope", "location"),
    [
        ("/docs", {}, "./docs/"),
        ("/docs", {"query_string": b"a=1&b=%20"}, "./docs/?a=1&b=%20"),
        ("/static/docs", {"root_path": "/static"}, "./docs/"),
        ("/static", {"root_path": "/static"}, "./static/"),
        ("/10:30", {}, "./10%3A30/"),
        ("/naïve dir", {}, "./na%C3%AFve%20dir/"),
        ("/docs", {"query_string": b"\r\nset-cookie: a"}, "./docs/?%0D%0Aset-cookie:%20a"),
    ],
)
async def test_static_redirects_a_directory_to_its_slash(site, path, scope, location):
    (site / "naïve dir").mkdir()
    (site / "10:30").mkdir()
    answer = await ask(StaticFiles(site), path, **scope)
    assert (answer.status, answer.headers["location"]) == (307, location)


@pytest.mark.parametrize("path", ["//docs", "//evil.example/docs", "//evil.example/..", "/\\evil"])
async def test_static_never_redirects_to_another_host(site, path):
    assert (await ask(StaticFiles(site), path)).status == 404


async def test_static_without_index_knows_no_directories(site):
    app = StaticFiles(site, index=None)
    for path in ("/docs", "/docs/", "/"):
        assert (await ask(app, path)).status == 404
    assert (await ask(app, "/docs/index.html")).status == 200


def test_static_of_a_directory_that_is_missing_is_refused(tmp_path):
    with pytest.raises(NotADirectoryError, match="a directory that exists"):
        StaticFiles(tmp_path / "none")


def test_static_of_a_file_is_refused(site):
    with pytest.raises(NotADirectoryError):
        StaticFiles(site / "app.js")


# Links


@pytest.fixture
def linked(site: Path, tmp_path: Path) -> Path:
    (site / "to-file").symlink_to(tmp_path / "secret")
    (site / "to-directory").symlink_to(tmp_path)
    (site / "to-sibling").symlink_to("../site-2")
    (site / "to-inside").symlink_to("docs")
    (site / "to-file-inside").symlink_to(site / "app.js")
    (site / "to-itself").symlink_to("to-itself")
    (site / "to-nothing").symlink_to("nothing")
    (site / "to-root").symlink_to(".")
    (site / "docs/to-chain").symlink_to("../to-file")
    return site


OUTSIDE = [
    "/to-file",
    "/to-directory",
    "/to-directory/",
    "/to-directory/secret",
    "/to-sibling/secret",
    "/docs/to-chain",
    "/to-itself",
    "/to-nothing",
]


@pytest.fixture(params=["walking", "by path"])
def way_to_open(request, monkeypatch):
    """How the checked path is opened: relative to directories, or where that cannot be, whole."""
    if request.param == "by path":
        monkeypatch.setattr(static, "_CAN_WALK", False)
    elif not static._CAN_WALK:
        pytest.skip("this system cannot open relative to a directory")


@pytest.mark.parametrize("path", OUTSIDE)
async def test_static_answers_404_to_a_link_that_leads_out(linked, path, way_to_open):
    assert (await ask(StaticFiles(linked), path)).status == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/to-inside/index.html", b"docs"),
        ("/to-inside/", b"docs"),
        ("/to-file-inside", b"js"),
        ("/to-root/app.js", b"js"),
        ("/to-root/to-root/", b"home"),
        ("/to-directory/site/app.js", b"js"),
    ],
)
async def test_static_follows_a_link_that_stays_inside(linked, path, body, way_to_open):
    assert (await ask(StaticFiles(linked), path)).body == body


async def test_static_redirects_a_link_to_its_own_directory(linked, way_to_open):
    assert (await ask(StaticFiles(linked), "/to-root")).headers["location"] == "./to-root/"


async def test_static_follows_every_link_where_asked_to(linked):
    app = StaticFiles(linked, follow_symlinks=True)
    assert (await ask(app, "/to-file")).body == SECRET
    assert (await ask(app, "/to-directory/secret")).body == SECRET
    assert (await ask(app, "/to-directory/../secret")).status == 404
    assert (await ask(app, "/to-itself")).status == 404


async def test_static_directory_may_be_a_link_that_is_moved(site, tmp_path):
    current = tmp_path / "current"
    current.symlink_to(site)
    app = StaticFiles(current)
    assert (await ask(app, "/app.js")).body == b"js"
    current.unlink()
    current.symlink_to(tmp_path / "site-2")
    assert (await ask(app, "/app.js")).status == 404
    assert (await ask(app, "/secret")).status == 200


@pytest.mark.skipif(not static._CAN_WALK, reason="needs opening relative to a directory")
@pytest.mark.parametrize("swapped", ["docs", "docs/index.html"])
async def test_static_cannot_be_raced_by_a_link_put_in_after_the_check(
    site, tmp_path, monkeypatch, swapped
):
    """Whoever can write into the tree swaps a part of the path right after it was resolved."""
    target = tmp_path / ("site-2" if swapped == "docs" else "secret")
    (tmp_path / "site-2/index.html").write_bytes(SECRET)
    real = os.path.realpath

    def resolve_then_swap(path: Any, *, strict: bool = False) -> str:
        resolved = real(path, strict=strict)
        if str(path).endswith("index.html") and not (site / swapped).is_symlink():
            (site / swapped).rename(tmp_path / "moved")
            (site / swapped).symlink_to(target)
        return resolved

    monkeypatch.setattr(os.path, "realpath", resolve_then_swap)
    answer = await ask(StaticFiles(site), "/docs/index.html")
    assert (site / swapped).is_symlink(), "the race took place"
    assert answer.status == 404


@pytest.mark.skipif(sys.platform != "linux", reason="O_PATH is Linux's")
@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may list everything")
async def test_static_serves_from_a_directory_that_may_only_be_entered(site):
    (site / "docs").chmod(0o111)
    try:
        assert (await ask(StaticFiles(site), "/docs/")).body == b"docs"
    finally:
        (site / "docs").chmod(0o755)


async def test_static_leaves_no_descriptor_open(linked):
    before = len(os.listdir("/dev/fd"))
    for path in [*OUTSIDE, "/docs", "/docs/", "/app.js", "/to-inside/index.html", "/none"]:
        await ask(StaticFiles(linked), path)
    assert len(os.listdir("/dev/fd")) == before


# Other scopes


async def test_static_completes_the_lifespan(site):
    sent: list[str] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await StaticFiles(site)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_static_refuses_a_websocket(site):
    with pytest.raises(RuntimeError, match="not websocket"):
        await StaticFiles(site)({"type": "websocket", "path": "/"}, never, never)
