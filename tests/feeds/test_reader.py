"""What can go wrong where a hub meets connections, as a stranger found it."""

import json

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from feeds.attached import Room
from feeds.pushed import streamed
from sse.wire import on_asyncio_only
from websocket.fake_server import UvicornServer, errors_logged

from asgi_rt import App, Hub, sse_feed
from asgi_rt.middleware import Middleware
from asgi_rt.middleware.access_log import AccessLogMiddleware
from asgi_rt.middleware.cors import CORSMiddleware
from asgi_rt.middleware.request_id import RequestIDMiddleware
from asgi_rt.middleware.security_headers import SecurityHeadersMiddleware

pytestmark = on_asyncio_only

MORE_THAN_WAIT = 300


class SilentServer(UvicornServer):
    """Sends nothing for a message that has neither text nor bytes, and does not say so."""

    async def send(self, message):
        if message["type"] == "websocket.send" and message.get("bytes", b"") is None:
            return
        await super().send(message)


@pytest.mark.parametrize("made", [None, 5, {"x": 1}], ids=["None", "int", "dict"])
async def test_what_is_no_message_is_not_taken_for_sent(made):
    hub = Hub()
    app = App()
    room = Room(hub, encode=lambda message: made)
    app.websocket("/")(room)
    server = SilentServer()

    with errors_logged() as errors:
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, app)
            await wait_all_tasks_blocked()
            assert hub.publish_nowait("a", "hello").delivered == 0
            await server.done()
    assert server.close == (1011, "internal error")
    assert server.data == []
    assert len(errors) == 1
    assert "TypeError" in errors[0]


@pytest.mark.parametrize("streams", [1, 2])
async def test_a_stream_that_reads_misses_nothing_of_what_one_turn_brings(streams):
    hub = Hub()
    others = "b" if streams == 1 else "a"
    async with streamed(sse_feed(hub, "a")) as server, streamed(sse_feed(hub, others)):
        await wait_all_tasks_blocked()
        for number in range(MORE_THAN_WAIT):
            hub.publish_nowait("a", str(number))
        await server.has(f"data: {MORE_THAN_WAIT - 1}\n".encode())
        assert server.datas == [str(number) for number in range(MORE_THAN_WAIT)]


class Marked(Middleware):
    def head(self, connection, head):
        head.headers["x-marked"] = "yes"


def hooked(app):
    app.add_middleware(Marked)
    return app


def standard(app):
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.com"])
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(AccessLogMiddleware)
    app.add_middleware(RequestIDMiddleware)
    return app


def mounting(app):
    outer = App()
    outer.mount("/", app)
    return outer


AROUND = [pytest.param(each, id=each.__name__) for each in (hooked, standard, mounting)]


@pytest.mark.parametrize("around", AROUND)
async def test_a_stream_is_pushed_to_behind_what_is_our_own(around):
    hub = Hub()
    app = App()

    @app.get("/")
    async def feed(request):
        return sse_feed(hub, "a")

    async with streamed(around(app)) as server:
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "hello").delivered == 1
        assert server.datas == ["hello"]


@pytest.mark.parametrize("around", AROUND)
async def test_a_websocket_is_pushed_to_behind_what_is_our_own(around):
    hub = Hub()
    app = App()
    app.websocket("/")(Room(hub))
    server = UvicornServer()
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, around(app))
        await wait_all_tasks_blocked()
        assert hub.publish_nowait("a", "hello").delivered == 1
        assert server.data == ["hello"]
        server.leave()


async def test_an_empty_cursor_is_none_as_it_is_for_a_stream():
    hub = Hub()
    await hub.publish("a", "before")
    app = App()
    app.websocket("/")(Room(hub, envelopes=True, history=1))
    server = UvicornServer(path="/?cursor=")
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, app)
        await wait_all_tasks_blocked()
        told = [json.loads(each) for each in server.data]
        assert [each["type"] for each in told] == ["cursor", "message"]
        assert told[0]["recovered"] is None
        server.leave()


async def test_less_than_no_history_is_refused():
    with pytest.raises(ValueError, match="history"):
        sse_feed(Hub(), "a", history=-1)
