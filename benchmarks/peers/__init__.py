"""The frameworks that are compared: one small app each, and one row here.

Each is written as its documentation begins, and, where it makes JSON with the standard library, a
second time with orjson: the difference between the two is not the framework's. In the event streams
it is the app that makes the JSON of most peers, and all of these use orjson.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any


@dataclass(frozen=True, slots=True)
class Peer:
    """One framework's app.

    `module` exposes an ASGI application named `application`, with dots if need be, or, where the
    peer has its `own_server`, is a program that serves on the port it is given. `packages` are the
    distributions whose versions belong beside its figures: Python's, `node` itself, and npm's as
    `npm:name`.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    own_server: bool = False
    application: str = "app"

    def load(self) -> Callable[..., Any]:
        """The peer's application, made afresh. Raises whatever its import raises."""
        # Some frameworks' apps cannot be started a second time, and each scenario starts them.
        sys.modules.pop(self.module, None)
        app: Callable[..., Any] = attrgetter(self.application)(importlib.import_module(self.module))
        return app


RAW = Peer("raw", "benchmarks.peers.raw_app", ("orjson",))
ASGI_RT = Peer("asgi_rt", "benchmarks.peers.asgi_rt_app", ("asgi-rt", "anyio", "orjson"))
STARLETTE = Peer("starlette", "benchmarks.peers.starlette_app", ("starlette",))

PEERS: tuple[Peer, ...] = (
    RAW,
    ASGI_RT,
    Peer("muffin", "benchmarks.peers.muffin_app", ("muffin", "asgi-tools", "orjson")),
    Peer("blacksheep", "benchmarks.peers.blacksheep_app", ("blacksheep",)),
    Peer("blacksheep+orjson", "benchmarks.peers.blacksheep_orjson_app", ("blacksheep", "orjson")),
    Peer("falcon", "benchmarks.peers.falcon_app", ("falcon",)),
    Peer("falcon+orjson", "benchmarks.peers.falcon_orjson_app", ("falcon", "orjson")),
    STARLETTE,
    Peer("starlette+orjson", "benchmarks.peers.starlette_orjson_app", ("starlette", "orjson")),
    Peer("litestar", "benchmarks.peers.litestar_app", ("litestar", "msgspec")),
    Peer("fastapi", "benchmarks.peers.fastapi_app", ("fastapi", "starlette", "pydantic")),
)

SSE_PEERS: tuple[Peer, ...] = (
    Peer(RAW.name, "benchmarks.peers.raw_sse_app", RAW.packages),
    Peer(ASGI_RT.name, "benchmarks.peers.asgi_rt_sse_app", ASGI_RT.packages),
    Peer("starlette", "benchmarks.peers.starlette_sse_app", ("starlette", "orjson")),
    Peer("litestar", "benchmarks.peers.litestar_sse_app", ("litestar", "orjson")),
    Peer(
        "sse-starlette",
        "benchmarks.peers.sse_starlette_app",
        ("sse-starlette", "starlette", "orjson"),
    ),
    Peer("fastapi", "benchmarks.peers.fastapi_sse_app", ("fastapi", "starlette", "pydantic")),
)

# With layers of middleware: the application's name says which, and how many.
MIDDLEWARE_PEERS: tuple[Peer, ...] = (
    Peer(
        STARLETTE.name,
        "benchmarks.peers.starlette_middleware_app",
        ("starlette", "asgi-rt", "anyio"),
    ),
    Peer(
        "fastapi",
        "benchmarks.peers.fastapi_middleware_app",
        ("fastapi", "starlette", "pydantic", "asgi-rt", "anyio"),
    ),
    Peer(ASGI_RT.name, "benchmarks.peers.asgi_rt_middleware_app", (*ASGI_RT.packages, "starlette")),
)

# In process there is no server, so these are all that can be compared there.
WEBSOCKET_APPS: tuple[Peer, ...] = (
    Peer(RAW.name, "benchmarks.peers.raw_ws_app", ()),
    Peer(ASGI_RT.name, "benchmarks.peers.asgi_rt_ws_app", ASGI_RT.packages),
    Peer("starlette", "benchmarks.peers.starlette_ws_app", ("starlette",)),
    Peer("litestar", "benchmarks.peers.litestar_ws_app", ("litestar",)),
    Peer("fastapi", "benchmarks.peers.fastapi_ws_app", ("fastapi", "starlette")),
)

WEBSOCKET_PEERS: tuple[Peer, ...] = (
    *WEBSOCKET_APPS,
    Peer("aiohttp", "benchmarks.peers.aiohttp_ws_server", ("aiohttp",), own_server=True),
    Peer("websockets", "benchmarks.peers.websockets_ws_server", ("websockets",), own_server=True),
    Peer("node-ws", "benchmarks.peers.node_ws_server", ("node", "npm:ws"), own_server=True),
)

BROADCAST_STREAMS: tuple[Peer, ...] = (
    Peer(RAW.name, "benchmarks.peers.raw_broadcast_app", ()),
    Peer(ASGI_RT.name, "benchmarks.peers.asgi_rt_broadcast_app", ASGI_RT.packages),
    Peer("starlette", "benchmarks.peers.starlette_broadcast_app", ("starlette",)),
    Peer("litestar", "benchmarks.peers.litestar_broadcast_app", ("litestar",)),
    Peer(
        "sse-starlette",
        "benchmarks.peers.sse_starlette_broadcast_app",
        ("sse-starlette", "starlette"),
    ),
)

BROADCAST_SOCKETS: tuple[Peer, ...] = (
    *BROADCAST_STREAMS[:-1],
    Peer("aiohttp", "benchmarks.peers.aiohttp_broadcast_server", ("aiohttp",), own_server=True),
    Peer(
        "websockets",
        "benchmarks.peers.websockets_broadcast_server",
        ("websockets",),
        own_server=True,
    ),
    Peer("node-ws", "benchmarks.peers.node_broadcast_server", ("node", "npm:ws"), own_server=True),
)


# The same programs on FastAPI and on the adapter, beside what else a scenario needs.
FASTAPI = "fastapi"
ADAPTER = "asgi_rt.fastapi"


def _fastapi(program: str, application: str = "app") -> tuple[Peer, ...]:
    packages = ("fastapi", "starlette", "pydantic", "python-multipart")
    ported = "benchmarks.peers.ported_fastapi"
    return (
        Peer(FASTAPI, f"benchmarks.peers.{program}", packages, application=application),
        Peer(
            ADAPTER,
            ported,
            (*ASGI_RT.packages, "pydantic", "python-multipart"),
            application=f"{program}.{application}",
        ),
    )


FASTAPI_REQUESTS = _fastapi("fastapi_requests_app")
FASTAPI_STREAMS = _fastapi("fastapi_sse_app")
FASTAPI_MANY = _fastapi("fastapi_many_app", "routes_1000")
FASTAPI_JSON_SERVED = (RAW, *_fastapi("fastapi_app"))
FASTAPI_SSE_SERVED = (SSE_PEERS[0], *FASTAPI_STREAMS)
FASTAPI_SOCKETS = (WEBSOCKET_APPS[0], *_fastapi("fastapi_ws_app"))
