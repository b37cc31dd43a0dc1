"""Asking apps behind the compression middleware, as a server does."""

import anyio
import pytest
from fakes import FakeServer
from middleware.decoding import CODINGS

from asgi_rt.middleware.compression import CompressionMiddleware

TEXT = "the same words again and again, " * 100
codings = pytest.mark.parametrize("coding", CODINGS)


def start(*headers, status=200):
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


def body(data=b"", *, more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


def app_of(*messages):
    """An app that sends these messages, the very same to everybody."""

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


async def ask(app, accept="gzip", *, options=None, method="GET", headers=(), **scope):
    """What a server gets of an app behind the middleware."""
    fields = [(name.encode(), value.encode()) for name, value in headers]
    if accept is not None:
        fields.append((b"accept-encoding", accept.encode("latin-1")))
    server = FakeServer(method=method, headers=fields, **scope)
    compressed = CompressionMiddleware(app, **(options or {}))
    with anyio.fail_after(10):
        await compressed(server.scope, server.receive, server.send)
    return server


JSON = ("content-type", "application/json")


def sized(data, *headers):
    return start(JSON, ("content-length", str(len(data))), *headers)
