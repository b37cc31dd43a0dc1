"""What no client may bring about: a 500 by what it sends, whatever that is."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_rt.fastapi import Body, FastAPI
from asgi_rt.fastapi.testclient import TestClient

JSON = {"content-type": "application/json"}


class Strict(BaseModel, extra="forbid"):
    number: int


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()

    @app.post("/model")
    async def model(value: Strict) -> None:
        pass

    @app.post("/text")
    async def text(value: str = Body()) -> None:
        pass

    with closing(TestClient(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b'{"number": NaN}', JSON),
        (b'{"number": 1e999}', JSON),
        (b'{"number": "\\ud800"}', JSON),
        (b'{"number": 1, "\\ud800": 1}', JSON),
        (b"[" * 900 + b"]" * 900, JSON),
        (b"\xff\xfe", {"content-type": "text/plain"}),
        (b"\xff\xfe", {}),
    ],
    ids=["NaN", "infinity", "surrogate", "surrogate as a name", "deep", "no UTF-8", "no type"],
)
@pytest.mark.parametrize("path", ["/model", "/text"])
def test_what_cannot_be_said_again_is_left_out_of_the_422(
    client: TestClient, path: str, content: bytes, headers: dict[str, str]
) -> None:
    response = client.post(path, content=content, headers=headers)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/json"
    errors: Any = json.loads(response.content, parse_constant=pytest.fail)["detail"]
    assert errors
    assert all({"type", "loc", "msg"} <= error.keys() for error in errors)


def test_what_can_be_said_again_stays_in_the_422(client: TestClient) -> None:
    response = client.post("/model", content=b'{"number": "\\u00e4"}', headers=JSON)
    assert response.json()["detail"][0]["input"] == "ä"
