"""Directories of files, against Starlette's."""

import sys
from typing import Any

import pytest
import starlette.applications
import starlette.staticfiles as theirs
import starlette.testclient

import asgi_rt.fastapi.staticfiles as ours
from asgi_rt.fastapi import FastAPI
from asgi_rt.fastapi.exceptions import HTTPException
from asgi_rt.fastapi.staticfiles import StaticFiles
from asgi_rt.fastapi.testclient import TestClient


@pytest.fixture
def directory(tmp_path: Any) -> Any:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / ".hidden").write_text("h")
    (root / "404.html").write_text("not here")
    (root / "sub" / "index.html").write_text("index")
    (tmp_path / "secret").write_text("s")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "in").symlink_to(root / "a.txt")
    return root


PATHS = [
    "/a.txt",
    "/.hidden",
    "/in",
    "/out",
    "/none",
    "/sub",
    "/sub/",
    "/sub/index.html",
    "/",
    "",
    "/../secret",
    "/%2e%2e/secret",
    "/a.txt/",
    "/a%2Ftxt",
    "/%00",
    "/" + "x" * 400,
    "//etc/hostname",
]


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_files_are_served_as_by_starlette(directory, path, html):
    theirs_app = starlette.applications.Starlette()
    theirs_app.mount("/files", theirs.StaticFiles(directory=directory, html=html))
    app = FastAPI()
    app.mount("/files", ours.StaticFiles(directory=directory, html=html))
    with TestClient(app) as client, starlette.testclient.TestClient(theirs_app) as other:
        found, expected = (
            each.get("/files" + path, follow_redirects=False) for each in (client, other)
        )
    assert found.status_code == expected.status_code
    assert found.headers.get("location") == expected.headers.get("location")
    if expected.status_code == 200:
        assert (found.text, found.headers["content-type"]) == (
            expected.text,
            expected.headers["content-type"],
        )


def test_other_methods_are_not_allowed(directory):
    app = FastAPI()
    app.mount("/files", StaticFiles(directory=directory))
    with TestClient(app) as client:
        response = client.post("/files/a.txt")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
        assert response.json() == {"detail": "Method Not Allowed"}
        assert client.head("/files/a.txt").headers["content-length"] == "1"


def test_file_that_the_client_has_is_not_sent_again(directory):
    app = FastAPI()
    app.mount("/files", StaticFiles(directory=directory))
    with TestClient(app) as client:
        etag = client.get("/files/a.txt").headers["etag"]
        assert client.get("/files/a.txt", headers={"if-none-match": etag}).status_code == 304


def test_file_that_may_not_be_read_is_unauthorized(directory, monkeypatch):
    def stat(path: Any) -> Any:
        raise PermissionError(path)

    monkeypatch.setattr(ours.os, "stat", stat)
    with pytest.raises(HTTPException) as refused:
        StaticFiles(directory=directory, check_dir=False).lookup_path("a.txt")
    assert refused.value.status_code == 401


def test_links_are_followed_where_that_is_asked_for(directory):
    app = FastAPI()
    app.mount("/files", StaticFiles(directory=directory, follow_symlink=True))
    with TestClient(app) as client:
        assert client.get("/files/out").text == "s"


def test_subclass_gives_another_response(directory):
    class SinglePage(StaticFiles):
        async def get_response(self, path: str, scope: Any) -> Any:
            try:
                return await super().get_response(path, scope)
            except HTTPException:
                return await super().get_response("sub/index.html", scope)

    app = FastAPI()
    app.mount("/", SinglePage(directory=directory))
    with TestClient(app) as client:
        assert client.get("/any/page").text == "index"


def test_directories_of_packages_are_served(directory, tmp_path, monkeypatch):
    package = tmp_path / "with_statics"
    (package / "statics").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "statics" / "b.txt").write_text("b")
    monkeypatch.syspath_prepend(tmp_path)
    app = FastAPI()
    app.mount("/files", StaticFiles(directory=directory, packages=["with_statics"]))
    with TestClient(app) as client:
        assert [client.get(f"/files/{name}.txt").text for name in "ab"] == ["a", "b"]
    with pytest.raises(RuntimeError, match="with_statics"):
        StaticFiles(packages=[("with_statics", "none")])
    sys.modules.pop("with_statics", None)


def test_directory_must_exist_unless_it_is_not_checked(tmp_path):
    with pytest.raises(RuntimeError, match="does not exist"):
        StaticFiles(directory=tmp_path / "none")
    app = FastAPI()
    app.mount("/files", StaticFiles(directory=tmp_path / "none", check_dir=False))
    with TestClient(app) as client:
        assert client.get("/files/a").status_code == 404
