"""Apps of Starlette and FastAPI behind the client, as their users write them."""

import anyio
import pytest
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketState

from asgi_rt.testing import AsyncTestClient, CloseTimeoutError, ConnectionClosed, WebSocketDenied


def starlette_app(endpoint, **options):
    return Starlette(routes=[WebSocketRoute("/ws/{name}", endpoint)], **options)


def fastapi_app(endpoint):
    app = FastAPI()
    app.websocket("/ws/{name}")(endpoint)
    return app


def make_starlette(endpoint):
    async def typed(websocket):
        await endpoint(websocket)

    return starlette_app(typed)


def make_fastapi(endpoint):
    async def typed(websocket: WebSocket):
        await endpoint(websocket)

    return fastapi_app(typed)


@pytest.fixture(params=[make_starlette, make_fastapi])
def make(request):
    return request.param


async def echo(websocket):
    """The echo of their documentation, which lets the disconnect pass."""
    await websocket.accept()
    while True:
        await websocket.send_text(f"you said {await websocket.receive_text()}")


async def test_an_endless_echo_is_left(make):
    async with AsyncTestClient(make(echo)) as client:
        async with client.websocket_connect("/ws/a") as ws:
            for word in ("one", "two"):
                await ws.send_text(word)
                assert await ws.receive_text() == f"you said {word}"
        assert ws.is_done


async def test_a_disconnect_is_seen_with_its_code(make):
    seen = []

    async def endpoint(websocket):
        await websocket.accept()
        try:
            await websocket.receive_json()
        except WebSocketDisconnect as disconnect:
            seen.append((disconnect.code, disconnect.reason))

    async with AsyncTestClient(make(endpoint)) as client:
        async with client.websocket_connect("/ws/a") as ws:
            await ws.close(3000, "bye")
        async with client.websocket_connect("/ws/a") as ws:
            ws.disconnect()
    assert seen == [(3000, "bye"), (1005, "")]


async def test_scope_subprotocol_and_json(make):
    async def endpoint(websocket):
        await websocket.accept("v2", headers=[(b"x-room", b"5")])
        await websocket.send_json(
            {
                "name": websocket.path_params["name"],
                "query": dict(websocket.query_params),
                "url": str(websocket.url),
                "cookies": websocket.cookies,
                "offered": websocket.scope["subprotocols"],
            }
        )
        await websocket.close(4000, "done")
        assert websocket.application_state is WebSocketState.DISCONNECTED

    client = AsyncTestClient(make(endpoint), cookies={"a": "1"})
    async with (
        client,
        client.websocket_connect("/ws/me", subprotocols=["v1", "v2"], params={"q": "1"}) as ws,
    ):
        assert ws.subprotocol == "v2"
        assert ws.headers["x-room"] == "5"
        assert await ws.receive_json() == {
            "name": "me",
            "query": {"q": "1"},
            "url": "ws://testserver/ws/me?q=1",
            "cookies": {"a": "1"},
            "offered": ["v1", "v2"],
        }
        with pytest.raises(ConnectionClosed) as caught:
            await ws.receive()
    assert (caught.value.code, caught.value.reason) == (4000, "done")


async def test_an_unknown_path_is_denied(make):
    async with AsyncTestClient(make(echo)) as client:
        with pytest.raises(WebSocketDenied) as caught:
            await client.websocket_connect("/nothing").__aenter__()
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize(("denial_response", "status"), [(True, 401), (False, 403)])
async def test_an_http_exception_before_the_acceptance(make, denial_response, status):
    async def endpoint(websocket):
        raise HTTPException(401, "who are you?", headers={"www-authenticate": "Basic"})

    async with AsyncTestClient(make(endpoint), raise_server_exceptions=False) as client:
        with pytest.raises(WebSocketDenied) as caught:
            await client.websocket_connect("/ws/a", denial_response=denial_response).__aenter__()
    response = caught.value.response
    if denial_response:
        assert response.status_code == status
        assert response.headers["www-authenticate"] == "Basic"
        assert b"who are you?" in response.content
    else:
        assert response.status_code in {403, 500}  # Starlette raises where it cannot answer


async def test_a_websocket_exception_closes_with_its_code(make):
    async def endpoint(websocket):
        await websocket.accept()
        raise WebSocketException(1008, "no")

    async with (
        AsyncTestClient(make(endpoint)) as client,
        client.websocket_connect("/ws/a") as ws,
    ):
        closed = await ws.wait_closed()
    assert (closed.code, closed.reason) == (1008, "no")


async def test_the_error_of_an_endpoint_is_raised_or_seen(make):
    async def endpoint(websocket):
        await websocket.accept()
        raise KeyError("broken")

    async with AsyncTestClient(make(endpoint)) as client:
        with pytest.raises(KeyError, match="broken"):
            async with client.websocket_connect("/ws/a") as ws:
                await ws.receive()
    async with (
        AsyncTestClient(make(endpoint), raise_server_exceptions=False) as client,
        client.websocket_connect("/ws/a") as ws,
    ):
        assert (await ws.wait_closed()).code == 1006


async def test_a_flooding_endpoint_is_held_up_and_let_go(make):
    async def endpoint(websocket):
        await websocket.accept()
        while True:
            await websocket.send_bytes(b"x" * 1000)

    async with (
        AsyncTestClient(make(endpoint)) as client,
        client.websocket_connect("/ws/a") as ws,
    ):
        await ws.wait_blocked()
        ws.disconnect()
        await ws.wait_done()
        assert ws.messages_sent == 66


async def test_an_endpoint_that_waits_for_something_else_is_cancelled(make):
    async def endpoint(websocket):
        await websocket.accept()
        await anyio.sleep_forever()

    async with AsyncTestClient(make(endpoint), close_timeout=0.02) as client:
        with pytest.raises(CloseTimeoutError):
            async with client.websocket_connect("/ws/a"):
                pass


async def test_two_connections_share_a_lock_a_thousand_times(make):
    lock = anyio.Lock()
    inside = []

    async def endpoint(websocket):
        await websocket.accept()
        async for _ in websocket.iter_text():
            async with lock:
                inside.append(1)
                assert len(inside) == 1
                await anyio.lowlevel.checkpoint()
                inside.pop()
            await websocket.send_text("done")

    async def use(ws):
        for _ in range(1000):
            await ws.send("go")
            assert await ws.receive() == "done"

    async with (
        AsyncTestClient(make(endpoint)) as client,
        client.websocket_connect("/ws/a") as first,
        client.websocket_connect("/ws/b") as second,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(use, first)
        tasks.start_soon(use, second)


async def test_two_connections_talk_to_each_other(make):
    rooms = []

    async def endpoint(websocket):
        await websocket.accept()
        rooms.append(websocket)
        try:
            async for text in websocket.iter_text():
                for each in rooms:
                    await each.send_text(f"{websocket.path_params['name']}: {text}")
        finally:
            rooms.remove(websocket)

    async with AsyncTestClient(make(endpoint)) as client:
        async with (
            client.websocket_connect("/ws/ann") as ann,
            client.websocket_connect("/ws/bob") as bob,
        ):
            await ann.send("hello")
            assert await bob.receive() == "ann: hello"
            assert await ann.receive() == "ann: hello"
            await bob.close()
            await bob.wait_done()
            await ann.send("alone")
            assert await ann.receive() == "ann: alone"
        assert rooms == []


async def test_dependencies_with_yield_are_ended():
    log = []

    async def resource():
        log.append("open")
        yield "resource"
        log.append("closed")

    app = FastAPI()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, value: str = Depends(resource)):
        await websocket.accept()
        await websocket.send_text(value)
        await websocket.receive()

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        assert await ws.receive() == "resource"
        assert log == ["open"]
    assert log == ["open", "closed"]


async def test_plain_middleware_sees_the_messages():
    class Marking:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def marked(message):
                if message["type"] == "websocket.send":
                    message["text"] += "!"
                await send(message)

            await self.app(scope, receive, marked)

    app = starlette_app(echo, middleware=[Middleware(Marking)])
    async with AsyncTestClient(app) as client, client.websocket_connect("/ws/a") as ws:
        await ws.send("hi")
        assert await ws.receive() == "you said hi!"
