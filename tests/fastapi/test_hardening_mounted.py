"""Apps below those of Starlette and FastAPI, which look for names of routes in what they mount."""

import fastapi
import fastapi.testclient
import pytest
import starlette.routing
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse

from asgi_rt.fastapi import FastAPI, Request
from asgi_rt.fastapi.routing import NoMatchFound


def the_mounted() -> FastAPI:
    app = FastAPI()

    @app.get("/first")
    async def first() -> None:
        pass

    @app.get("/items/{item}")
    async def items(item: int, request: Request) -> str:
        return str(request.url_for("items", item=item + 1))

    return app


async def later(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse(str(request.url_for("later")))


@pytest.fixture(params=["starlette", "fastapi"])
def client(request: pytest.FixtureRequest) -> fastapi.testclient.TestClient:
    outer = Starlette() if request.param == "starlette" else fastapi.FastAPI()
    outer.mount("/below", the_mounted())
    outer.router.add_route("/later", later)
    return fastapi.testclient.TestClient(outer)


def test_a_route_of_a_mounted_app_is_found_by_its_name(
    client: fastapi.testclient.TestClient,
) -> None:
    assert client.get("/below/items/1").json() == "http://testserver/below/items/2"


def test_a_route_after_a_mounted_app_is_found_by_its_name(
    client: fastapi.testclient.TestClient,
) -> None:
    assert client.get("/later").text == "http://testserver/later"


def test_what_is_not_found_is_what_both_packages_say() -> None:
    with pytest.raises(NoMatchFound, match='name "nothing" and params "a"') as caught:
        the_mounted().url_path_for("nothing", a=1)
    assert isinstance(caught.value, starlette.routing.NoMatchFound)
