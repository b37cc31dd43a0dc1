"""The hub of an app as a dependency of FastAPI's."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient as StarletteClient

from asgi_rt import App, Hub, attach
from asgi_rt.embed import hub_dependency, join_lifespans, sse_feed, wrap
from asgi_rt.errors import HubError
from asgi_rt.testing import AsyncTestClient

TheHub = Annotated[Hub, Depends(hub_dependency)]


def make_app(**options):
    app = FastAPI(**options)

    @app.post("/rooms/{room}")
    async def say(room: str, text: str, hub: TheHub):
        message = await hub.publish(f"rooms.{room}", text)
        return message.id

    @app.post("/sync/{room}")
    def say_from_a_thread(room: str, text: str, hub: TheHub):
        hub.publish_from_thread(f"rooms.{room}", text)

    @app.get("/rooms/{room}")
    async def listen(room: str, hub: TheHub):
        return sse_feed(hub, f"rooms.{room}")

    @app.websocket("/rooms/{room}")
    async def talk(websocket: FastAPIWebSocket, room: str, hub: TheHub):
        async with wrap(websocket) as ws:
            await ws.accept()
            async with attach(ws, hub, f"rooms.{room}"):
                async for text in ws.iter_text():
                    await hub.publish(f"rooms.{room}", text)

    return app


async def test_requests_streams_and_websockets_share_it():
    app = make_app(lifespan=join_lifespans(Hub()))
    async with (
        AsyncTestClient(app) as client,
        client.events("/rooms/a") as events,
        client.websocket_connect("/rooms/a") as ws,
    ):
        await client.post("/rooms/a", params={"text": "posted"})
        assert (await events.next_event()).data == "posted"
        assert await ws.receive_text() == "posted"
        await ws.send("talked")
        assert (await events.next_event()).data == "talked"
        await client.post("/rooms/b", params={"text": "elsewhere"})
        assert await ws.receive_text() == "talked"


async def test_a_mounted_app_gets_the_same_one():
    hub = Hub()
    seen = []
    realtime = App()

    @realtime.get("/")
    async def endpoint(request):
        seen.append(request.state["asgi_rt.hub"])

    app = make_app(lifespan=join_lifespans(hub, realtime))
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        await client.get("/live/")
    assert seen == [hub]


async def test_tests_put_another_in_its_place():
    app = make_app()
    async with Hub() as hub, AsyncTestClient(app) as client:
        app.dependency_overrides[hub_dependency] = lambda: hub
        assert (await client.post("/rooms/a", params={"text": "hello"})).status_code == 200
        app.dependency_overrides.clear()


async def test_in_starlette_it_is_called():
    hub = Hub()

    async def endpoint(request):
        assert await hub_dependency(request) is hub
        return PlainTextResponse("there")

    app = Starlette(routes=[Route("/", endpoint)], lifespan=join_lifespans(hub))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).text == "there"


@pytest.mark.parametrize("lifespan", [None, join_lifespans()], ids=["none", "without"])
async def test_without_a_hub_the_error_says_how_to_join_one(lifespan):
    app = make_app(lifespan=lifespan)
    async with AsyncTestClient(app) as client:
        with pytest.raises(HubError, match=r"lifespan=join_lifespans\(hub\)"):
            await client.post("/rooms/a", params={"text": "hello"})


def test_an_app_whose_lifespan_is_not_run_has_none():
    client = StarletteClient(make_app(lifespan=join_lifespans(Hub())))
    with pytest.raises(HubError, match="serve it with its lifespan"):
        client.post("/rooms/a", params={"text": "hello"})


async def test_it_is_no_parameter_in_the_schema():
    schema = make_app().openapi()
    names = [each["name"] for each in schema["paths"]["/rooms/{room}"]["post"]["parameters"]]
    assert names == ["room", "text"]
