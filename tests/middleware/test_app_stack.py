"""Middleware of an `App`: when it is made, and what the scope tells it of the route."""

from contextlib import asynccontextmanager

import pytest

from asgi_rt import App, LifespanError
from asgi_rt.middleware import Middleware
from asgi_rt.testing import AsyncTestClient


class Noting(Middleware):
    def __init__(self, app, *, routes):
        super().__init__(app)
        self.routes = routes

    def done(self, connection, outcome):
        route = connection.scope.get("route")
        self.routes.append(None if route is None else route.path)


def noted(routes):
    mounted = App()
    app = App()
    app.mount("/below", mounted)

    @mounted.get("/page")
    async def page(request):
        return "page"

    @app.get("/items/{item_id:int}")
    async def item(request):
        return request.path_params["item_id"]

    @app.websocket("/rooms/{room}")
    async def room(ws):
        await ws.accept()

    app.add_middleware(Noting, routes=routes)
    return AsyncTestClient(app)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/items/1", "/items/{item_id:int}"), ("/below/page", "/below"), ("/items/x", None)],
)
async def test_a_request_behind_middleware_tells_its_pattern(path, expected):
    routes = []
    async with noted(routes) as client:
        await client.get(path)
    assert routes == [expected]


async def test_a_websocket_behind_middleware_tells_its_pattern():
    routes = []
    async with noted(routes) as client, client.websocket_connect("/rooms/a") as ws:
        await ws.wait_closed()
    assert routes == ["/rooms/{room}"]


async def test_a_layer_with_wrong_options_is_known_at_the_start():
    app = App()
    app.add_middleware(Noting, roots=[])
    with pytest.raises(LifespanError, match=r"startup failed: TypeError.*'roots'"):
        async with AsyncTestClient(app):
            raise AssertionError("it has started")


async def test_a_layer_may_be_added_while_the_app_starts():
    @asynccontextmanager
    async def lifespan(app):
        app.add_middleware(Noting, routes=routes)
        yield

    routes = []
    app = App(lifespan=lifespan)
    async with AsyncTestClient(app) as client:
        await client.get("/")
    assert routes == [None]
