"""The table of scenarios: a new one is a file in `benchmarks/runs/` and a row here."""

from benchmarks.broadcast_scenarios import broadcast_scenarios
from benchmarks.fastapi_scenarios import fastapi_scenarios
from benchmarks.harness.inprocess import MICROSECONDS
from benchmarks.model import Scenario, Size
from benchmarks.peers import (
    BROADCAST_SOCKETS,
    BROADCAST_STREAMS,
    MIDDLEWARE_PEERS,
    SSE_PEERS,
    WEBSOCKET_APPS,
    WEBSOCKET_PEERS,
)
from benchmarks.runs import (
    broadcast_idle,
    compression,
    middleware_inprocess,
    middleware_uvicorn,
    request_inprocess,
    request_uvicorn,
    routes_inprocess,
    sse_idle,
    sse_inprocess,
    sse_uvicorn,
    ws_echo,
    ws_idle,
    ws_inprocess,
)

SMALLEST_INPROCESS = Size(rounds=2, seconds=0.001)
NORMAL_INPROCESS = Size(rounds=40, seconds=0.025)
SMALLEST_UVICORN = Size(rounds=1, seconds=0.1, connections=2)
NORMAL_UVICORN = Size(rounds=5, seconds=1.5, connections=32)
SMALLEST_STREAM = Size(rounds=1, seconds=0.02)
NORMAL_STREAM = Size(rounds=5, seconds=0.75)
SMALLEST_STREAMS = Size(rounds=1, seconds=0.02, connections=4)
NORMAL_STREAMS = Size(rounds=5, seconds=0.75, connections=100)
SMALLEST_ECHO = Size(rounds=1, seconds=0.05, connections=4)
NORMAL_ECHO = Size(rounds=7, seconds=0.7, connections=64)
# Many arms, and many short batches: a cost is a difference, and most shall be undisturbed.
NORMAL_LAYERS = Size(rounds=24, seconds=0.003)
# Most of what such an exchange takes is before what is measured.
NORMAL_LEAVING = Size(rounds=24, seconds=0.001)
# Behind twenty of the slowest layers a request takes a while on a busy machine.
SMALLEST_LAYERS_UVICORN = Size(rounds=1, seconds=0.2, connections=2)
NORMAL_LAYERS_UVICORN = Size(rounds=3, seconds=0.7, connections=32)
# Of memory, the seconds are how long it must have stood still.
SMALLEST_IDLE = Size(rounds=1, seconds=0.05, connections=20)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="json-inprocess",
        measures="GET /json, answered with a small JSON object, without a server",
        metrics=(MICROSECONDS,),
        run=request_inprocess.static_json,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
    ),
    Scenario(
        name="path-inprocess",
        measures="GET /items/42 with an int path parameter, without a server",
        metrics=(MICROSECONDS,),
        run=request_inprocess.path_parameter,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
    ),
    Scenario(
        name="routes-inprocess",
        measures="requests spread over all routes of an app, few and many, without a server",
        metrics=(MICROSECONDS,),
        run=routes_inprocess.many_routes,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
    ),
    Scenario(
        name="json-uvicorn",
        measures="GET /json over keep-alive connections, one uvicorn worker",
        metrics=request_uvicorn.METRICS,
        run=request_uvicorn.static_json,
        smallest=SMALLEST_UVICORN,
        normal=NORMAL_UVICORN,
    ),
    Scenario(
        name="path-uvicorn",
        measures="GET /items/42 over keep-alive connections, one uvicorn worker",
        metrics=request_uvicorn.METRICS,
        run=request_uvicorn.path_parameter,
        smallest=SMALLEST_UVICORN,
        normal=NORMAL_UVICORN,
    ),
    Scenario(
        name="middleware-json-inprocess",
        measures="GET /json behind layers of middleware, without a server",
        metrics=middleware_inprocess.REQUEST_METRICS,
        run=middleware_inprocess.small_json,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_LAYERS,
        peers=MIDDLEWARE_PEERS,
    ),
    Scenario(
        name="middleware-stream-inprocess",
        measures="a response of 100 chunks behind layers of middleware, without a server",
        metrics=middleware_inprocess.STREAM_METRICS,
        run=middleware_inprocess.stream,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_LAYERS,
        peers=MIDDLEWARE_PEERS,
    ),
    Scenario(
        name="middleware-upload-inprocess",
        measures="1 MB, read by the handler, through layers of middleware, without a server",
        metrics=middleware_inprocess.REQUEST_METRICS,
        run=middleware_inprocess.upload,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_LAYERS,
        peers=MIDDLEWARE_PEERS,
    ),
    Scenario(
        name="middleware-leaving-inprocess",
        measures="a client that leaves an endless response, behind layers of middleware",
        metrics=middleware_inprocess.LEAVING_METRICS,
        run=middleware_inprocess.leaving,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_LEAVING,
        peers=MIDDLEWARE_PEERS,
    ),
    Scenario(
        name="middleware-json-uvicorn",
        measures="GET /json behind layers of middleware, one uvicorn worker",
        metrics=request_uvicorn.METRICS,
        run=middleware_uvicorn.small_json,
        smallest=SMALLEST_LAYERS_UVICORN,
        normal=NORMAL_LAYERS_UVICORN,
        peers=MIDDLEWARE_PEERS,
    ),
    Scenario(
        name="sse-inprocess",
        measures="one event stream, its source ready or waiting, without a server",
        metrics=sse_inprocess.METRICS,
        run=sse_inprocess.events,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
        peers=SSE_PEERS,
    ),
    Scenario(
        name="sse-ready",
        measures="one event stream whose source is always ready, one uvicorn worker",
        metrics=sse_uvicorn.METRICS,
        run=sse_uvicorn.ready,
        smallest=SMALLEST_STREAM,
        normal=NORMAL_STREAM,
        peers=SSE_PEERS,
    ),
    Scenario(
        name="sse-ready-many",
        measures="event streams whose sources are always ready, one uvicorn worker",
        metrics=sse_uvicorn.METRICS,
        run=sse_uvicorn.ready,
        smallest=SMALLEST_STREAMS,
        normal=NORMAL_STREAMS,
        peers=SSE_PEERS,
    ),
    Scenario(
        name="sse-waiting",
        measures="one event stream whose source waits before each event, one uvicorn worker",
        metrics=sse_uvicorn.METRICS,
        run=sse_uvicorn.waiting,
        smallest=SMALLEST_STREAM,
        normal=NORMAL_STREAM,
        peers=SSE_PEERS,
    ),
    Scenario(
        name="sse-waiting-many",
        measures="event streams whose sources wait before each event, one uvicorn worker",
        metrics=sse_uvicorn.METRICS,
        run=sse_uvicorn.waiting,
        smallest=SMALLEST_STREAMS,
        normal=NORMAL_STREAMS,
        peers=SSE_PEERS,
    ),
    Scenario(
        name="sse-idle",
        measures="memory of idle event streams, a fresh server each round",
        metrics=sse_idle.METRICS,
        run=sse_idle.idle,
        smallest=SMALLEST_IDLE,
        normal=Size(rounds=3, seconds=0.5, connections=1_000),
        peers=SSE_PEERS,
    ),
    Scenario(
        name="sse-idle-many",
        measures="memory of very many idle event streams, a fresh server each round",
        metrics=sse_idle.METRICS,
        run=sse_idle.idle,
        smallest=SMALLEST_IDLE,
        normal=Size(rounds=2, seconds=0.5, connections=10_000),
        peers=SSE_PEERS,
    ),
    Scenario(
        name="ws-inprocess",
        measures="echoes over one WebSocket, its messages ready or waited for, without a server",
        metrics=ws_inprocess.METRICS,
        run=ws_inprocess.echo,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
        peers=WEBSOCKET_APPS,
    ),
    Scenario(
        name="ws-echo",
        measures="short texts echoed over WebSockets, one server process",
        metrics=ws_echo.METRICS,
        run=ws_echo.echo,
        smallest=SMALLEST_ECHO,
        normal=NORMAL_ECHO,
        peers=WEBSOCKET_PEERS,
    ),
    Scenario(
        name="ws-idle",
        measures="memory of idle WebSockets, a fresh server each round",
        metrics=ws_idle.METRICS,
        run=ws_idle.idle,
        smallest=SMALLEST_IDLE,
        normal=Size(rounds=2, seconds=0.5, connections=1_000),
        peers=WEBSOCKET_PEERS,
    ),
    Scenario(
        name="ws-idle-many",
        measures="memory of very many idle WebSockets, a fresh server each round",
        metrics=ws_idle.METRICS,
        run=ws_idle.idle,
        smallest=SMALLEST_IDLE,
        normal=Size(rounds=2, seconds=0.5, connections=10_000),
        peers=WEBSOCKET_PEERS,
    ),
    *broadcast_scenarios("sse", "event streams", BROADCAST_STREAMS, broadcast_idle.streams),
    *broadcast_scenarios("ws", "WebSockets", BROADCAST_SOCKETS, broadcast_idle.sockets),
    Scenario(
        name="compression",
        measures="100 KB of JSON, and 100 lines of it as a stream, compressed, without a server",
        metrics=compression.METRICS,
        run=compression.compression,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
        peers=compression.PEERS,
    ),
    *fastapi_scenarios(),
)


def named(names: list[str]) -> list[Scenario]:
    """The scenarios of these names in the order of the table; all that run by default for no name.

    Raises ValueError, with the names there are, for one that is not there.
    """
    known = [scenario.name for scenario in SCENARIOS]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no scenario {', '.join(unknown)}; there are {', '.join(known)}")
    if not names:
        return [scenario for scenario in SCENARIOS if scenario.by_default]
    return [scenario for scenario in SCENARIOS if scenario.name in names]
