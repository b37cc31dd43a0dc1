"""A limit on how often each client may ask, for any app."""

import logging
import math
import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final, TypeAlias

import anyio

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.http.response import problem_response
from asgi_rt.middleware.answer import answer_instead
from asgi_rt.middleware.connection import Connection, ShownConnection
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.limit_options import check_count, check_function
from asgi_rt.middleware.rate_store import MemoryRateStore, RatePolicy, RateStore, Verdict

__all__ = ["RateLimitMiddleware", "client_host"]

Key: TypeAlias = Callable[[Connection], str | None]
Cost: TypeAlias = Callable[[Connection], int]

_SERVED: Final = frozenset({"http", "websocket"})
_KEY_LENGTH: Final = 128
_STORE_SECONDS: Final = 1.0
_OUTAGE_SECONDS: Final = 60.0
_QUOTA_EXCEEDED: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_logger = logging.getLogger("asgi_rt.middleware.rate_limit")


def client_host(connection: Connection) -> str | None:
    """The peer's host; of IPv6 the network of 64 bits, as each client has all addresses of one.

    None where the server knows no peer, as on a Unix socket. Behind a proxy it is the proxy, unless
    the server takes the client from what that proxy sends (uvicorn: `--forwarded-allow-ips`).
    """
    client = connection.client
    if client is None:
        return None
    host = client[0]
    return _network_of(host) if ":" in host else host


@lru_cache(1024)
def _network_of(host: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


class RateLimitMiddleware:
    """Refuses with a 429 what a client asks beyond `rate` requests in `period` seconds.

    Up to `burst` of them, by default `rate`, may come at once (a token bucket). Requests count, and
    handshakes of WebSockets; what is sent on an open one is the route's to limit.

    - `key` tells one client from another; None is not limited. `exempt` says who is not asked.
    - `cost`: how many tokens a request takes. More than `burst` counts as `burst`; 0 takes none.
    - `name` tells this policy from that of other layers. Each of several takes its tokens when its
      turn comes, the outermost first.
    - `store` keeps the buckets; by default a `MemoryRateStore` of its own. One that raises, or does
      not answer within a second, lets requests through while `fail_open`, and else refuses them
      with a 503; one line a minute is logged.

    Answers tell what is left by the fields `RateLimit-Policy` and `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers-11): `r` whole tokens, and in `t` seconds one more. A
    refusal has `Retry-After`, in whole seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        rate: int,
        period: int = 60,
        burst: int | None = None,
        name: str = "default",
        key: Key = client_host,
        cost: int | Cost = 1,
        exempt: Callable[[Connection], bool] | None = None,
        store: RateStore | None = None,
        fail_open: bool = True,
    ) -> None:
        self.app = app
        """The next layer, or the app itself."""
        self.policy = RatePolicy(rate, period, rate if burst is None else burst, name)
        """What each client may do."""
        self.store: RateStore = MemoryRateStore() if store is None else store
        """Where the buckets are."""
        check_function("key", key)
        if isinstance(cost, int):
            check_count("cost", cost, least=0)
        else:
            check_function("cost", cost)
        if exempt is not None:
            check_function("exempt", exempt)
        self._key = key
        self._cost = cost
        self._exempt = exempt
        self._fail_open = fail_open
        self._outage = _Outage()
        policy = f'"{name}";q={rate};w={period}'
        self._policy_field = (b"ratelimit-policy", policy.encode("ascii"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse it; what is none goes straight to the app."""
        if scope["type"] not in _SERVED:
            await self.app(scope, receive, send)
            return
        connection = Connection(scope)
        key = self._key_of(connection)
        verdict = None if key is None else await self._ask(key, self._cost_of(connection))
        if verdict is not None:
            fields = _Fields(self._policy_field, verdict)
            send = ShownConnection(scope, fields, send).send_shown
        refusal = None if key is None else self._refusal(verdict)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await answer_instead(problem_response(refusal), scope, receive, send)

    def _key_of(self, connection: Connection) -> str | None:
        if self._exempt is not None and self._exempt(connection):
            return None
        key = self._key(connection)
        if key is None or len(key) <= _KEY_LENGTH:
            return key
        # What clients send may be long, and a store keeps it.
        return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def _cost_of(self, connection: Connection) -> int:
        cost = self._cost
        if not isinstance(cost, int):
            cost = check_count("cost", cost(connection), least=0)
        return min(cost, self.policy.burst)

    async def _ask(self, key: str, cost: int) -> Verdict | None:
        """What the store says; None where it fails."""
        if isinstance(self.store, MemoryRateStore):  # it waits for nothing
            return await self.store.take(key, cost, self.policy)
        try:
            with anyio.fail_after(_STORE_SECONDS):
                return await self.store.take(key, cost, self.policy)
        except Exception as error:
            self._outage.note(error, time.monotonic())
            return None

    def _refusal(self, verdict: Verdict | None) -> HTTPError | None:
        if verdict is None:
            return None if self._fail_open else _unknown()
        return None if verdict.is_allowed else _exceeded(self.policy, verdict)


def _unknown() -> HTTPError:
    detail = "how much was asked cannot be told at the moment"
    return HTTPError(503, detail, headers={"retry-after": "1"})


def _exceeded(policy: RatePolicy, verdict: Verdict) -> HTTPError:
    seconds = max(1, math.ceil(verdict.retry_in))
    return HTTPError(
        429,
        f"at most {policy.rate} requests in {policy.period} seconds may be made",
        headers={"retry-after": str(seconds)},
        title="Quota Exceeded",
        type=_QUOTA_EXCEEDED,
        extensions={"violated-policies": [policy.name]},
    )


class _Fields:
    """What is left, told in the head of an answer."""

    __slots__ = ("_policy", "_verdict")

    def __init__(self, policy: tuple[bytes, bytes], verdict: Verdict) -> None:
        self._policy = policy
        self._verdict = verdict

    def head(self, connection: Any, head: Head) -> None:
        quoted_name = self._policy[1].partition(b";")[0]
        _, remaining, next_in, _ = self._verdict
        limit = b"%b;r=%d;t=%d" % (quoted_name, remaining, math.ceil(next_in))
        # Added to those of other layers: both fields are lists.
        head.headers.raw += (self._policy, (b"ratelimit", limit))


class _Outage:
    """Tells the log of a store that fails, once a minute however many requests there are."""

    def __init__(self) -> None:
        self._told_at = -math.inf
        self._untold = 0

    def note(self, error: Exception, now: float) -> None:
        self._untold += 1
        if now - self._told_at >= _OUTAGE_SECONDS:
            count, self._untold, self._told_at = self._untold, 0, now
            _logger.error("the store of a rate limit has failed %d times", count, exc_info=error)
