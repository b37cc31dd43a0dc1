"""The id of asgi-correlation-id, wherever an app of this framework runs."""

from uuid import UUID, uuid4

import pytest
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from asgi_correlation_id.context import correlation_id as variable

from asgi_rt import App, BackgroundTask, JSONResponse
from asgi_rt.testing import AsyncTestClient

MINE = str(uuid4())


@pytest.fixture
def late():
    return []


@pytest.fixture
def app(late):
    app = App()

    @app.get("/here")
    async def here(request):
        return correlation_id.get()

    @app.get("/thread")
    def thread(request):
        return correlation_id.get()

    @app.get("/stream")
    async def stream(request):
        for _ in range(2):
            yield correlation_id.get()

    @app.get("/later")
    async def later(request):
        task = BackgroundTask(lambda: late.append(correlation_id.get()))
        return JSONResponse(request.headers["x-request-id"], background=task)

    @app.websocket("/live")
    async def live(ws):
        await ws.accept()
        async for _ in ws.iter_text():
            await ws.send_text(correlation_id.get())

    app.add_middleware(CorrelationIdMiddleware)
    return app


@pytest.fixture(autouse=True)
def _no_id():
    """It sets its variable and never resets it, which here would be seen by the next test."""
    token = variable.set(None)
    yield
    variable.reset(token)


@pytest.mark.parametrize(("path", "times"), [("/here", 1), ("/thread", 1), ("/stream", 2)])
async def test_the_clients_id_is_there_wherever_the_app_runs(app, path, times):
    async with AsyncTestClient(app) as client:
        answer = await client.get(path, headers={"x-request-id": MINE})
    assert answer.text == MINE * times
    assert answer.headers.get_list("x-request-id") == [MINE]


async def test_an_id_that_was_made_is_in_the_request_and_in_the_answer(app, late):
    async with AsyncTestClient(app) as client:
        answer = await client.get("/later")
    assert UUID(answer.json()).hex == answer.headers["x-request-id"]
    assert late == [answer.json()]


async def test_each_websocket_has_an_id_of_its_own(app):
    async with (
        AsyncTestClient(app) as client,
        client.websocket_connect("/live", headers={"x-request-id": MINE}) as mine,
        client.websocket_connect("/live") as other,
    ):
        for _ in range(2):
            await mine.send_text("")
            assert await mine.receive_text() == MINE
        await other.send_text("")
        assert await other.receive_text() != MINE
