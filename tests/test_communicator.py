"""The app driven by asgiref's own communicator: a driver that nobody here wrote."""

import anyio
import pytest
from asgiref.testing import ApplicationCommunicator
from fakes import http_scope

from asgi_rt import App

# asgiref's communicator is made of asyncio tasks and queues.
pytestmark = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)


@pytest.fixture
def app():
    app = App()
    app.closed = anyio.Event()

    @app.get("/json")
    async def json(request):
        return {"a": 1}

    @app.post("/echo")
    async def echo(request):
        return await request.body()

    @app.get("/endless")
    async def endless(request):
        try:
            while True:
                yield b"tick"
                await anyio.sleep(0.001)
        finally:
            app.closed.set()

    return app


async def test_json(app):
    driver = ApplicationCommunicator(app, http_scope("/json"))
    await driver.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await driver.receive_output()
    assert start["status"] == 200
    body = await driver.receive_output()
    assert body["body"] == b'{"a":1}'
    assert not body.get("more_body", False)
    await driver.wait()
    assert await driver.receive_nothing()


async def test_a_body_in_pieces(app):
    driver = ApplicationCommunicator(app, http_scope("/echo", method="POST"))
    await driver.send_input({"type": "http.request", "body": b"one ", "more_body": True})
    await driver.send_input({"type": "http.request", "body": b"two", "more_body": False})
    assert (await driver.receive_output())["status"] == 200
    assert (await driver.receive_output())["body"] == b"one two"
    await driver.wait()


async def test_an_endless_stream_ends_with_its_client(app):
    driver = ApplicationCommunicator(app, http_scope("/endless"))
    await driver.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await driver.receive_output())["status"] == 200
    assert (await driver.receive_output())["more_body"] is True
    await driver.send_input({"type": "http.disconnect"})
    await driver.wait()
    assert app.closed.is_set()


async def test_the_lifespan(app):
    driver = ApplicationCommunicator(app, {"type": "lifespan", "asgi": {"version": "3.0"}})
    await driver.send_input({"type": "lifespan.startup"})
    assert await driver.receive_output() == {"type": "lifespan.startup.complete"}
    await driver.send_input({"type": "lifespan.shutdown"})
    assert await driver.receive_output() == {"type": "lifespan.shutdown.complete"}
    await driver.wait()
