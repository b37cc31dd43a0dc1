"""A client that reads slowly, or not at all."""

import anyio
import pytest

from asgi_rt.testing import AppError, AsyncTestClient, ClientGoneError, ConnectionClosed

ACCEPT = {"type": "websocket.accept"}


def connect(app, **options):
    """A connection to one of these apps, none of which has a lifespan."""
    return AsyncTestClient(app, lifespan=False).websocket_connect("/", **options)


class FloodingApp:
    """Sends `data` for ever, or `limit` times, and writes down how that ended."""

    def __init__(self, data="x" * 1000, *, limit=None):
        self.data = data
        self.limit = limit
        self.sent = 0
        self.outcome = None

    async def __call__(self, scope, receive, send):
        kind = "text" if isinstance(self.data, str) else "bytes"
        await receive()
        await send(ACCEPT)
        try:
            while self.limit is None or self.sent < self.limit:
                await send({"type": "websocket.send", kind: self.data})
                self.sent += 1
        except OSError as error:
            self.outcome = error
            raise


async def test_a_frozen_client_holds_the_app_in_send():
    app = FloodingApp()
    async with connect(app, pipe_bytes=5000) as ws:
        ws.freeze()
        await ws.wait_blocked()
        assert ws.is_blocked
        assert ws.is_frozen
        assert app.sent == ws.messages_sent == 6
        assert ws.bytes_buffered == 6000
        read = []

        async def reader():
            read.extend([await ws.receive() for _ in range(10)])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            assert read == []
            assert app.sent == 6
            ws.thaw()
        assert len(read) == 10
        await ws.wait_blocked()
        assert app.sent == 16
    assert isinstance(app.outcome, ClientGoneError)


async def test_the_pipe_is_bounded_also_for_a_client_that_just_does_not_receive():
    app = FloodingApp()
    async with connect(app) as ws:
        await ws.wait_blocked()
        assert app.sent == 66
        assert 65_536 < ws.bytes_buffered < 67_000


@pytest.mark.parametrize("data", ["", b""])
async def test_empty_messages_fill_the_pipe_as_well(data):
    app = FloodingApp(data)
    async with connect(app, pipe_bytes=100) as ws:
        await ws.wait_blocked()
        assert app.sent == 101


async def test_text_is_counted_in_bytes():
    app = FloodingApp("é" * 10)
    async with connect(app, pipe_bytes=99) as ws:
        await ws.wait_blocked()
        assert ws.bytes_buffered == 100


async def test_no_bound():
    app = FloodingApp(limit=1000)
    async with connect(app, pipe_bytes=None) as ws:
        await ws.wait_done()
        assert ws.bytes_buffered == 1_000_000


@pytest.mark.parametrize("end", ["close", "disconnect", "server_close"])
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_frozen_client_can_leave_and_lets_the_app_go(end, spec_version):
    limit = None if spec_version == "2.4" else 500
    app = FloodingApp(limit=limit)
    async with connect(app, pipe_bytes=5000, spec_version=spec_version) as ws:
        ws.freeze()
        await ws.wait_blocked()
        if end == "close":
            await ws.close()
        else:
            getattr(ws, end)()
        await ws.wait_done()
        assert ws.messages_sent == 6
        assert not ws.is_blocked
        ws.thaw()
        kept = [] if end == "disconnect" else ["x" * 1000] * 6
        assert [message async for message in ws] == kept
    assert isinstance(app.outcome, ClientGoneError) == (spec_version == "2.4")


async def test_the_app_ends_before_it_is_held_up():
    async with connect(FloodingApp(limit=3)) as ws:
        with pytest.raises(AppError, match="the app ended after 3 messages and was never held up"):
            await ws.wait_blocked()


async def test_a_cancelled_send_has_sent_nothing():
    outcome = []

    async def app(scope, receive, send):
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "x" * 200})
        with anyio.move_on_after(0.01) as scope:
            await send({"type": "websocket.send", "text": "lost"})
        outcome.append(scope.cancelled_caught)
        await receive()
        await receive()
        await send({"type": "websocket.send", "text": "sent"})
        await receive()

    async with connect(app, pipe_bytes=100) as ws:
        await ws.wait_received()
        await ws.send("go on")
        assert await ws.receive() == "x" * 200
        assert await ws.receive() == "sent"
    assert outcome == [True]


async def test_the_apps_close_waits_for_room_as_with_uvicorn():
    async def app(scope, receive, send):
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "x" * 200})
        await send({"type": "websocket.close", "code": 4000})

    async with connect(app, pipe_bytes=100) as ws:
        await ws.wait_blocked()
        assert not ws.is_closed
        assert await ws.receive() == "x" * 200
        with pytest.raises(ConnectionClosed):
            await ws.receive()


async def test_many_senders_share_the_pipe_and_lose_nothing():
    async def app(scope, receive, send):
        async def send_all(number):
            for index in range(50):
                await send({"type": "websocket.send", "text": f"{number} {index}"})

        await send(ACCEPT)
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(send_all, number)
        await send({"type": "websocket.close"})

    async with connect(app, pipe_bytes=10) as ws:
        received = [message async for message in ws]
    assert len(received) == 500
    for number in range(10):
        own = [message for message in received if message.split()[0] == str(number)]
        assert own == [f"{number} {index}" for index in range(50)]
