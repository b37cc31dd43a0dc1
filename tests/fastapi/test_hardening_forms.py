"""The files of a form are closed by whoever had it read, on every way out."""

from contextlib import closing
from typing import Any

import pytest

from asgi_rt.fastapi import FastAPI, Request, UploadFile
from asgi_rt.fastapi.middleware.base import BaseHTTPMiddleware
from asgi_rt.fastapi.testclient import TestClient


@pytest.mark.parametrize("fails", [False, True])
def test_files_that_a_middleware_has_read_are_closed(fails: bool) -> None:
    app = FastAPI()
    files: list[Any] = []

    async def read(request: Request, call_next: Any) -> Any:
        form = await request.form()
        files.append(form["file"])
        if fails:
            raise ValueError
        response = await call_next(request)
        assert not files[0].file.closed
        return response

    @app.post("/")
    async def size(file: UploadFile) -> int | None:
        files.append(file)
        return file.size

    app.add_middleware(BaseHTTPMiddleware, dispatch=read)
    with closing(TestClient(app, raise_server_exceptions=False)) as client:
        response = client.post("/", files={"file": ("name", b"content")})
    assert response.status_code == (500 if fails else 200)
    assert all(each.file.closed for each in files)
    assert len(files) == 2 - fails
