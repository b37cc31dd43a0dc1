"""What is left of an exchange for the garbage collector: nothing, through any layer."""

import contextlib

import anyio
import pytest
from fakes import FakeServer
from garbage import garbage_of
from middleware.layered import HEAD, body
from middleware.limited import Handshake

from asgi_rt.middleware import Middleware, middleware
from asgi_rt.middleware.body_limit import BodyLimitMiddleware
from asgi_rt.middleware.concurrency_limit import ConcurrencyLimitMiddleware
from asgi_rt.middleware.rate_limit import RateLimitMiddleware
from asgi_rt.middleware.timeout import TimeoutMiddleware


class Done(Middleware):
    def done(self, connection, outcome):
        pass


class HeadAndDone(Done):
    async def head(self, connection, head):
        head.headers["x-seen"] = "yes"


@middleware
def stepped(connection):
    yield
    yield


LAYERS = {
    "done": (Done, {}),
    "head and done": (HeadAndDone, {}),
    "a function": (stepped, {}),
    "body limit": (BodyLimitMiddleware, {"max_bytes": 10}),
    "timeout": (TimeoutMiddleware, {"total": 20}),
    "rate limit": (RateLimitMiddleware, {"rate": 1000}),
    "refused by the rate limit": (RateLimitMiddleware, {"rate": 1, "cost": 1, "burst": 1}),
    "concurrency limit": (ConcurrencyLimitMiddleware, {"max_concurrent": 1, "websockets": True}),
}


async def ok(scope, receive, send):
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
    else:
        await send(HEAD)
        await send(body(b"one", more=True))
        await send(body(b"two"))


async def crash(scope, receive, send):
    await receive()
    raise LookupError


async def crash_later(scope, receive, send):
    await send({"type": "websocket.accept"} if scope["type"] == "websocket" else HEAD)
    raise LookupError


class Upload(FakeServer):
    """With a body of more than ten bytes, which nothing has announced."""

    def __init__(self):
        super().__init__(method="POST", headers=[(b"transfer-encoding", b"chunked")])

    async def receive(self):
        return {"type": "http.request", "body": b"x" * 11, "more_body": False}


async def collected(app, server=FakeServer):
    """How many objects the garbage collector finds after one exchange."""

    async def once():
        exchange = server()
        with contextlib.suppress(LookupError):
            await app(exchange.scope, exchange.receive, exchange.send)

    return await garbage_of(once)


@pytest.mark.parametrize("server", [FakeServer, Handshake], ids=["http", "websocket"])
@pytest.mark.parametrize("app", [ok, crash, crash_later])
@pytest.mark.parametrize(("layer", "options"), LAYERS.values(), ids=LAYERS)
async def test_an_exchange_leaves_nothing(layer, options, app, server):
    assert await collected(layer(app, **options), server) == 0


async def answers_otherwise(scope, receive, send):
    try:
        await receive()
    except Exception:
        await send({**HEAD, "status": 400})
        await send(body(b"bad"))


async def wraps(scope, receive, send):
    try:
        await receive()
    except Exception as error:
        raise ValueError("unreadable") from error


async def begins(scope, receive, send):
    await send(HEAD)
    await receive()


@pytest.mark.parametrize("app", [ok, answers_otherwise, wraps, begins])
async def test_a_body_that_was_too_large_leaves_nothing(app):
    assert await collected(BodyLimitMiddleware(app, max_bytes=10), Upload) == 0


@pytest.mark.parametrize("messages", [[], [HEAD], [HEAD, body(b"one", more=True)]])
async def test_a_response_that_took_too_long_leaves_nothing(messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        await anyio.sleep_forever()

    assert await collected(Done(TimeoutMiddleware(app, total=0.01))) == 0
