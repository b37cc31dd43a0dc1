"""What is raised, and the names of status codes, against FastAPI's."""

import warnings
from typing import Any

import fastapi.exceptions as theirs
import pytest
import starlette.status

import asgi_rt.fastapi.exceptions as ours
from asgi_rt.errors import WebSocketClosed
from asgi_rt.fastapi import status
from asgi_rt.fastapi.exceptions import StarletteHTTPException, WebSocketDisconnect

WHERE = {"function": "read", "path": "GET /", "file": "app.py", "line": 5}
READS = [
    lambda m: [str(m.HTTPException(404)), repr(m.HTTPException(404)), m.HTTPException(404).detail],
    lambda m: [str(m.HTTPException(418, {"a": 1}, {"x": "y"})), m.HTTPException(304).headers],
    lambda m: repr(m.StarletteHTTPException(404)),
    lambda m: [str(m.WebSocketException(1008, "no")), repr(m.WebSocketException(1008))],
    lambda m: str(m.RequestValidationError([{"a": 1}], body="b")),
    lambda m: str(m.RequestValidationError([1, 2], endpoint_ctx=WHERE)),
    lambda m: str(m.ResponseValidationError([], endpoint_ctx={"path": "GET /"})),
    lambda m: [m.RequestValidationError([1], body=2).errors(), m.ResponseValidationError([]).body],
]


@pytest.mark.parametrize("read", READS, ids=range(len(READS)))
def test_exception_says_what_fastapis_says(read):
    assert read(ours) == read(theirs)


def test_http_exception_is_one_of_starlettes_kind():
    assert issubclass(ours.HTTPException, StarletteHTTPException)


def test_disconnect_is_the_end_that_the_core_knows():
    error: Any = WebSocketDisconnect(1001, None)
    assert isinstance(error, WebSocketClosed)
    assert (error.code, error.reason, error.by) == (1001, "", "client")


def test_every_name_of_a_status_is_there():
    names = [name for name in dir(starlette.status) if name.startswith(("HTTP_", "WS_"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {name: getattr(starlette.status, name) for name in names}
    assert {name: getattr(status, name) for name in names} == expected
    with pytest.raises(AttributeError, match="HTTP_999"):
        _ = status.HTTP_999
