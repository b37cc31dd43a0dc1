"""The rows of the table of scenarios that compare the adapter with FastAPI: the same programs."""

from benchmarks.harness.inprocess import MICROSECONDS
from benchmarks.model import Scenario, Size
from benchmarks.peers import (
    FASTAPI_JSON_SERVED,
    FASTAPI_MANY,
    FASTAPI_REQUESTS,
    FASTAPI_SOCKETS,
    FASTAPI_SSE_SERVED,
    FASTAPI_STREAMS,
)
from benchmarks.runs import (
    fastapi_inprocess,
    fastapi_startup,
    request_uvicorn,
    sse_uvicorn,
    ws_echo,
    ws_inprocess,
)

SMALLEST_INPROCESS = Size(rounds=2, seconds=0.001)
NORMAL_INPROCESS = Size(rounds=40, seconds=0.025)


def fastapi_scenarios() -> tuple[Scenario, ...]:
    """One program each on FastAPI and on asgi_rt.fastapi."""
    return (
        Scenario(
            name="fastapi-requests-inprocess",
            measures="a program's requests on FastAPI and on the adapter, without a server",
            metrics=(MICROSECONDS,),
            run=fastapi_inprocess.requests,
            smallest=SMALLEST_INPROCESS,
            normal=NORMAL_INPROCESS,
            peers=FASTAPI_REQUESTS,
        ),
        Scenario(
            name="fastapi-streams-inprocess",
            measures="a program's streams on FastAPI and on the adapter, without a server",
            metrics=fastapi_inprocess.STREAM_METRICS,
            run=fastapi_inprocess.streams,
            smallest=SMALLEST_INPROCESS,
            normal=NORMAL_INPROCESS,
            peers=FASTAPI_STREAMS,
        ),
        Scenario(
            name="fastapi-ws-inprocess",
            measures="a program's WebSocket on FastAPI and on the adapter, without a server",
            metrics=ws_inprocess.METRICS,
            run=ws_inprocess.echo,
            smallest=SMALLEST_INPROCESS,
            normal=NORMAL_INPROCESS,
            peers=FASTAPI_SOCKETS,
        ),
        Scenario(
            name="fastapi-json-uvicorn",
            measures="GET /json on FastAPI and on the adapter, one uvicorn worker",
            metrics=request_uvicorn.METRICS,
            run=request_uvicorn.static_json,
            smallest=Size(rounds=1, seconds=0.1, connections=2),
            normal=Size(rounds=5, seconds=1.5, connections=32),
            peers=FASTAPI_JSON_SERVED,
        ),
        Scenario(
            name="fastapi-sse-uvicorn",
            measures="a ready event stream on FastAPI and on the adapter, one uvicorn worker",
            metrics=sse_uvicorn.METRICS,
            run=sse_uvicorn.ready,
            smallest=Size(rounds=1, seconds=0.02),
            normal=Size(rounds=5, seconds=0.75),
            peers=FASTAPI_SSE_SERVED,
        ),
        Scenario(
            name="fastapi-ws-uvicorn",
            measures="texts echoed on FastAPI and on the adapter, one uvicorn worker",
            metrics=ws_echo.METRICS,
            run=ws_echo.echo,
            smallest=Size(rounds=1, seconds=0.05, connections=4),
            normal=Size(rounds=7, seconds=0.7, connections=64),
            peers=FASTAPI_SOCKETS,
        ),
        Scenario(
            name="fastapi-startup",
            measures="1,000 routes on FastAPI and on the adapter, a fresh process each round",
            metrics=fastapi_startup.METRICS,
            run=fastapi_startup.startup,
            # Of memory, the seconds are how long it must have stood still.
            smallest=Size(rounds=1, seconds=0.05),
            normal=Size(rounds=5, seconds=0.2),
            peers=FASTAPI_MANY,
        ),
    )
