"""What is no connection is for the app alone: layers that observe hand it on as it came."""

import pytest

from asgi_rt.middleware.access_log import AccessLogMiddleware
from asgi_rt.middleware.request_id import RequestIDMiddleware
from asgi_rt.middleware.timing import TimingMiddleware

LAYERS = [AccessLogMiddleware, RequestIDMiddleware, TimingMiddleware]


@pytest.mark.parametrize("kind", ["lifespan", "unknown"])
@pytest.mark.parametrize("layer", LAYERS)
async def test_what_is_no_connection_goes_straight_through(layer, kind, caplog):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    scope, receive, send = {"type": kind}, object(), object()
    with caplog.at_level("INFO", "asgi_rt"):
        await layer(app)(scope, receive, send)
    assert seen == [({"type": kind}, receive, send)]
    assert caplog.records == []
