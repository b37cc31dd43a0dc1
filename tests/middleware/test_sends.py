"""What a layer's `send` is: anything to be awaited, as the server's own may be."""

from types import MappingProxyType

import anyio
import anyio.lowlevel
import pytest
from middleware.layered import HEAD, body, sends

from asgi_rt.middleware import Middleware
from asgi_rt.middleware.dispatch import DispatchMiddleware

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


class Awaitable:
    """What a `send` may return that is no coroutine."""

    def __await__(self):
        yield from anyio.lowlevel.checkpoint().__await__()


class PlainServer:
    """Its `send` is no coroutine function."""

    def __init__(self, fails_with=None):
        self.messages = []
        self.sent = []
        self.fails_with = fails_with

    def send(self, message):
        if self.fails_with is not None:
            raise self.fails_with
        self.messages.append(message)
        self.sent.append(Awaitable())
        return self.sent[-1]

    async def receive(self):
        return {"type": "http.request", "body": b"", "more_body": False}


class Marks(Middleware):
    def head(self, connection, head):
        head.headers["x-mark"] = "1"


class SlowMarks(Middleware):
    async def head(self, connection, head):
        await anyio.lowlevel.checkpoint()
        head.headers["x-mark"] = "1"


class Dispatches(DispatchMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-mark"] = "1"
        return response


class SlowDispatches(DispatchMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        await anyio.lowlevel.checkpoint()
        response.headers["x-mark"] = "1"
        return response


LAYERS = [Marks, SlowMarks, Dispatches, SlowDispatches]
layers = pytest.mark.parametrize("layer", LAYERS)
MARKED = {**HEAD, "headers": [*HEAD["headers"], (b"x-mark", b"1")]}


async def serve(app, server):
    await app(SCOPE, server.receive, server.send)


@layers
@pytest.mark.parametrize("outer", LAYERS)
async def test_it_goes_to_a_send_that_is_a_plain_function(layer, outer):
    server = PlainServer()
    await serve(outer(layer(sends(HEAD, body(b"x")))), server)
    assert server.messages == [MARKED, body(b"x")]


@layers
async def test_what_follows_the_head_is_the_servers_own(layer):
    async def app(scope, receive, send):
        await send(HEAD)
        sent.append(send(body(b"x", more=True)))
        sent.append(send(body(b"y")))
        for each in sent:
            await each

    server, sent = PlainServer(), []
    await serve(layer(layer(app)), server)
    assert sent == server.sent[1:]


@layers
async def test_an_error_of_a_plain_send_is_raised_where_the_app_sends(layer):
    async def app(scope, receive, send):
        for message in (HEAD, body(b"x")):
            try:
                await send(message)
            except OSError as error:
                raised.append(error)

    server, raised = PlainServer(OSError("gone")), []
    await serve(layer(app), server)
    assert raised == [server.fails_with] * 2


@layers
async def test_messages_that_wait_in_tasks_keep_their_turn(layer):
    async def app(scope, receive, send):
        async with anyio.create_task_group() as group:
            group.start_soon(sends(HEAD), scope, receive, send)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(sends(body(b"x")), scope, receive, send)

    server = PlainServer()
    await serve(layer(app), server)
    assert server.messages == [MARKED, body(b"x")]


@layers
@pytest.mark.parametrize("kind", [dict, MappingProxyType, type("Message", (dict,), {})])
async def test_a_head_of_any_mapping_is_sent_and_not_changed(layer, kind):
    message = kind(HEAD)
    server = PlainServer()
    await serve(layer(sends(message, body(b"x"))), server)
    assert server.messages == [MARKED, body(b"x")]
    assert message == HEAD
