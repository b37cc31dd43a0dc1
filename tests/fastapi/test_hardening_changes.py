"""Apps that are changed while they serve."""

from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Any

import pytest

from asgi_rt.fastapi import APIRouter, Depends, FastAPI, WebSocket
from asgi_rt.fastapi.engine import Table
from asgi_rt.fastapi.overridable import Overridable
from asgi_rt.fastapi.testclient import TestClient


def plain() -> str:
    return "plain"


async def yielding() -> AsyncGenerator[str, None]:
    yield "yielding"


@pytest.fixture
def changing(monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """An app whose overrides another thread changes whenever a plan has been chosen."""
    app = FastAPI()

    @app.get("/")
    async def read(value: str = Depends(plain)) -> str:
        return value

    @app.websocket("/ws")
    async def talk(websocket: WebSocket, value: str = Depends(plain)) -> None:
        await websocket.accept()
        await websocket.send_text(value)

    choose = Overridable.current_plan

    def choose_and_change(self: Any) -> Any:
        plan = choose(self)
        app.dependency_overrides[plain] = yielding
        return plan

    monkeypatch.setattr(Overridable, "current_plan", choose_and_change)
    return app


def test_a_request_keeps_the_overrides_that_it_began_with(changing: FastAPI) -> None:
    changing.dependency_overrides[plain] = lambda: "other"
    with closing(TestClient(changing)) as client:
        assert client.get("/").json() == "other"
        assert client.get("/").json() == "yielding"


def test_a_websocket_keeps_the_overrides_that_it_began_with(changing: FastAPI) -> None:
    with closing(TestClient(changing)) as client:
        for expected in ("plain", "yielding"):
            with client.websocket_connect("/ws") as websocket:
                assert websocket.receive_text() == expected


def test_a_route_that_a_thread_adds_while_the_table_is_made_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = FastAPI(openapi_url=None)
    router = APIRouter()

    @router.get("/first")
    async def first() -> int:
        return 1

    @router.get("/late")
    async def late() -> int:
        return 2

    app.router.routes.append(router.routes[0])
    adding = [router.routes[1]]
    find = Table.find

    def add_and_find(self: Table, path: str, method: str) -> Any:
        while adding:
            app.router.routes.append(adding.pop())
        return find(self, path, method)

    monkeypatch.setattr(Table, "find", add_and_find)
    with closing(TestClient(app)) as client:
        assert client.get("/first").json() == 1
        assert client.get("/late").json() == 2
