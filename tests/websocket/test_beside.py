"""What runs beside a handler that awaits neither: the reading of its socket, and its closing."""

import contextvars

import anyio
import pytest

from asgi_rt import App
from asgi_rt.testing import AsyncTestClient

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


class Looks:
    """Middleware that looks for a variable of its own whenever it receives or sends."""

    def __init__(self, app, seen) -> None:
        self.app = app
        self.seen = seen

    async def __call__(self, scope, receive, send):
        variable.set("the middleware's")

        async def look_and_receive():
            self.seen.add(("receive", variable.get()))
            return await receive()

        async def look_and_send(message):
            self.seen.add((message["type"], variable.get()))
            await send(message)

        await self.app(scope, look_and_receive, look_and_send)


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    return ("asyncio", {"use_uvloop": request.param == "uvloop"})


async def test_reading_and_closing_beside_the_handler_run_in_its_context():
    app = App()
    seen = set()
    app.add_middleware(Looks, seen=seen)

    @app.websocket("/", max_message_bytes=4)
    async def wait(ws):
        await ws.accept()
        await ws.wait_closed()

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        await ws.send_text("fits")
        await ws.send_text("too long")
        closed = await ws.wait_closed()
    assert closed.code == 1009
    assert seen == {
        ("receive", "the middleware's"),
        ("websocket.accept", "the middleware's"),
        ("websocket.close", "the middleware's"),
    }


async def test_a_message_of_any_size_is_let_in_without_a_limit():
    app = App()

    @app.websocket("/", max_message_bytes=None)
    async def echo(ws):
        await ws.accept()
        await anyio.lowlevel.checkpoint()
        async for text in ws.iter_text():
            await ws.send_json(len(text))

    text = "x" * 3_000_000
    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        await ws.send_text(text)
        assert await ws.receive_json() == len(text)
