"""Options of the layers that limit something: what is wrong is said when the layer is made."""

import math
import re
from functools import partial

import pytest

from asgi_rt.middleware.body_limit import BodyLimitMiddleware
from asgi_rt.middleware.concurrency_limit import ConcurrencyLimitMiddleware
from asgi_rt.middleware.rate_limit import RateLimitMiddleware
from asgi_rt.middleware.rate_store import MemoryRateStore
from asgi_rt.middleware.timeout import TimeoutMiddleware


async def app(scope, receive, send):
    raise AssertionError("no request is made here")


async def asynchronous(connection):
    return True


body_limit = partial(BodyLimitMiddleware, app)
concurrency_limit = partial(ConcurrencyLimitMiddleware, app)
rate_limit = partial(RateLimitMiddleware, app)
timeout = partial(TimeoutMiddleware, app)


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (body_limit, {"max_bytes": 0}, "max_bytes must be at least 1, not 0"),
        (body_limit, {"max_bytes": -1}, "max_bytes must be at least 1, not -1"),
        (concurrency_limit, {"max_concurrent": 0}, "max_concurrent must be at least 1, not 0"),
        (
            concurrency_limit,
            {"max_concurrent": 1, "max_queued": -1},
            "max_queued must be at least 0, not -1",
        ),
        (
            concurrency_limit,
            {"max_concurrent": 1, "queue_timeout": 0},
            "queue_timeout must be more than 0 and finite, not 0; None is no limit",
        ),
        (
            concurrency_limit,
            {"max_concurrent": 1, "retry_after": 0},
            "retry_after must be at least 1, not 0",
        ),
        (rate_limit, {"rate": 0}, "rate must be at least 1, not 0"),
        (rate_limit, {"rate": 1, "period": 0}, "period must be at least 1, not 0"),
        (rate_limit, {"rate": 1, "burst": 0}, "burst must be at least 1, not 0"),
        (rate_limit, {"rate": 1, "cost": -1}, "cost must be at least 0, not -1"),
        (rate_limit, {"rate": 10**15}, "rate must be at most 999999999999999"),
        (rate_limit, {"rate": 1, "name": 'a"b'}, "name is 1 to 64 letters"),
        (rate_limit, {"rate": 1, "name": ""}, "name is 1 to 64 letters"),
        (rate_limit, {"rate": 1, "name": "a\r\nb"}, "name is 1 to 64 letters"),
        (MemoryRateStore, {"max_keys": 0}, "max_keys must be at least 1, not 0"),
        (timeout, {"head": 0}, "head must be more than 0 and finite, not 0"),
        (timeout, {"head": -1.5}, "head must be more than 0 and finite, not -1.5"),
        (timeout, {"total": math.inf}, "total must be more than 0 and finite, not inf"),
        (timeout, {"total": math.nan}, "total must be more than 0 and finite, not nan"),
        (timeout, {"head": None}, "there is nothing to limit"),
    ],
)
def test_a_wrong_value_is_named(make, options, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        make(**options)


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (body_limit, {"max_bytes": 1.5}, "max_bytes is a whole number, not 1.5"),
        (body_limit, {"max_bytes": True}, "max_bytes is a whole number, not True"),
        (body_limit, {"max_bytes": "1 MB"}, "max_bytes is a whole number, not '1 MB'"),
        (concurrency_limit, {"max_concurrent": None}, "max_concurrent is a whole number, not None"),
        (rate_limit, {"rate": 0.5}, "rate is a whole number, not 0.5"),
        (rate_limit, {"rate": 1, "key": "host"}, "key is a function of the connection, not 'host'"),
        (
            rate_limit,
            {"rate": 1, "key": asynchronous},
            "key is called, not awaited: make asynchronous a `def`",
        ),
        (rate_limit, {"rate": 1, "cost": asynchronous}, "cost is called, not awaited"),
        (rate_limit, {"rate": 1, "exempt": asynchronous}, "exempt is called, not awaited"),
        (rate_limit, {"rate": 1, "exempt": ["/"]}, "exempt is a function of the connection"),
        (
            concurrency_limit,
            {"max_concurrent": 1, "exempt": asynchronous},
            "exempt is called, not awaited",
        ),
        (timeout, {"head": "30"}, "head is a number of seconds, or None for no limit, not '30'"),
        (timeout, {"total": True}, "total is a number of seconds, or None for no limit, not True"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(make, options, said):
    with pytest.raises(TypeError, match=f"^{re.escape(said)}"):
        make(**options)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (body_limit, {"max_bytes": 1}),
        (timeout, {}),
        (timeout, {"head": None, "total": 0.5}),
        (rate_limit, {"rate": 1, "cost": 0, "name": "per-user_1.a"}),
        (concurrency_limit, {"max_concurrent": 1, "queue_timeout": None}),
    ],
)
def test_what_is_right_is_taken(make, options):
    assert make(**options).app is app


@pytest.mark.parametrize(
    "layer",
    [
        body_limit(max_bytes=1),
        timeout(head=1),
        rate_limit(rate=1),
        concurrency_limit(max_concurrent=1, websockets=True),
    ],
)
@pytest.mark.parametrize("kind", ["lifespan", "something"])
async def test_what_is_no_connection_goes_straight_to_the_app(layer, kind, monkeypatch):
    seen = []

    async def inner(*call):
        seen.append(call)

    async def receive():
        raise AssertionError("nothing is received")

    async def send(message):
        raise AssertionError("nothing is sent")

    monkeypatch.setattr(layer, "app", inner)
    scope = {"type": kind}
    await layer(scope, receive, send)
    assert seen == [(scope, receive, send)]
